//! A Redis that is stopped, gone, restarted, read-only or full.

use std::time::{Duration, Instant};

use munjigi::store::{Deadlines, Lookup, StoreError};

use crate::fixture::{REALM, by_email, eventually, mail, new_user, now, of_token, told, user};
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

const HASTY: Deadlines =
    Deadlines { command: Duration::from_millis(600), lookup: Duration::from_millis(200) };

#[tokio::test]
async fn a_stopped_server_times_out_at_the_deadline_and_serves_again_once_awake() {
    let server = RedisServer::start().await;
    let store = server.store(HASTY).await;
    let ann = eventually(async || store.create_user(new_user("ann")).await).await;
    server.pause();

    // The second time nothing answers a new connection either.
    for round in 0..2 {
        let began = Instant::now();
        let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;
        let waited = began.elapsed();
        assert!(
            matches!(found, Err(StoreError::TimedOut(after)) if after == HASTY.lookup),
            "{round}: {found:?}"
        );
        assert!(waited >= HASTY.lookup && waited < 5 * HASTY.lookup, "{round}: {waited:?}");

        let began = Instant::now();
        let revoked = store.revoke(&[of_token("a")]).await;
        let waited = began.elapsed();
        assert!(
            matches!(revoked, Err(StoreError::TimedOut(after)) if after == HASTY.command),
            "{round}: {revoked:?}"
        );
        assert!(waited >= HASTY.command && waited < 5 * HASTY.command, "{round}: {waited:?}");
    }

    server.resume();
    let found =
        eventually(async || store.find_user(REALM, &by_email("ann"), Lookup::Login).await).await;
    assert_eq!(found, Some(ann));
}

#[tokio::test]
async fn a_refused_connection_is_unavailable_at_once() {
    let mut server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    server.kill();

    for _ in 0..3 {
        let began = Instant::now();
        let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;

        assert!(matches!(found, Err(StoreError::Outage(_))), "{found:?}");
        assert!(began.elapsed() < PATIENT.lookup / 4);
    }
}

#[tokio::test]
async fn a_restarted_server_is_used_by_the_very_next_command() {
    let mut server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    user(&store, "ann").await;
    server.kill();
    server.start_again().await;

    let found = store.find_user(REALM, &by_email("ann"), Lookup::Login).await;

    assert_eq!(found.expect("an answer"), None);
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_taught_them_again() {
    let server = RedisServer::start().await;
    let store = server.store(PATIENT).await;
    store.revoke(&[of_token("a")]).await.expect("a revocation");
    server.ask::<()>("SCRIPT FLUSH").await;

    store.revoke(&[of_token("b")]).await.expect("a revocation");

    let found = store.find_revocation(of_token("b").revoked.key(), now()).await;
    assert_eq!(found.expect("a look-up"), Some(0));
}

#[tokio::test]
async fn a_server_that_does_not_write_acknowledges_nothing() {
    for (what, command, told_of) in [
        ("read-only", "REPLICAOF 127.0.0.1 1", "READONLY"),
        ("full", "CONFIG SET maxmemory 1", "OOM"),
    ] {
        let server = RedisServer::start().await;
        let store = server.store(PATIENT).await;
        server.ask::<()>(command).await;

        for (operation, outcome) in [
            ("revoke", store.revoke(&[of_token("a")]).await),
            ("sign-up", store.create_user(new_user("ann")).await.map(drop)),
            ("mail", store.queue_mail(mail()).await),
        ] {
            let error = outcome.expect_err(operation);
            assert!(
                matches!(error, StoreError::Outage(_) | StoreError::Unavailable(_)),
                "{what}, {operation}: {error:?}"
            );
            let text = told(&error).to_uppercase().replace("READ-ONLY", "READONLY");
            assert!(
                text.contains(told_of) || text.contains("READ ONLY"),
                "{what}, {operation}: {text}"
            );
        }
    }
}
