//! A cluster: slots that move, masters that die, and what a cluster's node is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use munjigi::operation::{Identifier, RefreshHash};
use munjigi::secret::Secret;
use munjigi::store::{Deadlines, Lookup, RedisOptions, RedisStore, Rotation, Store, User};

use crate::fixture::{
    HOUR, REALM, eventually, login, now, of_token, successor, told, until as revoked_until, user,
};
use crate::follower::Follower;
use crate::redis_server::{RedisServer, until};
use crate::redis_sets::{ClusterSet, shared_cluster};
use crate::server::{CLUSTER_RULES, PATIENT, RULES};

const BRISK: Deadlines =
    Deadlines { command: Duration::from_secs(1), lookup: Duration::from_secs(1) };

const LOG: &str = "munjigi:{rev}:log";

async fn open(options: RedisOptions) -> Arc<dyn Store> {
    Arc::new(RedisStore::connect(options).await.expect("a store"))
}

impl ClusterSet {
    /// Moves a slot with all its keys, one by one, and a pause after each.
    async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (self.id(from).await, self.id(to).await);
        let (giver, taker) = (&self.nodes[from], &self.nodes[to]);
        taker.ask::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}")).await;
        giver.ask::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}")).await;
        loop {
            let keys: Vec<String> = giver.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1")).await;
            let Some(key) = keys.first() else { break };
            // A key that expired meanwhile is answered NOKEY.
            let migrate = format!("MIGRATE 127.0.0.1 {} {key} 0 5000", taker.port());
            giver.ask::<String>(&migrate).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for node in [taker, giver] {
            node.ask::<()>(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
        }
    }
}

fn token(number: u8, step: u8, round: u32) -> RefreshHash {
    let mut bytes = [number; 32];
    bytes[0] = step;
    bytes[1..5].copy_from_slice(&round.to_le_bytes());
    RefreshHash(bytes)
}

/// Logs in and refreshes again and again until told to stop; how often.
async fn traffic(store: Arc<dyn Store>, user: User, number: u8, stop: Arc<AtomicBool>) -> u32 {
    let mut rounds = 0;
    while !stop.load(Ordering::SeqCst) {
        let hash = |step| token(number, step, rounds);
        let mut new = login(&user, 0);
        new.refresh = Some(hash(0));
        let session = new.session.id;
        let opened = store.open_session(new, revoked_until()).await.expect("a session");
        assert_eq!(opened, Some(Vec::new()));
        for step in 0..3 {
            let mut next = successor(0, now());
            next.hash = hash(step + 1);
            let rotation = store.rotate(session, &hash(step), next, HOUR, revoked_until()).await;
            assert!(matches!(rotation, Ok(Rotation::Rotated(_))), "{rotation:?}");
        }
        let ended = store.end_session(session, &[]).await.expect("an answer");
        assert!(ended, "the session was lost");
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_under_traffic_cost_nobody_an_answer() {
    let set = ClusterSet::start().await;
    let store = open(RedisOptions::new(set.url(), PATIENT)).await;
    let ann = user(&store, "ann").await;
    let mut follower = Follower::start(&store);
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..4)
        .map(|number| {
            tokio::spawn(traffic(Arc::clone(&store), ann.clone(), number, Arc::clone(&stop)))
        })
        .collect();
    let mut revoked = Vec::new();

    let keys = [format!("munjigi:{{u:{REALM}:{}}}:user", ann.id), LOG.to_owned()];
    for (round, key) in keys.iter().chain(&keys).enumerate() {
        let (from, slot) = set.owner(key, 0).await;
        set.move_slot(slot, from, (from + 1) % 3).await;
        revoked.push(of_token(&format!("moved-{round}")));
        store.revoke(&revoked[round..]).await.expect("a revocation");
        until("the first node knows it", async || set.owner(key, 0).await.0 != from).await;
    }

    stop.store(true, Ordering::SeqCst);
    for task in busy {
        assert!(task.await.expect("traffic without a fault") > 0);
    }
    let news = follower.news_of(revoked.last().expect("some")).await;
    for revocation in &revoked {
        assert!(news.has(revocation), "not sent: {revocation:?}");
    }
}

/// What must hold while and after the master of the revocation log goes away.
async fn outlives(set: &mut ClusterSet, take_away: impl FnOnce(&mut RedisServer)) {
    let careful =
        open(RedisOptions { wait_replicas: 1, ..RedisOptions::new(set.url(), PATIENT) }).await;
    let store = open(RedisOptions::new(set.url(), BRISK)).await;
    // A store of its own: the feed reads the map again whenever it begins anew.
    let mut follower = Follower::start(&open(RedisOptions::new(set.url(), BRISK)).await);
    let ann = user(&careful, "ann").await;
    let before: Vec<_> = (0..50).map(|number| of_token(&format!("before-{number}"))).collect();
    for revocation in &before {
        careful.revoke(std::slice::from_ref(revocation)).await.expect("a revocation");
    }
    let mut news = follower.news().await;
    let (master, _) = set.owner(LOG, 0).await;

    take_away(&mut set.nodes[master]);
    let after = of_token("after");
    eventually(async || store.revoke(std::slice::from_ref(&after)).await).await;

    news.extend(follower.news_of(&after).await);
    for revocation in &before {
        let found = store.find_revocation(revocation.revoked.key(), now()).await;
        assert_eq!(found.expect("a look-up"), Some(0), "lost: {revocation:?}");
        assert!(news.has(revocation), "not sent: {revocation:?}");
    }
    let who = Identifier::Id(ann.id);
    let found = eventually(async || store.find_user(REALM, &who, Lookup::Routine).await).await;
    assert_eq!(found.map(|user| user.id), Some(ann.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_replaced_by_its_replica() {
    let mut set = ClusterSet::start().await;

    outlives(&mut set, RedisServer::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_falls_silent_is_replaced_by_its_replica() {
    let mut set = ClusterSet::start().await;

    outlives(&mut set, |master| master.pause()).await;
}

#[tokio::test]
async fn an_acl_user_needs_the_map_of_slots_as_well() {
    let cluster = shared_cluster().await;
    for node in &cluster.nodes {
        let user = format!("ACL SETUSER gate on >secret ~acl:* {RULES} {CLUSTER_RULES}");
        node.ask::<()>(&user).await;
    }
    let options = RedisOptions {
        username: "gate".to_owned(),
        password: Secret::from("secret"),
        prefix: "acl:".to_owned(),
        wait_replicas: 1,
        ..RedisOptions::new(cluster.url(), PATIENT)
    };

    let found = RedisStore::connect(options.clone()).await.expect("a store").check_setup().await;

    let warnings = found.expect("a look").warnings;
    assert!(!warnings.iter().any(|it| it.contains("checked")), "{warnings:?}");
    let store = open(options).await;
    user(&store, "ann").await;
    store.revoke(&[of_token("a")]).await.expect("a revocation");
    Follower::start(&store).news_of(&of_token("a")).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_as_one_server_and_one_server_as_a_cluster() {
    let cluster = shared_cluster().await;
    let alone = RedisServer::start().await;
    for (url, told_of) in [
        (cluster.nodes[0].url(), "redis+cluster://"),
        (format!("redis+cluster://127.0.0.1:{}", alone.port()), "cluster support disabled"),
    ] {
        let refused = RedisStore::connect(RedisOptions::new(&url, PATIENT)).await;

        let text = told(&refused.expect_err("a refusal"));
        assert!(text.contains(told_of), "{url}: {text}");
    }
}

#[tokio::test]
async fn one_reachable_node_of_those_named_is_enough() {
    let cluster = shared_cluster().await;
    let mut gone = RedisServer::start().await;
    gone.kill();
    let url =
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", gone.port(), cluster.nodes[4].port());
    let options = RedisOptions { prefix: "enough:".to_owned(), ..RedisOptions::new(url, PATIENT) };

    let store = open(options).await;

    user(&store, "ann").await;
}
