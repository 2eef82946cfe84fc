//! The throttle, by itself, under a clock of the test's own.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::FutureExt;

use super::Account;
use super::Throttle;
use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::config::Rate;
use crate::operation::ErrorCode;
use crate::operation::Identifier;
use crate::operation::Rejection;
use crate::operation::UserId;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ANN: Account<'static> = Account::Known(UserId(7));
const WINDOW: Duration = Duration::from_mins(15);

fn limited(rate: &str) -> Throttle {
    let rate_limit = Rate::parse_or_off(rate).unwrap();
    Throttle::new(&LoginConfig { rate_limit, ..LoginConfig::default() })
}

fn locking(lock_after: u32) -> Throttle {
    Throttle::new(&LoginConfig { rate_limit: None, lock_after, lock_for: WINDOW })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn here() -> IpAddr {
    address("192.0.2.1")
}

fn later(wait: Duration) -> Timestamp {
    NOW.plus(wait)
}

async fn wrong(throttle: &Throttle, account: Account<'_>, from: IpAddr, now: Timestamp) {
    drop(throttle.guess("default", account, from, now).await.unwrap());
}

async fn refusal(
    throttle: &Throttle,
    account: Account<'_>,
    from: IpAddr,
    now: Timestamp,
) -> Option<Rejection> {
    match throttle.guess("default", account, from, now).await {
        Ok(guess) => {
            guess.unjudged();
            None
        }
        Err(rejection) => Some(rejection),
    }
}

#[test]
fn a_burst_is_let_through_and_then_one_an_interval() {
    let throttle = limited("60/m burst 30");
    let admit = |now| throttle.admit(here(), now);
    for try_number in 0..30 {
        assert_eq!(admit(NOW), Ok(()), "{try_number}");
    }

    let rejection = admit(NOW).unwrap_err();

    assert_eq!(rejection.code, ErrorCode::RateLimited);
    assert_eq!(rejection.retry_after, Some(Duration::from_secs(1)));
    assert!(admit(later(Duration::from_millis(999))).is_err());
    assert_eq!(admit(later(Duration::from_secs(1))), Ok(()));
    assert!(admit(later(Duration::from_secs(1))).is_err());
    let rested = later(Duration::from_mins(10));
    assert_eq!((0..100).filter(|_| admit(rested).is_ok()).count(), 30);
}

#[test]
fn a_rate_above_one_a_millisecond_is_kept() {
    let throttle = limited("4000/s burst 1");

    let passed = (0..1000_u64)
        .flat_map(|milli| [milli; 10])
        .filter(|milli| throttle.admit(here(), later(Duration::from_millis(*milli))).is_ok())
        .count();

    // One try at each instant that the clock can tell.
    assert_eq!(passed, 1000);
}

#[test]
fn every_network_has_a_budget_of_its_own() {
    let throttle = limited("1/h");
    let rows = [
        ("192.0.2.1", true),
        ("192.0.2.1", false),
        ("::ffff:192.0.2.1", false),
        ("192.0.2.2", true),
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1:ffff::2", false),
        ("2001:db8:0:2::1", true),
    ];
    for (from, passes) in rows {
        assert_eq!(throttle.admit(address(from), NOW).is_ok(), passes, "{from}");
    }
}

#[test]
fn off_is_any_number() {
    let throttle = limited("off");

    assert!((0..10_000).all(|_| throttle.admit(here(), NOW).is_ok()));
    assert_eq!(throttle.budgets.len(), 0);
}

#[test]
fn a_clock_that_is_set_back_shuts_nobody_out_for_long() {
    let throttle = limited("60/m burst 30");
    throttle.admit(here(), later(Duration::from_hours(24))).unwrap();

    let rejection = throttle.admit(here(), NOW).unwrap_err();

    assert_eq!(rejection.retry_after, Some(Duration::from_secs(1)));
}

#[test]
fn budgets_are_bounded_and_forgotten_when_whole() {
    let throttle = limited("60/m burst 30");
    let admit = |number: u32, now| throttle.admit(IpAddr::V4(number.into()), now).unwrap();

    (0..200_000).for_each(|number| admit(number, NOW));
    assert!(throttle.budgets.len() <= 65_536, "{}", throttle.budgets.len());

    (0..20_000).for_each(|number| admit(number, later(Duration::from_mins(1))));
    assert!(throttle.budgets.len() < 30_000, "{}", throttle.budgets.len());
}

#[tokio::test]
async fn wrong_passwords_lock_until_the_window_ends() {
    let throttle = locking(3);
    for seconds in [0, 60, 120] {
        wrong(&throttle, ANN, here(), later(Duration::from_secs(seconds))).await;
    }

    for (seconds, wait) in [(120, Some(780)), (899, Some(1)), (900, None)] {
        let now = later(Duration::from_secs(seconds));
        let rejection = refusal(&throttle, ANN, here(), now).await;
        let retry_after = rejection.as_ref().and_then(|rejection| rejection.retry_after);
        assert_eq!(retry_after, wait.map(Duration::from_secs), "{seconds}");
        let code = rejection.map(|rejection| rejection.code);
        assert_eq!(code, wait.map(|_| ErrorCode::RateLimited), "{seconds}");
    }
    let anew = later(Duration::from_secs(900));
    wrong(&throttle, ANN, here(), anew).await;
    wrong(&throttle, ANN, here(), anew).await;
    assert_eq!(refusal(&throttle, ANN, here(), anew).await, None);
}

#[tokio::test]
async fn only_the_same_account_from_the_same_network_is_locked() {
    let throttle = locking(1);
    wrong(&throttle, ANN, address("2001:db8::1"), NOW).await;
    let name: Identifier = "nobody".parse().unwrap();
    wrong(&throttle, Account::Unknown(&name), here(), NOW).await;
    let email: Identifier = "nobody@example.com".parse().unwrap();
    let rows = [
        ("it", ANN, "2001:db8::1", true),
        ("its network", ANN, "2001:db8::2", true),
        ("another network", ANN, "2001:db8:1::1", false),
        ("another account", Account::Known(UserId(8)), "2001:db8::1", false),
        ("no account", Account::Unknown(&name), "192.0.2.1", true),
        ("no account, elsewhere", Account::Unknown(&name), "192.0.2.2", false),
        ("another that is none", Account::Unknown(&email), "192.0.2.1", false),
    ];
    for (row, account, from, locked) in rows {
        assert_eq!(
            refusal(&throttle, account, address(from), NOW).await.is_some(),
            locked,
            "{row}"
        );
    }
    let elsewhere = throttle.guess("other", ANN, address("2001:db8::1"), NOW).await;
    elsewhere.expect("accounts of another realm are others").unjudged();
}

#[tokio::test]
async fn a_right_password_starts_anew_and_an_unjudged_one_never_was() {
    let throttle = locking(2);
    wrong(&throttle, ANN, here(), NOW).await;
    for _ in 0..5 {
        throttle.guess("default", ANN, here(), NOW).await.unwrap().unjudged();
    }

    throttle.guess("default", ANN, here(), NOW).await.unwrap().right();

    wrong(&throttle, ANN, here(), NOW).await;
    assert_eq!(refusal(&throttle, ANN, here(), NOW).await, None);
    wrong(&throttle, ANN, here(), NOW).await;
    assert!(refusal(&throttle, ANN, here(), NOW).await.is_some());
}

#[tokio::test]
async fn what_may_be_one_too_many_waits_until_the_others_are_judged() {
    let throttle = locking(2);
    let begin = || throttle.guess("default", ANN, here(), NOW);
    let (first, second) = (begin().await.unwrap(), begin().await.unwrap());
    let (mut third, mut fourth) = (Box::pin(begin()), Box::pin(begin()));
    assert!((&mut third).now_or_never().is_none());
    assert!((&mut fourth).now_or_never().is_none());

    first.right();
    let third = third.await.unwrap();
    assert!((&mut fourth).now_or_never().is_none());

    drop(second);
    assert!((&mut fourth).now_or_never().is_none(), "one is wrong and one is being judged");
    drop(third);
    assert_eq!(fourth.await.unwrap_err().code, ErrorCode::RateLimited);
}

#[tokio::test]
async fn zero_locks_never() {
    let throttle = locking(0);
    for _ in 0..100 {
        wrong(&throttle, ANN, here(), NOW).await;
    }

    assert_eq!(refusal(&throttle, ANN, here(), NOW).await, None);
    assert_eq!(throttle.tallies.len(), 0);
}

#[tokio::test]
async fn tallies_are_bounded_and_those_in_use_stay() {
    let throttle = locking(2);
    wrong(&throttle, ANN, here(), NOW).await;
    let open = throttle.guess("default", ANN, here(), NOW).await.unwrap();
    for number in 1_000..101_000 {
        wrong(&throttle, Account::Known(UserId(number)), here(), later(WINDOW / 2)).await;
    }
    assert!(throttle.tallies.len() <= 65_537, "{}", throttle.tallies.len());

    drop(open);

    assert!(refusal(&throttle, ANN, here(), NOW).await.is_some());
}

#[tokio::test]
async fn a_clock_that_is_set_back_prolongs_no_lock() {
    let throttle = locking(1);
    wrong(&throttle, ANN, here(), later(Duration::from_hours(24))).await;

    let rejection = refusal(&throttle, ANN, here(), NOW).await.unwrap();

    assert_eq!(rejection.retry_after, Some(WINDOW));
}
