//! The second factor: asked for, set up, proved once, remembered, turned off.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    BOOT, EMAIL, NOW, Node, PASSWORD, Setup, later, login, plain, policy, refresh, sign_up,
};
use crate::auth::second_factor::one_time_code::CodeSecret;
use crate::clock::{Now, Timestamp};
use crate::config::Mfa;
use crate::operation::{
    AuthMethods, Caller, Claimant, Command, ErrorCode, Outcome, OwnerProof, Rejection,
    SecondFactorView, SecondProof, TokenSet,
};
use crate::secret::Secret;
use crate::store::UserChange;
use crate::token::TokenPolicy;

const STEP: Duration = Duration::from_secs(30);

/// An authenticator app.
struct App(CodeSecret);

impl App {
    fn new(base32: &str) -> Self {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut bits = 0_u64;
        let mut held = 0;
        let mut bytes = Vec::new();
        for character in base32.chars() {
            bits = bits << 5 | u64::try_from(ALPHABET.find(character).unwrap()).unwrap();
            held += 5;
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
            }
        }
        Self(CodeSecret::of(Zeroizing::new(bytes)))
    }

    fn code(&self, at: Timestamp) -> Secret<String> {
        self.0.code(u64::try_from(at.as_seconds() / 30).unwrap())
    }

    fn proof(&self, at: Timestamp) -> SecondProof {
        SecondProof::Code(self.code(at))
    }
}

fn node(mfa: Mfa) -> Node {
    let policy = TokenPolicy { tells_authentication: true, ..policy() };
    Setup { mfa, policy, ..Setup::default() }.node()
}

fn after(steps: u32) -> Timestamp {
    NOW.plus(STEP * steps)
}

fn challenge(rejection: &Rejection) -> Secret<String> {
    rejection.challenge().unwrap().clone()
}

fn answer(challenge: Secret<String>, proof: SecondProof) -> Command {
    Command::SecondFactor { challenge, proof, remember: false }
}

impl Node {
    async fn waits(&self, at: Timestamp) -> Secret<String> {
        let rejection = self.run(login(EMAIL, PASSWORD), at).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::SecondFactorRequired);
        challenge(&rejection)
    }

    async fn draw(&self, claimant: Claimant, at: Timestamp) -> (Secret<String>, App) {
        let outcome =
            self.run(Command::SetUpSecondFactor { claimant, setup: None }, at).await.unwrap();
        let Outcome::SecondFactorDrawn { setup, secret, uri } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(uri.expose().contains(secret.expose().as_str()));
        (setup, App::new(secret.expose()))
    }

    /// Signs up, signs in, and turns the second factor on; the codes of `NOW` are used.
    async fn with_factor(&self) -> (App, Vec<Secret<String>>, TokenSet) {
        self.sign_up().await;
        let tokens = self.login().await;
        let claimant = Claimant::SignedIn(Box::new(self.principal(&tokens)));
        let (setup, app) = self.draw(claimant.clone(), NOW).await;
        let code = app.code(NOW);
        let outcome = self.run(Command::ConfirmSecondFactor { claimant, setup, code }, NOW).await;
        let Ok(Outcome::RecoveryCodes { codes, turned_on: true, session: None, .. }) = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!(codes.len(), 10);
        (app, codes, tokens)
    }

    async fn shown(&self, tokens: &TokenSet) -> Option<SecondFactorView> {
        let principal = self.principal(tokens);
        match self.run(Command::ShowSecondFactor { principal }, NOW).await {
            Ok(Outcome::SecondFactorShown { second_factor }) => second_factor,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_login_gets_a_challenge_and_a_code_opens_it_once() {
    let node = node(Mfa::Optional);
    let (app, _, first) = node.with_factor().await;
    assert_eq!(node.principal(&first).methods, AuthMethods::PASSWORD);
    let used = node.waits(NOW).await;
    assert_eq!(node.refused(answer(used, app.proof(NOW)), NOW).await, ErrorCode::InvalidCode);

    let waiting = node.waits(after(1)).await;
    let tokens = node.tokens(answer(waiting.clone(), app.proof(after(1))), after(1)).await;

    let principal = node.principal(&tokens);
    assert_eq!(principal.methods, AuthMethods::PASSWORD.with_one_time_code());
    assert_eq!(principal.authenticated_at, Some(after(1)));
    let again = answer(waiting, app.proof(after(1)));
    assert_eq!(node.refused(again, after(1)).await, ErrorCode::InvalidCode);
    let renewed = node.refresh(&tokens, after(3)).await;
    let renewed = node.principal(&renewed);
    assert_eq!(renewed.methods, principal.methods);
    assert_eq!(renewed.authenticated_at, principal.authenticated_at);
}

#[tokio::test]
async fn of_one_code_at_once_one_opens_a_session() {
    let node = node(Mfa::Optional);
    let (app, ..) = node.with_factor().await;
    let (one, two) = (node.waits(after(1)).await, node.waits(after(1)).await);

    let (one, two) = tokio::join!(
        node.run(answer(one, app.proof(after(1))), after(1)),
        node.run(answer(two, app.proof(after(1))), after(1)),
    );

    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
}

#[tokio::test]
async fn a_recovery_code_counts_once_however_it_is_typed() {
    let node = node(Mfa::Optional);
    let (_, codes, tokens) = node.with_factor().await;
    let typed = format!(" {} ", codes[3].expose().to_uppercase().replace('-', " "));
    let proof = || SecondProof::RecoveryCode(Secret::from(typed.as_str()));

    node.tokens(answer(node.waits(NOW).await, proof()), NOW).await;

    let again = answer(node.waits(NOW).await, proof());
    assert_eq!(node.refused(again, NOW).await, ErrorCode::InvalidCode);
    assert_eq!(node.shown(&tokens).await.unwrap().recovery_codes_left, 9);
    let renew = |proof| Command::RenewRecoveryCodes { principal: node.principal(&tokens), proof };
    let wrong = renew(OwnerProof::Password(plain("wrong horse")));
    assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCredentials);
    let outcome = node.run(renew(OwnerProof::Password(plain(PASSWORD))), NOW).await.unwrap();
    let Outcome::RecoveryCodes { codes: new, turned_on: false, .. } = outcome else {
        panic!("{outcome:?}")
    };
    let old = SecondProof::RecoveryCode(codes[0].clone());
    let old = answer(node.waits(NOW).await, old);
    assert_eq!(node.refused(old, NOW).await, ErrorCode::InvalidCode);
    let new = SecondProof::RecoveryCode(new[0].clone());
    node.tokens(answer(node.waits(NOW).await, new), NOW).await;
}

#[tokio::test]
async fn wrong_codes_are_counted_and_a_right_one_forgets_them() {
    let node = node(Mfa::Optional);
    let (app, ..) = node.with_factor().await;
    let wrong = || SecondProof::Code(Secret::from("000000"));
    for _ in 0..4 {
        let wrong = answer(node.waits(NOW).await, wrong());
        assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCode);
    }
    node.tokens(answer(node.waits(after(1)).await, app.proof(after(1))), after(1)).await;
    for _ in 0..5 {
        let wrong = answer(node.waits(after(1)).await, wrong());
        assert_eq!(node.refused(wrong, after(1)).await, ErrorCode::InvalidCode);
    }

    let right = answer(node.waits(after(2)).await, app.proof(after(2)));
    let rejection = node.run(right, after(2)).await.unwrap_err();

    assert_eq!(rejection.code, ErrorCode::RateLimited);
    assert!(rejection.retry_after.unwrap() > Duration::from_mins(8));
    let later = after(2).plus(Duration::from_mins(10));
    node.tokens(answer(node.waits(later).await, app.proof(later)), later).await;
}

#[tokio::test]
async fn a_challenge_ends_with_its_time_its_site_and_its_sessions() {
    let node = node(Mfa::Optional);
    let (app, ..) = node.with_factor().await;
    let waiting = node.waits(NOW).await;
    let minutes = |minutes| NOW.plus(Duration::from_mins(minutes));

    let old = answer(waiting.clone(), app.proof(minutes(10)));
    assert_eq!(node.refused(old, minutes(10)).await, ErrorCode::InvalidCredentials);
    let mut other = node.site.clone();
    other.realm = "other".to_owned();
    let caller = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), agent: None, devices: vec![] };
    let clocks = Now { wall: minutes(1), boot: BOOT };
    let elsewhere = answer(waiting.clone(), app.proof(minutes(1)));
    let elsewhere = node.auth.run(&other, &caller, elsewhere, clocks).await.unwrap_err();
    assert_eq!(elsewhere.code, ErrorCode::InvalidCredentials);
    for text in ["", "x", "AAAA", &waiting.expose()[1..]] {
        let forged = answer(Secret::from(text), app.proof(minutes(1)));
        assert_eq!(node.refused(forged, minutes(1)).await, ErrorCode::InvalidCredentials, "{text}");
    }
    let user = node.account(EMAIL).await;
    let ends = UserChange::EndSessions;
    node.store()
        .change_user("default", user.id, ends, NOW, later(Duration::from_secs(60)))
        .await
        .unwrap()
        .unwrap();
    let ended = answer(waiting, app.proof(minutes(2)));
    assert_eq!(node.refused(ended, minutes(2)).await, ErrorCode::InvalidCredentials);
}

#[tokio::test]
async fn where_it_is_required_a_login_sets_it_up_and_older_sessions_end() {
    let mut node = node(Mfa::Off);
    node.sign_up().await;
    let before = node.login().await;
    node.site.mfa = Mfa::Required;
    assert_eq!(node.refused(refresh(&before), NOW).await, ErrorCode::InvalidGrant);

    let rejection = node.run(login(EMAIL, PASSWORD), NOW).await.unwrap_err();
    assert_eq!(rejection.code, ErrorCode::SecondFactorSetupRequired);
    let claimant = Claimant::LoggingIn(challenge(&rejection));
    let (setup, app) = node.draw(claimant.clone(), NOW).await;
    let again =
        Command::SetUpSecondFactor { claimant: claimant.clone(), setup: Some(setup.clone()) };
    let again = node.run(again, NOW).await.unwrap();
    let Outcome::SecondFactorDrawn { secret, .. } = again else { panic!("{again:?}") };
    assert_eq!(App::new(secret.expose()).code(NOW), app.code(NOW), "it was drawn anew");
    let confirm = |code: Secret<String>| Command::ConfirmSecondFactor {
        claimant: claimant.clone(),
        setup: setup.clone(),
        code,
    };
    let wrong = confirm(Secret::from("000000"));
    assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCode);
    let outcome = node.run(confirm(app.code(NOW)), NOW).await.unwrap();

    let Outcome::RecoveryCodes { session: Some(session), .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(node.principal(&session.1).methods.second_factor);
    node.refresh(&session.1, later(Duration::from_secs(1))).await;
    assert_eq!(node.refused(confirm(app.code(NOW)), NOW).await, ErrorCode::Forbidden);
    node.waits(NOW).await;
}

#[tokio::test]
async fn it_is_set_up_after_a_recent_login_and_turned_off_by_its_owner() {
    let node = node(Mfa::Optional);
    let (app, _, tokens) = node.with_factor().await;
    let principal = node.principal(&tokens);
    let claimant = Claimant::SignedIn(Box::new(principal.clone()));
    let set_up = Command::SetUpSecondFactor { claimant, setup: None };
    assert_eq!(node.refused(set_up.clone(), NOW).await, ErrorCode::Forbidden);
    let remove = |proof| Command::RemoveSecondFactor { principal: principal.clone(), proof };
    let wrong = remove(OwnerProof::SecondFactor(SecondProof::Code(Secret::from("000000"))));
    assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCode);

    let right = OwnerProof::SecondFactor(app.proof(after(1)));
    let removed = node.run(remove(right), after(1)).await.unwrap();

    assert!(matches!(removed, Outcome::SecondFactorRemoved));
    assert_eq!(node.shown(&tokens).await, None);
    node.login().await;
    let old = later(Duration::from_secs(601));
    assert_eq!(node.refused(set_up, old).await, ErrorCode::ReauthenticationRequired);
    let mut off = node;
    off.site.mfa = Mfa::Off;
    let claimant = Claimant::SignedIn(Box::new(principal));
    let off = off.refused(Command::SetUpSecondFactor { claimant, setup: None }, NOW).await;
    assert_eq!(off, ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_remembered_device_is_not_asked_until_it_is_forgotten() {
    let node = node(Mfa::Optional);
    let (app, _, tokens) = node.with_factor().await;
    let challenge = node.waits(after(1)).await;
    let proof = app.proof(after(1));
    let remembered = Command::SecondFactor { challenge, proof, remember: true };
    let remembered = node.tokens(remembered, after(1)).await;
    let (device, until) = remembered.device.unwrap();
    assert_eq!(until, after(1).plus(Duration::from_hours(720)));
    let from = async |device: &str, at: Timestamp| {
        let devices = vec![Secret::from("another"), Secret::from(device)];
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = Caller { address, agent: None, devices };
        let clocks = Now { wall: at, boot: BOOT };
        node.auth.run(&node.site, &caller, login(EMAIL, PASSWORD), clocks).await
    };

    let Ok(Outcome::TokensIssued { tokens: quick, .. }) = from(device.expose(), after(2)).await
    else {
        panic!("it was asked")
    };

    let methods = AuthMethods::PASSWORD.with_remembered_device();
    assert_eq!(node.principal(&quick).methods, methods);
    assert!(from("no device", after(2)).await.is_err());
    assert!(from(device.expose(), until).await.is_err());
    let shown = node.shown(&tokens).await.unwrap();
    assert_eq!(shown.devices.len(), 1);
    assert_eq!(shown.devices[0].agent.as_deref(), Some("curl/8"));
    let principal = node.principal(&tokens);
    let forget = |device| Command::ForgetDevices { principal: principal.clone(), device };
    node.run(forget(Some(uuid::Uuid::nil())), after(2)).await.unwrap();
    assert!(from(device.expose(), after(2)).await.is_ok());
    node.run(forget(Some(shown.devices[0].id)), after(2)).await.unwrap();
    assert!(from(device.expose(), after(2)).await.is_err());
}

#[tokio::test]
async fn of_another_account_neither_device_nor_code_counts() {
    let node = node(Mfa::Optional);
    let (app, _, tokens) = node.with_factor().await;
    node.run(sign_up("other@example.com", None), NOW).await.unwrap();
    let other = node.tokens(login("other@example.com", PASSWORD), NOW).await;
    let claimant = Claimant::SignedIn(Box::new(node.principal(&other)));
    let (setup, _) = node.draw(claimant, NOW).await;
    let thief = node.principal(&tokens);
    let remove = Command::RemoveSecondFactor {
        principal: thief.clone(),
        proof: OwnerProof::Password(plain(PASSWORD)),
    };
    node.run(remove, NOW).await.unwrap();

    let claimant = Claimant::SignedIn(Box::new(thief));
    let confirm = Command::ConfirmSecondFactor { claimant, setup, code: app.code(NOW) };

    assert_eq!(node.refused(confirm, NOW).await, ErrorCode::InvalidCode);
}

#[tokio::test]
async fn a_login_that_waits_opens_nothing_once_all_sessions_have_ended() {
    let node = node(Mfa::Optional);
    let (_, codes, _) = node.with_factor().await;
    let user = node.account(EMAIL).await.id;
    for code in codes {
        let waiting = node.waits(NOW).await;
        let end = UserChange::EndSessions;
        let until = later(Duration::from_secs(60));

        let (proved, ended) = tokio::join!(
            node.run(answer(waiting, SecondProof::RecoveryCode(code)), NOW),
            node.store().change_user("default", user, end, NOW, until),
        );

        ended.unwrap().unwrap();
        let open = node.store().list_sessions("default", user, None, NOW).await.unwrap();
        assert_eq!(open, [], "{proved:?}");
    }
}
