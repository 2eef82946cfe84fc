//! Signing keys in SQL.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::secret::Secret;
use crate::store::{SigningKeys, SqliteStore, StoreError};
use crate::token::StoredKey;

#[async_trait]
impl SigningKeys for SqliteStore {
    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        let issuer = issuer.to_owned();
        self.read(move |connection| list(connection, &issuer)).await
    }

    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let issuer = issuer.to_owned();
        self.write(move |connection| add_first(connection, &issuer, &key)).await
    }
}

/// The keys of a site, oldest first.
pub(super) fn list(connection: &Connection, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
    connection
        .prepare_cached(
            "SELECT kid, algorithm, material, created_at FROM keys WHERE issuer = ?1
             ORDER BY created_at, id",
        )?
        .query_and_then([issuer], key)?
        .collect()
}

/// Adds a key unless there is one of its algorithm; returns all keys of the site.
pub(super) fn add_first(
    connection: &Connection,
    issuer: &str,
    key: &StoredKey,
) -> Result<Vec<StoredKey>, StoreError> {
    let others = "SELECT 1 FROM keys WHERE issuer = ?1 AND algorithm = ?3";
    insert_where(connection, issuer, key, &format!("NOT EXISTS ({others})"))?;
    list(connection, issuer)
}

/// Adds a key to any others.
pub(super) fn put(
    connection: &Connection,
    issuer: &str,
    key: &StoredKey,
) -> Result<(), StoreError> {
    insert_where(connection, issuer, key, "TRUE")
}

/// Removes a key of a site, if it exists.
pub(super) fn remove(connection: &Connection, issuer: &str, kid: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM keys WHERE issuer = ?1 AND kid = ?2")?
        .execute([issuer, kid])?;
    Ok(())
}

/// Adds a key where a condition on issuer (`?1`), kid and algorithm (`?3`) holds.
fn insert_where(
    connection: &Connection,
    issuer: &str,
    key: &StoredKey,
    condition: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO keys (issuer, kid, algorithm, material, created_at)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE {condition}"
        ))?
        .execute(params![
            issuer,
            key.kid,
            key.algorithm.name(),
            key.material.expose(),
            key.created_at.as_millis(),
        ])?;
    Ok(())
}

fn key(row: &Row<'_>) -> Result<StoredKey, StoreError> {
    let algorithm: String = row.get("algorithm")?;
    let Some(algorithm) = Algorithm::from_name(&algorithm) else {
        return Err(StoreError::Corrupt(format!("keys.algorithm: `{algorithm}`")));
    };
    Ok(StoredKey {
        kid: row.get("kid")?,
        algorithm,
        material: Secret::new(row.get("material")?),
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}
