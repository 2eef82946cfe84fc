//! What only the SQLite store promises: its file, and other processes on it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use munjigi::clock::Now;
use munjigi::operation::Identifier;
use munjigi::store::{
    Deadlines, Durability, FeedEvent, FeedInterruption, Lookup, NewCode, Rotation, SqliteStore,
    Store, StoreError, UserChange,
};
use munjigi::telemetry::causes;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::backend::DEADLINES;
use crate::fixture::{
    HOUR, ISSUER, REALM, at, change, code, hash, mail, new_user, new_user_with_image, of_site,
    of_token, open, rotate, stands, user, user_now, without_attributes,
};

/// Deadlines short enough to wait for.
const SHORT: Deadlines =
    Deadlines { command: Duration::from_millis(200), lookup: Duration::from_secs(2) };

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.db");
    (folder, path)
}

fn at_path(path: &Path, deadlines: Deadlines) -> Result<Arc<dyn Store>, StoreError> {
    let store = SqliteStore::open(path, Durability::Full, deadlines)?;
    Ok(Arc::new(store))
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let (_folder, path) = file();
    drop(at_path(&path, DEADLINES).expect("a store"));
    let newer = SqliteStore::SCHEMA_VERSION + 1;
    let other = Connection::open(&path).expect("a connection");
    other.pragma_update(None, "user_version", newer).expect("a version");

    let opened = at_path(&path, DEADLINES).err();

    assert!(
        matches!(opened, Some(StoreError::Newer { found, known })
            if found == newer && known == SqliteStore::SCHEMA_VERSION),
        "{opened:?}"
    );
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused() {
    let (_folder, path) = file();
    let text = "not a database, but long enough to be read as one".repeat(20);
    std::fs::write(&path, &text).expect("a file");

    let opened = at_path(&path, DEADLINES).err();

    assert!(matches!(opened, Some(StoreError::Corrupt(_))), "{opened:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);

    std::fs::remove_file(&path).expect("the file");
    let other = Connection::open(&path).expect("a connection");
    other.execute_batch("CREATE TABLE notes (text)").expect("a table");

    let opened = at_path(&path, DEADLINES).err();

    assert!(matches!(opened, Some(StoreError::Unavailable(_))), "{opened:?}");
    let missing = path.join("below").join("munjigi.db");
    assert!(matches!(at_path(&missing, DEADLINES).err(), Some(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn only_the_owner_reads_the_file() {
    let (folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    user(&store, "ann").await;

    for entry in std::fs::read_dir(folder.path()).expect("the folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn everything_survives_a_reopening() {
    let (_folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    let ann = user(&store, "ann").await;
    let session = open(&store, &ann, "token").await;
    let ann = user_now(&store, ann.id).await;
    store.revoke(&[of_token("a"), of_site(ISSUER, 2)]).await.expect("a revocation");
    let queued = [mail(0), mail(1)];
    store.put_code(code("ann", "right"), queued[0].clone()).await.expect("a code");
    store.queue_mail(queued[1].clone()).await.expect("a mail");
    drop(store);

    let store = at_path(&path, DEADLINES).expect("a store");

    assert_eq!(user_now(&store, ann.id).await, ann);
    let found = store.find_session_by_refresh(ISSUER, &hash("token"), at(0)).await;
    assert_eq!(found.expect("a look-up"), Some(session));
    assert_eq!(stands(&store, &of_token("a")).await, Some(0));
    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 2);
    let code = code("ann", "right");
    let guessed = store.try_code(code.purpose, REALM, &code.email, &code.hash, at(1)).await;
    assert!(guessed.expect("an answer"));
    let mails = store.take_mails(at(1), at(60), 10).await.expect("mails");
    assert_eq!(mails.into_iter().map(|mail| mail.id).collect::<Vec<_>>(), queued.map(|it| it.id));
}

#[tokio::test]
async fn purging_leaves_no_row_of_an_expired_code() {
    let (_folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    for name in ["ann", "bob"] {
        store.put_code(code(name, "right"), mail(0)).await.expect("a code");
    }
    let later = NewCode { expires_at: at(2 * HOUR), ..code("cid", "right") };
    store.put_code(later, mail(0)).await.expect("a code");

    store.purge(at(HOUR)).await.expect("a purge");

    let other = Connection::open(&path).expect("a connection");
    let left: (i64, String) = other
        .query_row("SELECT count(*), max(email) FROM codes", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a count");
    assert_eq!(left, (1, "cid@example.com".to_owned()));
}

#[tokio::test]
async fn a_login_and_a_refresh_write_no_attribute() {
    let (folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    let ann = store.create_user(new_user_with_image("ann")).await.expect("an account");
    let other = Connection::open(&path).expect("a connection");
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");

    let session = open(&store, &ann, "first").await;
    let rotation = rotate(&store, &session, "first", "second", at(1)).await;

    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    let log = std::fs::metadata(folder.path().join("munjigi.db-wal")).expect("the log").len();
    assert!((1..500_000).contains(&log), "{log} bytes were written");
}

#[tokio::test]
async fn only_a_whole_look_up_reads_attributes() {
    let (_folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    let ann = store.create_user(new_user_with_image("ann")).await.expect("an account");
    let other = Connection::open(&path).expect("a connection");
    other.execute_batch("ALTER TABLE attributes RENAME TO elsewhere").expect("a change");

    let email = Identifier::Email(ann.email.clone().expect("an email"));
    for lookup in [Lookup::Login, Lookup::Routine] {
        let found = store.find_user(REALM, &email, lookup).await.expect("a look-up");
        assert_eq!(found, Some(without_attributes(&ann)), "{lookup:?}");
    }
    let verifier = "$reset".to_owned();
    let (reset, _) = change(&store, &ann, UserChange::ResetPassword { verifier }).await;

    assert_eq!(reset.generation, ann.generation + 1);
    let whole = store.find_user(REALM, &email, Lookup::Whole).await;
    assert!(matches!(whole, Err(StoreError::Unavailable(_))), "{whole:?}");
}

#[tokio::test]
async fn no_log_is_left_behind_by_the_last_process() {
    let (folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    user(&store, "ann").await;

    drop(store);

    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["munjigi.db"]);
}

#[tokio::test]
async fn eight_processes_may_make_the_file_at_once() {
    let (_folder, path) = file();
    let openers = (0..8).map(|_| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || at_path(&path, DEADLINES))
    });

    let mut stores = Vec::new();
    for opened in futures_util::future::join_all(openers).await {
        stores.push(opened.expect("no panic").expect("a store"));
    }

    let ann = user(&stores[0], "ann").await;
    for store in &stores {
        assert_eq!(user_now(store, ann.id).await, ann);
    }
}

#[tokio::test]
async fn a_write_waits_a_while_for_the_lock_of_another_process_and_says_so() {
    let (_folder, path) = file();
    let store = at_path(&path, SHORT).expect("a store");
    let ann = user(&store, "ann").await;
    let other = Connection::open(&path).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");

    let started = Instant::now();
    let refused = store.revoke(&[of_token("a")]).await;

    let waited = started.elapsed();
    assert!((SHORT.command / 2..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    let said = causes(&refused.expect_err("a lock"));
    assert!(said.contains("another process has the database locked"), "{said}");
    let said = causes(&store.writable().await.expect_err("a lock"));
    assert!(said.contains("another process has the database locked"), "{said}");
    assert_eq!(user_now(&store, ann.id).await, ann, "reads go on");

    other.execute_batch("COMMIT").expect("the end of the lock");
    let done = async { while store.revoke(&[of_token("b")]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), done).await.expect("writes go on");
    assert_eq!(stands(&store, &of_token("b")).await, Some(0));
    store.writable().await.expect("a store that takes writes");
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let (_folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    let other = Connection::open(&path).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let writes: Vec<_> = (0..1200)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.revoke(&[of_token(&number.to_string())]).await })
        })
        .collect();
    // One thread runs tasks in order: when this one is done, all writes have been asked for.
    tokio::spawn(async {}).await.expect("no panic");

    let refused = store.revoke(&[of_token("late")]).await;

    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    other.execute_batch("COMMIT").expect("the end of the lock");
    let outcomes = futures_util::future::join_all(writes).await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ok(())))).count();
    assert!((1024..1200).contains(&done), "{done} were done");
    assert_eq!(stands(&store, &of_token("0")).await, Some(0));
}

/// A follower's next event.
async fn next(events: &mut mpsc::Receiver<FeedEvent>) -> FeedEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
    event.expect("an event in time").expect("an open feed")
}

fn follow(store: &Arc<dyn Store>) -> mpsc::Receiver<FeedEvent> {
    let (sender, events) = mpsc::channel(4);
    let store = Arc::clone(store);
    tokio::spawn(async move { store.follow(sender).await });
    events
}

/// Takes events until the feed is interrupted; fails on a revocation.
async fn interruption(events: &mut mpsc::Receiver<FeedEvent>) -> FeedInterruption {
    loop {
        match next(events).await {
            FeedEvent::Contact { .. } | FeedEvent::Attached { .. } => {}
            FeedEvent::Interrupted { cause } => return cause,
            FeedEvent::Revoked(entries) => panic!("{entries:?} before the interruption"),
        }
    }
}

#[tokio::test]
async fn a_wiped_database_is_read_from_the_start() {
    let (_folder, path) = file();
    let store = at_path(&path, DEADLINES).expect("a store");
    store.revoke(&["a", "b", "c"].map(of_token)).await.expect("a revocation");
    let mut events = follow(&store);
    assert!(matches!(next(&mut events).await, FeedEvent::Revoked(_)));
    assert!(matches!(next(&mut events).await, FeedEvent::Contact { .. }));
    let wipe = "BEGIN; DELETE FROM revocations; DELETE FROM sqlite_sequence;";
    let other = Connection::open(&path).expect("a connection");

    for (what, sql, token) in [
        ("an older state", wipe.to_owned(), "first"),
        ("another store", format!("{wipe} UPDATE store SET id = 'another';"), "second"),
    ] {
        other.execute_batch(&format!("{sql} COMMIT")).expect(what);
        store.revoke(&[of_token(token)]).await.expect("a revocation");
        assert_eq!(interruption(&mut events).await, FeedInterruption::Swapped, "{what}");
        match next(&mut events).await {
            FeedEvent::Revoked(entries) => {
                assert_eq!(entries, [(&of_token(token)).into()], "{what}");
            }
            event => panic!("{event:?} instead of what is recorded: {what}"),
        }
    }
}

#[tokio::test]
async fn a_replaced_file_is_an_outage() {
    let (folder, path) = file();
    let new = folder.path().join("new.db");
    let other = at_path(&new, DEADLINES).expect("a store");
    other.revoke(&[of_token("in the new file")]).await.expect("a revocation");
    drop(other);
    let content = std::fs::read(&new).expect("the new file");
    let store = at_path(&path, DEADLINES).expect("a store");
    let ann = user(&store, "ann").await;
    let mut events = follow(&store);
    assert!(matches!(next(&mut events).await, FeedEvent::Contact { .. }));

    std::fs::rename(&new, &path).expect("the file is replaced");

    let refused = store.revoke(&[of_token("a")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let refused = store.find_user(REALM, &Identifier::Id(ann.id), Lookup::Routine).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let cause = interruption(&mut events).await;
    assert!(matches!(cause, FeedInterruption::Away(_)), "{cause:?}");
    drop(events);
    drop(store);
    assert!(content == std::fs::read(&path).expect("the file"), "the new file was written to");
}

#[tokio::test]
async fn a_file_that_is_gone_is_an_outage_until_it_is_back() {
    let (folder, path) = file();
    let aside = folder.path().join("aside.db");
    let store = at_path(&path, DEADLINES).expect("a store");
    user(&store, "ann").await;
    let mut events = follow(&store);
    assert!(matches!(next(&mut events).await, FeedEvent::Contact { .. }));

    std::fs::rename(&path, &aside).expect("the file is moved");

    assert!(matches!(store.revoke(&[of_token("a")]).await, Err(StoreError::Unavailable(_))));
    let away = async {
        while !matches!(
            next(&mut events).await,
            FeedEvent::Interrupted { cause: FeedInterruption::Away(_) }
        ) {}
    };
    away.await;
    assert!(!path.exists(), "no new file takes its place");
    std::fs::rename(&aside, &path).expect("the file is back");
    let back = Now::read().boot;
    let contact = async {
        while !matches!(next(&mut events).await,
            FeedEvent::Contact { asked_at } if asked_at >= back)
        {}
    };
    contact.await;
    store.revoke(&[of_token("b")]).await.expect("a revocation");
    assert!(matches!(store.create_user(new_user("ann")).await, Err(StoreError::Taken)));
}
