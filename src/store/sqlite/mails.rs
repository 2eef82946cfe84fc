//! The mail queue in SQL.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::sqlite::{codes, expired};
use crate::store::{
    CodePurpose, MOST_MAILS, Mails, NewCode, NewMail, QueuedMail, SqliteStore, StoreError,
};

#[async_trait]
impl Mails for SqliteStore {
    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError> {
        self.write(move |connection| {
            queue(connection, &mail)?;
            codes::put(connection, &code)
        })
        .await
    }

    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (realm, email, hash) = (realm.to_owned(), email.clone(), *hash);
        self.write(move |connection| codes::guess(connection, purpose, &realm, &email, &hash, now))
            .await
    }

    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.write(move |connection| queue(connection, &mail)).await
    }

    async fn take_mails(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        self.write(move |connection| take(connection, now, hidden_until, limit)).await
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE mails SET due_at = ?2 WHERE id = ?1")?
                .execute(params![id.as_bytes(), until.as_millis()])?;
            Ok(())
        })
        .await
    }

    async fn drop_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM mails WHERE id = ?1")?
                .execute([id.as_bytes()])?;
            Ok(())
        })
        .await
    }
}

/// Queues a mail, unless the queue is full.
fn queue(connection: &Connection, mail: &NewMail) -> Result<(), StoreError> {
    // Without a condition SQLite counts by the pages of an index, not row by row.
    let waiting: i64 =
        connection.prepare_cached("SELECT count(*) FROM mails")?.query_row([], |row| row.get(0))?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= MOST_MAILS) {
        return Err(StoreError::Full);
    }
    connection
        .prepare_cached(
            "INSERT INTO mails (id, due_at, expires_at, sealed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            mail.id.as_bytes(),
            mail.created_at.as_millis(),
            mail.expires_at.as_millis(),
            mail.sealed,
        ])?;
    Ok(())
}

/// Takes mails that are due, and makes them due again at `hidden_until`.
fn take(
    connection: &Connection,
    now: Timestamp,
    hidden_until: Timestamp,
    limit: usize,
) -> Result<Vec<QueuedMail>, StoreError> {
    expired::delete(connection, expired::MAILS, now)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let due: Vec<QueuedMail> = connection
        .prepare_cached(
            "SELECT id, sealed, attempts, expires_at FROM mails
             WHERE due_at <= ?1 AND expires_at > ?1 ORDER BY due_at, seq LIMIT ?2",
        )?
        .query_map([now.as_millis(), limit], mail)?
        .collect::<Result<_, _>>()?;
    let mut hide = connection
        .prepare_cached("UPDATE mails SET due_at = ?2, attempts = attempts + 1 WHERE id = ?1")?;
    for mail in &due {
        hide.execute(params![mail.id.as_bytes(), hidden_until.as_millis()])?;
    }
    Ok(due)
}

fn mail(row: &Row<'_>) -> rusqlite::Result<QueuedMail> {
    Ok(QueuedMail {
        id: Uuid::from_bytes(row.get("id")?),
        sealed: row.get("sealed")?,
        attempts: row.get("attempts")?,
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}
