//! What waits for the audit trail: each event is given out once, until it is dropped.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use munjigi::store::{
    Deadlines, Durability, MOST_EVENTS, SqliteStore, Store, StoreError, WaitingEvent,
};
use rusqlite::Connection;
use uuid::Uuid;

use crate::backend::{Backend, DEADLINES};
use crate::fixture::{DAY, HOUR, at, before};

fn event(text: &str) -> WaitingEvent {
    WaitingEvent { id: Uuid::now_v7(), text: text.to_owned() }
}

async fn record(store: &Arc<dyn Store>, event: &WaitingEvent) {
    store.record_event(event.clone()).await.expect("room");
}

/// Takes what is due at `now`, and hides it for a minute.
async fn take(store: &Arc<dyn Store>, now: u64, limit: usize) -> Vec<WaitingEvent> {
    store.take_events(at(now), at(now + 60), limit).await.expect("events")
}

pub(crate) async fn events_are_taken_as_they_were_recorded(store: &Arc<dyn Store>) {
    assert_eq!(take(store, 0, 10).await, []);
    let events = ["{\"a\":\"Ж\\n\"}", "", "b\u{0}"].map(event);
    // One that is recorded again, since the answer was lost, waits once.
    for event in events.iter().chain(&events[..1]) {
        record(store, event).await;
    }

    assert_eq!(take(store, 0, 0).await, []);
    assert_eq!(take(store, 0, 2).await, events[..2]);
    assert_eq!(take(store, 0, 2).await, events[2..]);
}

pub(crate) async fn a_taken_event_is_hidden_until_it_is_dropped(store: &Arc<dyn Store>) {
    let (told, untold) = (event("told"), event("untold"));
    record(store, &told).await;
    record(store, &untold).await;
    assert_eq!(take(store, 0, 10).await.len(), 2);

    store.drop_events(&[]).await.expect("an answer");
    store.drop_events(&[told.id]).await.expect("an answer");

    store.drop_events(&[told.id]).await.expect("a second time");
    assert_eq!(take(store, 59, 10).await, []);
    assert_eq!(take(store, 60, 10).await, [untold]);
}

pub(crate) async fn an_event_waits_for_ever(store: &Arc<dyn Store>) {
    let event = event("e");
    record(store, &event).await;

    store.purge(at(3650 * DAY)).await.expect("a purge");

    assert_eq!(take(store, 3650 * DAY, 10).await, [event]);
}

pub(crate) async fn an_event_is_due_at_once_on_every_clock(store: &Arc<dyn Store>) {
    let event = event("e");
    record(store, &event).await;

    let taken = store.take_events(before(365 * DAY), at(60), 1).await.expect("events");

    assert_eq!(taken, [event]);
}

pub(crate) async fn two_gateways_take_each_event_once(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    let events: Vec<_> = (0..60).map(|number| event(&number.to_string())).collect();
    for event in &events {
        record(one, event).await;
    }

    let takers = [one, other].into_iter().cycle().take(8).map(|store| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let page = store.take_events(at(0), at(HOUR), 3).await.expect("events");
                if page.is_empty() {
                    return taken;
                }
                taken.extend(page.into_iter().map(|event| event.id));
            }
        })
    });
    let taken = futures_util::future::join_all(takers).await;

    let taken: Vec<_> = taken.into_iter().flat_map(|taken| taken.expect("no panic")).collect();
    assert_eq!(taken.len(), events.len());
    let distinct: BTreeSet<_> = taken.into_iter().collect();
    assert_eq!(distinct, events.into_iter().map(|event| event.id).collect());
}

/// Of one SQLite and one Redis: the others run the same statements and scripts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_the_newest_and_keeps_all_others() {
    for backend in [Backend::in_memory().await, Backend::redis().await] {
        let store = &backend.store;
        let oldest = event("oldest");
        record(store, &oldest).await;
        let mut recorded = futures_util::stream::iter((1..MOST_EVENTS).map(|_| {
            let store = Arc::clone(store);
            async move { store.record_event(event("")).await }
        }))
        .buffer_unordered(256);
        while let Some(outcome) = recorded.next().await {
            outcome.expect("room");
        }

        let refused = store.record_event(event("newest")).await;

        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
        assert_eq!(take(store, 0, 1).await.first(), Some(&oldest));
        store.drop_events(&[oldest.id]).await.expect("an answer");
        record(store, &event("newer")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_no_part_of_a_copy_and_makes_no_store_full() {
    for backend in [Backend::sqlite().await, Backend::redis().await] {
        record(&backend.store, &event("e")).await;

        assert!(backend.archive.is_empty().await.expect("an answer"));
    }
}

/// The look of a gateway comes every second: it must not wait for whoever writes, nor hold one up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_finds_nothing_takes_no_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    let deadlines = Deadlines { command: Duration::from_secs(5), ..DEADLINES };
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&path, Durability::Normal, deadlines).expect("a store"));
    let other = Connection::open(&path).expect("a connection");
    let writes = || -> i64 {
        other.query_row("PRAGMA data_version", [], |row| row.get(0)).expect("a version")
    };
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");

    assert_eq!(take(&store, 0, 10).await, []);

    other.execute_batch("COMMIT").expect("an answer");
    let before = writes();
    assert_eq!(take(&store, 0, 10).await, []);
    assert_eq!(writes(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_has_nothing_that_waits_whatever_the_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    let open = |path: &Path| -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(path, Durability::Normal, DEADLINES).expect("a store"))
    };
    let store = open(&path);
    record(&store, &event("e")).await;
    let back_up = |name: &str| {
        let saved = folder.path().join(name);
        std::fs::write(&saved, "").expect("a file");
        SqliteStore::back_up(&path, &saved).expect("a backup");
        open(&saved)
    };

    assert_eq!(take(&back_up("4.db"), 0, 10).await, []);
    assert_eq!(take(&store, 0, 10).await.len(), 1);

    let other = Connection::open(&path).expect("a connection");
    let older = "DROP TABLE events; ALTER TABLE users DROP COLUMN second_factor;
                 ALTER TABLE sessions DROP COLUMN methods; PRAGMA user_version = 3";
    other.execute_batch(older).expect("an older file");
    let older = back_up("3.db");
    assert_eq!(take(&older, 0, 10).await, []);
    record(&older, &event("e")).await;
}
