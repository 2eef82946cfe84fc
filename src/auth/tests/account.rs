//! The account, and the change of its password.

use std::collections::BTreeMap;

use super::{EMAIL, NOW, Node, PASSWORD, Setup, login, plain, refresh, sign_up};
use crate::operation::{Command, ErrorCode, Outcome, ProblemKind, TokenSet};
use crate::store::UserChange;

const NEW_PASSWORD: &str = "battery staple";

fn change(node: &Node, tokens: &TokenSet, old: &str, new: &str) -> Command {
    Command::ChangePassword { principal: node.principal(tokens), old: plain(old), new: plain(new) }
}

#[tokio::test]
async fn me_shows_the_account() {
    let node = Setup::default().node();
    let user = node.sign_up().await;
    let principal = node.principal(&node.login().await);

    let outcome = node.run(Command::Me { principal }, NOW).await;

    let Ok(Outcome::Account { user: shown }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(shown.id, user.id);
    assert_eq!(shown.email.as_deref(), Some(EMAIL));
    assert_eq!(shown.roles, ["user"]);
    assert_eq!(shown.last_login_at, Some(NOW));
    assert!(!shown.email_verified);
}

#[tokio::test]
async fn whoever_has_proven_who_they_are_is_shown_their_attributes() {
    let node = Setup::default().node();
    let attributes = BTreeMap::from([("phone".to_owned(), serde_json::json!("+82 2 1234 5678"))]);
    let mut new = sign_up(EMAIL, None);
    if let Command::SignUp { attributes: asked, .. } = &mut new {
        asked.clone_from(&attributes);
    }
    node.run(new, NOW).await.unwrap();
    let tokens = node.login().await;
    let principal = node.principal(&tokens);

    for (name, command) in [
        ("login", login(EMAIL, PASSWORD)),
        ("refresh", refresh(&tokens)),
        ("me", Command::Me { principal }),
        ("change of the password", change(&node, &tokens, PASSWORD, NEW_PASSWORD)),
    ] {
        let outcome = node.run(command, NOW).await;

        let Ok(Outcome::Account { user } | Outcome::TokensIssued { user, .. }) = outcome else {
            panic!("{name}: {outcome:?}")
        };
        assert_eq!(user.attributes, attributes, "{name}");
        assert_eq!(user.last_login_at, Some(NOW), "{name}");
    }
}

#[tokio::test]
async fn a_disabled_or_removed_account_is_not_shown() {
    for end in [UserChange::SetEnabled(false), UserChange::Remove] {
        let node = Setup::default().node();
        let user = node.sign_up().await;
        let principal = node.principal(&node.login().await);

        node.store().change_user("default", user.id, end, NOW, NOW).await.unwrap().unwrap();

        assert_eq!(node.refused(Command::Me { principal }, NOW).await, ErrorCode::InvalidToken);
    }
}

#[tokio::test]
async fn a_refused_password_change_changes_nothing() {
    let node = Setup::default().node();
    node.sign_up().await;
    let tokens = node.login().await;

    let wrong = change(&node, &tokens, "wrong horse", NEW_PASSWORD);
    assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCredentials);
    for new in ["short", &"x".repeat(257)] {
        let rejection = node.run(change(&node, &tokens, PASSWORD, new), NOW).await.unwrap_err();
        let problem = rejection.problem.unwrap();
        assert_eq!((problem.field.as_str(), problem.kind), ("new_password", ProblemKind::Length));
    }

    assert!(node.accepts(&tokens, NOW));
    node.refresh(&tokens, NOW).await;
    node.login().await;
}

#[tokio::test]
async fn a_password_change_ends_all_sessions_and_opens_one() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (mine, other) = (node.login().await, node.login().await);

    let new = node.tokens(change(&node, &mine, PASSWORD, NEW_PASSWORD), NOW).await;

    for ended in [&mine, &other] {
        assert!(!node.accepts(ended, NOW));
        assert_eq!(node.refused(refresh(ended), NOW).await, ErrorCode::InvalidGrant);
    }
    assert!(node.accepts(&new, NOW));
    node.refresh(&new, NOW).await;
    assert_eq!(node.refused(login(EMAIL, PASSWORD), NOW).await, ErrorCode::InvalidCredentials);
    node.tokens(login(EMAIL, NEW_PASSWORD), NOW).await;
}
