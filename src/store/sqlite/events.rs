//! Events for the audit trail, in SQL.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::store::{Events, MOST_EVENTS, SqliteStore, StoreError, WaitingEvent};

/// The first schema that has them.
pub(super) const SINCE: i64 = 4;

#[async_trait]
impl Events for SqliteStore {
    async fn record_event(&self, event: WaitingEvent) -> Result<(), StoreError> {
        self.write(move |connection| record(connection, &event)).await
    }

    async fn take_events(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingEvent>, StoreError> {
        // It is called every second, and takes no write lock where it finds nothing.
        if self.read(move |connection| due(connection, now, 1)).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |connection| take(connection, now, hidden_until, limit)).await
    }

    async fn drop_events(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        self.write(move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM events WHERE id = ?1")?;
            for id in ids {
                delete.execute([id.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }
}

fn record(connection: &Connection, event: &WaitingEvent) -> Result<(), StoreError> {
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM events")?
        .query_row([], |row| row.get(0))?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= MOST_EVENTS) {
        return Err(StoreError::Full);
    }
    connection
        .prepare_cached(
            "INSERT INTO events (id, due_at, text) VALUES (?1, 0, ?2) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![event.id.as_bytes(), event.text])?;
    Ok(())
}

fn take(
    connection: &Connection,
    now: Timestamp,
    hidden_until: Timestamp,
    limit: usize,
) -> Result<Vec<WaitingEvent>, StoreError> {
    let events = due(connection, now, limit)?;
    let mut hide = connection.prepare_cached("UPDATE events SET due_at = ?2 WHERE id = ?1")?;
    for event in &events {
        hide.execute(params![event.id.as_bytes(), hidden_until.as_millis()])?;
    }
    Ok(events)
}

fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<WaitingEvent>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let due = connection
        .prepare_cached("SELECT id, text FROM events WHERE due_at <= ?1 ORDER BY id LIMIT ?2")?
        .query_map([now.as_millis(), limit], |row| {
            Ok(WaitingEvent { id: Uuid::from_bytes(row.get("id")?), text: row.get("text")? })
        })?
        .collect::<Result<_, _>>()?;
    Ok(due)
}
