//! A cache of verified tokens: it saves the check of the signature, and nothing else.
//!
//! It holds a fixed number of entries, found by a keyed hash of the whole token: the tokens
//! themselves are not stored. An entry is returned only within its token's validity. Revocation is
//! not cached: callers check it at every request. Refused tokens are not cached: they would let
//! anyone evict the others.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex};
use std::{fmt, mem};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use metrics::Counter;

use crate::clock::Timestamp;
use crate::lock::IgnorePoison;
use crate::telemetry::metric;
use crate::token::key::random;
use crate::token::{KeyError, Verified};

/// The cache of one site.
pub(super) struct Cache {
    key: LessSafeKey,
    shards: Vec<Mutex<CacheShard>>,
    hits: Counter,
    misses: Counter,
}

/// A keyed hash of a token's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// A verified token, and its validity.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) verified: Arc<Verified>,
    pub(super) valid_from: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Cache {
    /// Makes a cache of at most `capacity` entries; `None` when that is zero.
    ///
    /// # Errors
    /// When there are no random bytes for its key.
    pub(super) fn new(capacity: usize) -> Result<Option<Self>, KeyError> {
        if capacity == 0 {
            return Ok(None);
        }
        let key = UnboundKey::new(&AES_256_GCM, &random::<32>()?).ok().ok_or(KeyError::Random)?;
        let count = (capacity / 128).clamp(1, 64);
        let shards = (0..count).map(|_| Mutex::new(CacheShard::new(capacity / count))).collect();
        Ok(Some(Self {
            key: LessSafeKey::new(key),
            shards,
            hits: metrics::counter!(metric::TOKEN_CACHE, "result" => "hit"),
            misses: metrics::counter!(metric::TOKEN_CACHE, "result" => "miss"),
        }))
    }

    /// Hashes a token under this cache's key.
    ///
    /// The hash is a GMAC with one nonce for all. Two tags under one nonce would reveal the hash
    /// key to an observer, but no tag ever leaves this process. GHASH under an unknown key is
    /// 2⁻¹²¹-almost-universal for texts of up to 2 KiB (one bit less for each doubling).
    /// HMAC-SHA-256 takes ten times as long where a processor has no SHA instructions.
    pub(super) fn fingerprint(&self, token: &str) -> Option<Fingerprint> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(token), &mut []).ok()?;
        tag.as_ref().first_chunk().map(|bytes| Fingerprint(u128::from_le_bytes(*bytes)))
    }

    /// The cached token, if it is valid at `now`.
    pub(super) fn get(&self, fingerprint: Fingerprint, now: Timestamp) -> Option<Arc<Verified>> {
        let shard = self.shard(fingerprint)?;
        let found = lock(shard).get(fingerprint, now);
        if found.is_some() {
            self.hits.increment(1);
        } else {
            self.misses.increment(1);
        }
        found
    }

    /// Caches a token that was verified at `now`.
    pub(super) fn insert(&self, fingerprint: Fingerprint, entry: CachedToken, now: Timestamp) {
        if let Some(shard) = self.shard(fingerprint) {
            let displaced = lock(shard).insert(fingerprint, entry, now);
            // Dropped here, after the lock.
            drop(displaced);
        }
    }

    fn shard(&self, fingerprint: Fingerprint) -> Option<&Mutex<CacheShard>> {
        // The index uses the other half.
        let high = (fingerprint.0 >> 64) as usize;
        self.shards.get(high.checked_rem(self.shards.len())?)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cache").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// A part of the cache with a lock of its own, held for one look-up or one change.
#[derive(Debug)]
struct CacheShard {
    capacity: usize,
    index: HashMap<u128, usize, BuildHasherDefault<Identity>>,
    slots: Vec<Slot>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    fingerprint: Fingerprint,
    entry: CachedToken,
    /// Whether it was read since the hand last passed.
    used: bool,
}

impl CacheShard {
    fn new(capacity: usize) -> Self {
        Self { capacity, index: HashMap::default(), slots: Vec::new(), hand: 0 }
    }

    fn get(&mut self, fingerprint: Fingerprint, now: Timestamp) -> Option<Arc<Verified>> {
        let slot = self.slots.get_mut(*self.index.get(&fingerprint.0)?)?;
        let valid = slot.entry.valid_from <= now && now < slot.entry.expires_at;
        valid.then(|| {
            slot.used = true;
            Arc::clone(&slot.entry.verified)
        })
    }

    /// Returns the slot that was replaced.
    fn insert(
        &mut self,
        fingerprint: Fingerprint,
        entry: CachedToken,
        now: Timestamp,
    ) -> Option<Slot> {
        let slot = Slot { fingerprint, entry, used: false };
        if !self.index.contains_key(&fingerprint.0) && self.slots.len() < self.capacity {
            self.index.insert(fingerprint.0, self.slots.len());
            self.slots.push(slot);
            return None;
        }
        let at = match self.index.get(&fingerprint.0) {
            Some(at) => *at,
            None => self.victim(now),
        };
        let displaced = mem::replace(self.slots.get_mut(at)?, slot);
        self.index.remove(&displaced.fingerprint.0);
        self.index.insert(fingerprint.0, at);
        Some(displaced)
    }

    /// CLOCK: the next entry that was not read since the hand last passed, or has expired. After
    /// some steps any entry is taken, so that the lock is held briefly.
    fn victim(&mut self, now: Timestamp) -> usize {
        for _ in 0..32 {
            self.hand = (self.hand + 1).checked_rem(self.slots.len()).unwrap_or(0);
            match self.slots.get_mut(self.hand) {
                Some(slot) if slot.used && now < slot.entry.expires_at => slot.used = false,
                _ => break,
            }
        }
        self.hand
    }
}

/// Uses the low half of a fingerprint as its hash: it is one already, under a secret key.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}

/// A thread that panicked with the lock left at most one entry out, which is harmless.
fn lock(shard: &Mutex<CacheShard>) -> std::sync::MutexGuard<'_, CacheShard> {
    shard.lock().ignore_poison()
}
