//! The feed through outages, lost data and a log with holes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use munjigi::operation::{Revocation, Revoked, UserId};
use munjigi::store::{Deadlines, FeedEntry, FeedEvent, FeedInterruption, Store};

use crate::fixture::{REALM, eventually, of_token, until};
use crate::follower::Follower;
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

async fn revoke(store: &Arc<dyn Store>, name: &str) -> Revocation {
    let revocation = of_token(name);
    store.revoke(std::slice::from_ref(&revocation)).await.expect("a revocation");
    revocation
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_told_as_away_and_swapped_and_read_again() {
    let mut server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    revoke(&store, "lost").await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    server.kill();
    assert!(matches!(follower.interruption().await, FeedInterruption::Away(_)));
    server.start_again().await;
    let kept = revoke(&store, "kept").await;
    let news = follower.news().await;

    assert_eq!(news.interruptions, [FeedInterruption::Swapped]);
    assert!(news.has(&kept), "{news:?}");
}

#[tokio::test]
async fn a_set_of_many_pages_is_told_whole_and_to_the_second() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    // Thousands that expire within a second, and thousands that do not.
    let of = |number: u64| {
        let after = if number < 5000 { number / 5 } else { number * 1000 + 1 };
        let expires_at = until().plus(Duration::from_millis(after));
        let user = Revoked::User { realm: REALM.to_owned(), user: UserId(1), generation: number };
        let plain = of_token(&number.to_string());
        let is_user = number == 7000;
        let revoked = if is_user { user } else { plain.revoked };
        Revocation { revoked, expires_at }
    };
    let all: Vec<_> = (0..9000).map(of).collect();
    store.revoke(&all).await.expect("revocations");

    let mut follower = Follower::start(&store);
    let mut told = Vec::new();
    loop {
        match follower.next().await {
            FeedEvent::Revoked(entries) => told.extend(entries),
            FeedEvent::Contact { .. } => break,
            _ => {}
        }
    }

    assert_eq!(told.len(), all.len());
    let told: HashMap<_, _> = told.into_iter().map(|entry| (entry.key, entry)).collect();
    for revocation in &all {
        let (told, asked) = (told[&revocation.revoked.key()], FeedEntry::from(revocation));
        assert_eq!(told.floor, asked.floor);
        assert!(told.expires_at >= asked.expires_at, "{told:?} {asked:?}");
        assert!(told.expires_at.since(asked.expires_at) < Duration::from_secs(1), "{told:?}");
    }
}

#[tokio::test]
async fn a_wiped_server_is_told_as_swapped_and_read_again() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    revoke(&store, "lost").await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    server.ask::<()>("FLUSHALL").await;
    let kept = revoke(&store, "kept").await;
    let news = follower.news().await;

    assert_eq!(news.interruptions, [FeedInterruption::Swapped]);
    assert!(news.has(&kept), "{news:?}");
}

#[tokio::test]
async fn a_store_that_fell_back_is_told_as_swapped() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    revoke(&store, "one").await;
    revoke(&store, "two").await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    let back = "EVAL redis.call('SET',KEYS[1],'1')redis.call('XDEL',KEYS[2],'2-0') \
                2 munjigi:{rev}:seq munjigi:{rev}:log";
    server.ask::<()>(back).await;
    let news = follower.news().await;

    assert_eq!(news.interruptions, [FeedInterruption::Swapped]);
}

#[tokio::test]
async fn an_entry_missing_at_the_end_of_the_log_is_a_gap_and_all_is_read_again() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let first = revoke(&store, "first").await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    server.ask::<()>("INCR munjigi:{rev}:seq").await;
    let news = follower.news().await;

    assert_eq!(news.interruptions, [FeedInterruption::Gap { after: 1 }]);
    assert!(news.has(&first), "{news:?}");
}

#[tokio::test]
async fn an_entry_missing_between_two_is_a_gap_and_all_is_read_again() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    // One step, as the follower sees the log only before and after it.
    let hole = "EVAL redis.call('INCR',KEYS[1])redis.call('INCR',KEYS[1])\
                redis.call('XADD',KEYS[2],'2-0','key','0123456789abcdef','floor','0','expires','1') \
                2 munjigi:{rev}:seq munjigi:{rev}:log";
    server.ask::<()>(hole).await;
    let news = follower.news().await;
    let after = revoke(&store, "after").await;
    let later = follower.news().await;

    assert_eq!(news.interruptions, [FeedInterruption::Gap { after: 0 }]);
    assert!(later.has(&after) && later.interruptions.is_empty(), "{later:?}");
}

#[tokio::test]
async fn a_counter_lost_alone_begins_a_new_log() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let kept = revoke(&store, "kept").await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    server.ask::<()>("DEL munjigi:{rev}:seq").await;
    let more = revoke(&store, "more").await;
    let news = follower.news().await;

    assert!(news.was_interrupted(|cause| *cause == FeedInterruption::Swapped), "{news:?}");
    assert!(news.has(&kept) && news.has(&more), "{news:?}");
}

#[tokio::test]
async fn a_stopped_server_is_away_once_and_gives_no_contact_until_it_wakes() {
    let server = RedisServer::start().await;
    let deadlines = Deadlines { command: Duration::from_millis(400), ..PATIENT };
    let store = server.store(deadlines).await;
    let mut follower = Follower::start(&store);
    follower.news().await;

    server.pause();
    let FeedInterruption::Away(_) = follower.interruption().await else {
        panic!("not away");
    };
    // Long enough for more attempts to fail.
    let more = tokio::time::timeout(Duration::from_secs(2), follower.events.recv()).await;
    assert!(more.is_err(), "{more:?}");
    server.resume();
    let missed = of_token("missed");
    eventually(async || store.revoke(std::slice::from_ref(&missed)).await).await;
    let news = follower.news().await;

    assert!(news.has(&missed), "{news:?}");
    assert!(!news.was_interrupted(|cause| !matches!(cause, FeedInterruption::Away(_))));
}

#[tokio::test]
async fn a_server_that_is_away_from_the_start_is_found_when_it_comes() {
    let mut server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    server.kill();
    let mut follower = Follower::start(&store);
    assert!(matches!(follower.interruption().await, FeedInterruption::Away(_)));

    server.start_again().await;
    let news = follower.news().await;

    assert_eq!(news.interruptions, []);
}

#[tokio::test]
async fn a_large_set_is_sent_whole_in_bounded_events() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    let all: Vec<_> = (0..9000).map(|number| of_token(&number.to_string())).collect();
    store.revoke(&all).await.expect("a revocation");
    let mut follower = Follower::start(&store);

    let mut sent = Vec::new();
    loop {
        match follower.next().await {
            FeedEvent::Revoked(entries) => {
                assert!(entries.len() <= 4096, "{} at once", entries.len());
                sent.extend(entries.into_iter().map(|entry| entry.key));
            }
            FeedEvent::Attached { .. } => {}
            FeedEvent::Contact { .. } => break,
            FeedEvent::Interrupted { cause } => panic!("{cause}"),
        }
    }

    let mut expected: Vec<_> = all.iter().map(|revocation| revocation.revoked.key()).collect();
    sent.sort_unstable();
    sent.dedup();
    expected.sort_unstable();
    assert!(sent == expected, "{} of {} were sent", sent.len(), expected.len());
}
