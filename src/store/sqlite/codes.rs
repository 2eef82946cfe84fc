//! Mailed codes in SQL.

use rusqlite::{Connection, params};
use subtle::{Choice, ConstantTimeEq};

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::{CodePurpose, NewCode, StoreError};

/// Stores a code; older ones stay.
pub(super) fn put(connection: &Connection, code: &NewCode) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO codes (purpose, realm, email, hash, expires_at, guesses)
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

/// Counts a guess against each code of the address, then judges it; a right one deletes them all.
pub(super) fn guess(
    connection: &Connection,
    purpose: CodePurpose,
    realm: &str,
    email: &Email,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let who = params![purpose.name(), realm, email.as_str()];
    let codes: Vec<[u8; 32]> = connection
        .prepare_cached(
            "UPDATE codes SET guesses = guesses - 1
             WHERE purpose = ?1 AND realm = ?2 AND email = ?3 AND expires_at > ?4 AND guesses > 0
             RETURNING hash",
        )?
        .query_map(params![purpose.name(), realm, email.as_str(), now.as_millis()], |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    // All are compared, so that the time does not depend on the position of the right one.
    let right = codes.iter().fold(Choice::from(0), |right, code| right | code.ct_eq(hash));
    if !bool::from(right) {
        return Ok(false);
    }
    connection
        .prepare_cached("DELETE FROM codes WHERE purpose = ?1 AND realm = ?2 AND email = ?3")?
        .execute(who)?;
    Ok(true)
}
