//! A Redis store with a journal of its revocations, keys and numbers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use tokio::sync::{mpsc, watch};

use crate::clock::Timestamp;
use crate::journal::record::JournalRecord;
use crate::journal::{Journal, JournalError};
use crate::operation::{
    Identifier, RefreshHash, Revocation, RevocationKey, Revoked, SessionId, UserId,
};
use crate::revocation::RevocationList;
use crate::store::{
    Accounts, FeedEntry, FeedEvent, Listing, Lookup, NewSession, RedisStore, Revocations, Rotation,
    Session, Sessions, SigningKeys, Store, StoreError, Successor, User, UserChange,
};
use crate::telemetry::causes;
use crate::token::StoredKey;

/// The store, the list and the journal of one node.
pub struct JournaledStore {
    pub(super) store: RedisStore,
    pub(super) list: Arc<RevocationList>,
    pub(super) journal: Journal,
    /// The longest life of a session.
    pub(super) longest_session: Duration,
    /// Whether the server was checked since its latest change.
    pub(super) is_checked: AtomicBool,
    /// Whether the store has failed to take recent revocations, which are to be written again.
    pub(super) has_unsynced: AtomicBool,
    /// Counts the connections of the feed, each of which may lead to another server.
    pub(super) reconnects: AtomicU64,
    pub(super) keys_changed: watch::Sender<()>,
}

impl fmt::Debug for JournaledStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("JournaledStore").field(&self.store).finish()
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl JournaledStore {
    /// Joins a store with a journal; no session lives longer than `longest_session`.
    ///
    /// If the store is away and the journal has keys, the node starts with those, and follows
    /// `when_stale`.
    ///
    /// # Errors
    /// When the server cannot keep the promise, or is away and there is nothing to go on with.
    pub async fn open(
        store: RedisStore,
        journal: Journal,
        list: Arc<RevocationList>,
        longest_session: Duration,
    ) -> Result<Self, StoreError> {
        let joined = Self {
            store,
            list,
            journal,
            longest_session,
            is_checked: AtomicBool::new(false),
            has_unsynced: AtomicBool::new(false),
            reconnects: AtomicU64::new(0),
            keys_changed: watch::Sender::new(()),
        };
        match joined.handshake().await {
            Ok(()) => {}
            Err(error) if error.is_outage() && !joined.journal.state().keys.is_empty() => {
                tracing::warn!(
                    store = %joined.store.describe(), error = causes(&error),
                    "the store is away: the node goes on with what its own file says"
                );
            }
            Err(error) => return Err(error),
        }
        Ok(joined)
    }

    /// Notices of possible changes of the signing keys.
    #[must_use]
    pub fn keys_changed(&self) -> watch::Receiver<()> {
        self.keys_changed.subscribe()
    }

    /// Syncs the journal and closes its file.
    pub async fn close(&self) {
        self.journal.close().await;
    }

    /// Checks the server, and writes the keys back first: a store that lost them must not get new
    /// ones.
    async fn handshake(&self) -> Result<(), StoreError> {
        self.store.check().await?;
        self.is_checked.store(true, Ordering::Release);
        let lineage = self.store.lineage().await?;
        if !self.is_known(&lineage) {
            self.restore_names().await?;
        }
        Ok(())
    }

    /// Whether the store of this lineage has had everything in the journal.
    pub(super) fn is_known(&self, lineage: &str) -> bool {
        self.journal.state().lineage.as_deref() == Some(lineage)
    }

    /// Records revocations in the list, then in the journal; once this returns, they are on the
    /// disk.
    async fn keep(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        if revocations.is_empty() {
            return Ok(());
        }
        self.list.record(revocations);
        let mut records = Vec::with_capacity(revocations.len());
        for revocation in revocations {
            records.push(JournalRecord::Revoked(FeedEntry::from(revocation)));
            if let Revoked::Site { issuer, generation } = &revocation.revoked {
                records
                    .push(JournalRecord::Site { issuer: issuer.clone(), generation: *generation });
            }
        }
        Ok(self.journal.keep(&records).await?)
    }

    /// Records revocations here and in the store at once; both must succeed.
    async fn both<T>(
        &self,
        revocations: &[Revocation],
        store: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // Whatever the store does, the tokens are refused here, also after a restart.
        let (kept, stored) = join(self.keep(revocations), store).await;
        if stored.is_err() {
            // A client cannot retry with a refused token: this node has to inform the others
            // itself.
            self.has_unsynced.store(true, Ordering::Release);
        }
        let stored = stored?;
        kept?;
        Ok(stored)
    }

    /// The number of connections of the feed.
    fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Acquire)
    }

    /// Keeps revocations that the store recorded by itself; `before` is the count of connections
    /// before that.
    ///
    /// If the feed has connected again, it may be to a server that lacks them: the recording one
    /// was no longer the master, and the refill since did not have them.
    async fn keep_recorded(
        &self,
        before: u64,
        revocations: &[Revocation],
    ) -> Result<(), StoreError> {
        self.keep(revocations).await?;
        if self.reconnects() != before && !revocations.is_empty() {
            self.store.revoke(revocations).await?;
        }
        Ok(())
    }

    async fn note_number(&self, user: UserId) {
        let record = JournalRecord::Number(user.0);
        if user.0 > self.journal.state().number {
            self.journal.note(&[record]).await;
        }
    }

    /// Remembers the keys of an issuer as the store has them. They are used even if they cannot be
    /// written; the journal's thread logs that.
    pub(super) async fn note_keys(&self, issuer: &str, keys: &[StoredKey]) {
        if !keys.is_empty() && self.keys_of(issuer) != keys {
            let record = JournalRecord::Keys { issuer: issuer.to_owned(), keys: keys.to_vec() };
            drop(self.journal.keep(&[record]).await);
        }
    }

    /// The keys of an issuer in the journal.
    fn keys_of(&self, issuer: &str) -> Vec<StoredKey> {
        self.journal.state().keys.get(issuer).cloned().unwrap_or_default()
    }

    /// The keys in the store; those of the journal, written back, where it has lost them.
    pub(super) async fn stored_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        let stored = self.store.signing_keys(issuer).await?;
        let known = self.keys_of(issuer);
        if !stored.is_empty() || known.is_empty() {
            return Ok(stored);
        }
        self.store.restore_signing_keys(issuer, &known).await?;
        self.store.signing_keys(issuer).await
    }
}

/// The longest that a start waits for the keys of a store before it uses those of the journal.
const KEYS_PATIENCE: Duration = Duration::from_secs(2);

#[async_trait]
impl Accounts for JournaledStore {
    async fn create_user(&self, user: User) -> Result<User, StoreError> {
        let user = self.store.create_user(user).await?;
        self.note_number(user.id).await;
        Ok(user)
    }

    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError> {
        let found = self.store.find_user(realm, who, lookup).await?;
        if let Some(user) = &found {
            self.note_number(user.id).await;
        }
        Ok(found)
    }

    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        self.store.list_users(realm, after, limit).await
    }

    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        self.restore_floor(&RevocationKey::of_user(realm, user)).await?;
        let before = self.reconnects();
        let changed = self.store.change_user(realm, user, change, now, revoked_until).await?;
        if let Some((_, revocations)) = &changed {
            self.keep_recorded(before, revocations).await?;
        }
        Ok(changed)
    }
}

#[async_trait]
impl Sessions for JournaledStore {
    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        let before = self.reconnects();
        let opened = self.store.open_session(session, revoked_until).await?;
        if let Some(revocations) = &opened {
            self.keep_recorded(before, revocations).await?;
        }
        Ok(opened)
    }

    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.store.find_session_by_refresh(issuer, presented, now).await
    }

    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError> {
        self.store.is_newest_refresh(session, presented).await
    }

    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let before = self.reconnects();
        let rotation =
            self.store.rotate(session, presented, successor, grace, revoked_until).await?;
        if let Rotation::Reused(revocations) = &rotation {
            self.keep_recorded(before, revocations).await?;
        }
        Ok(rotation)
    }

    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.list_sessions(realm, user, issuer, now).await
    }

    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError> {
        self.both(revocations, self.store.end_session(session, revocations)).await
    }
}

#[async_trait]
impl Revocations for JournaledStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.both(revocations, self.store.revoke(revocations)).await
    }

    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        // Revocations in the list hold even if the store has lost them. (Users and sites have
        // floors, which `holds` does not look at.)
        if self.list.holds(&key, now) {
            return Ok(Some(0));
        }
        self.store.find_revocation(key, now).await
    }

    /// The higher of the store's and the journal's: tokens of a lower one would be refused at once.
    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError> {
        let stored = self.store.site_generation(issuer).await?;
        let known = self.journal.state().sites.get(issuer).copied().unwrap_or(0);
        if stored > known {
            let record = JournalRecord::Site { issuer: issuer.to_owned(), generation: stored };
            self.journal.note(&[record]).await;
        }
        Ok(stored.max(known))
    }

    async fn follow(&self, events: mpsc::Sender<FeedEvent>) {
        self.relay(&events).await;
    }
}

#[async_trait]
impl SigningKeys for JournaledStore {
    /// While the store is away, the keys of the journal.
    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        let asked = tokio::time::timeout(KEYS_PATIENCE, self.stored_keys(issuer)).await;
        match asked.unwrap_or(Err(StoreError::TimedOut(KEYS_PATIENCE))) {
            Ok(keys) => {
                self.note_keys(issuer, &keys).await;
                Ok(keys)
            }
            Err(error) if error.is_outage() => {
                let known = self.keys_of(issuer);
                if known.is_empty() { Err(error) } else { Ok(known) }
            }
            Err(error) => Err(error),
        }
    }

    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let keys = self.store.add_signing_key(issuer, key).await?;
        self.note_keys(issuer, &keys).await;
        Ok(keys)
    }
}

#[async_trait]
impl Store for JournaledStore {
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.backup_mark().await
    }

    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.store.mark_as_backup(saved_at).await
    }

    async fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        self.store.purge(now).await
    }

    /// The journal's; the heartbeat of the feed shows whether Redis takes writes.
    async fn writable(&self) -> Result<(), StoreError> {
        Ok(self.journal.writable()?)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
