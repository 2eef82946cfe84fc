//! `wait_replicas`: a revocation is acknowledged once as many replicas have it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use munjigi::store::{Deadlines, RedisOptions, RedisStore, Store, StoreError};

use crate::fixture::{eventually, login, of_session, of_token, told, until as revoked_until, user};
use crate::redis_server::{RedisServer, until};

const BRISK: Deadlines =
    Deadlines { command: Duration::from_secs(2), lookup: Duration::from_secs(2) };

async fn careful(server: &RedisServer) -> Arc<dyn Store> {
    let options = RedisOptions { wait_replicas: 1, ..server.options(BRISK) };
    Arc::new(RedisStore::connect(options).await.expect("a store"))
}

#[tokio::test]
async fn without_replicas_no_revocation_is_acknowledged_and_all_else_goes_on() {
    let server = RedisServer::start().await;
    let store = careful(&server).await;
    let ann = user(&store, "ann").await;
    let new = login(&ann, 1);
    let session = new.session.id;
    store.open_session(new, revoked_until()).await.expect("a session");

    let begun = Instant::now();
    for (what, refused) in [
        ("revoke", store.revoke(&[of_token("a")]).await),
        ("log-out", store.end_session(session, &[of_session(session)]).await.map(drop)),
    ] {
        let error = refused.expect_err(what);
        assert!(matches!(error, StoreError::Unavailable(_)), "{what}: {error:?}");
        assert!(told(&error).contains("0 of 1"), "{what}: {}", told(&error));
    }
    assert!(begun.elapsed() < 3 * BRISK.command, "{:?}", begun.elapsed());

    // It is written all the same, and a retry does no harm.
    let key = of_token("a").revoked.key();
    let found = store.find_revocation(key, crate::fixture::now()).await;
    assert_eq!(found.expect("a look-up"), Some(0));
}

#[tokio::test]
async fn what_waits_for_replicas_holds_up_nothing_else() {
    let server = RedisServer::start().await;
    let store = careful(&server).await;
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.revoke(&[of_token("a")]).await })
    };
    until("the server waits", async || {
        server.ask::<String>("INFO clients").await.contains("blocked_clients:1")
    })
    .await;

    let begun = Instant::now();
    user(&store, "ann").await;

    assert!(begun.elapsed() < BRISK.command / 2, "{:?}", begun.elapsed());
    waiting.await.expect("an end").expect_err("a refusal");
}

#[tokio::test]
async fn a_replica_that_follows_is_enough_and_one_that_stops_is_not() {
    let server = RedisServer::start_with("redis", &["--repl-diskless-sync-delay", "0"]).await;
    let place = format!("127.0.0.1 {}", server.port());
    let replica = RedisServer::start_with("redis", &["--replicaof", &place]).await;
    server.is_followed_by(1).await;
    let store = careful(&server).await;

    store.revoke(&[of_token("a")]).await.expect("a revocation");
    assert_eq!(replica.ask::<usize>("ZCARD munjigi:{rev}:set").await, 1);

    replica.pause();
    let refused = store.revoke(&[of_token("b")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // What was written by one connection is not on a replica because another one repeats it.
    let refused = careful(&server).await.revoke(&[of_token("b")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    replica.resume();
    eventually(async || store.revoke(&[of_token("b")]).await).await;
}
