//! Refill of a Redis that lost data; each step may be repeated, by several nodes at once.

use std::sync::LazyLock;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{RevocationKey, UserId};
use crate::store::redis::connection::script::Script;
use crate::store::redis::revocations::revocation::{BATCH, EntryOrigin};
use crate::store::{FeedEntry, RedisStore, StoreError};
use crate::token::StoredKey;

/// Reads the id of the store and of its server.
pub(in crate::store::redis) static LINEAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/store_identity.lua")));
static RAISE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/raise_number.lua")));

impl RedisStore {
    /// The lineage of the server's data, as in [`crate::store::FeedEvent::Attached`].
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn lineage(&self) -> Result<String, StoreError> {
        let mut script = LINEAGE.prepare_invoke();
        script.key(self.keys.revocations().generation);
        let work = async {
            let (generation, process) = self.script::<(String, String)>(&script).await?;
            Ok(lineage_of(&generation, &process))
        };
        self.in_time(work).await
    }

    /// Records entries, whose names are unknown except those of `sites`; returns how many the store
    /// had lost. Each batch has a deadline of its own.
    ///
    /// Lost entries are remembered until `lost_until` at least.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn restore_revocations(
        &self,
        entries: &[FeedEntry],
        sites: &[(RevocationKey, String)],
        lost_until: Option<Timestamp>,
    ) -> Result<usize, StoreError> {
        let mut restored = 0;
        for batch in entries.chunks(BATCH) {
            let named = batch.iter().map(|entry| {
                let site = sites.iter().find(|(key, _)| entry.floor > 0 && *key == entry.key);
                (*entry, site.map_or("", |(_, issuer)| issuer.as_str()))
            });
            let script = self.batch(EntryOrigin::NodeList { lost_until }, named);
            let work = self.script::<usize>(&script);
            restored += self.in_time(work).await?;
        }
        Ok(restored)
    }

    /// Adds signing keys to those of a site.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn restore_signing_keys(
        &self,
        issuer: &str,
        keys: &[StoredKey],
    ) -> Result<(), StoreError> {
        let work = async {
            for key in keys {
                self.put_key_of_site(issuer, key).await?;
            }
            Ok(())
        };
        self.in_time(work).await
    }

    /// Raises the highest account number to at least `highest`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn raise_user_numbers(&self, highest: UserId) -> Result<(), StoreError> {
        let mut script = RAISE.prepare_invoke();
        script.key(self.keys.user_numbers()).arg(highest.0).arg("");
        self.in_time(self.script(&script)).await
    }

    /// Raises a site's generation to at least this one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn raise_site_generation(
        &self,
        issuer: &str,
        generation: u64,
    ) -> Result<(), StoreError> {
        let mut script = RAISE.prepare_invoke();
        script.key(self.keys.revocations().sites).arg(generation).arg(issuer);
        self.in_time(self.script(&script)).await
    }
}

/// The lineage of a server: its data by `generation`, its process by the replication id.
///
/// A restarted process, and a promoted replica, has another replication id: it may lack the newest
/// acknowledged writes. Where the server does not reveal it, no two lineages are equal.
pub(in crate::store::redis) fn lineage_of(generation: &str, process: &str) -> String {
    if process.is_empty() {
        return format!("{generation}/{}", Uuid::new_v4());
    }
    format!("{generation}/{process}")
}
