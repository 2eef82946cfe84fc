//! Counters by key, in bounded memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::clock::Timestamp;

/// Something that is counted for a while.
pub(super) trait Counter: Default {
    /// From when it says nothing any more; `None` while it is in use.
    fn ends(&self) -> Option<Timestamp>;
}

/// Counters, at most 65,536 besides those in use.
///
/// Keys are kept as 64-bit hashes under a secret of this process. That two of them fall together
/// is about as likely as 2⁻³³, and then they share a count.
#[derive(Debug)]
pub(super) struct Table<C> {
    shards: Box<[Mutex<Shard<C>>; SHARDS]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<C> {
    counters: HashMap<u64, C>,
    /// Grown to this, it drops what has ended: each time twice what was left, so that the cost of
    /// a sweep is spread over as many new keys.
    sweep_at: usize,
}

const SHARDS: usize = 256;

/// The most in one shard.
const MOST: usize = 256;

/// Below this no sweep is worth it.
const LEAST: usize = 16;

impl<C: Counter> Table<C> {
    pub(super) fn new() -> Self {
        let shard = || Shard { counters: HashMap::new(), sweep_at: LEAST };
        Self {
            shards: Box::new(std::array::from_fn(|_| Mutex::new(shard()))),
            hasher: RandomState::new(),
        }
    }

    /// What a key is kept as.
    pub(super) fn key(&self, key: &impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Reads and changes one counter, a new one where there is none.
    pub(super) fn with<R>(&self, key: u64, now: Timestamp, act: impl FnOnce(&mut C) -> R) -> R {
        // A counter is whole after every step of its methods: a panic elsewhere leaves nothing
        // half done.
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.counters.contains_key(&key) {
            shard.make_room(now);
        }
        act(shard.counters.entry(key).or_default())
    }

    #[expect(clippy::indexing_slicing, reason = "256 shards, indexed by a byte")]
    fn shard(&self, key: u64) -> &Mutex<Shard<C>> {
        let [number, ..] = key.to_be_bytes();
        &self.shards[usize::from(number)]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().counters.len()).sum()
    }
}

impl<C: Counter> Shard<C> {
    fn make_room(&mut self, now: Timestamp) {
        if self.counters.len() < self.sweep_at {
            return;
        }
        self.counters.retain(|_, counter| counter.ends().is_none_or(|end| end > now));
        if self.counters.len() >= MOST {
            // Who fills the table so far has as many addresses or has paid as many tries.
            let ends = self.counters.iter().filter_map(|(key, it)| Some((it.ends()?, *key)));
            if let Some((_, key)) = ends.min() {
                self.counters.remove(&key);
            }
        }
        self.sweep_at = (self.counters.len() * 2).clamp(LEAST, MOST);
        self.counters.shrink_to(self.sweep_at);
    }
}
