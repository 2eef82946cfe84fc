//! Refresh.

use std::time::Duration;

use super::{EMAIL, GRACE, NOW, Node, PASSWORD, Setup, later, login, policy, refresh};
use crate::operation::{Command, ErrorCode, TokenSet};
use crate::secret::Secret;
use crate::store::UserChange;
use crate::token::{RefreshFormat, TokenPolicy};

const MINUTE: Duration = Duration::from_mins(1);

const FORMATS: [RefreshFormat; 3] =
    [RefreshFormat::Opaque, RefreshFormat::Uuid, RefreshFormat::Jwt];

fn node(refresh_format: RefreshFormat) -> Node {
    let policy = TokenPolicy { refresh_format, ..policy() };
    Setup { policy, ..Setup::default() }.node()
}

fn text(tokens: &TokenSet) -> &str {
    tokens.refresh_token.as_ref().unwrap().expose()
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let node = Setup::default().node();
    node.sign_up().await;
    let tokens = node.login().await;
    let other = if text(&tokens).starts_with('_') { "-" } else { "_" };
    let rows = [
        ("empty", String::new()),
        ("junk", "junk".to_owned()),
        ("an access token", tokens.access_token.expose().clone()),
        ("a changed one", text(&tokens).replacen(|_: char| true, other, 1)),
        ("a cut one", text(&tokens)[1..].to_owned()),
        ("a doubled one", text(&tokens).repeat(2)),
    ];
    for (name, refresh_token) in rows {
        let command = Command::Refresh {
            refresh_tokens: vec![Secret::new(refresh_token)],
            previous_access_token: None,
        };
        assert_eq!(node.refused(command, NOW).await, ErrorCode::InvalidGrant, "{name}");
    }
    node.refresh(&tokens, NOW).await;
}

#[tokio::test]
async fn each_format_rotates() {
    for refresh_format in FORMATS {
        let node = node(refresh_format);
        node.sign_up().await;
        let first = node.login().await;

        let second = node.refresh(&first, later(MINUTE)).await;

        assert_ne!(text(&first), text(&second), "{refresh_format:?}");
        assert_ne!(first.access_token, second.access_token, "{refresh_format:?}");
        assert_eq!(first.session, second.session, "{refresh_format:?}");
        let day = Duration::from_hours(24);
        assert_eq!(second.refresh_expires_at, Some(later(MINUTE + day)), "{refresh_format:?}");
        assert!(node.accepts(&second, later(MINUTE)), "{refresh_format:?}");
        node.refresh(&second, later(2 * MINUTE)).await;
    }
}

#[tokio::test]
async fn the_parent_gets_the_same_successor_within_the_grace() {
    let node = Setup::default().node();
    node.sign_up().await;
    let first = node.login().await;
    let second = node.refresh(&first, NOW).await;

    let again = node.refresh(&first, later(GRACE)).await;

    assert_eq!(text(&again), text(&second));
    assert_ne!(again.access_token, second.access_token);
    assert_eq!(again.refresh_expires_at, second.refresh_expires_at);
    node.refresh(&again, later(MINUTE)).await;
}

#[tokio::test]
async fn racing_requests_all_get_one_successor() {
    for format in FORMATS {
        let node = node(format);
        node.sign_up().await;
        let first = node.login().await;

        let racing = (0..200).map(|_| node.refresh(&first, NOW));
        let all = futures_util::future::join_all(racing).await;

        assert!(all.iter().all(|tokens| text(tokens) == text(&all[0])), "{format:?}");
        assert!(all.iter().all(|tokens| node.accepts(tokens, NOW)), "{format:?}");
        node.refresh(&all[0], NOW).await;
    }
}

#[tokio::test]
async fn reuse_after_the_grace_is_theft_and_ends_the_session() {
    for format in FORMATS {
        let node = node(format);
        node.sign_up().await;
        let first = node.login().await;
        let second = node.refresh(&first, NOW).await;
        let after = later(GRACE + Duration::from_secs(1));
        node.shows(&second, later(GRACE));

        assert_eq!(node.refused(refresh(&first), after).await, ErrorCode::InvalidGrant);

        assert!(!node.accepts(&first, after), "{format:?}");
        assert!(!node.accepts(&second, after), "{format:?}");
        assert_eq!(node.refused(refresh(&second), after).await, ErrorCode::InvalidGrant);
    }
}

#[tokio::test]
async fn an_answer_is_given_again_while_nobody_shows_to_have_it() {
    for format in FORMATS {
        let node = node(format);
        node.sign_up().await;
        let first = node.login().await;
        node.shows(&first, NOW);
        let second = node.refresh(&first, later(MINUTE)).await;
        node.shows(&first, later(2 * MINUTE));

        let again = node.refresh(&first, later(10 * MINUTE)).await;

        assert_eq!(text(&again), text(&second), "{format:?}");
        assert!(node.accepts(&again, later(10 * MINUTE)), "{format:?}");
        node.shows(&again, later(11 * MINUTE));
        let late = later(12 * MINUTE);
        assert_eq!(node.refused(refresh(&first), late).await, ErrorCode::InvalidGrant);
        assert!(!node.accepts(&again, late), "{format:?}: the family lives on");
    }
}

#[tokio::test]
async fn without_a_grace_no_answer_is_given_again() {
    let policy = TokenPolicy { refresh_grace: Duration::ZERO, ..policy() };
    let node = Setup { policy, ..Setup::default() }.node();
    node.sign_up().await;
    let first = node.login().await;
    node.refresh(&first, NOW).await;

    assert_eq!(node.refused(refresh(&first), later(MINUTE)).await, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_grandparent_is_theft_even_within_the_grace() {
    let node = Setup::default().node();
    node.sign_up().await;
    let first = node.login().await;
    let second = node.refresh(&first, NOW).await;
    let third = node.refresh(&second, NOW).await;

    assert_eq!(node.refused(refresh(&first), NOW).await, ErrorCode::InvalidGrant);

    assert!(!node.accepts(&third, NOW));
    assert_eq!(node.refused(refresh(&third), NOW).await, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn theft_ends_no_other_session() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (stolen, other) = (node.login().await, node.login().await);
    let successor = node.refresh(&stolen, NOW).await;
    node.shows(&successor, NOW);

    node.refused(refresh(&stolen), later(MINUTE)).await;

    assert!(node.accepts(&other, later(MINUTE)));
    node.refresh(&other, later(MINUTE)).await;
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_time_and_with_its_session() {
    let session_ttl = Duration::from_hours(30);
    let policy = TokenPolicy { session_ttl, ..policy() };
    let node = Setup { policy, ..Setup::default() }.node();
    node.sign_up().await;
    let first = node.login().await;
    let day = Duration::from_hours(24);
    assert_eq!(node.refused(refresh(&first), later(day)).await, ErrorCode::InvalidGrant);

    let kept = node.tokens(login(EMAIL, PASSWORD), NOW).await;
    let kept = node.refresh(&kept, later(Duration::from_hours(20))).await;

    assert_eq!(kept.refresh_expires_at, Some(later(session_ttl)));
    assert_eq!(node.refused(refresh(&kept), later(session_ttl)).await, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_disabled_user_refreshes_nothing() {
    let node = Setup::default().node();
    let user = node.sign_up().await;
    let tokens = node.login().await;

    let change = UserChange::SetEnabled(false);
    node.store().change_user("default", user.id, change, NOW, later(MINUTE)).await.unwrap();

    assert_eq!(node.refused(refresh(&tokens), NOW).await, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_refresh_brings_the_rights_of_now() {
    let node = Setup::default().node();
    let user = node.sign_up().await;
    let tokens = node.login().await;

    let change = UserChange::SetRights { roles: vec![], permissions: vec!["SMS".to_owned()] };
    let changed = node.store().change_user("default", user.id, change, NOW, later(MINUTE)).await;
    let (_, revocations) = changed.unwrap().unwrap();
    node.auth.revocations.record(&revocations);
    assert!(!node.accepts(&tokens, NOW), "a role was taken away");
    let fresh = node.refresh(&tokens, NOW).await;

    let principal = node.principal(&fresh);
    assert_eq!((principal.roles, principal.permissions), (vec![], vec!["SMS".to_owned()]));
    assert!(node.accepts(&fresh, NOW));
}

#[tokio::test]
async fn a_refresh_token_of_another_site_is_refused() {
    let node = Setup::default().node();
    node.sign_up().await;
    let tokens = node.login().await;
    let issuer = "https://b.example.com".to_owned();
    let other = Setup { policy: TokenPolicy { issuer, ..policy() }, ..Setup::default() }.node();
    let neighbour = Node { auth: node.auth.clone(), site: other.site };

    assert_eq!(neighbour.refused(refresh(&tokens), NOW).await, ErrorCode::InvalidGrant);

    node.refresh(&tokens, NOW).await;
}
