//! The feed: polls the database for revocations, of whichever process.
//!
//! `PRAGMA data_version` changes when another connection has committed; only then rows are read.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::Sender;

use crate::clock::{Now, Timestamp};
use crate::operation::RevocationKey;
use crate::store::sqlite::database::{CheckedConnection, Database};
use crate::store::sqlite::fault::unsigned;
use crate::store::{FeedEntry, FeedEvent, FeedInterruption, StoreError};
use crate::telemetry::causes;

/// The interval of polls.
const INTERVAL: Duration = Duration::from_millis(200);

/// The longest pause between polls that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Entries in one event.
const CHUNK: u16 = 4096;

/// Sends revocations until the receiver of `events` is gone.
pub(super) async fn follow(database: Arc<Database>, events: Sender<FeedEvent>) {
    let until_closed = events.clone();
    // Dropped with this future, which wakes and ends the thread.
    let (stop, stopped) = sync_channel::<()>(0);
    let polling = tokio::task::spawn_blocking(move || {
        Feed { database, events, checked: None, position: None }.run(&stopped);
    });
    until_closed.closed().await;
    drop(stop);
    if let Err(error) = polling.await {
        tracing::error!(%error, "the feed of revocations panicked");
    }
}

struct Feed {
    database: Arc<Database>,
    events: Sender<FeedEvent>,
    checked: Option<CheckedConnection>,
    position: Option<Position>,
}

/// The position of the feed in one database.
struct Position {
    store: String,
    data_version: i64,
    last: i64,
}

/// Reasons for which a poll sends no contact.
enum Stop {
    Closed,
    Interrupted(FeedInterruption),
}

impl Feed {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut pause = INTERVAL;
        loop {
            let asked_at = Now::read().boot;
            let event = match self.poll() {
                Ok(()) => {
                    pause = INTERVAL;
                    FeedEvent::Contact { asked_at }
                }
                Err(Stop::Closed) => return,
                Err(Stop::Interrupted(cause)) => {
                    self.checked = None;
                    self.position = None;
                    // A swapped store does answer: it is read at the next poll.
                    if cause != FeedInterruption::Swapped {
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    FeedEvent::Interrupted { cause }
                }
            };
            if self.events.blocking_send(event).is_err() {
                return;
            }
            if !matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// Sends all revocations that were committed before the call and not sent yet.
    fn poll(&mut self) -> Result<(), Stop> {
        let checked = match &mut self.checked {
            Some(checked) => checked,
            None => self.checked.insert(CheckedConnection::open(&self.database)?),
        };
        let connection = &*checked.connection()?;
        // Read before the rows: the next poll sees commits that come in between.
        let data_version: i64 =
            connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if self.position.as_ref().is_some_and(|position| position.data_version == data_version) {
            return Ok(());
        }
        let (store, newest) = identity(connection)?;
        let last = match &self.position {
            None => 0,
            Some(position) if position.store == store && position.last <= newest => position.last,
            Some(_) => return Err(Stop::Interrupted(FeedInterruption::Swapped)),
        };
        let last = send_rows(connection, &self.events, last, Now::read().wall)?;
        self.position = Some(Position { store, data_version, last });
        Ok(())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Interrupted(FeedInterruption::Away(causes(&error)))
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// The id of the store, and the number of the newest revocation it ever recorded.
fn identity(connection: &Connection) -> Result<(String, i64), StoreError> {
    let identity = connection
        .prepare_cached(
            "SELECT id, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0)
             FROM store",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(identity)
}

/// Sends the revocations after `last` that have not expired; the number of the newest.
fn send_rows(
    connection: &Connection,
    events: &Sender<FeedEvent>,
    mut last: i64,
    now: Timestamp,
) -> Result<i64, Stop> {
    let mut select = connection.prepare_cached(
        "SELECT seq, key, floor, expires_at FROM revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    loop {
        let mut read = 0;
        let mut entries = Vec::new();
        let mut rows = select.query([last, i64::from(CHUNK)])?;
        while let Some(row) = rows.next()? {
            read += 1;
            last = row.get(0)?;
            let expires_at = Timestamp::from_millis(row.get(3)?);
            if expires_at > now {
                let key = RevocationKey(row.get(1)?);
                entries.push(FeedEntry { key, floor: unsigned(row.get(2)?)?, expires_at });
            }
        }
        // Ends the read transaction: the receiver may take its time.
        drop(rows);
        if !entries.is_empty() && events.blocking_send(FeedEvent::Revoked(entries)).is_err() {
            return Err(Stop::Closed);
        }
        if read < CHUNK {
            return Ok(last);
        }
    }
}
