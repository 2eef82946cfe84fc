//! The revocation list: exact, in memory, bounded in staleness.
//!
//! [`RevocationList::check`] is synchronous and asks no store. [`RevocationList::record`] is called after
//! the store has acknowledged and before the client is answered, so that a revocation holds here
//! from the answer on. [`RevocationList::run`] is fed by the store with what other nodes recorded.
//!
//! The list is in 256 parts, each under a short lock of its own, never held over an `.await`.
//! What does not fit under `capacity` is not taken in: from then on the list is incomplete, and
//! [`Freshness::Stale`] until everything that was left out has expired. So a full list decides as
//! `when_stale` says; it is never silently open.

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

/// What this node knows of revocations, and how fresh that knowledge is.
#[derive(Debug)]
pub struct RevocationList {
    shards: Box<[RwLock<Shard>; SHARDS]>,
    /// Let a check skip what is empty.
    keys: AtomicUsize,
    floors: AtomicUsize,
    capacity: usize,
    /// The last contact in [`BootTime`] milliseconds; zero: never.
    contact: AtomicU64,
    /// The [`Expiry`] of the last entry that was left out; zero: none was.
    incomplete_until: AtomicU32,
    read: watch::Sender<bool>,
    streams: Streams,
    /// Why there is no news, from an interruption of the feed to the next contact.
    interruption: Mutex<Option<FeedInterruption>>,
    /// What is here was read from the node's own file, and stands for the store until that answers.
    restored: AtomicBool,
}

/// How fresh the list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// News within `max_staleness`.
    Fresh,
    /// None for longer, or entries were left out for want of room.
    Stale {
        /// How long ago the last news came.
        age: Duration,
    },
    /// Never read completely since the start.
    Unread,
}

/// How many parts the list has.
pub const SHARDS: usize = 256;

impl RevocationList {
    /// Makes an empty, unread list that takes at most `capacity` entries from the store.
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

    /// Says whether a token is revoked, and by what.
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

    /// Says whether a single token, session or signing key is revoked.
    #[must_use]
    pub fn holds(&self, key: &RevocationKey, now: Timestamp) -> bool {
        self.read_shard(key).holds(key, Expiry::of(now))
    }

    /// Finds the floor of a user or a site, while it stands.
    #[must_use]
    pub fn floor(&self, key: &RevocationKey, now: Timestamp) -> Option<FeedEntry> {
        self.read_shard(key).floor(key, Expiry::of(now))
    }

    /// Says how fresh the list is, by the clock that goes on while the process is stopped.
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
    /// They are taken whatever the capacity: what was answered here holds here.
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

    /// Takes in what the store tells, in order.
    pub fn apply(&self, entries: &[FeedEntry]) {
        for entry in entries {
            self.apply_to(&mut self.write_shard(&entry.key), entry);
        }
        self.streams.end_revoked(entries);
    }

    /// Registers a stream that goes on under a token: the guard ends when the stream must.
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

    /// Takes in what the store tells, in order; answers what of it was not known before.
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

    /// Takes what is here for what the store told before the process began: complete up to
    /// `contact`, or up to an instant before this boot.
    pub fn restore(&self, contact: Option<BootTime>) {
        self.restored.store(true, Ordering::Release);
        if let Some(asked_at) = contact {
            self.note_contact(asked_at);
        }
        self.read.send_replace(true);
    }

    /// The entries of one of the [`SHARDS`] parts, those included that expired but were not purged
    /// yet; an expiry may be rounded up to the second.
    #[must_use]
    pub fn part(&self, number: u8) -> Vec<FeedEntry> {
        self.shards.get(usize::from(number)).map(|shard| read(shard).entries()).unwrap_or_default()
    }

    /// Whether nothing was left out for want of room.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.incomplete_until.load(Ordering::Acquire) == 0
    }

    /// Notes that everything recorded before `asked_at` has been taken in.
    pub fn note_contact(&self, asked_at: BootTime) {
        self.contact.fetch_max(asked_at.as_millis().max(1), Ordering::AcqRel);
        self.read.send_replace(true);
    }

    /// Why there is no news, where the feed was interrupted and has not gone on since.
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

    /// The number of entries, those included that expired but were not purged yet.
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

    /// Drops the expired entries of one part; parts are numbered round and round.
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

    /// Ends the state of incompleteness when all that was left out has expired.
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
