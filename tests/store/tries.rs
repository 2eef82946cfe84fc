//! Counts of tries: windows and rates, all or none, given back and forgotten.

use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::Timestamp;
use munjigi::config::Rate;
use munjigi::operation::UserId;
use munjigi::store::{Bound, Store, Taking, TrySubject};

use crate::fixture::{REALM, at};

const MINUTE: u64 = 60;

fn ann() -> TrySubject {
    TrySubject::account(REALM, UserId(7))
}

fn window(most: u32) -> Bound {
    Bound::window("window", most, Duration::from_secs(10 * MINUTE))
}

fn rate(count: u32, period: u64, burst: u32) -> Bound {
    Bound::rate("rate", Rate { count, period: Duration::from_secs(period), burst })
}

async fn take(store: &Arc<dyn Store>, bounds: &[Bound], now: Timestamp) -> Taking {
    store.take_try(&ann(), bounds, now).await.expect("an answer")
}

/// The seconds to wait; `None` where the try was taken.
async fn wait(store: &Arc<dyn Store>, bounds: &[Bound], now: Timestamp) -> Option<u64> {
    match take(store, bounds, now).await {
        Taking::Taken { .. } => None,
        Taking::UsedUp { wait } => Some(wait.as_secs()),
    }
}

async fn names(store: &Arc<dyn Store>, now: Timestamp) -> Vec<(String, u32)> {
    let counts = store.tries(&ann(), now).await.expect("an answer");
    counts.into_iter().map(|count| (count.name, count.count)).collect()
}

pub(crate) async fn a_window_counts_from_the_first_try(store: &Arc<dyn Store>) {
    let bounds = [window(3)];
    for (seconds, left) in [(0, 2), (60, 1), (120, 0)] {
        assert_eq!(take(store, &bounds, at(seconds)).await, Taking::Taken { left });
    }

    for (seconds, expected) in [(120, Some(480)), (599, Some(1)), (600, None)] {
        assert_eq!(wait(store, &bounds, at(seconds)).await, expected, "{seconds}");
    }
    // A clock that was set back prolongs nothing.
    let back = Timestamp::from_millis(at(0).as_millis() - 86_400_000);
    take(store, &bounds, at(600)).await;
    take(store, &bounds, at(600)).await;
    assert_eq!(wait(store, &bounds, back).await, Some(600));
}

pub(crate) async fn a_rate_lets_a_burst_through_and_then_one_an_interval(store: &Arc<dyn Store>) {
    let bounds = [rate(1, MINUTE, 3)];
    for (seconds, expected) in
        [(0, None), (0, None), (0, None), (0, Some(60)), (59, Some(1)), (60, None), (60, Some(60))]
    {
        assert_eq!(wait(store, &bounds, at(seconds)).await, expected, "{seconds}");
    }
    let mut rested = 0;
    while wait(store, &bounds, at(3600)).await.is_none() {
        rested += 1;
    }
    assert_eq!(rested, 3);
    // No further ahead than a burst reaches, whatever the clock said before.
    let back = Timestamp::from_millis(at(0).as_millis() - 86_400_000);
    assert_eq!(wait(store, &bounds, back).await, Some(60));
    let fast =
        [Bound::rate("fast", Rate { count: 4000, period: Duration::from_secs(1), burst: 2 })];
    for expected in [None, None, Some(0)] {
        assert_eq!(wait(store, &fast, at(0)).await, expected);
    }
    let next = Timestamp::from_millis(at(0).as_millis() + 1);
    assert_eq!(wait(store, &fast, next).await, None, "a quarter of a millisecond each");
}

pub(crate) async fn a_try_is_taken_from_all_counts_or_from_none(store: &Arc<dyn Store>) {
    let bounds = [window(2), rate(1, MINUTE, 5)];
    for _ in 0..2 {
        assert_eq!(wait(store, &bounds, at(0)).await, None);
    }

    assert_eq!(wait(store, &bounds, at(0)).await, Some(600), "the longest of the waits");

    let held = names(store, at(0)).await;
    assert_eq!(held, [("rate".to_owned(), 0), ("window".to_owned(), 2)]);
    for expected in [None, None, None, Some(60)] {
        assert_eq!(wait(store, &bounds[1..], at(0)).await, expected, "nothing was taken there");
    }
    let bob = TrySubject::account(REALM, UserId(8));
    let other = store.take_try(&bob, &bounds, at(0)).await.expect("an answer");
    assert_eq!(other, Taking::Taken { left: 1 }, "another subject counts by itself");
}

pub(crate) async fn a_try_given_back_or_forgotten_is_there_again(store: &Arc<dyn Store>) {
    let bounds = [window(2), rate(1, MINUTE, 2)];
    for _ in 0..3 {
        assert_eq!(wait(store, &bounds, at(0)).await, None);
        assert_eq!(wait(store, &bounds, at(0)).await, None);
        assert!(wait(store, &bounds, at(0)).await.is_some());
        for _ in 0..2 {
            store.give_back_try(&ann(), &bounds, at(0)).await.expect("an answer");
        }
        assert_eq!(names(store, at(0)).await, [], "what is whole is not kept");
    }
    // Never above what there is at most.
    store.give_back_try(&ann(), &bounds, at(0)).await.expect("an answer");
    take(store, &bounds, at(0)).await;
    take(store, &bounds, at(0)).await;
    assert!(wait(store, &bounds, at(0)).await.is_some());

    store.forget_tries(&ann(), Some("rate")).await.expect("an answer");
    assert_eq!(names(store, at(0)).await, [("window".to_owned(), 2)]);
    store.forget_tries(&ann(), None).await.expect("an answer");
    assert_eq!(wait(store, &bounds, at(0)).await, None);
    assert_eq!(names(store, at(600)).await, [], "what has ended is not listed");
    store.purge(at(3600)).await.expect("a purge");
}

pub(crate) async fn of_two_hundred_tries_at_once_the_bound_is_taken(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    let racers = (0..200).map(|number| {
        let store = Arc::clone(if number % 2 == 0 { one } else { other });
        tokio::spawn(async move { wait(&store, &[window(10), rate(1, MINUTE, 50)], at(0)).await })
    });
    let answers = futures_util::future::join_all(racers).await;
    let taken = answers.into_iter().filter(|answer| matches!(answer, Ok(None))).count();

    assert_eq!(taken, 10);
}
