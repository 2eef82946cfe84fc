//! An exact set of revocation keys with their expiries, at 26 to 29 bytes an entry.
//!
//! Open addressing with linear probing over two arrays: tags (one byte of each key; zero = free)
//! and entries. A look-up walks the tags, eight in a step, and touches an entry only where the tag
//! matches, so that a miss, the common case, costs one cache line of the small array. The whole
//! key is compared in the end: there are no false positives.
//!
//! The number of slots is any number (multiply-shift, not a power of two), so that the table grows
//! by an eighth, not by double, and is never less than 72 % full. Entries are in chunks of a fixed
//! size, which stay when the table grows: an array that is exchanged for a longer one leaves a hole
//! behind, and of 256 tables that grow alike none fits into another's (6 bytes an entry at a
//! million).

use std::mem::size_of;

use crate::operation::RevocationKey;
use crate::revocation::expiry::Expiry;

/// The set.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The first [`WINDOW`] are repeated after the last, so that a window never wraps.
    tags: Box<[u8]>,
    #[expect(clippy::vec_box, reason = "chunks must not move when there are more")]
    chunks: Vec<Box<Chunk>>,
    len: usize,
}

/// Entries in a row.
type Chunk = [Entry; CHUNK];

const CHUNK: usize = 32;

/// Arrays instead of integers keep it at 20 bytes, without padding.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: [u8; 16],
    expires: [u8; 4],
}

impl Table {
    /// The number of entries, expired ones included.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let chunk = size_of::<Chunk>() + size_of::<Box<Chunk>>();
        self.tags.len() + self.chunks.len() * chunk
    }

    /// The expiry of a key.
    #[inline]
    pub(super) fn find(&self, key: &RevocationKey) -> Option<Expiry> {
        self.entry(self.slot_of(key)?).map(Entry::expiry)
    }

    /// Keeps the later expiry of a key; `false` when it is not in the table.
    pub(super) fn extend(&mut self, key: &RevocationKey, expires: Expiry) -> bool {
        let Some(slot) = self.slot_of(key) else { return false };
        if let Some(entry) = self.entry_mut(slot) {
            *entry = Entry::new(key, entry.expiry().max(expires));
        }
        true
    }

    /// Adds a key that is not in the table.
    pub(super) fn insert(&mut self, key: &RevocationKey, expires: Expiry) {
        let slots = self.slots();
        if (self.len + 1) * 50 > slots * 41 {
            self.rebuild(slots + slots / 8 + 1, |_| true);
        }
        self.put(Entry::new(key, expires));
    }

    /// All entries, expired ones included.
    pub(super) fn entries(&self) -> impl Iterator<Item = (RevocationKey, Expiry)> {
        self.taken().map(|entry| (RevocationKey(entry.key), entry.expiry()))
    }

    /// Whether an entry expired before `now`.
    pub(super) fn has_expired(&self, now: Expiry) -> bool {
        self.taken().any(|entry| entry.expiry() < now)
    }

    /// Drops entries that expired before `now`, and frees their room; returns their number.
    pub(super) fn purge(&mut self, now: Expiry) -> usize {
        let before = self.len;
        let live = self.taken().filter(|entry| entry.expiry() >= now).count();
        self.rebuild(live + live / 3, |entry| entry.expiry() >= now);
        before - self.len
    }

    /// Makes `least` slots, or a few more, and inserts the kept entries again.
    fn rebuild(&mut self, least: usize, keep: impl Fn(&Entry) -> bool) {
        let kept: Vec<Entry> = self.taken().filter(|entry| keep(entry)).copied().collect();
        let chunks = least.div_ceil(CHUNK);
        self.chunks.truncate(chunks);
        self.chunks.reserve_exact(chunks - self.chunks.len());
        self.chunks.resize_with(chunks, || Box::new([Entry::FREE; CHUNK]));
        self.chunks.shrink_to_fit();
        let repeated = if chunks == 0 { 0 } else { WINDOW };
        self.tags = vec![0; chunks * CHUNK + repeated].into_boxed_slice();
        self.len = 0;
        for entry in kept {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: Entry) {
        let key = RevocationKey(entry.key);
        let Some(slot) = self.free_slot(&key) else { return };
        let again = self.slots() + slot;
        if let Some(place) = self.entry_mut(slot) {
            *place = entry;
            self.len += 1;
        }
        for tag in [slot, again] {
            if let Some(tag) = self.tags.get_mut(tag) {
                *tag = tag_of(&key);
            }
        }
    }

    fn taken(&self) -> impl Iterator<Item = &Entry> {
        let parts = self.tags.chunks(CHUNK).zip(&self.chunks);
        let pairs = parts.flat_map(|(tags, chunk)| tags.iter().zip(chunk.iter()));
        pairs.filter(|(tag, _)| **tag != 0).map(|(_, entry)| entry)
    }

    /// The slot of a key in the table.
    #[inline]
    fn slot_of(&self, key: &RevocationKey) -> Option<usize> {
        let slots = self.slots();
        let mut at = home_of(key, slots);
        // A table is never full, so that a free slot ends the walk.
        loop {
            let window = Window::read(&self.tags, at)?;
            let free = window.first_free();
            for offset in window.positions_of(tag_of(key), free) {
                let slot = wrap(at + offset, slots);
                if self.entry(slot)?.key == key.0 {
                    return Some(slot);
                }
            }
            if free < WINDOW {
                return None;
            }
            at = wrap(at + WINDOW, slots);
        }
    }

    /// The slot for a new key; `None` where there are no slots.
    fn free_slot(&self, key: &RevocationKey) -> Option<usize> {
        let slots = self.slots();
        let mut at = home_of(key, slots);
        loop {
            let free = Window::read(&self.tags, at)?.first_free();
            if free < WINDOW {
                return Some(wrap(at + free, slots));
            }
            at = wrap(at + WINDOW, slots);
        }
    }

    const fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    #[inline]
    fn entry(&self, slot: usize) -> Option<&Entry> {
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)
    }

    fn entry_mut(&mut self, slot: usize) -> Option<&mut Entry> {
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }
}

impl Entry {
    const FREE: Self = Self { key: [0; 16], expires: [0; 4] };

    const fn new(key: &RevocationKey, expires: Expiry) -> Self {
        Self { key: key.0, expires: expires.to_bytes() }
    }

    const fn expiry(&self) -> Expiry {
        Expiry::from_bytes(self.expires)
    }
}

/// Tags in a row, looked at in one step.
struct Window(u64);

const WINDOW: usize = 8;

impl Window {
    #[inline]
    fn read(tags: &[u8], at: usize) -> Option<Self> {
        let bytes = tags.get(at..)?.first_chunk::<WINDOW>()?;
        Some(Self(u64::from_le_bytes(*bytes)))
    }

    /// The place of the first free slot; [`WINDOW`] when none is free.
    #[inline]
    const fn first_free(&self) -> usize {
        (zero_bytes(self.0).trailing_zeros() / 8) as usize
    }

    /// The positions before `end` that may have `tag`: every one that has, and rarely one more.
    #[inline]
    fn positions_of(&self, tag: u8, end: usize) -> impl Iterator<Item = usize> {
        let mut marks = zero_bytes(self.0 ^ (u64::from(tag) * ONES));
        std::iter::from_fn(move || {
            let place = (marks.trailing_zeros() / 8) as usize;
            marks &= marks.wrapping_sub(1);
            (place < end).then_some(place)
        })
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// Marks the highest bit of each zero byte. A byte above a zero one may be marked wrongly, the
/// lowest never is ("Bit Twiddling Hacks", determine if a word has a zero byte).
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// No step is longer than the table.
const fn wrap(at: usize, slots: usize) -> usize {
    if at < slots { at } else { at - slots }
}

/// Keys are the first bits of a SHA-256, so any of their bits serve as a hash; the first byte
/// chooses the shard, the second is the tag, the last eight choose the slot.
const fn tag_of(key: &RevocationKey) -> u8 {
    if key.0[1] == 0 { 1 } else { key.0[1] }
}

fn home_of(key: &RevocationKey, slots: usize) -> usize {
    let [.., a, b, c, d, e, f, g, h] = key.0;
    let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::operation::RevocationKey;
    use crate::revocation::expiry::Expiry;

    fn colliding(number: u8) -> RevocationKey {
        let mut key = [0xff; 16];
        key[1] = 0;
        key[2] = number;
        RevocationKey(key)
    }

    #[test]
    fn keys_with_one_home_and_tag_are_told_apart() {
        let mut table = Table::default();
        for number in 0..100 {
            table.insert(&colliding(number), Expiry::from_bytes([number, 1, 0, 0]));
        }

        assert_eq!(table.len(), 100);
        for number in 0..100 {
            let expires = Expiry::from_bytes([number, 1, 0, 0]);
            assert_eq!(table.find(&colliding(number)), Some(expires), "{number}");
        }
        assert_eq!(table.find(&colliding(100)), None);
    }

    #[test]
    fn purging_frees_the_room_too() {
        let mut table = Table::default();
        for number in 0..250 {
            table.insert(&colliding(number), Expiry::from_bytes([number, 0, 0, 0]));
        }
        let full = table.bytes();

        assert_eq!(table.purge(Expiry::from_bytes([210, 0, 0, 0])), 210);

        assert!(table.bytes() < full / 4, "{} of {full}", table.bytes());
        assert_eq!(table.find(&colliding(209)), None);
        assert!(table.find(&colliding(210)).is_some());
        table.purge(Expiry::from_bytes([250, 0, 0, 0]));
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn the_later_expiry_of_a_key_is_kept() {
        let mut table = Table::default();
        let (early, late) = (Expiry::from_bytes([1, 0, 0, 0]), Expiry::from_bytes([2, 0, 0, 0]));

        assert!(!table.extend(&colliding(1), early));
        table.insert(&colliding(1), late);
        assert!(table.extend(&colliding(1), early));

        assert_eq!(table.find(&colliding(1)), Some(late));
        assert_eq!(table.len(), 1);
    }
}
