//! Password reset.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::code::{STRANGER, another, confirm_reset, mailing, request_reset, social_account};
use super::{EMAIL, NOW, Node, PASSWORD, Setup, cheap_passwords, email, login, plain, refresh};
use crate::config::PasswordConfig;
use crate::operation::{Command, ErrorCode, Outcome, ProblemKind, TokenSet};
use crate::secret::Secret;
use crate::store::{MOST_MAILS, NewMail, StoreError};

fn confirm_made(address: &str, code: &str) -> Command {
    Command::ConfirmReset { email: email(address), code: Secret::from(code), new: None }
}

/// Asserts that sessions and password until now are over.
async fn assert_ended(node: &Node, sessions: &[TokenSet]) {
    for tokens in sessions {
        assert!(!node.accepts(tokens, NOW));
        assert_eq!(node.refused(refresh(tokens), NOW).await, ErrorCode::InvalidGrant);
    }
    assert_eq!(node.refused(login(EMAIL, PASSWORD), NOW).await, ErrorCode::InvalidCredentials);
}

/// Waits for all, as many at once as a store takes.
async fn at_once(steps: impl Iterator<Item = impl Future<Output = Result<(), StoreError>>>) {
    let results: Vec<_> = stream::iter(steps).buffer_unordered(100).collect().await;
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_wrong_code_changes_nothing() {
    let node = mailing().await;
    let tokens = node.login().await;
    let code = node.mailed_code(request_reset(EMAIL)).await;

    for confirm in [confirm_reset, confirm_made] {
        let wrong = confirm(EMAIL, &another(&code));
        assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCode);
    }

    assert!(node.accepts(&tokens, NOW));
    node.refresh(&tokens, NOW).await;
    node.login().await;
    assert!(node.mails().await.is_empty());
}

#[tokio::test]
async fn a_new_password_of_a_wrong_length_spends_no_guess() {
    let node = mailing().await;
    let code = node.mailed_code(request_reset(EMAIL)).await;
    for _ in 0..10 {
        for (address, new) in [(EMAIL, "short"), (STRANGER, "short"), (EMAIL, &"x".repeat(257))] {
            let new = Some(plain(new));
            let code = Secret::from(code.as_str());
            let command = Command::ConfirmReset { email: email(address), code, new };

            let rejection = node.run(command, NOW).await.unwrap_err();

            let problem = rejection.problem.unwrap();
            assert_eq!(problem.field, "new_password", "{address}");
            assert_eq!(problem.kind, ProblemKind::Length, "{address}");
        }
    }
    node.run(confirm_reset(EMAIL, &code), NOW).await.unwrap();
}

#[tokio::test]
async fn a_reset_ends_all_sessions_sets_the_password_and_proves_the_address() {
    let node = mailing().await;
    let sessions = [node.login().await, node.login().await];
    let code = node.mailed_code(request_reset(EMAIL)).await;

    let outcome = node.run(confirm_reset(EMAIL, &code), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::PasswordReset { .. })), "{outcome:?}");
    assert_ended(&node, &sessions).await;
    let new = node.tokens(login(EMAIL, "battery staple"), NOW).await;
    assert!(node.accepts(&new, NOW));
    node.refresh(&new, NOW).await;
    assert!(node.account(EMAIL).await.email_verified);
    assert!(node.mails().await.is_empty());
    assert_eq!(node.refused(confirm_reset(EMAIL, &code), NOW).await, ErrorCode::InvalidCode);
}

#[tokio::test]
async fn without_a_new_password_one_is_made_and_mailed() {
    for (min_length, length) in [(8, 16), (20, 20)] {
        let passwords = PasswordConfig { min_length, ..cheap_passwords() };
        let node = Setup { passwords, ..Setup::default() }.node().mailing();
        let long = Command::SignUp {
            email: Some(email(EMAIL)),
            username: None,
            password: plain("correct horse battery staple"),
            role: None,
            attributes: std::collections::BTreeMap::new(),
        };
        node.run(long, NOW).await.unwrap();
        let session = node.tokens(login(EMAIL, "correct horse battery staple"), NOW).await;
        let code = node.mailed_code(request_reset(EMAIL)).await;

        let outcome = node.run(confirm_made(EMAIL, &code), NOW).await;

        assert!(matches!(outcome, Ok(Outcome::PasswordReset { .. })), "{outcome:?}");
        assert_ended(&node, &[session]).await;
        let mails = node.mails().await;
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].to.as_deref(), Some(EMAIL));
        assert_eq!(mails[0].expires_after, Duration::from_hours(24));
        let mut lines = mails[0].text.lines().map(str::trim);
        let made = lines.find(|line| line.len() == length && !line.contains(' ')).unwrap();
        node.tokens(login(EMAIL, made), NOW).await;
    }
}

#[tokio::test]
async fn without_mail_no_code_is_spent_on_a_made_password() {
    let mut node = mailing().await;
    let code = node.mailed_code(request_reset(EMAIL)).await;
    let mails = Arc::make_mut(&mut node.site.settings).mails.take();

    for address in [EMAIL, STRANGER] {
        let refused = node.refused(confirm_made(address, &code), NOW).await;
        assert_eq!(refused, ErrorCode::ServiceUnavailable, "{address}");
    }

    node.login().await;
    Arc::make_mut(&mut node.site.settings).mails = mails;
    node.run(confirm_made(EMAIL, &code), NOW).await.unwrap();
}

#[tokio::test]
async fn a_made_password_whose_mail_finds_no_room_says_so_and_a_new_code_heals() {
    let node = mailing().await;
    let session = node.login().await;
    let code = node.mailed_code(request_reset(EMAIL)).await;
    let mail = |_| NewMail {
        id: Uuid::new_v4(),
        sealed: Vec::new(),
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_hours(1)),
    };
    // The one that held the code waits still.
    let others: Vec<NewMail> = (1..MOST_MAILS).map(mail).collect();
    let ids: Vec<Uuid> = others.iter().map(|mail| mail.id).collect();
    at_once(others.into_iter().map(|mail| node.store().queue_mail(mail))).await;

    let rejection = node.run(confirm_made(EMAIL, &code), NOW).await.unwrap_err();

    assert_eq!(rejection.code, ErrorCode::ServiceUnavailable);
    assert!(rejection.retry_after.is_some());
    assert_ended(&node, &[session]).await;
    for address in [EMAIL, STRANGER] {
        let refused = node.refused(request_reset(address), NOW).await;
        assert_eq!(refused, ErrorCode::ServiceUnavailable, "{address}");
    }

    at_once(ids.into_iter().map(|id| node.store().drop_mail(id))).await;
    let code = node.mailed_code(request_reset(EMAIL)).await;
    node.run(confirm_reset(EMAIL, &code), NOW).await.unwrap();
    node.tokens(login(EMAIL, "battery staple"), NOW).await;
}

#[tokio::test]
async fn an_account_without_a_password_gets_one() {
    let node = mailing().await;
    let address = "social@example.com";
    let user = social_account(address);
    node.store().create_user(user).await.unwrap();
    let code = node.mailed_code(request_reset(address)).await;

    node.run(confirm_reset(address, &code), NOW).await.unwrap();

    node.tokens(login(address, "battery staple"), NOW).await;
}
