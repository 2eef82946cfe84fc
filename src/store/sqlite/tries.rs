//! Counts of tries in SQL.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::store::tries::{micros, wait};
use crate::store::{Bound, SqliteStore, StoreError, Taking, Tries, TryCount, TrySubject};

#[async_trait]
impl Tries for SqliteStore {
    async fn take_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<Taking, StoreError> {
        let (subject, bounds) = (subject.clone(), bounds.to_vec());
        self.write(move |connection| take(connection, &subject, &bounds, now)).await
    }

    async fn give_back_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (subject, bounds) = (subject.clone(), bounds.to_vec());
        self.write(move |connection| give_back(connection, &subject, &bounds, now)).await
    }

    async fn forget_tries(
        &self,
        subject: &TrySubject,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let (subject, name) = (subject.clone(), name.map(str::to_owned));
        self.write(move |connection| forget(connection, &subject, name.as_deref())).await
    }

    async fn tries(
        &self,
        subject: &TrySubject,
        now: Timestamp,
    ) -> Result<Vec<TryCount>, StoreError> {
        let subject = subject.clone();
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT name, count, ends_at FROM tries WHERE subject = ?1 AND ends_at > ?2
                 ORDER BY name",
            )?;
            let rows = select.query_map(params![subject.as_str(), micros(now)], count)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Takes a try from all counts, or from none.
fn take(
    connection: &Connection,
    subject: &TrySubject,
    bounds: &[Bound],
    now: Timestamp,
) -> Result<Taking, StoreError> {
    let now = micros(now);
    let (mut taken, mut longest, mut left) = (Vec::new(), None, u32::MAX);
    for Bound { name, limit } in bounds {
        match limit.take(held(connection, subject, name)?, now) {
            Ok((count, ends_at)) => {
                left = left.min(limit.left(count));
                taken.push(TryCount { name: name.clone(), count, ends_at });
            }
            Err(wait) => longest = longest.max(Some(wait)),
        }
    }
    if let Some(longest) = longest {
        return Ok(Taking::UsedUp { wait: wait(longest) });
    }
    for count in &taken {
        put(connection, subject, count)?;
    }
    Ok(Taking::Taken { left })
}

/// Gives a try back to each count.
fn give_back(
    connection: &Connection,
    subject: &TrySubject,
    bounds: &[Bound],
    now: Timestamp,
) -> Result<(), StoreError> {
    for Bound { name, limit } in bounds {
        let Some(held) = held(connection, subject, name)? else { continue };
        match limit.give_back(held, micros(now)) {
            Some((count, ends_at)) => {
                put(connection, subject, &TryCount { name: name.clone(), count, ends_at })?;
            }
            None => forget(connection, subject, Some(name))?,
        }
    }
    Ok(())
}

/// Forgets one count of a subject, or all.
fn forget(
    connection: &Connection,
    subject: &TrySubject,
    name: Option<&str>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM tries WHERE subject = ?1 AND name = coalesce(?2, name)")?
        .execute(params![subject.as_str(), name])?;
    Ok(())
}

/// Stores a count.
pub(super) fn put(
    connection: &Connection,
    subject: &TrySubject,
    count: &TryCount,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO tries (subject, name, count, ends_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![subject.as_str(), count.name, count.count, count.ends_at])?;
    Ok(())
}

/// Reads a row of name, count and end.
pub(super) fn count(row: &Row<'_>) -> rusqlite::Result<TryCount> {
    Ok(TryCount { name: row.get("name")?, count: row.get("count")?, ends_at: row.get("ends_at")? })
}

fn held(
    connection: &Connection,
    subject: &TrySubject,
    name: &str,
) -> Result<Option<(u32, i64)>, StoreError> {
    let held = connection
        .prepare_cached("SELECT count, ends_at FROM tries WHERE subject = ?1 AND name = ?2")?
        .query_row(params![subject.as_str(), name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(held)
}
