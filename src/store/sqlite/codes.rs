//! Mailed codes in SQL.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::CodePurpose;
use crate::store::NewCode;
use crate::store::StoreError;

/// Keeps a code, in the place of an older one.
pub(super) fn put(connection: &Connection, code: &NewCode) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO codes (purpose, realm, email, hash, expires_at, guesses)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            code.purpose.name(),
            code.realm,
            code.email.as_str(),
            code.hash,
            code.expires_at.as_millis(),
            code.guesses,
        ])?;
    Ok(())
}

/// Counts a guess, then judges it; a code that was guessed right goes.
pub(super) fn guess(
    connection: &Connection,
    purpose: CodePurpose,
    realm: &str,
    email: &Email,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let counted: Option<(i64, [u8; 32])> = connection
        .prepare_cached(
            "UPDATE codes SET guesses = guesses - 1
             WHERE purpose = ?1 AND realm = ?2 AND email = ?3 AND expires_at > ?4 AND guesses > 0
             RETURNING id, hash",
        )?
        .query_row(params![purpose.name(), realm, email.as_str(), now.as_millis()], |row| {
            Ok((row.get("id")?, row.get("hash")?))
        })
        .optional()?;
    let Some((id, right)) = counted else { return Ok(false) };
    if !bool::from(right.ct_eq(hash)) {
        return Ok(false);
    }
    connection.prepare_cached("DELETE FROM codes WHERE id = ?1")?.execute([id])?;
    Ok(true)
}
