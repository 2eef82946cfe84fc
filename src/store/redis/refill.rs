//! What nodes put back into a Redis that lost data; each step may be repeated, by several at once.

use std::sync::LazyLock;

use redis::Script;

use crate::operation::RevocationKey;
use crate::operation::UserId;
use crate::store::FeedEntry;
use crate::store::RedisStore;
use crate::store::StoreError;
use crate::store::redis::connection::Call;
use crate::store::redis::revocation::BATCH;
use crate::store::redis::server::is_forbidden;
use crate::store::redis::server::lineage_of;
use crate::token::StoredKey;

static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/raise.lua")));

impl RedisStore {
    /// The lineage of what the server holds, as [`crate::store::FeedEvent::Attached`] tells it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn lineage(&self) -> Result<String, StoreError> {
        let work = async {
            let mut ask = redis::cmd("GET");
            ask.arg(self.keys.revocations().generation);
            let generation: Option<String> = self.command(&ask).await?;
            let mut ask = redis::cmd("INFO");
            let ask = Call::Command(ask.arg("replication"));
            let info = match self.link.ask::<String>(ask).await {
                Ok(info) => Some(info),
                Err(error) if is_forbidden(&error) => None,
                Err(error) => return Err(error.into()),
            };
            Ok(lineage_of(&generation.unwrap_or_default(), info.as_deref()))
        };
        self.within(self.deadlines.command, work).await
    }

    /// Records entries whose names are not known any more, but for those of `sites`; answers how
    /// many the store had lost. Each batch has a deadline of its own.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn restore_revocations(
        &self,
        entries: &[FeedEntry],
        sites: &[(RevocationKey, String)],
    ) -> Result<usize, StoreError> {
        let mut restored = 0;
        for batch in entries.chunks(BATCH) {
            let named = batch.iter().map(|entry| {
                let site = sites.iter().find(|(key, _)| entry.floor > 0 && *key == entry.key);
                (*entry, site.map_or("", |(_, issuer)| issuer.as_str()))
            });
            let work = self.append_batch(named);
            restored += self.within(self.deadlines.command, work).await?;
        }
        Ok(restored)
    }

    /// Adds signing keys beside those that a site has.
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
        self.within(self.deadlines.command, work).await
    }

    /// Sees to it that no account is given a number up to this one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn raise_user_numbers(&self, highest: UserId) -> Result<(), StoreError> {
        let mut script = RAISE.prepare_invoke();
        script.key(self.keys.user_numbers()).arg(highest.0).arg("");
        self.within(self.deadlines.command, self.script(&script)).await
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
        self.within(self.deadlines.command, self.script(&script)).await
    }
}
