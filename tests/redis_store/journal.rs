//! Nodes with files of their own beside a Redis that loses data.

use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::{Now, Timestamp};
use munjigi::config::Algorithm;
use munjigi::operation::{Revocation, Revoked};
use munjigi::revocation::Freshness;
use munjigi::store::{RedisStore, Revocations, SigningKeys, Store};
use munjigi::token::StoredKey;

use crate::fixture::{ISSUER, eventually, now, of_token, until, user};
use crate::link::{Link, Mode};
use crate::node::{Node, folder, holds, stands};
use crate::redis_server::{IN_TIME, RedisServer};
use crate::server::PATIENT;

#[tokio::test]
async fn a_wiped_redis_is_given_back_what_either_of_two_nodes_knew() {
    let server = RedisServer::start().await;
    let (at_a, at_b) = (folder(), folder());
    let (a, b) = (Node::on(&server, &at_a).await, Node::on(&server, &at_b).await);
    a.contact().await;
    b.contact().await;
    let (one, two) = (a.revoke("one").await, b.revoke("two").await);

    server.ask::<()>("FLUSHALL").await;

    holds(async || stands(&server, &one).await && stands(&server, &two).await).await;
    let fresh = Node::on(&server, &folder()).await;
    fresh.contact().await;
    assert!(fresh.refuses(&one) && fresh.refuses(&two));
    assert_eq!(
        server.ask::<u64>("GET munjigi:{rev}:seq").await,
        2,
        "what two put back counts once"
    );
}

#[tokio::test]
async fn contact_with_a_wiped_redis_counts_only_when_others_have_had_their_time() {
    let server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    node.revoke("gone").await;
    node.contact().await;

    server.ask::<()>("FLUSHALL").await;

    loses_contact_for_a_while(&node).await;
}

/// For longer than a node is ever without contact otherwise: it asks once a second.
async fn loses_contact_for_a_while(node: &Node) {
    let beats = Duration::from_millis(1900);
    holds(async || node.list.freshness(Now::read().boot, beats) != Freshness::Fresh).await;
    node.contact().await;
}

#[tokio::test]
async fn a_node_that_starts_anew_meanwhile_waits_all_the_same() {
    let server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let revocation = node.revoke("gone").await;
    node.contact().await;
    server.ask::<()>("FLUSHALL").await;
    holds(async || stands(&server, &revocation).await).await;
    node.end().await;

    let node = Node::on(&server, &at).await;

    loses_contact_for_a_while(&node).await;
}

#[tokio::test]
async fn what_a_server_did_not_take_is_given_to_it_by_the_next_process() {
    let server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    node.contact().await;
    server.ask::<()>("CONFIG SET min-replicas-to-write 1").await;
    let revocation = of_token("owed");
    let refused = node.store.revoke(std::slice::from_ref(&revocation)).await;
    assert!(refused.is_err(), "acknowledged without the store");
    node.end().await;
    server.ask::<()>("CONFIG SET min-replicas-to-write 0").await;
    assert!(!stands(&server, &revocation).await);

    let _node = Node::on(&server, &at).await;

    holds(async || stands(&server, &revocation).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_are_lost_before_they_are_read_are_no_contact() {
    let server = RedisServer::start().await;
    let link = Link::before(&server).await;
    let (near, far) = (folder(), folder());
    let node = Node::on(&server, &near).await;
    let mut other = Node::start(link.options(), &far).await;
    node.contact().await;
    other.contact().await;
    other.stop_following().await;
    let revocation = node.revoke("gone").await;
    let asked = Now::read().boot;

    // The set is asked for after the first heartbeat, by pages of so many.
    link.set(Mode::Hold { bytes: b"$4\r\n2000\r\n" });
    other.follow();
    holds(async || link.held() > 0).await;
    assert!(!other.refuses(&revocation), "the set was read already");
    server.ask::<()>("FLUSHALL").await;
    link.set(Mode::Pass);

    holds(async || {
        let now = Now::read().boot;
        other.list.freshness(now, now.since(asked)) == Freshness::Fresh
    })
    .await;
    assert!(other.refuses(&revocation), "contact with nothing read");
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_given_everything_back() {
    let mut server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let made = StoredKey::generate(Algorithm::Es256, now()).expect("a key");
    let keys = node.store.add_signing_key(ISSUER, made).await.expect("keys");
    let store: Arc<dyn Store> = node.store.clone();
    let ann = user(&store, "ann").await;
    let site = Revoked::Site { issuer: ISSUER.to_owned(), generation: 4 };
    let site = Revocation { revoked: site, expires_at: until() };
    node.store.revoke(std::slice::from_ref(&site)).await.expect("a revocation");
    let all: Vec<_> = (0..5000).map(|number| of_token(&number.to_string())).collect();
    node.store.revoke(&all).await.expect("revocations");
    node.contact().await;

    server.kill();
    server.start_again().await;

    let plain = eventually(async || RedisStore::connect(server.options(PATIENT)).await).await;
    holds(async || server.ask::<u64>("ZCARD munjigi:{rev}:set").await == 5001).await;
    assert_eq!(plain.signing_keys(ISSUER).await.expect("keys"), keys);
    assert_eq!(plain.site_generation(ISSUER).await.expect("a generation"), 4);
    let plain: Arc<dyn Store> = Arc::new(plain);
    assert!(user(&plain, "ann").await.id > ann.id, "a number was given twice");
    node.contact().await;
}

#[tokio::test]
async fn a_server_that_restarts_from_an_old_copy_is_given_what_came_after_it() {
    let at_server = folder();
    let place = at_server.path().to_str().expect("a path");
    let mut server = RedisServer::start_with("redis", &["--dir", place]).await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let before = node.revoke("before").await;
    node.contact().await;
    server.ask::<()>("SAVE").await;
    let after = node.revoke("after").await;

    server.kill();
    server.start_again().await;

    holds(async || stands(&server, &after).await).await;
    assert!(stands(&server, &before).await);
}

#[tokio::test]
async fn a_node_that_was_off_meanwhile_gives_back_what_its_file_has() {
    let mut server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let made = StoredKey::generate(Algorithm::Hs512, now()).expect("a key");
    let keys = node.store.add_signing_key(ISSUER, made).await.expect("keys");
    node.contact().await;
    let revocation = node.revoke("gone").await;
    node.end().await;

    server.kill();
    server.start_again().await;
    let node = Node::on(&server, &at).await;

    assert!(node.refuses(&revocation), "at once");
    let found = node.store.signing_keys(ISSUER).await.expect("keys");
    assert_eq!(found, keys, "no new key is made while one is known");
    holds(async || stands(&server, &revocation).await).await;
}

#[tokio::test]
async fn a_node_starts_from_its_file_while_redis_is_away_and_joins_when_it_comes() {
    let mut server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let made = StoredKey::generate(Algorithm::Hs512, now()).expect("a key");
    let keys = node.store.add_signing_key(ISSUER, made).await.expect("keys");
    let revocation = node.revoke("gone").await;
    node.contact().await;
    node.end().await;
    server.kill();

    let node = Node::on(&server, &at).await;

    assert!(node.refuses(&revocation));
    assert_eq!(node.store.signing_keys(ISSUER).await.expect("keys"), keys);
    let fresh = node.list.freshness(Now::read().boot, Duration::from_mins(1));
    assert_eq!(fresh, Freshness::Fresh, "the last contact was moments ago");
    let unstored = of_token("unstored");
    let refused = node.store.revoke(std::slice::from_ref(&unstored)).await;
    assert!(refused.is_err(), "acknowledged without the store");
    assert!(node.refuses(&unstored), "it is refused here all the same");
    server.start_again().await;
    node.contact().await;
    holds(async || stands(&server, &revocation).await).await;
    holds(async || stands(&server, &unstored).await).await;
}

#[tokio::test]
async fn a_node_with_nothing_to_go_on_does_not_start_while_redis_is_away() {
    let mut server = RedisServer::start().await;
    server.kill();

    let refused = Node::try_start(server.options(PATIENT), &folder()).await;

    assert!(refused.is_err_and(|error| error.is_outage()));
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_though_the_file_has_keys() {
    let server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let made = StoredKey::generate(Algorithm::Hs512, now()).expect("a key");
    node.store.add_signing_key(ISSUER, made).await.expect("keys");
    node.end().await;

    server.ask::<()>("CONFIG SET maxmemory-policy allkeys-lru").await;
    let refused = Node::try_start(server.options(PATIENT), &at).await;

    assert!(refused.is_err_and(|error| !error.is_outage()));
}

#[tokio::test]
async fn a_lost_file_is_made_again_from_redis() {
    let server = RedisServer::start().await;
    let at = folder();
    let node = Node::on(&server, &at).await;
    let made = StoredKey::generate(Algorithm::Hs512, now()).expect("a key");
    let keys = node.store.add_signing_key(ISSUER, made).await.expect("keys");
    let revocation = node.revoke("gone").await;
    node.end().await;

    let at = folder();
    let node = Node::on(&server, &at).await;
    assert_eq!(node.store.signing_keys(ISSUER).await.expect("keys"), keys);
    node.contact().await;
    node.end().await;
    server.ask::<()>("FLUSHALL").await;
    let node = Node::on(&server, &at).await;

    assert!(node.refuses(&revocation));
    assert_eq!(node.store.signing_keys(ISSUER).await.expect("keys"), keys);
}

#[tokio::test]
async fn keys_that_another_node_puts_back_are_told() {
    let server = RedisServer::start().await;
    let (at_a, at_b) = (folder(), folder());
    let a = Node::on(&server, &at_a).await;
    let made = |at: Timestamp| StoredKey::generate(Algorithm::Hs512, at).expect("a key");
    a.store.add_signing_key(ISSUER, made(now())).await.expect("keys");
    a.end().await;
    server.ask::<()>("FLUSHALL").await;
    let b = Node::on(&server, &at_b).await;
    b.store.add_signing_key(ISSUER, made(now())).await.expect("keys");
    b.contact().await;
    let mut changed = b.store.keys_changed();

    let _a = Node::on(&server, &at_a).await;

    tokio::time::timeout(IN_TIME, changed.changed())
        .await
        .expect("it is told in time")
        .expect("the node runs");
    let keys = b.store.signing_keys(ISSUER).await.expect("keys");
    assert_eq!(keys.len(), 2, "tokens of both are taken");
}
