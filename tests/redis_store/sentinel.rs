//! A master that sentinels watch: fail-overs, and sentinels that are away, silent or behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use munjigi::operation::Revocation;
use munjigi::store::{Accounts, Deadlines, RedisOptions, RedisStore, Store};

use crate::fake_sentinel::FakeSentinel;
use crate::fixture::{eventually, new_user, now, of_token, told};
use crate::follower::Follower;
use crate::redis_server::{RedisServer, until};
use crate::redis_sets::SentinelSet;
use crate::server::PATIENT;

/// Short enough that what hangs is tried again, long enough for a busy machine.
pub(crate) const BRISK: Deadlines =
    Deadlines { command: Duration::from_secs(1), lookup: Duration::from_secs(1) };

/// In which writes must go on after a fail-over.
const SOON: Duration = Duration::from_mins(1);

async fn open(url: &str, deadlines: Deadlines) -> Arc<dyn Store> {
    let options = RedisOptions::new(url, deadlines);
    Arc::new(RedisStore::connect(options).await.expect("a store"))
}

/// Acknowledges what both replicas have.
async fn open_careful(url: &str) -> Arc<dyn Store> {
    let options = RedisOptions { wait_replicas: 2, ..RedisOptions::new(url, BRISK) };
    Arc::new(RedisStore::connect(options).await.expect("a store"))
}

async fn has(store: &Arc<dyn Store>, revocation: &Revocation) -> bool {
    let found = store.find_revocation(revocation.revoked.key(), now()).await;
    found.is_ok_and(|floor| floor.is_some())
}

/// Revokes until a store that has just asked the sentinels knows of it; answers the last.
async fn revoke_until_it_stays(store: &Arc<dyn Store>, url: &str) -> Revocation {
    let begun = Instant::now();
    for number in 0.. {
        let revocation = of_token(&format!("after-{number}"));
        let is_acknowledged = store.revoke(std::slice::from_ref(&revocation)).await.is_ok();
        if is_acknowledged && has(&open(url, PATIENT).await, &revocation).await {
            return revocation;
        }
        assert!(begun.elapsed() < SOON, "nothing was written within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("it returned or failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_that_was_asked_for_is_followed_by_writes_and_feed() {
    let set = SentinelSet::start().await;
    let store = open(&set.url(), BRISK).await;
    let mut follower = Follower::start(&open(&set.url(), BRISK).await);
    let before = of_token("before");
    let careful = open_careful(&set.url()).await;
    careful.revoke(std::slice::from_ref(&before)).await.expect("a revocation");
    let mut news = follower.news().await;
    let old = set.master().await;

    set.fail_over().await;
    until("another is the master", async || set.master().await != old).await;
    let after = revoke_until_it_stays(&store, &set.url()).await;

    news.extend(follower.news_of(&after).await);
    assert!(news.has(&before), "{news:?}");
    // No write is left with the one before, which takes them until the sentinels make it follow.
    let number = "GET munjigi:{rev}:seq";
    let left_at: u64 = set.servers[old].ask(number).await;
    let later = of_token("later");
    store.revoke(std::slice::from_ref(&later)).await.expect("a revocation");
    assert!(has(&store, &later).await && has(&store, &before).await);
    let is_left = set.servers[old].ask::<u64>(number).await == left_at;
    let replication: String = set.servers[old].ask("INFO replication").await;
    assert!(is_left || replication.contains("role:slave"), "{replication}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_replaced_and_nothing_acknowledged_by_all_is_lost() {
    let mut set = SentinelSet::start().await;
    let url = set.url();
    let careful = open_careful(&url).await;
    let store = open(&url, BRISK).await;
    let mut follower = Follower::start(&store);
    let before: Vec<_> = (0..50).map(|number| of_token(&format!("before-{number}"))).collect();
    for revocation in &before {
        careful.revoke(std::slice::from_ref(revocation)).await.expect("a revocation");
    }
    let mut news = follower.news().await;
    let old = set.master().await;

    set.servers[old].kill();
    let after = revoke_until_it_stays(&store, &url).await;

    news.extend(follower.news_of(&after).await);
    for revocation in &before {
        assert!(has(&store, revocation).await, "lost: {revocation:?}");
        assert!(news.has(revocation), "not sent: {revocation:?}");
    }
    // One replica is left of two.
    let refused = careful.revoke(&[of_token("unsure")]).await.expect_err("a refusal");
    assert!(told(&refused).contains("replicas"), "{}", told(&refused));
}

#[tokio::test]
async fn one_sentinel_of_three_is_enough() {
    let mut set = SentinelSet::start().await;
    set.sentinels[0].kill();
    set.sentinels[1].pause();

    let store = open(&set.url(), BRISK).await;

    store.create_user(new_user("ann")).await.expect("an account");
}

#[tokio::test]
async fn a_store_without_sentinels_or_with_another_name_is_unavailable_and_says_why() {
    let mut set = SentinelSet::start().await;
    let other = set.url().replace("/gate", "/other");
    let refused = RedisStore::connect(RedisOptions::new(other, BRISK)).await;
    let text = told(&refused.expect_err("a refusal"));
    assert!(text.contains("No such master"), "{text}");

    for sentinel in &mut set.sentinels {
        sentinel.kill();
    }
    let refused = RedisStore::connect(RedisOptions::new(set.url(), BRISK)).await;
    let text = told(&refused.expect_err("a refusal"));
    assert!(text.contains("no sentinel names a master") && text.contains("127.0.0.1"), "{text}");
}

/// Two servers, and sentinels that say what the test wants; the first server is named.
async fn staged() -> (RedisServer, RedisServer, FakeSentinel, String) {
    let (one, other) = (RedisServer::start().await, RedisServer::start().await);
    let sentinel = FakeSentinel::start(one.port(), 1).await;
    let url = format!("redis+sentinel://127.0.0.1:{}/gate", sentinel.port());
    (one, other, sentinel, url)
}

#[tokio::test]
async fn a_master_that_was_made_a_replica_is_left_by_the_very_next_write() {
    let (one, other, sentinel, url) = staged().await;
    let store = open(&url, PATIENT).await;
    store.create_user(new_user("ann")).await.expect("an account");

    // The sentinel has not said a word.
    sentinel.name(other.port(), 2);
    one.ask::<()>(&format!("REPLICAOF 127.0.0.1 {}", other.port())).await;
    store.create_user(new_user("bob")).await.expect("an account");

    assert!(other.ask::<usize>("DBSIZE").await > 0);
}

#[tokio::test]
async fn a_master_that_was_cut_off_and_still_answers_is_left_at_the_sentinels_word() {
    let (_one, other, sentinel, url) = staged().await;
    let store = open(&url, PATIENT).await;
    let mut follower = Follower::start(&store);
    follower.news().await;
    sentinel.is_listened_to().await;

    sentinel.name(other.port(), 2);
    sentinel.tell();
    until("writes go to the other", async || {
        store.revoke(&[of_token("a")]).await.expect("a revocation");
        other.ask::<usize>("EXISTS munjigi:{rev}:seq").await == 1
    })
    .await;

    let there = of_token("there");
    store.revoke(std::slice::from_ref(&there)).await.expect("a revocation");
    follower.news_of(&there).await;
}

#[tokio::test]
async fn the_sentinel_that_knows_of_the_latest_fail_over_is_believed() {
    let (one, other, behind, _) = staged().await;
    let ahead = FakeSentinel::start(other.port(), 7).await;
    let silent = FakeSentinel::silent().await;
    let ports = [silent.port(), behind.port(), ahead.port()];
    let places = ports.map(|port| format!("127.0.0.1:{port}")).join(",");

    let store = open(&format!("redis+sentinel://{places}/gate"), BRISK).await;

    store.create_user(new_user("ann")).await.expect("an account");
    assert_eq!(one.ask::<usize>("DBSIZE").await, 0);
}

#[tokio::test]
async fn a_fail_over_is_remembered_while_those_who_know_of_it_are_away() {
    let (one, mut other, behind, _) = staged().await;
    let ahead = FakeSentinel::start(other.port(), 7).await;
    let ports = [behind.port(), ahead.port()].map(|port| format!("127.0.0.1:{port}"));
    let store = open(&format!("redis+sentinel://{}/gate", ports.join(",")), BRISK).await;

    drop(ahead);
    other.kill();
    let refused = store.create_user(new_user("ann")).await;
    assert!(refused.is_err(), "{refused:?}");
    other.start_again().await;
    eventually(async || store.create_user(new_user("bob")).await).await;

    assert_eq!(one.ask::<usize>("DBSIZE").await, 0);
}

#[tokio::test]
async fn a_server_that_is_no_master_is_not_used_whatever_the_sentinels_say() {
    let (one, other, _sentinel, url) = staged().await;
    one.ask::<()>(&format!("REPLICAOF 127.0.0.1 {}", other.port())).await;

    let refused = RedisStore::connect(RedisOptions::new(&url, BRISK)).await;

    let text = told(&refused.expect_err("a refusal"));
    assert!(text.contains("replica"), "{text}");
    one.ask::<()>("REPLICAOF NO ONE").await;
    let store = eventually(async || RedisStore::connect(RedisOptions::new(&url, BRISK)).await);
    store.await.create_user(new_user("ann")).await.expect("an account");
}
