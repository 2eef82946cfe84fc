//! Tokens checked by whoever holds them.

use std::sync::Arc;
use std::time::Duration;

use super::{ACCESS_TTL, BOOT, NOW, Node, Setup, later, policy, refresh};
use crate::clock::{BootTime, Now};
use crate::config::WhenStale;
use crate::operation::ErrorCode::{InvalidGrant, InvalidToken, ServiceUnavailable};
use crate::operation::{Command, LogoutScope, Outcome, Rejection, Revocation, Revoked, TokenSet};
use crate::secret::Secret;
use crate::store::UserChange;
use crate::token::{RefreshFormat, TokenPolicy};

/// Later than `max_staleness` allows.
const STALE: BootTime = BootTime::from_millis(BOOT.as_millis() + 5_001);

fn check(token: &str) -> Command {
    Command::CheckToken { token: Secret::from(token) }
}

/// A node with news, and one token of it.
async fn node(change: impl FnOnce(&mut TokenPolicy)) -> (Node, TokenSet) {
    let mut policy = policy();
    change(&mut policy);
    let node = Setup { policy, ..Setup::default() }.node();
    node.auth.revocations.note_contact(BOOT);
    node.sign_up().await;
    let tokens = node.login().await;
    (node, tokens)
}

async fn stale(
    node: &mut Node,
    when_stale: WhenStale,
    tokens: &TokenSet,
) -> Result<Outcome, Rejection> {
    run_stale(node, when_stale, check(tokens.access_token.expose())).await
}

async fn run_stale(
    node: &mut Node,
    when_stale: WhenStale,
    command: Command,
) -> Result<Outcome, Rejection> {
    Arc::make_mut(&mut node.site.settings).when_stale = when_stale;
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let caller = crate::operation::Caller { address, agent: None, devices: Vec::new() };
    let now = Now { wall: NOW, boot: STALE };
    node.auth.run(&node.site, &caller, command, now).await
}

fn revocation(node: &Node, tokens: &TokenSet) -> Revocation {
    let issuer = node.site.tokens.policy().issuer.clone();
    let revoked = Revoked::Session { issuer, session: tokens.session };
    Revocation { revoked, expires_at: later(ACCESS_TTL) }
}

#[tokio::test]
async fn what_is_no_living_access_token_of_this_site_is_refused() {
    let (node, tokens) = node(|policy| policy.refresh_format = RefreshFormat::Jwt).await;
    let (_, elsewhere) = self::node(|policy| policy.issuer = "https://b.example.com".into()).await;
    let good = tokens.access_token.expose();
    let refresh = tokens.refresh_token.as_ref().unwrap().expose();
    let rows = [
        ("empty", String::new()),
        ("junk", "junk".to_owned()),
        ("cut", good[..good.len() - 2].to_owned()),
        ("without a signature", good.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("with `Bearer`", format!("Bearer {good}")),
        ("too long", "a".repeat(9_000)),
        ("the refresh token", refresh.clone()),
        ("another site's", elsewhere.access_token.expose().clone()),
    ];
    for (name, token) in rows {
        let refused = node.refused(check(&token), NOW).await;
        assert_eq!(refused, InvalidToken, "{name}");
    }
    let refused = node.refused(check(good), tokens.access_expires_at).await;
    assert_eq!(refused, InvalidToken, "expired");
    node.run(check(good), NOW).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let scopes = [LogoutScope::Session, LogoutScope::RefreshTokens, LogoutScope::Global];
    for scope in scopes {
        let (node, tokens) = node(|_| ()).await;
        let command = Command::Logout { principal: node.principal(&tokens), scope };
        node.run(command, NOW).await.unwrap();

        let refused = node.refused(check(tokens.access_token.expose()), NOW).await;

        assert_eq!(refused, InvalidToken, "{scope:?}");
    }
    for end in [UserChange::SetEnabled(false), UserChange::Remove] {
        let (node, tokens) = node(|_| ()).await;
        let user = node.account(super::EMAIL).await.id;
        let changed = node.store().change_user("default", user, end, NOW, later(ACCESS_TTL)).await;
        node.auth.revocations.record(&changed.unwrap().unwrap().1);

        let refused = node.refused(check(tokens.access_token.expose()), NOW).await;

        assert_eq!(refused, InvalidToken);
    }
}

#[tokio::test]
async fn a_good_token_is_answered_with_its_end() {
    let (node, tokens) = node(|_| ()).await;
    let last = tokens.access_expires_at.minus(Duration::from_millis(1));

    for now in [NOW, last] {
        let outcome = node.run(check(tokens.access_token.expose()), now).await;

        let Ok(Outcome::TokenChecked { token, expires_at }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(token, tokens.access_token);
        assert_eq!(expires_at, later(ACCESS_TTL));
    }
}

#[tokio::test]
async fn before_the_list_was_read_nothing_is_said() {
    for when_stale in [WhenStale::Reject, WhenStale::Accept, WhenStale::Ask] {
        let mut node = Setup::default().node();
        node.sign_up().await;
        let tokens = node.login().await;

        let rejection = stale(&mut node, when_stale, &tokens).await.unwrap_err();

        assert_eq!(rejection.code, ServiceUnavailable, "{when_stale:?}");
        assert!(rejection.retry_after.is_some(), "{when_stale:?}");
    }
}

#[tokio::test]
async fn on_a_stale_list_it_is_decided_as_configured() {
    let (mut node, tokens) = node(|_| ()).await;
    let rows = [
        (WhenStale::Reject, Some(ServiceUnavailable)),
        (WhenStale::Accept, None),
        (WhenStale::Ask, None),
    ];
    for (when_stale, refused) in rows {
        let outcome = stale(&mut node, when_stale, &tokens).await;
        assert_eq!(outcome.err().map(|rejection| rejection.code), refused, "{when_stale:?}");
    }

    // Known to the store alone.
    node.store().revoke(&[revocation(&node, &tokens)]).await.unwrap();
    let rows = [(WhenStale::Accept, None), (WhenStale::Ask, Some(InvalidToken))];
    for (when_stale, refused) in rows {
        let outcome = stale(&mut node, when_stale, &tokens).await;
        assert_eq!(outcome.err().map(|rejection| rejection.code), refused, "{when_stale:?}");
    }

    node.auth.revocations.record(&[revocation(&node, &tokens)]);
    let refused = stale(&mut node, WhenStale::Accept, &tokens).await.unwrap_err().code;
    assert_eq!(refused, InvalidToken, "known revocations are still refused");
}

#[tokio::test]
async fn what_a_key_signed_that_may_be_new_is_not_refused_while_there_is_no_news() {
    let (mut node, _) = node(|policy| policy.refresh_format = RefreshFormat::Jwt).await;
    let (_, new) = self::node(|policy| policy.refresh_format = RefreshFormat::Jwt).await;
    let commands = || [check(new.access_token.expose()), refresh(&new)];
    for (command, refused) in commands().into_iter().zip([InvalidToken, InvalidGrant]) {
        assert_eq!(node.refused(command, NOW).await, refused, "with news");
    }
    for when_stale in [WhenStale::Reject, WhenStale::Accept, WhenStale::Ask] {
        for command in commands() {
            let rejection = run_stale(&mut node, when_stale, command).await.unwrap_err();

            assert_eq!(rejection.code, ServiceUnavailable, "{when_stale:?}");
            assert!(rejection.retry_after.is_some(), "{when_stale:?}");
        }
        let junk = run_stale(&mut node, when_stale, check("a.b.c")).await.unwrap_err();
        assert_eq!(junk.code, InvalidToken, "no key makes this a token");
    }
}
