//! Limits on trying, against a real store and real hashes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{EMAIL, NOW, Node, PASSWORD, Setup, later, login, plain, refresh, sign_up};
use crate::auth::throttle::Throttle;
use crate::clock::Now;
use crate::config::{LoginConfig, Rate};
use crate::operation::{Caller, Command, ErrorCode, LogoutScope, Outcome};
use crate::store::UserChange;

fn node(rate_limit: &str, lock_after: u32) -> Node {
    let mut node = Setup::default().node();
    let lock_for = Duration::from_mins(15);
    let rate_limit = Rate::parse_or_off(rate_limit).unwrap();
    let throttle = Throttle::new(&LoginConfig { rate_limit, lock_after, lock_for });
    Arc::make_mut(&mut node.site.settings).throttle = Arc::new(throttle);
    node
}

#[tokio::test]
async fn no_more_guesses_at_once_are_judged_than_may_be_wrong() {
    let node = node("off", 10);
    node.sign_up().await;
    for who in [EMAIL, "nobody@example.com"] {
        let guesses = (0..200).map(|number| node.run(login(who, &format!("guess {number}")), NOW));

        let codes: Vec<ErrorCode> =
            join_all(guesses).await.into_iter().map(|answer| answer.unwrap_err().code).collect();

        let count = |code| codes.iter().filter(|found| **found == code).count();
        assert_eq!(count(ErrorCode::InvalidCredentials), 10, "{who}");
        assert_eq!(count(ErrorCode::RateLimited), 190, "{who}");
    }
}

#[tokio::test]
async fn good_logins_at_once_all_succeed() {
    for (rate_limit, lock_after) in [("off", 2), ("1/h burst 4", 10), ("1/h burst 4", 2)] {
        let node = node(rate_limit, lock_after);
        node.sign_up().await;

        let logins = join_all((0..40).map(|_| node.run(login(EMAIL, PASSWORD), NOW))).await;

        assert!(logins.iter().all(Result::is_ok), "{rate_limit} {lock_after}: {logins:?}");
    }
}

#[tokio::test]
async fn of_failures_at_once_an_address_gets_its_budget() {
    let node = node("1/h burst 4", 0);
    node.sign_up().await;

    let tries = (0..40).map(|number| {
        let password = if number % 4 == 0 { PASSWORD } else { "wrong horse" };
        node.run(login(EMAIL, password), NOW)
    });
    let answers = join_all(tries).await;

    let count =
        |code| answers.iter().filter(|it| it.as_ref().is_err_and(|it| it.code == code)).count();
    // One was the sign-up.
    assert_eq!(count(ErrorCode::InvalidCredentials), 3);
    assert_eq!(node.refused(login(EMAIL, PASSWORD), NOW).await, ErrorCode::RateLimited);
}

#[tokio::test]
async fn networks_are_told_apart_and_a_lock_of_one_is_no_others() {
    let node = node("1/h burst 3", 1);
    node.sign_up().await;
    let from = async |address: &str, password: &str| {
        let caller = Caller { address: address.parse().unwrap(), agent: None, devices: Vec::new() };
        let clocks = Now { wall: NOW, boot: super::BOOT };
        node.auth
            .run(&node.site, &caller, login(EMAIL, password), clocks)
            .await
            .err()
            .map(|it| it.code)
    };
    let wrong = Some(ErrorCode::InvalidCredentials);
    let limited = Some(ErrorCode::RateLimited);
    for (address, password, expected) in [
        ("192.0.2.1", "wrong", wrong),
        ("192.0.2.1", PASSWORD, limited),
        ("::ffff:192.0.2.1", PASSWORD, limited),
        ("192.0.2.2", PASSWORD, None),
        ("2001:db8:0:1::1", "wrong", wrong),
        ("2001:db8:0:1:ffff::2", PASSWORD, limited),
        ("2001:db8:0:2::1", PASSWORD, None),
    ] {
        assert_eq!(from(address, password).await, expected, "{address} {password}");
    }
}

#[tokio::test]
async fn known_unknown_and_disabled_accounts_are_locked_alike() {
    let node = node("off", 3);
    node.sign_up().await;
    let Ok(Outcome::SignedUp { user }) = node.run(sign_up("off@example.com", None), NOW).await
    else {
        panic!("no account")
    };
    let change = UserChange::SetEnabled(false);
    node.store().change_user("default", user.id, change, NOW, NOW).await.unwrap().unwrap();
    for (name, who, password) in [
        ("known", EMAIL, "wrong horse"),
        ("unknown", "nobody@example.com", "wrong horse"),
        ("disabled", "off@example.com", "wrong horse"),
        ("disabled, with its password", "off@example.com", PASSWORD),
    ] {
        let already = if name.contains("its password") { 3 } else { 0 };
        for number in already..3 {
            let code = node.refused(login(who, password), NOW).await;
            assert_eq!(code, ErrorCode::InvalidCredentials, "{name} {number}");
        }
        let rejection = node.run(login(who, password), NOW).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::RateLimited, "{name}");
        assert_eq!(rejection.retry_after, Some(Duration::from_mins(15)), "{name}");
    }
    assert_eq!(node.refused(login(EMAIL, PASSWORD), NOW).await, ErrorCode::RateLimited);
    node.tokens(login(EMAIL, PASSWORD), later(Duration::from_mins(15))).await;
}

#[tokio::test]
async fn what_was_not_judged_is_not_counted() {
    let node = node("off", 1);
    node.sign_up().await;
    let long = "x".repeat(257);
    for _ in 0..3 {
        assert_eq!(node.refused(login(EMAIL, &long), NOW).await, ErrorCode::InvalidInput);
    }

    node.tokens(login(EMAIL, PASSWORD), NOW).await;
}

#[tokio::test]
async fn old_passwords_and_logins_are_one_count() {
    let node = node("off", 3);
    node.sign_up().await;
    let principal = node.principal(&node.login().await);
    let change = |old: &str| Command::ChangePassword {
        principal: principal.clone(),
        old: plain(old),
        new: plain("another horse"),
    };
    assert_eq!(node.refused(change("wrong"), NOW).await, ErrorCode::InvalidCredentials);
    assert_eq!(node.refused(login(EMAIL, "wrong"), NOW).await, ErrorCode::InvalidCredentials);
    assert_eq!(node.refused(change("wrong"), NOW).await, ErrorCode::InvalidCredentials);

    assert_eq!(node.refused(change(PASSWORD), NOW).await, ErrorCode::RateLimited);
    assert_eq!(node.refused(login(EMAIL, PASSWORD), NOW).await, ErrorCode::RateLimited);

    node.tokens(change(PASSWORD), later(Duration::from_mins(15))).await;
}

#[tokio::test]
async fn a_spent_budget_stops_strangers_and_nobody_with_a_session() {
    let node = node("1/h burst 2", 10);
    node.sign_up().await;
    let tokens = node.login().await;
    node.login().await;
    assert_eq!(node.refused(login(EMAIL, "wrong"), NOW).await, ErrorCode::InvalidCredentials);
    for command in [login(EMAIL, PASSWORD), sign_up("other@example.com", None)] {
        let rejection = node.run(command, NOW).await.unwrap_err();
        assert_eq!(rejection.code, ErrorCode::RateLimited);
        assert_eq!(rejection.retry_after, Some(Duration::from_hours(1)));
    }

    let principal = node.principal(&tokens);
    let me = Command::Me { principal: principal.clone() };
    assert!(matches!(node.run(me, NOW).await, Ok(Outcome::Account { .. })));
    node.tokens(refresh(&tokens), NOW).await;
    let logout = Command::Logout { principal, scope: LogoutScope::Session };
    assert!(matches!(node.run(logout, NOW).await, Ok(Outcome::LoggedOut)));
}
