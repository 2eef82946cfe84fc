//! Mailed codes, whatever they are for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{EMAIL, NOW, Node, PASSWORD, Setup, email, later, plain, sign_up};
use crate::config::{MailConfig, MailUrl};
use crate::mail::{Nudge, Outbox, Templates};
use crate::operation::{Command, ErrorCode, Outcome, Rejection};
use crate::secret::Secret;
use crate::store::{TrySubject, User, UserChange};

pub(super) const STRANGER: &str = "nobody@example.com";
const MINUTE: Duration = Duration::from_mins(1);

/// The two pairs of operations that share codes.
const PURPOSES: [fn() -> Purpose; 2] = [
    || Purpose { name: "reset", request: request_reset, confirm: confirm_reset },
    || Purpose { name: "verification", request: request_proof, confirm: confirm_proof },
];

struct Purpose {
    name: &'static str,
    request: fn(&str) -> Command,
    confirm: fn(&str, &str) -> Command,
}

/// A mail that waits to be sent.
#[derive(Debug)]
pub(super) struct Mail {
    /// Nobody: it is dropped unsent.
    pub(super) to: Option<String>,
    pub(super) text: String,
    pub(super) expires_after: Duration,
}

pub(super) fn request_reset(address: &str) -> Command {
    Command::RequestReset { email: email(address) }
}

pub(super) fn confirm_reset(address: &str, code: &str) -> Command {
    let new = Some(plain("battery staple"));
    Command::ConfirmReset { email: email(address), code: Secret::from(code), new }
}

pub(super) fn request_proof(address: &str) -> Command {
    Command::RequestVerification { email: email(address) }
}

pub(super) fn confirm_proof(address: &str, code: &str) -> Command {
    Command::ConfirmVerification { email: email(address), code: Secret::from(code) }
}

/// A code that is not `code`.
pub(super) fn another(code: &str) -> String {
    code.chars().map(|digit| if digit == '9' { '0' } else { '9' }).collect()
}

/// An account without a password, as a social login makes it.
pub(super) fn social_account(address: &str) -> User {
    User { email: Some(email(address)), email_verified: true, ..User::new("default", NOW) }
}

/// A node that writes mails, with one account.
pub(super) async fn mailing() -> Node {
    let node = Setup::default().node().mailing();
    node.sign_up().await;
    node
}

impl Node {
    /// Writes mails.
    pub(super) fn mailing(mut self) -> Self {
        // Nothing is sent: the mails are read in the queue.
        let config = MailConfig { url: Some(MailUrl::Folder("mail".into())), ..Default::default() };
        let own_keys = Arc::clone(&self.auth.own_keys);
        let templates = Templates::read(None).unwrap();
        let outbox = Outbox::open(&config, templates, own_keys, Nudge::default()).unwrap().unwrap();
        Arc::make_mut(&mut self.site.settings).mails = Some(Arc::new(outbox));
        self
    }

    /// The mails queued since the last call, oldest first.
    pub(super) async fn mails(&self) -> Vec<Mail> {
        let (now, hidden) = (NOW, NOW.plus(Duration::from_hours(48)));
        let queued = self.store().take_mails(now, hidden, 100).await.unwrap();
        let mails = queued.iter().map(|mail| {
            let opened = self.auth.own_keys.open("mail", &mail.sealed).unwrap();
            let opened: serde_json::Value = serde_json::from_slice(&opened).unwrap();
            Mail {
                to: opened["to"].as_str().map(str::to_owned),
                text: opened["body"].as_str().unwrap().to_owned(),
                expires_after: mail.expires_at.since(NOW),
            }
        });
        mails.collect()
    }

    /// Asks for a code, and reads it in the mail.
    pub(super) async fn mailed_code(&self, request: Command) -> String {
        let outcome = self.run(request, NOW).await;
        assert!(matches!(outcome, Ok(Outcome::CodeRequested)), "{outcome:?}");
        let mails = self.mails().await;
        assert_eq!(mails.len(), 1);
        mails[0].code()
    }
}

impl Mail {
    /// The only number of six digits in the text.
    pub(super) fn code(&self) -> String {
        let numbers = self.text.split(|c: char| !c.is_ascii_digit());
        let codes: Vec<&str> = numbers.filter(|number| number.len() == 6).collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == codes[0]), "{}", self.text);
        codes[0].to_owned()
    }
}

/// Whether a guess was wrong, or not judged: too many were.
fn is_refused(outcome: &Result<Outcome, Rejection>) -> bool {
    let codes = [ErrorCode::InvalidCode, ErrorCode::RateLimited];
    outcome.as_ref().is_err_and(|rejection| codes.contains(&rejection.code))
}

fn is_wrong(outcome: &Result<Outcome, Rejection>) -> bool {
    outcome.as_ref().is_err_and(|rejection| rejection.code == ErrorCode::InvalidCode)
}

#[tokio::test]
async fn without_mail_nobody_gets_a_code() {
    let node = Setup::default().node();
    node.sign_up().await;
    for purpose in PURPOSES.map(|make| make()) {
        for address in [EMAIL, STRANGER] {
            let rejection = node.run((purpose.request)(address), NOW).await.unwrap_err();

            assert_eq!(rejection.code, ErrorCode::ServiceUnavailable, "{}", purpose.name);
            assert_eq!(rejection.reason, "mail is off", "{} {address}", purpose.name);
        }
    }
}

#[tokio::test]
async fn whoever_asks_is_answered_alike_and_only_an_account_is_mailed() {
    let node = mailing().await;
    let off = "off@example.com";
    let kakao = "kakao_0123@social.local";
    node.run(sign_up(off, None), NOW).await.unwrap();
    node.store().create_user(social_account(kakao)).await.unwrap();
    let found = node.account(off).await;
    let change = UserChange::SetEnabled(false);
    node.store().change_user("default", found.id, change, NOW, NOW).await.unwrap().unwrap();
    for purpose in PURPOSES.map(|make| make()) {
        let rows = [
            ("a user", EMAIL, true),
            ("nobody", STRANGER, false),
            ("a disabled user", off, false),
            ("a social account without an address", kakao, false),
            ("nobody there", "kakao_4567@social.local", false),
        ];
        for (name, address, is_mailed) in rows {
            let outcome = node.run((purpose.request)(address), NOW).await;

            let name = format!("{} {name}", purpose.name);
            assert!(matches!(outcome, Ok(Outcome::CodeRequested)), "{name}: {outcome:?}");
            let mails = node.mails().await;
            assert_eq!(mails.len(), 1, "{name}: the same work is done");
            assert_eq!(mails[0].to.as_deref(), is_mailed.then_some(address), "{name}");
            assert_eq!(mails[0].expires_after, 10 * MINUTE, "{name}");
        }
    }
}

#[tokio::test]
async fn the_code_of_an_address_without_an_account_opens_nothing() {
    let node = Setup::default().node().mailing();
    for purpose in PURPOSES.map(|make| make()) {
        let code = node.mailed_code((purpose.request)(STRANGER)).await;

        let outcome = node.run((purpose.confirm)(STRANGER, &code), NOW).await;

        assert!(is_wrong(&outcome), "{}: {outcome:?}", purpose.name);
    }
}

#[tokio::test]
async fn a_code_that_was_never_asked_for_is_wrong() {
    for purpose in PURPOSES.map(|make| make()) {
        let node = mailing().await;
        for code in ["000000", "", "12345", "1234567", "１２３４５６", &"1".repeat(10_000)] {
            for address in [EMAIL, STRANGER] {
                let outcome = node.run((purpose.confirm)(address, code), NOW).await;
                assert!(is_wrong(&outcome), "{} {address}: {outcome:?}", purpose.name);
            }
        }
    }
}

#[tokio::test]
async fn after_five_wrong_guesses_the_right_one_is_wrong() {
    for purpose in PURPOSES.map(|make| make()) {
        for (wrong, is_dead) in [(4, false), (5, true)] {
            let node = mailing().await;
            let code = node.mailed_code((purpose.request)(EMAIL)).await;
            for _ in 0..wrong {
                let guess = (purpose.confirm)(EMAIL, &another(&code));
                assert_eq!(node.refused(guess, NOW).await, ErrorCode::InvalidCode);
            }

            let outcome = node.run((purpose.confirm)(EMAIL, &code), NOW).await;

            assert_eq!(is_wrong(&outcome), is_dead, "{} {wrong}: {outcome:?}", purpose.name);
        }
    }
}

#[tokio::test]
async fn of_200_guesses_at_once_no_more_than_five_are_judged() {
    for purpose in PURPOSES.map(|make| make()) {
        let node = mailing().await;
        let code = node.mailed_code((purpose.request)(EMAIL)).await;
        let wrong = another(&code);

        let guesses = (0..200).map(|_| node.run((purpose.confirm)(EMAIL, &wrong), NOW));
        let outcomes = join_all(guesses).await;

        assert!(outcomes.iter().all(is_refused), "{}", purpose.name);
        assert_eq!(outcomes.iter().filter(|outcome| is_wrong(outcome)).count(), 10);
        let an_hour_later = later(60 * MINUTE);
        let outcome = node.run((purpose.confirm)(EMAIL, &code), an_hour_later).await;
        assert!(is_wrong(&outcome), "{}: {outcome:?}", purpose.name);
    }
}

#[tokio::test]
async fn of_200_that_know_the_code_at_once_one_uses_it() {
    for purpose in PURPOSES.map(|make| make()) {
        let node = mailing().await;
        let code = node.mailed_code((purpose.request)(EMAIL)).await;

        let uses = (0..200).map(|_| node.run((purpose.confirm)(EMAIL, &code), NOW));
        let outcomes = join_all(uses).await;

        let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1, "{}", purpose.name);
        assert!(bad.iter().all(is_refused), "{}", purpose.name);
    }
}

#[tokio::test]
async fn a_new_request_leaves_the_earlier_code_its_life() {
    for purpose in PURPOSES.map(|make| make()) {
        for earlier in [true, false] {
            let node = mailing().await;
            let first = node.mailed_code((purpose.request)(EMAIL)).await;
            let second = node.mailed_code((purpose.request)(EMAIL)).await;
            let (code, other) = if earlier { (&first, &second) } else { (&second, &first) };

            let outcome = node.run((purpose.confirm)(EMAIL, code), NOW).await;

            assert!(outcome.is_ok(), "{}: {outcome:?}", purpose.name);
            let outcome = node.run((purpose.confirm)(EMAIL, other), NOW).await;
            assert!(is_wrong(&outcome), "{}: a use ends all: {outcome:?}", purpose.name);
        }
    }
}

#[tokio::test]
async fn an_address_is_mailed_three_at_once_then_one_a_minute_and_ten_an_hour() {
    for address in [EMAIL, STRANGER] {
        let node = mailing().await;
        let mailed = async |minutes: u32| {
            let now = later(minutes * MINUTE);
            // Both purposes draw on one bound.
            for request in [request_reset, request_proof, request_reset, request_proof] {
                let outcome = node.run(request(address), now).await;
                assert!(matches!(outcome, Ok(Outcome::CodeRequested)), "{outcome:?}");
            }
            let (now, hidden) = (now, now.plus(Duration::from_hours(48)));
            node.store().take_mails(now, hidden, 100).await.unwrap().len()
        };

        let mut counts = Vec::new();
        for minutes in [0, 1, 2, 5, 6, 7, 59, 60] {
            counts.push(mailed(minutes).await);
        }

        assert_eq!(counts, [3, 1, 1, 3, 1, 1, 0, 3], "{address}");
    }
}

#[tokio::test]
async fn wrong_codes_of_an_address_are_bounded_over_all_its_codes() {
    for (address, request) in
        [(EMAIL, request_reset as fn(&str) -> Command), (STRANGER, request_reset)]
    {
        let node = mailing().await;
        let hour = Duration::from_hours(1);
        let mut judged = Vec::new();
        for hours in 0..4 {
            let now = later(hours * hour);
            let mut wrong = 0;
            for round in 0..8 {
                node.run(request(address), now.plus(round * MINUTE)).await.unwrap();
                for _ in 0..4 {
                    let guess = confirm_reset(address, "no code");
                    let outcome = node.run(guess, now.plus(round * MINUTE)).await;
                    assert!(is_refused(&outcome), "{outcome:?}");
                    wrong += u32::from(is_wrong(&outcome));
                }
            }
            judged.push(wrong);
        }
        assert_eq!(judged, [10, 10, 10, 0], "{address}");

        let rejection = node.run(confirm_reset(address, "0"), later(4 * hour)).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::RateLimited);
        assert_eq!(rejection.retry_after, Some(20 * hour), "{address}");
        let outcome = node.run(confirm_reset(address, "0"), later(24 * hour)).await;
        assert!(is_wrong(&outcome), "{address}");
    }
}

#[tokio::test]
async fn a_right_code_forgets_the_wrong_ones() {
    let node = mailing().await;
    for _ in 0..3 {
        for round in 0..2 {
            let now = later(round * MINUTE);
            drop(node.mails().await);
            let code = node.mailed_code(request_reset(EMAIL)).await;
            for _ in 0..4 {
                let outcome = node.run(confirm_reset(EMAIL, &another(&code)), now).await;
                assert!(is_wrong(&outcome), "{outcome:?}");
            }
            node.run(confirm_reset(EMAIL, &code), now).await.unwrap();
        }
        let mails = TrySubject::mails("default", &email(EMAIL));
        node.store().forget_tries(&mails, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_code_lives_for_ten_minutes() {
    let last = 10 * MINUTE - Duration::from_millis(1);
    for purpose in PURPOSES.map(|make| make()) {
        for (age, is_dead) in [(last, false), (10 * MINUTE, true)] {
            let node = mailing().await;
            let code = node.mailed_code((purpose.request)(EMAIL)).await;

            let outcome = node.run((purpose.confirm)(EMAIL, &code), later(age)).await;

            assert_eq!(is_wrong(&outcome), is_dead, "{} {age:?}: {outcome:?}", purpose.name);
        }
    }
}

#[tokio::test]
async fn a_code_serves_one_account_one_purpose_and_one_realm() {
    for (purpose, other) in [(PURPOSES[0](), PURPOSES[1]()), (PURPOSES[1](), PURPOSES[0]())] {
        let node = mailing().await;
        let theirs = "b@example.com";
        node.run(sign_up(theirs, None), NOW).await.unwrap();
        let mut abroad = Node { auth: node.auth.clone(), site: node.site.clone() };
        abroad.site.realm = "abroad".to_owned();
        abroad.sign_up().await;
        // Each has a living code of its own there, so that the refusal is not for want of one.
        node.run((purpose.request)(theirs), NOW).await.unwrap();
        node.run((other.request)(EMAIL), NOW).await.unwrap();
        abroad.run((purpose.request)(EMAIL), NOW).await.unwrap();
        drop(node.mails().await);
        let code = node.mailed_code((purpose.request)(EMAIL)).await;

        let rows = [
            ("another account", node.run((purpose.confirm)(theirs, &code), NOW).await),
            ("another purpose", node.run((other.confirm)(EMAIL, &code), NOW).await),
            ("another realm", abroad.run((purpose.confirm)(EMAIL, &code), NOW).await),
        ];

        for (name, outcome) in rows {
            assert!(is_wrong(&outcome), "{} {name}: {outcome:?}", purpose.name);
        }
        node.run((purpose.confirm)(EMAIL, &code), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn a_code_of_an_account_that_is_disabled_or_gone_is_wrong() {
    for purpose in PURPOSES.map(|make| make()) {
        for end in [UserChange::SetEnabled(false), UserChange::Remove] {
            let node = mailing().await;
            let user = node.account(EMAIL).await;
            let code = node.mailed_code((purpose.request)(EMAIL)).await;
            node.store().change_user("default", user.id, end, NOW, NOW).await.unwrap().unwrap();

            let outcome = node.run((purpose.confirm)(EMAIL, &code), NOW).await;

            assert!(is_wrong(&outcome), "{}: {outcome:?}", purpose.name);
            let tried = node.refused(super::login(EMAIL, PASSWORD), NOW).await;
            assert_eq!(tried, ErrorCode::InvalidCredentials);
        }
    }
}
