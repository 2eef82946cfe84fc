//! Sign-up and login.

use std::sync::Arc;
use std::time::Duration;

use super::{
    ACCESS_TTL, EMAIL, NOW, Node, PASSWORD, Setup, cheap_passwords, later, login, plain, policy,
    sign_up,
};
use crate::config::PasswordConfig;
use crate::operation::{Command, ErrorCode, Identifier, Outcome, ProblemKind, UserId};
use crate::store::{Lookup, User, UserChange};
use crate::token::TokenPolicy;

async fn stored(node: &Node, user: UserId) -> User {
    let who = Identifier::Id(user);
    node.store().find_user("default", &who, Lookup::Routine).await.unwrap().unwrap()
}

#[tokio::test]
async fn sign_up_is_refused_where_it_is_closed() {
    let mut node = Setup::default().node();
    node.site.signup = false;

    assert_eq!(node.refused(sign_up(EMAIL, None), NOW).await, ErrorCode::SignupClosed);
    assert_eq!(node.store().list_users("default", None, 10).await.unwrap().users, []);
}

#[tokio::test]
async fn a_second_account_of_one_address_is_refused() {
    let node = Setup::default().node();
    node.sign_up().await;

    let again = sign_up("YOU@example.com", None);

    assert_eq!(node.refused(again, NOW).await, ErrorCode::AccountExists);
}

#[tokio::test]
async fn sign_up_grants_only_opened_roles() {
    let node = Setup::default().node();
    let rows =
        [(None, "user"), (Some("seller"), "seller"), (Some("admin"), "user"), (Some(""), "user")];
    for (number, (asked, granted)) in rows.into_iter().enumerate() {
        let address = format!("{number}@example.com");

        let outcome = node.run(sign_up(&address, asked), NOW).await.unwrap();

        let Outcome::SignedUp { user } = outcome else { panic!("{asked:?}: {outcome:?}") };
        assert_eq!(user.roles, [granted], "{asked:?}");
        assert_eq!(stored(&node, user.id).await.roles, [granted], "{asked:?}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_alike() {
    let node = Setup::default().node();
    let user = node.sign_up().await;
    let disabled = node.run(sign_up("off@example.com", None), NOW).await.unwrap();
    let Outcome::SignedUp { user: disabled } = disabled else { panic!("{disabled:?}") };
    let change = UserChange::SetEnabled(false);
    node.store().change_user("default", disabled.id, change, NOW, NOW).await.unwrap().unwrap();
    let rows = [
        ("wrong password", login(EMAIL, "wrong horse")),
        ("unknown user", login("nobody@example.com", PASSWORD)),
        ("unknown name", login("nobody", PASSWORD)),
        ("disabled account", login("off@example.com", PASSWORD)),
        ("empty password", login(EMAIL, "")),
    ];
    for (name, command) in rows {
        let rejection = node.run(command, NOW).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::InvalidCredentials, "{name}");
        assert_eq!((rejection.problem, rejection.retry_after), (None, None), "{name}");
    }
    assert_eq!(stored(&node, user.id).await.last_login_at, None);
}

#[tokio::test]
async fn a_password_over_the_limit_is_invalid_input() {
    let node = Setup::default().node();

    let rejection = node.run(login(EMAIL, &"x".repeat(257)), NOW).await.unwrap_err();

    let problem = rejection.problem.unwrap();
    assert_eq!((problem.field.as_str(), problem.kind), ("password", ProblemKind::Length));
}

#[tokio::test]
async fn a_login_opens_a_session_with_tokens() {
    let node = Setup::default().node();
    let user = node.sign_up().await;

    let tokens = node.login().await;

    let principal = node.principal(&tokens);
    assert_eq!(principal.subject, user.id.to_string());
    assert_eq!(principal.session_id(), Some(tokens.session));
    assert_eq!(tokens.access_expires_at, later(ACCESS_TTL));
    assert_eq!(tokens.refresh_expires_at, Some(later(Duration::from_hours(24))));
    assert!(node.accepts(&tokens, NOW));
    assert!(!node.accepts(&tokens, later(ACCESS_TTL)));
    assert_eq!(stored(&node, user.id).await.last_login_at, Some(NOW));
    let issuer = Some("https://api.example.com");
    let sessions = node.store().list_sessions("default", user.id, issuer, NOW).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].address, "127.0.0.1");
    assert_eq!(sessions[0].agent.as_deref(), Some("curl/8"));
    assert_eq!(sessions[0].ends_at, later(Duration::from_hours(72)));
}

#[tokio::test]
async fn no_token_outlives_its_session() {
    let session_ttl = Duration::from_mins(5);
    let policy = TokenPolicy { session_ttl, ..policy() };
    let node = Setup { policy, ..Setup::default() }.node();
    node.sign_up().await;

    let tokens = node.login().await;

    assert_eq!(tokens.access_expires_at, later(session_ttl));
    assert_eq!(tokens.refresh_expires_at, Some(later(session_ttl)));
    assert!(!node.accepts(&tokens, later(session_ttl)));
}

#[tokio::test]
async fn without_refresh_tokens_a_session_lasts_as_long_as_its_token() {
    let policy = TokenPolicy { refresh_ttl: None, ..policy() };
    let node = Setup { policy, ..Setup::default() }.node();
    let user = node.sign_up().await;

    let tokens = node.login().await;

    assert!(tokens.refresh_token.is_none());
    let sessions = node.store().list_sessions("default", user.id, None, NOW).await.unwrap();
    assert_eq!(sessions[0].expires_at, later(ACCESS_TTL));
}

#[tokio::test]
async fn a_new_login_replaces_the_only_session() {
    let node = Setup { one_session: true, ..Setup::default() }.node();
    node.sign_up().await;
    let first = node.login().await;

    let second = node.login().await;

    assert!(!node.accepts(&first, NOW));
    assert!(node.accepts(&second, NOW));
}

#[tokio::test]
async fn an_outdated_verifier_is_renewed_by_the_next_login() {
    let node = Setup::default().node();
    let user = node.sign_up().await;
    let old = stored(&node, user.id).await.verifier.unwrap();
    let stronger = PasswordConfig { iterations: 2, ..cheap_passwords() };
    let mut node = node;
    Arc::make_mut(&mut node.site.settings).passwords =
        Arc::new(crate::auth::passwords::pool::PasswordPool::new(&stronger).unwrap());

    let tokens = node.login().await;

    let renewed = stored(&node, user.id).await.verifier.unwrap();
    assert_ne!(renewed, old);
    assert!(renewed.contains("t=2"), "{renewed}");
    assert!(node.accepts(&tokens, NOW), "renewing ends nothing");
    node.login().await;
    assert_eq!(stored(&node, user.id).await.verifier.unwrap(), renewed);
}

#[tokio::test]
async fn the_hash_of_a_password_logs_in_where_the_contract_allows_it() {
    let node = Setup::default().node();
    node.sign_up().await;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, PASSWORD.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let identifier: Identifier = EMAIL.parse().unwrap();
    let mut password = plain(&hex);
    let command = |password| Command::Login { identifier: identifier.clone(), password };

    assert_eq!(node.refused(command(password.clone()), NOW).await, ErrorCode::InvalidCredentials);
    password.may_be_hashed = true;
    node.tokens(command(password), NOW).await;
}
