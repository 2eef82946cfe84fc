//! Refresh where the contract wants the previous access token beside the refresh token.

use std::time::Duration;

use super::{
    ACCESS_TTL, BOOT, EMAIL, GRACE, NOW, Node, PASSWORD, Setup, later, login, policy, sign_up,
};
use crate::operation::{Command, ErrorCode, LogoutScope, Revocation, Revoked, TokenSet};
use crate::secret::Secret;
use crate::store::UserChange;
use crate::token::{RefreshFormat, TokenPolicy};

const HOUR: Duration = Duration::from_hours(1);

fn node() -> Node {
    let policy = TokenPolicy { refresh_format: RefreshFormat::Jwt, ..policy() };
    let node = Setup { policy, ..Setup::default() }.node();
    node.auth.revocations.note_contact(BOOT);
    node
}

fn reissue(refresh: &TokenSet, access: &Secret<String>) -> Command {
    Command::Refresh {
        refresh_tokens: vec![refresh.refresh_token.clone().unwrap()],
        previous_access_token: Some(access.clone()),
    }
}

#[tokio::test]
async fn an_access_token_that_does_not_belong_is_refused_and_spends_nothing() {
    let node = node();
    node.sign_up().await;
    node.run(sign_up("b@example.com", None), NOW).await.unwrap();
    let mine = node.login().await;
    let another = node.login().await;
    let theirs = node.tokens(login("b@example.com", PASSWORD), NOW).await;
    let future = node.tokens(login(EMAIL, PASSWORD), later(3 * HOUR)).await;
    let elsewhere = {
        let policy = TokenPolicy { issuer: "https://b.example.com".to_owned(), ..policy() };
        let node = Setup { policy, ..Setup::default() }.node();
        node.sign_up().await;
        node.login().await
    };
    let good = mine.access_token.expose().clone();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let forged =
        signature.replacen(|_: char| true, if signature.starts_with('A') { "B" } else { "A" }, 1);
    let rows = [
        ("empty", Secret::from("")),
        ("junk", Secret::from("junk")),
        ("cut", Secret::from(&good[1..])),
        ("forged", Secret::new(format!("{message}.{forged}"))),
        ("unsigned", Secret::new(format!("{message}."))),
        ("too long", Secret::new(format!("{good}{}", "A".repeat(9_000)))),
        ("the refresh token", mine.refresh_token.clone().unwrap()),
        ("of another session", another.access_token),
        ("of another user", theirs.access_token),
        ("of another site", elsewhere.access_token),
        ("of the future", future.access_token),
    ];
    for (name, access) in rows {
        let refused = node.refused(reissue(&mine, &access), later(HOUR)).await;
        assert_eq!(refused, ErrorCode::InvalidGrant, "{name}");
    }

    let fresh = node.tokens(reissue(&mine, &mine.access_token), later(HOUR)).await;

    assert!(node.accepts(&fresh, later(HOUR)));
}

#[tokio::test]
async fn an_access_token_of_any_age_will_do() {
    let last = ACCESS_TTL - Duration::from_millis(1);
    for age in [Duration::ZERO, last, ACCESS_TTL, 23 * HOUR] {
        let node = node();
        node.sign_up().await;
        let first = node.login().await;

        let second = node.tokens(reissue(&first, &first.access_token), later(age)).await;

        assert_eq!(second.session, first.session, "{age:?}");
        assert!(node.accepts(&second, later(age)), "{age:?}");
        // Any of the session's: two tabs, of which one reissued first.
        node.tokens(reissue(&second, &first.access_token), later(age)).await;
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_theft_whatever_goes_with_it() {
    let node = node();
    node.sign_up().await;
    let first = node.login().await;
    let second = node.tokens(reissue(&first, &first.access_token), NOW).await;
    node.shows(&second, NOW);
    let after = later(GRACE + Duration::from_secs(1));

    let replay = reissue(&first, &first.access_token);
    assert_eq!(node.refused(replay, after).await, ErrorCode::InvalidGrant);

    assert!(!node.accepts(&second, after));
    let refused = node.refused(reissue(&second, &second.access_token), after).await;
    assert_eq!(refused, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_revoked_access_token_hinders_no_living_session() {
    let node = node();
    let user = node.sign_up().await;
    let tokens = node.login().await;
    let change = UserChange::SetRights { roles: vec![], permissions: vec![] };
    let changed = node.store().change_user("default", user.id, change, NOW, later(HOUR)).await;
    node.auth.revocations.record(&changed.unwrap().unwrap().1);
    assert!(!node.accepts(&tokens, NOW), "a role was taken away");

    let fresh = node.tokens(reissue(&tokens, &tokens.access_token), NOW).await;

    assert!(node.accepts(&fresh, NOW));
}

#[tokio::test]
async fn a_session_that_ended_is_not_brought_back() {
    let node = node();
    node.sign_up().await;
    let tokens = node.login().await;
    let scope = LogoutScope::Session;
    node.run(Command::Logout { principal: node.principal(&tokens), scope }, NOW).await.unwrap();

    let refused = node.refused(reissue(&tokens, &tokens.access_token), NOW).await;

    assert_eq!(refused, ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn an_access_token_under_a_revoked_key_proves_nothing() {
    let node = node();
    node.sign_up().await;
    let tokens = node.login().await;
    let principal = node.principal(&tokens);
    let revoked = Revoked::Key { issuer: principal.issuer, key: principal.key };
    node.auth.revocations.record(&[Revocation { revoked, expires_at: later(HOUR) }]);

    let refused = node.refused(reissue(&tokens, &tokens.access_token), NOW).await;

    assert_eq!(refused, ErrorCode::InvalidGrant);
}
