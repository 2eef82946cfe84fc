//! The revocation list: exact, in memory, bounded in staleness.
//!
//! [`RevocationList::check`] is synchronous and asks no store. [`RevocationList::record`] is called
//! after the store has acknowledged and before the client gets its answer, so that the revocation
//! is effective here by then. [`RevocationList::run`] takes revocations of other nodes from the
//! store's feed.
//!
//! The list is in 256 shards, each under a short lock of its own, never held over an `.await`.
//! Entries beyond `capacity` are left out: from then on the list is incomplete, and
//! [`Freshness::Stale`] until they have expired. So a full list decides as `when_stale` says; it
//! never lets a revoked token pass silently.

mod expiry;
mod feed;
mod shard;
mod streams;
mod table;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{BootTime, Timestamp};
use crate::lock::IgnorePoison;
use crate::operation::{Revocation, RevocationKey};
use crate::store::{FeedEntry, FeedInterruption};
use crate::telemetry::metric;
use crate::token::{Revocable, RevocationKeys, RevokedBy};

use expiry::Expiry;
use shard::{Count, Shard};
use streams::Streams;

pub use streams::{EndFlag, EndReason, StreamGuard, StreamOwner};

/// The revocations that this node knows, and their freshness.
#[derive(Debug)]
pub struct RevocationList {
    shards: Box<[RwLock<Shard>; SHARDS]>,
    /// Let a check skip an empty table.
    keys: AtomicUsize,
    floors: AtomicUsize,
    capacity: usize,
    /// The last contact in [`BootTime`] milliseconds; zero: never.
    contact: AtomicU64,
    /// The [`Expiry`] of the last entry that was left out; zero: none was.
    incomplete_until: AtomicU32,
    read: watch::Sender<bool>,
    streams: Streams,
    /// The cause of an interruption of the feed, until the next contact.
    interruption: Mutex<Option<FeedInterruption>>,
    /// The list was read from the journal, and is used until the store answers.
    restored: AtomicBool,
}

/// The freshness of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Contact within `max_staleness`.
    Fresh,
    /// No contact for longer, or entries were left out for want of room.
    Stale {
        /// The time since the last contact.
        age: Duration,
    },
    /// Never read completely since the start.
    Unread,
}

/// The number of shards of the list.
pub const SHARDS: usize = 256;

impl RevocationList {
    /// An empty, unread list that takes at most `capacity` entries from the store.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: Box::new(std::array::from_fn(|_| RwLock::default())),
            keys: AtomicUsize::new(0),
            floors: AtomicUsize::new(0),
            capacity,
            contact: AtomicU64::new(0),
            incomplete_until: AtomicU32::new(0),
            read: watch::Sender::new(false),
            streams: Streams::default(),
            interruption: Mutex::default(),
            restored: AtomicBool::new(false),
        }
    }

    /// The kind of the revocation that refuses a token, if one does.
    #[must_use]
    pub fn check(&self, keys: &RevocationKeys, now: Timestamp) -> Option<RevokedBy> {
        let now = Expiry::of(now);
        let any_keys = self.keys.load(Ordering::Acquire) > 0;
        let any_floors = self.floors.load(Ordering::Acquire) > 0;
        keys.refused_by(|Revocable { key, generation, .. }| match generation {
            None => (any_keys && self.read_shard(key).holds(key, now)).then_some(0),
            Some(_) if any_floors => self.read_shard(key).floor(key, now).map(|entry| entry.floor),
            Some(_) => None,
        })
    }

    /// Whether a single token, session or signing key is revoked.
    #[must_use]
    pub fn holds(&self, key: &RevocationKey, now: Timestamp) -> bool {
        self.read_shard(key).holds(key, Expiry::of(now))
    }

    /// The active floor of a user or a site.
    #[must_use]
    pub fn floor(&self, key: &RevocationKey, now: Timestamp) -> Option<FeedEntry> {
        self.read_shard(key).floor(key, Expiry::of(now))
    }

    /// The freshness of the list, by the clock that goes on while the process is stopped.
    #[must_use]
    pub fn freshness(&self, now: BootTime, max_staleness: Duration) -> Freshness {
        let Some(contact) = self.last_contact() else {
            // The last contact was before this boot: at least that long ago.
            let age = now.since(BootTime::default());
            let is_restored = self.restored.load(Ordering::Acquire);
            return if is_restored { Freshness::Stale { age } } else { Freshness::Unread };
        };
        let age = now.since(contact);
        if age > max_staleness || !self.is_complete() {
            Freshness::Stale { age }
        } else {
            Freshness::Fresh
        }
    }

    /// Takes in revocations that the store has acknowledged to this node.
    ///
    /// They are taken whatever the capacity: a revocation that was acknowledged here is effective
    /// here.
    pub fn record(&self, revocations: &[Revocation]) {
        let entries: Vec<_> = revocations.iter().map(FeedEntry::from).collect();
        for entry in &entries {
            let mut shard = self.write_shard(&entry.key);
            if !shard.extend(entry) {
                self.insert(&mut shard, entry);
            }
        }
        self.streams.end_revoked(&entries);
    }

    /// Takes in entries of the feed, in order.
    pub fn apply(&self, entries: &[FeedEntry]) {
        for entry in entries {
            self.apply_to(&mut self.write_shard(&entry.key), entry);
        }
        self.streams.end_revoked(entries);
    }

    /// Registers a stream that goes on under a token; the guard tells when the stream must end.
    ///
    /// It has ended already where the token was revoked since it was checked.
    #[must_use]
    pub fn register(&self, owner: StreamOwner, now: Timestamp) -> StreamGuard {
        let mut guard = self.streams.open(owner);
        if self.check(&owner.keys, now).is_some() {
            guard.refuse(EndReason::Revoked);
        }
        guard
    }

    /// Takes in entries of the feed, in order; returns those that were not known before.
    #[must_use]
    pub fn learn(&self, entries: &[FeedEntry]) -> Vec<FeedEntry> {
        let is_new = |entry: &&FeedEntry| {
            let mut shard = self.write_shard(&entry.key);
            let is_known = shard.covers(entry);
            if !is_known {
                self.apply_to(&mut shard, entry);
            }
            !is_known
        };
        let learnt = entries.iter().filter(is_new).copied().collect();
        self.streams.end_revoked(entries);
        learnt
    }

    /// Marks the list as read from the journal: complete up to `contact`, or up to an instant
    /// before this boot.
    pub fn restore(&self, contact: Option<BootTime>) {
        self.restored.store(true, Ordering::Release);
        if let Some(asked_at) = contact {
            self.note_contact(asked_at);
        }
        self.read.send_replace(true);
    }

    /// The entries of one of the [`SHARDS`], including expired ones that were not purged yet; an
    /// expiry may be rounded up to the second.
    #[must_use]
    pub fn part(&self, number: u8) -> Vec<FeedEntry> {
        self.shards.get(usize::from(number)).map(|shard| read(shard).entries()).unwrap_or_default()
    }

    /// Whether no entry was left out for want of room.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.incomplete_until.load(Ordering::Acquire) == 0
    }

    /// Notes that everything recorded before `asked_at` has been taken in.
    pub fn note_contact(&self, asked_at: BootTime) {
        self.contact.fetch_max(asked_at.as_millis().max(1), Ordering::AcqRel);
        self.read.send_replace(true);
    }

    /// The cause of an interruption of the feed that lasts.
    #[must_use]
    pub fn interruption(&self) -> Option<FeedInterruption> {
        self.interruption.lock().ignore_poison().clone()
    }

    fn note_interruption(&self, cause: Option<FeedInterruption>) {
        *self.interruption.lock().ignore_poison() = cause;
    }

    /// Waits until the list was read completely once.
    pub async fn ready(&self) {
        // The sender is a field of `self`, so that waiting ends only with the value it waits for.
        drop(self.read.subscribe().wait_for(|read| *read).await);
    }

    /// The number of entries, including expired ones that were not purged yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.load(Ordering::Acquire) + self.floors.load(Ordering::Acquire)
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the list takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let heap: usize = self.shards.iter().map(|shard| read(shard).bytes()).sum();
        heap + size_of::<[RwLock<Shard>; SHARDS]>()
    }

    /// Drops the expired entries of one shard.
    fn purge_shard(&self, number: u8, now: Timestamp) {
        let Some(shard) = self.shards.get(usize::from(number)) else { return };
        let now = Expiry::of(now);
        if !read(shard).has_expired(now) {
            return;
        }
        let Count { keys, floors } = write(shard).purge(now);
        self.keys.fetch_sub(keys, Ordering::AcqRel);
        self.floors.fetch_sub(floors, Ordering::AcqRel);
    }

    fn last_contact(&self) -> Option<BootTime> {
        let millis = self.contact.load(Ordering::Acquire);
        (millis != 0).then(|| BootTime::from_millis(millis))
    }

    fn apply_to(&self, shard: &mut Shard, entry: &FeedEntry) {
        if shard.extend(entry) {
            return;
        }
        if self.len() < self.capacity {
            self.insert(shard, entry);
        } else {
            self.leave_out(entry);
        }
    }

    fn insert(&self, shard: &mut Shard, entry: &FeedEntry) {
        let before = shard.count();
        shard.insert(entry);
        let after = shard.count();
        if after.keys > before.keys {
            self.keys.fetch_add(after.keys - before.keys, Ordering::AcqRel);
        }
        if after.floors > before.floors {
            self.floors.fetch_add(after.floors - before.floors, Ordering::AcqRel);
        }
    }

    fn leave_out(&self, entry: &FeedEntry) {
        let expires = u32::from_le_bytes(Expiry::of(entry.expires_at).to_bytes()).max(1);
        if self.incomplete_until.fetch_max(expires, Ordering::AcqRel) == 0 {
            metrics::counter!(metric::REVOCATION_INTERRUPTIONS, "cause" => "capacity").increment(1);
            tracing::error!(
                capacity = self.capacity,
                "the revocation list is full: decisions count as stale until what was left out \
                 has expired; raise [revocation] capacity and restart"
            );
        }
    }

    /// Marks the list complete again when all entries that were left out have expired.
    fn forget_left_out(&self, now: Timestamp) {
        let now = u32::from_le_bytes(Expiry::of(now).to_bytes());
        let ended =
            self.incomplete_until.fetch_update(Ordering::AcqRel, Ordering::Acquire, |until| {
                (until != 0 && until < now).then_some(0)
            });
        if ended.is_ok() {
            tracing::info!("the revocation list is complete again");
        }
    }

    fn read_shard(&self, key: &RevocationKey) -> RwLockReadGuard<'_, Shard> {
        read(self.shard(key))
    }

    fn write_shard(&self, key: &RevocationKey) -> RwLockWriteGuard<'_, Shard> {
        write(self.shard(key))
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is an index of an array of 256")]
    fn shard(&self, key: &RevocationKey) -> &RwLock<Shard> {
        &self.shards[usize::from(key.0[0])]
    }
}

// A shard is whole after every step of its methods, so a panic elsewhere leaves nothing half done.
fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().ignore_poison()
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().ignore_poison()
}

#[cfg(test)]
mod tests;
