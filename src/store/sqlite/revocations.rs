//! Revocations and site generations in SQL.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::operation::{Revocation, RevocationKey, Revoked};
use crate::store::sqlite::fault::{signed, unsigned};
use crate::store::sqlite::{feed, signing_keys};
use crate::store::{FeedEntry, FeedEvent, Revocations, SqliteStore, StoreError};

#[async_trait]
impl Revocations for SqliteStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let revocations = revocations.to_vec();
        self.write(move |connection| record(connection, &revocations)).await
    }

    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.read(move |connection| find(connection, key, now)).await
    }

    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError> {
        let issuer = issuer.to_owned();
        self.read(move |connection| {
            let generation: Option<i64> = connection
                .prepare_cached("SELECT generation FROM sites WHERE issuer = ?1")?
                .query_row([issuer], |row| row.get(0))
                .optional()?;
            unsigned(generation.unwrap_or(0))
        })
        .await
    }

    async fn follow(&self, events: mpsc::Sender<FeedEvent>) {
        feed::follow(Arc::clone(&self.database), events).await;
    }
}

/// Records revocations; one that exists keeps the higher floor and the later expiry, and is fed
/// again.
pub(super) fn record(
    connection: &Connection,
    revocations: &[Revocation],
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO revocations (key, floor, expires_at, kind, scope, name)
         SELECT ?1, max(?2, coalesce(max(floor), ?2)), max(?3, coalesce(max(expires_at), ?3)),
                ?4, ?5, ?6
         FROM revocations WHERE key = ?1",
    )?;
    for Revocation { revoked, expires_at } in revocations {
        let (scope, name) = names(revoked);
        insert.execute(params![
            revoked.key().0,
            signed(revoked.floor())?,
            expires_at.as_millis(),
            revoked.kind(),
            scope,
            name,
        ])?;
        match revoked {
            Revoked::Site { issuer, generation } => raise_site(connection, issuer, *generation)?,
            Revoked::Key { issuer, key } => signing_keys::remove(connection, issuer, key)?,
            Revoked::Token { .. }
            | Revoked::Session { .. }
            | Revoked::ForeignSession { .. }
            | Revoked::User { .. } => {}
        }
    }
    Ok(())
}

/// The floor of an active revocation.
pub(super) fn find(
    connection: &Connection,
    key: RevocationKey,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    connection
        .prepare_cached("SELECT floor FROM revocations WHERE key = ?1 AND expires_at > ?2")?
        .query_row(params![key.0, now.as_millis()], |row| row.get(0))
        .optional()?
        .map(unsigned)
        .transpose()
}

/// Imports a revocation, whose name is unknown.
pub(super) fn put(connection: &Connection, entry: &FeedEntry) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO revocations (key, floor, expires_at, kind, scope, name)
             VALUES (?1, ?2, ?3, 'copied', '', '')",
        )?
        .execute(params![entry.key.0, signed(entry.floor)?, entry.expires_at.as_millis()])?;
    Ok(())
}

pub(super) fn raise_site(
    connection: &Connection,
    issuer: &str,
    generation: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO sites (issuer, generation) VALUES (?1, ?2)
             ON CONFLICT (issuer) DO UPDATE SET generation = max(generation, excluded.generation)",
        )?
        .execute(params![issuer, signed(generation)?])?;
    Ok(())
}

/// Issuer or realm, and name, for people.
fn names(revoked: &Revoked) -> (&str, String) {
    match revoked {
        Revoked::Token { issuer, token } => (issuer, token.to_string()),
        Revoked::Session { issuer, session } => (issuer, session.to_string()),
        Revoked::ForeignSession { issuer, session } => (issuer, session.clone()),
        Revoked::User { realm, user, .. } => (realm, user.to_string()),
        Revoked::Site { issuer, .. } => (issuer, String::new()),
        Revoked::Key { issuer, key } => (issuer, key.clone()),
    }
}
