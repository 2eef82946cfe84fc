//! Fail-overs to a replica that lags behind what was acknowledged.
//!
//! Nothing acknowledged may be missing afterwards, at any node nor in the new master: not even where
//! that has recorded so much meanwhile that its numbers alone show no gap.

use std::sync::Arc;
use std::time::Duration;

use munjigi::journal::JournaledStore;
use munjigi::operation::{RefreshHash, Revocation};
use munjigi::store::{
    Accounts, RedisOptions, RedisStore, Revocations, Rotation, Sessions, Store, User, UserChange,
};
use tempfile::TempDir;

use crate::fake_sentinel::FakeSentinel;
use crate::fixture::{
    HOUR, ISSUER, REALM, eventually, login, new_user, now, of_session, of_token, successor,
    until as revoked_until, user,
};
use crate::link::{Link, Mode};
use crate::node::{Node, folder, holds, stands};
use crate::redis_server::{RedisServer, until};
use crate::redis_sets::{ClusterSet, SentinelSet};
use crate::sentinel::BRISK;
use crate::server::PATIENT;

/// How many revocations each of three nodes makes.
const EACH: usize = 10;

/// How many revocations a replica lags behind; it records twice as many before it is met.
const LOST: usize = 3 * EACH;

/// Two nodes that know more than a replica.
struct Pair {
    nodes: [Node; 2],
    /// Where their files are.
    _folders: [TempDir; 2],
    /// What they were told that it is revoked.
    acknowledged: Vec<Revocation>,
}

impl Pair {
    async fn start(options: &RedisOptions) -> Self {
        let folders = [folder(), folder()];
        let nodes = [
            Node::start(options.clone(), &folders[0]).await,
            Node::start(options.clone(), &folders[1]).await,
        ];
        for node in &nodes {
            node.contact().await;
        }
        Self { nodes, _folders: folders, acknowledged: Vec::new() }
    }

    /// Revokes at both nodes and at one that ends then; both are told of all.
    async fn revoke(&mut self, what: &str, options: &RedisOptions) {
        let folder = folder();
        let gone = Node::start(options.clone(), &folder).await;
        for (number, node) in self.nodes.iter().chain([&gone]).enumerate() {
            for turn in 0..EACH {
                self.acknowledged.push(node.revoke(&format!("{what}-{number}-{turn}")).await);
            }
        }
        gone.end().await;
        for node in &self.nodes {
            node.contact().await;
        }
    }

    /// Whatever was acknowledged is refused by both, by the new master, and by a node that knows
    /// nothing but what that says.
    async fn have_lost_nothing(&self, options: &RedisOptions, others: &[Revocation]) {
        let (late, _folder) = eventually(async || {
            let folder = folder();
            Ok((Node::try_start(options.clone(), &folder).await?, folder))
        })
        .await;
        for revocation in self.acknowledged.iter().chain(others) {
            for node in self.nodes.iter().chain([&late]) {
                holds(async || node.refuses(revocation)).await;
            }
        }
        let plain = eventually(async || RedisStore::connect(options.clone()).await).await;
        for revocation in self.acknowledged.iter().chain(others) {
            let key = revocation.revoked.key();
            let found = plain.find_revocation(key, now()).await;
            assert_eq!(found.expect("an answer"), Some(0), "lost: {revocation:?}");
        }
        for node in &self.nodes {
            node.contact().await;
        }
    }
}

/// A master, and a replica that has everything so far.
async fn master_and_replica() -> (RedisServer, RedisServer) {
    let master = RedisServer::start_with("redis", &["--repl-diskless-sync-delay", "0"]).await;
    let place = format!("127.0.0.1 {}", master.port());
    let replica = RedisServer::start_with("redis", &["--replicaof", &place]).await;
    master.is_followed_by(1).await;
    (master, replica)
}

/// Makes a replica a master by hand, and records more there than the nodes have read elsewhere.
async fn promote_and_overtake(replica: &RedisServer) -> Vec<Revocation> {
    replica.ask::<()>("REPLICAOF NO ONE").await;
    let others: Vec<_> = (0..2 * LOST).map(|number| of_token(&format!("new-{number}"))).collect();
    let plain = replica.store(PATIENT).await;
    plain.revoke(&others).await.expect("revocations");
    others
}

/// The number of the newest entry of the log.
async fn newest(server: &RedisServer) -> u64 {
    server.ask::<Option<u64>>("GET munjigi:{rev}:seq").await.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_to_a_lagging_replica_loses_nothing() {
    let (mut master, replica) = master_and_replica().await;
    let link = Link::before(&master).await;
    let options = link.options();
    let mut pair = Pair::start(&options).await;
    pair.revoke("replicated", &options).await;
    until("the replica has it", async || newest(&replica).await == LOST as u64).await;
    replica.lags().await;
    pair.revoke("lost", &options).await;

    link.set(Mode::Refuse);
    master.kill();
    assert_eq!(newest(&replica).await, LOST as u64, "it does not lag");
    let others = promote_and_overtake(&replica).await;
    link.turn_to(replica.port());
    link.set(Mode::Pass);

    pair.have_lost_nothing(&options, &others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_end_a_replica_has_lost_is_never_refreshed() {
    let (mut master, replica) = master_and_replica().await;
    let link = Link::before(&master).await;
    let folder = folder();
    let node = Node::start(link.options(), &folder).await;
    node.contact().await;
    let store: Arc<dyn Store> = Arc::<JournaledStore>::clone(&node.store);
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    let cat = User { roles: vec!["admin".to_owned()], ..new_user("cat") };
    let cat = store.create_user(cat).await.expect("an account");
    let (of_ann, of_bob, of_cat) = (login(&ann, 1), login(&bob, 2), login(&cat, 3));
    let sessions = [(of_ann.session.id, 1), (of_bob.session.id, 2), (of_cat.session.id, 3)];
    for session in [of_ann, of_bob, of_cat] {
        store.open_session(session, revoked_until()).await.expect("a login");
    }
    let marked = master.ask_in_turn::<u64>(&["SET mark 1", "WAIT 1 0"]).await;
    assert_eq!(marked, 1);
    replica.lags().await;
    let log_out = of_session(sessions[0].0);
    store.end_session(sessions[0].0, std::slice::from_ref(&log_out)).await.expect("a log-out");
    let mut lost = vec![log_out];
    for user in [bob.id, cat.id] {
        let ended =
            store.change_user(REALM, user, UserChange::EndSessions, now(), revoked_until()).await;
        lost.extend(ended.expect("an answer").expect("the account").1);
    }

    link.set(Mode::Refuse);
    master.kill();
    replica.ask::<()>("REPLICAOF NO ONE").await;
    link.turn_to(replica.port());
    link.set(Mode::Pass);
    for revocation in &lost {
        until("it is put back", async || stands(&replica, revocation).await).await;
    }
    // It ends tokens and no session, but for what it finds.
    let fewer = UserChange::SetRights { roles: Vec::new(), permissions: Vec::new() };
    store.change_user(REALM, cat.id, fewer, now(), revoked_until()).await.expect("an answer");

    // When neither had to be remembered any more, but for the loss.
    let later = now().plus(2 * HOUR);
    for (session, token) in sessions {
        let presented = RefreshHash([token; 32]);
        let found = store.find_session_by_refresh(ISSUER, &presented, later).await;
        let rotation = store.rotate(
            session,
            &presented,
            successor(token + 3, later),
            Duration::from_secs(10),
            later.plus(HOUR),
        );
        assert_eq!(rotation.await.expect("an answer"), Rotation::Refused, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_comes_before_what_was_lost_is_put_back_ends_sessions() {
    let (mut master, replica) = master_and_replica().await;
    let link = Link::before(&master).await;
    let mut node = Node::start(link.options(), &folder()).await;
    node.contact().await;
    let ann = User { roles: vec!["admin".to_owned()], ..new_user("ann") };
    let ann = node.store.create_user(ann).await.expect("an account");
    let new = login(&ann, 1);
    let session = new.session.id;
    node.store.open_session(new, revoked_until()).await.expect("a login");
    let marked = master.ask_in_turn::<u64>(&["SET mark 1", "WAIT 1 0"]).await;
    assert_eq!(marked, 1);
    replica.lags().await;
    let ended =
        node.store.change_user(REALM, ann.id, UserChange::EndSessions, now(), revoked_until());
    assert!(ended.await.expect("an answer").is_some());

    // Nothing is put back by who does not follow.
    node.stop_following().await;
    link.set(Mode::Refuse);
    master.kill();
    replica.ask::<()>("REPLICAOF NO ONE").await;
    link.turn_to(replica.port());
    link.set(Mode::Pass);
    let fewer = UserChange::SetRights { roles: Vec::new(), permissions: Vec::new() };
    eventually(async || {
        node.store.change_user(REALM, ann.id, fewer.clone(), now(), revoked_until()).await
    })
    .await;

    let rotation = node.store.rotate(
        session,
        &RefreshHash([1; 32]),
        successor(2, now()),
        Duration::from_secs(10),
        revoked_until(),
    );
    assert_eq!(rotation.await.expect("an answer"), Rotation::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_name_a_lagging_replica_lose_nothing() {
    let (mut master, replica) = master_and_replica().await;
    let sentinel = FakeSentinel::start(master.port(), 1).await;
    let url = format!("redis+sentinel://127.0.0.1:{}/gate", sentinel.port());
    let options = RedisOptions::new(url, PATIENT);
    let mut pair = Pair::start(&options).await;
    pair.revoke("replicated", &options).await;
    until("the replica has it", async || newest(&replica).await == LOST as u64).await;
    replica.lags().await;
    pair.revoke("lost", &options).await;

    master.kill();
    let others = promote_and_overtake(&replica).await;
    sentinel.name(replica.port(), 2);

    pair.have_lost_nothing(&options, &others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_of_sentinels_to_lagging_replicas_loses_nothing() {
    let set = SentinelSet::start().await;
    for sentinel in &set.sentinels {
        // Replicas that lag for longer than ten times this are not chosen.
        sentinel.ask::<()>("SENTINEL SET gate down-after-milliseconds 10000").await;
    }
    let options = RedisOptions::new(set.url(), BRISK);
    let mut pair = Pair::start(&options).await;
    pair.revoke("replicated", &options).await;
    let old = set.master().await;
    for replica in set.servers.iter().filter(|it| it.port() != set.servers[old].port()) {
        until("the replica has it", async || newest(replica).await == LOST as u64).await;
        replica.lags().await;
    }
    pair.revoke("lost", &options).await;

    set.fail_over().await;
    until("another is the master", async || set.master().await != old).await;
    let plain = eventually(async || RedisStore::connect(options.clone()).await).await;
    let others: Vec<_> = (0..2 * LOST).map(|number| of_token(&format!("new-{number}"))).collect();
    eventually(async || plain.revoke(&others).await).await;

    pair.have_lost_nothing(&options, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_replica_that_takes_over_in_a_cluster_loses_nothing() {
    let mut set = ClusterSet::start().await;
    let options = RedisOptions::new(set.url(), BRISK);
    let mut pair = Pair::start(&options).await;
    pair.revoke("replicated", &options).await;
    let (master, _) = set.owner("munjigi:{rev}:log", 0).await;
    let replica = &set.nodes[master + 3];
    until("the replica has it", async || {
        let reads = ["READONLY", "GET munjigi:{rev}:seq"];
        replica.ask_in_turn::<Option<u64>>(&reads).await == Some(LOST as u64)
    })
    .await;
    replica.lags().await;
    pair.revoke("lost", &options).await;

    set.nodes[master].kill();
    let replica = &set.nodes[master + 3];
    replica.ask::<()>("CLUSTER FAILOVER TAKEOVER").await;
    let others: Vec<_> = (0..2 * LOST).map(|number| of_token(&format!("new-{number}"))).collect();
    let plain = eventually(async || RedisStore::connect(options.clone()).await).await;
    eventually(async || plain.revoke(&others).await).await;

    pair.have_lost_nothing(&options, &others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_the_server_before_once_the_feed_has_met_another() {
    let (before, after) = (RedisServer::start().await, RedisServer::start().await);
    let link = Link::before(&before).await;
    let mut node = Node::start(link.options(), &folder()).await;
    node.contact().await;

    // The one before still takes what comes by connections that it has.
    link.turn_to(after.port());
    node.follow_anew().await;
    node.contact().await;
    let revocation = node.revoke("there").await;

    assert!(stands(&after, &revocation).await);
    assert!(!stands(&before, &revocation).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_before_has_just_recorded_reaches_the_one_in_its_place() {
    let (before, after) = master_and_replica().await;
    let link = Link::before(&before).await;
    let mut node = Node::start(link.options(), &folder()).await;
    let store: Arc<dyn Store> = Arc::<_>::clone(&node.store) as _;
    let ann = user(&store, "ann").await;
    node.contact().await;
    until("the replica has everything", async || {
        after.ask::<usize>("DBSIZE").await == before.ask::<usize>("DBSIZE").await
    })
    .await;
    after.ask::<()>("REPLICAOF NO ONE").await;

    // The step after the one that records the revocation.
    link.set(Mode::Hold { bytes: b"$4\r\nkeep\r\n" });
    let asked = tokio::spawn({
        let store = Arc::clone(&store);
        let change = UserChange::EndSessions;
        async move { store.change_user(REALM, ann.id, change, now(), revoked_until()).await }
    });
    until("it is recorded", async || newest(&before).await == 1).await;
    link.turn_to(after.port());
    node.follow_anew().await;
    node.contact().await;
    link.set(Mode::Pass);
    let (_, ended) = asked.await.expect("an end").expect("an answer").expect("an account");

    assert_eq!(ended.len(), 1);
    assert!(stands(&after, &ended[0]).await, "lost: {:?}", ended[0]);
}
