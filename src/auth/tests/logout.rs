//! Log-out, and ending sessions by name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{NOW, Node, Setup, later, policy, refresh};
use crate::operation::{
    Command, ErrorCode, LogoutScope, Outcome, Principal, Revocation, SessionId, TokenSet, UserId,
};
use crate::store::{Deadlines, Durability, SqliteStore};
use crate::token::{Grant, TokenPolicy};

fn logout(principal: Principal, scope: LogoutScope) -> Command {
    Command::Logout { principal, scope }
}

/// A token made without the store.
fn token_of(node: &Node, user: UserId) -> TokenSet {
    let grant = Grant {
        user,
        session: SessionId(uuid::Uuid::from_u128(1)),
        generations: crate::operation::Generations::default(),
        email: None,
        username: None,
        roles: &[],
        permissions: &[],
        authentication: None,
        attributes: None,
        not_after: None,
    };
    let access = node.site.tokens.issue_access(grant, NOW).unwrap();
    TokenSet {
        access_token: access.text,
        issued_at: access.issued_at,
        access_expires_at: access.expires_at,
        refresh_token: None,
        refresh_expires_at: None,
        session: grant.session,
        device: None,
    }
}

#[tokio::test]
async fn logout_ends_this_session_and_no_other() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (mine, other) = (node.login().await, node.login().await);
    let mine = node.refresh(&mine, NOW).await;

    let outcome = node.run(logout(node.principal(&mine), LogoutScope::Session), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::LoggedOut)), "{outcome:?}");
    assert!(!node.accepts(&mine, NOW));
    assert_eq!(node.refused(refresh(&mine), NOW).await, ErrorCode::InvalidGrant);
    assert!(node.accepts(&other, NOW));
    node.refresh(&other, NOW).await;
}

#[tokio::test]
async fn logout_everywhere_ends_all_sessions_and_lets_new_ones_begin() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (mine, other) = (node.login().await, node.login().await);

    node.run(logout(node.principal(&mine), LogoutScope::Global), NOW).await.unwrap();

    for tokens in [&mine, &other] {
        assert!(!node.accepts(tokens, NOW));
        assert_eq!(node.refused(refresh(tokens), NOW).await, ErrorCode::InvalidGrant);
    }
    let new = node.login().await;
    assert!(node.accepts(&new, NOW));
}

#[tokio::test]
async fn logout_of_all_refresh_tokens_leaves_the_other_access_tokens() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (old, other) = (node.login().await, node.login().await);
    let mine = node.refresh(&old, NOW).await;
    let scope = LogoutScope::RefreshTokens;

    let outcome = node.run(logout(node.principal(&mine), scope), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::LoggedOut)), "{outcome:?}");
    for tokens in [&old, &mine] {
        assert!(!node.accepts(tokens, NOW), "of the session that was logged out");
    }
    assert!(node.accepts(&other, NOW));
    for tokens in [&mine, &other] {
        assert_eq!(node.refused(refresh(tokens), NOW).await, ErrorCode::InvalidGrant);
    }
    let new = node.login().await;
    assert!(node.accepts(&new, NOW));
    node.refresh(&new, NOW).await;
}

#[tokio::test]
async fn a_revocation_stands_as_long_as_the_token_by_any_clock() {
    let leeway = policy().leeway;
    for scope in [LogoutScope::Session, LogoutScope::RefreshTokens, LogoutScope::Global] {
        let node = Setup::default().node();
        node.sign_up().await;
        let tokens = node.login().await;

        node.run(logout(node.principal(&tokens), scope), NOW).await.unwrap();

        let last = tokens.access_expires_at.minus(Duration::from_millis(1));
        assert!(node.site.tokens.verify(tokens.access_token.expose(), last).is_ok());
        assert!(!node.accepts(&tokens, last), "{scope:?}");
        // A clock that is ahead forgets it no sooner than one that is right takes the token.
        let ahead = tokens.access_expires_at.plus(leeway).plus(Revocation::CLOCK_SKEW);
        let list = &node.auth.revocations;
        let recorded: Vec<_> = (0..=u8::MAX).flat_map(|number| list.part(number)).collect();
        assert!(
            !recorded.is_empty() && recorded.iter().all(|it| it.expires_at >= ahead),
            "{scope:?}"
        );
    }
}

/// A node whose store answers no write in time: another process holds the file's lock.
fn locked_node(folder: &Path) -> (Node, rusqlite::Connection) {
    let path = folder.join("munjigi.db");
    let command = Duration::from_millis(20);
    let deadlines = Deadlines { command, lookup: Duration::from_secs(10) };
    let store = SqliteStore::open(&path, Durability::Normal, deadlines).unwrap();
    let lock = rusqlite::Connection::open(&path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut node = Setup::default().node();
    node.auth.store = Arc::new(store);
    (node, lock)
}

#[tokio::test]
async fn a_logout_that_is_not_stored_says_so_and_holds_here() {
    let scopes = [LogoutScope::Session, LogoutScope::RefreshTokens, LogoutScope::Global];
    for scope in scopes {
        let folder = tempfile::tempdir().unwrap();
        let (node, _lock) = locked_node(folder.path());
        let tokens = token_of(&node, UserId(1));
        assert!(node.accepts(&tokens, NOW));

        let outcome = node.run(logout(node.principal(&tokens), scope), NOW).await;

        let rejection = outcome.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::ServiceUnavailable);
        assert_eq!(rejection.retry_after, Some(Duration::from_secs(1)));
        assert!(!node.accepts(&tokens, NOW));
    }
}

#[tokio::test]
async fn a_token_of_no_account_is_revoked_by_itself() {
    let node = Setup::default().node();
    let tokens = token_of(&node, UserId(1));
    for subject in ["service", "+1", "01", " 1", "1e3"] {
        let mut principal = node.principal(&tokens);
        (principal.subject, principal.session) = (subject.to_owned(), None);

        let me = Command::Me { principal: principal.clone() };
        assert_eq!(node.refused(me, NOW).await, ErrorCode::InvalidToken, "{subject}");
        let sessions = Command::Sessions { principal: principal.clone() };
        assert_eq!(node.refused(sessions, NOW).await, ErrorCode::InvalidToken, "{subject}");
        node.run(logout(principal, LogoutScope::Global), NOW).await.unwrap();
    }
    assert!(!node.accepts(&tokens, NOW));
}

#[tokio::test]
async fn sessions_are_listed_newest_first_with_the_current_marked() {
    let node = Setup::default().node();
    node.sign_up().await;
    let old = node.login().await;
    let command = super::login(super::EMAIL, super::PASSWORD);
    let new = node.tokens(command, later(Duration::from_secs(1))).await;

    let principal = node.principal(&old);
    let outcome = node.run(Command::Sessions { principal }, later(Duration::from_secs(2))).await;

    let Ok(Outcome::Sessions { sessions }) = outcome else { panic!("{outcome:?}") };
    let shown: Vec<_> = sessions.iter().map(|session| (session.id, session.current)).collect();
    assert_eq!(shown, [(new.session, false), (old.session, true)]);
}

#[tokio::test]
async fn another_session_of_the_user_is_ended_by_name() {
    let node = Setup::default().node();
    node.sign_up().await;
    let (mine, other) = (node.login().await, node.login().await);
    let end = |session| Command::EndSession { principal: node.principal(&mine), session };

    let outcome = node.run(end(other.session), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::SessionEnded)), "{outcome:?}");
    assert!(!node.accepts(&other, NOW));
    assert_eq!(node.refused(refresh(&other), NOW).await, ErrorCode::InvalidGrant);
    assert!(node.accepts(&mine, NOW));
    assert_eq!(node.refused(end(other.session), NOW).await, ErrorCode::SessionNotFound);
}

#[tokio::test]
async fn a_session_of_another_user_or_site_is_not_found() {
    let node = Setup::default().node();
    node.sign_up().await;
    let mine = node.login().await;
    node.run(super::sign_up("b@example.com", None), NOW).await.unwrap();
    let theirs = node.tokens(super::login("b@example.com", super::PASSWORD), NOW).await;
    let issuer = "https://b.example.com".to_owned();
    let site = Setup { policy: TokenPolicy { issuer, ..policy() }, ..Setup::default() }.node().site;
    let neighbour = Node { auth: node.auth.clone(), site };
    let elsewhere = neighbour.login().await;
    let unknown = SessionId(uuid::Uuid::from_u128(9));

    for session in [theirs.session, elsewhere.session, unknown] {
        let command = Command::EndSession { principal: node.principal(&mine), session };
        assert_eq!(node.refused(command, NOW).await, ErrorCode::SessionNotFound);
    }

    assert!(node.accepts(&theirs, NOW));
    assert!(neighbour.accepts(&elsewhere, NOW));
}
