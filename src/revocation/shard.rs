//! One shard of the list, under one lock.

use std::collections::HashMap;
use std::mem::size_of;

use crate::operation::RevocationKey;
use crate::revocation::expiry::Expiry;
use crate::revocation::table::Table;
use crate::store::FeedEntry;

/// Keys whose match alone refuses, and generation floors.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: Table,
    floors: HashMap<RevocationKey, Floor>,
}

/// The lowest generation that is still accepted.
#[derive(Clone, Copy, Debug)]
struct Floor {
    generation: u64,
    expires: Expiry,
}

/// Numbers of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Keys whose match alone refuses.
    pub(super) keys: usize,
    /// Generation floors.
    pub(super) floors: usize,
}

impl Shard {
    /// Whether a key is revoked.
    #[inline]
    pub(super) fn holds(&self, key: &RevocationKey, now: Expiry) -> bool {
        self.table.find(key).is_some_and(|expires| expires >= now)
    }

    /// The active floor of a key; its expiry may be rounded up to the second.
    #[inline]
    pub(super) fn floor(&self, key: &RevocationKey, now: Expiry) -> Option<FeedEntry> {
        let floor = self.floors.get(key).filter(|floor| floor.expires >= now)?;
        let expires_at = floor.expires.instant();
        Some(FeedEntry { key: *key, floor: floor.generation, expires_at })
    }

    /// Whether an entry would change nothing.
    pub(super) fn covers(&self, entry: &FeedEntry) -> bool {
        let expires = Expiry::of(entry.expires_at);
        if entry.floor == 0 {
            return self.table.find(&entry.key).is_some_and(|held| held >= expires);
        }
        let held = self.floors.get(&entry.key);
        held.is_some_and(|held| held.generation >= entry.floor && held.expires >= expires)
    }

    /// All entries, expired ones included; an expiry may be rounded up to the second.
    pub(super) fn entries(&self) -> Vec<FeedEntry> {
        let keys = self.table.entries().map(|(key, expires)| FeedEntry {
            key,
            floor: 0,
            expires_at: expires.instant(),
        });
        let floors = self.floors.iter().map(|(key, floor)| FeedEntry {
            key: *key,
            floor: floor.generation,
            expires_at: floor.expires.instant(),
        });
        let mut entries: Vec<_> = keys.chain(floors).collect();
        // By the first bytes, not the last, which choose the slot: a table that grows by entries in
        // the order of their slots would pile them all up at its beginning.
        entries.sort_unstable_by_key(|entry| entry.key);
        entries
    }

    /// Merges an entry whose key exists: the later expiry and the higher floor count; `false` when
    /// it does not exist.
    pub(super) fn extend(&mut self, entry: &FeedEntry) -> bool {
        let expires = Expiry::of(entry.expires_at);
        if entry.floor == 0 {
            return self.table.extend(&entry.key, expires);
        }
        let Some(floor) = self.floors.get_mut(&entry.key) else { return false };
        floor.generation = floor.generation.max(entry.floor);
        floor.expires = floor.expires.max(expires);
        true
    }

    /// Inserts an entry whose key does not exist.
    pub(super) fn insert(&mut self, entry: &FeedEntry) {
        let expires = Expiry::of(entry.expires_at);
        if entry.floor == 0 {
            self.table.insert(&entry.key, expires);
        } else {
            self.floors.insert(entry.key, Floor { generation: entry.floor, expires });
        }
    }

    /// Whether an entry has expired.
    pub(super) fn has_expired(&self, now: Expiry) -> bool {
        self.table.has_expired(now) || self.floors.values().any(|floor| floor.expires < now)
    }

    /// Drops entries that expired before `now`; returns their number.
    pub(super) fn purge(&mut self, now: Expiry) -> Count {
        let before = self.floors.len();
        self.floors.retain(|_, floor| floor.expires >= now);
        self.floors.shrink_to_fit();
        Count { keys: self.table.purge(now), floors: before - self.floors.len() }
    }

    /// The number of entries.
    pub(super) fn count(&self) -> Count {
        Count { keys: self.table.len(), floors: self.floors.len() }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        // `HashMap` fills seven eighths of its slots, and keeps a byte beside each.
        let floor = size_of::<(RevocationKey, Floor)>() + 1;
        self.table.bytes() + self.floors.capacity() * floor * 8 / 7
    }
}
