//! Deletes expired rows, a bounded number at a time.

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// In this order: a session can have thousands of refresh tokens, which are deleted before it.
pub(super) const STATEMENTS: [&str; 6] = [
    "DELETE FROM refresh WHERE hash IN (
         SELECT hash FROM sessions JOIN refresh ON refresh.session = sessions.id
         WHERE expires_at < ?1 LIMIT ?2)",
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < ?1 LIMIT ?2)",
    "DELETE FROM revocations WHERE seq IN (
         SELECT seq FROM revocations WHERE expires_at < ?1 LIMIT ?2)",
    "DELETE FROM codes WHERE id IN (SELECT id FROM codes WHERE expires_at < ?1 LIMIT ?2)",
    "DELETE FROM tries WHERE (subject, name) IN (
         SELECT subject, name FROM tries WHERE ends_at < ?1 * 1000 LIMIT ?2)",
    MAILS,
];

/// One of [`STATEMENTS`], for mails alone.
pub(super) const MAILS: &str =
    "DELETE FROM mails WHERE seq IN (SELECT seq FROM mails WHERE expires_at <= ?1 LIMIT ?2)";

/// The most rows that one transaction deletes: other processes wait for it.
const BATCH: i64 = 500;

/// Deletes one batch of one of [`STATEMENTS`]; returns the number of rows.
pub(super) fn delete(
    connection: &Connection,
    statement: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(statement)?.execute([now.as_millis(), BATCH])?)
}
