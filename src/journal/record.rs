//! The records of the journal, as bytes.

use crate::clock::{BootId, BootTime, Timestamp};
use crate::config::Algorithm;
use crate::operation::RevocationKey;
use crate::secret::Secret;
use crate::store::FeedEntry;
use crate::token::StoredKey;

/// A record; a later one of a kind and name replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JournalRecord {
    /// A revocation.
    Revoked(FeedEntry),
    /// The generation of a site.
    Site {
        /// `iss` of its tokens.
        issuer: String,
        /// The generation.
        generation: u64,
    },
    /// A site, or the gateway itself, has these keys and no others.
    Keys {
        /// `iss` of its tokens.
        issuer: String,
        /// The keys, oldest first.
        keys: Vec<StoredKey>,
    },
    /// The highest number given to an account.
    Number(i64),
    /// Everything that the store acknowledged before this instant is in the journal.
    Contact(LastContact),
    /// The store of this lineage has everything in the journal.
    Lineage(String),
}

/// The instant when the newest answered question to the store was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastContact {
    /// By the wall clock, for people.
    pub(super) wall: Timestamp,
    /// By the clock of staleness.
    pub(super) boot: BootTime,
    /// The id of the boot that it counts from; zeros where the kernel gave none.
    pub(super) boot_id: [u8; 16],
}

impl LastContact {
    /// The instant, where it can be compared with `now`: the machine has not rebooted since.
    pub(super) fn within(&self, boot: Option<BootId>, now: BootTime) -> Option<BootTime> {
        let is_this_boot = boot.is_some_and(|boot| boot.0 == self.boot_id);
        (is_this_boot && self.boot <= now).then_some(self.boot)
    }
}

const REVOKED: u8 = 1;
const SITE: u8 = 2;
const KEYS: u8 = 3;
const NUMBER: u8 = 4;
const CONTACT: u8 = 5;
const LINEAGE: u8 = 6;

/// Bytes of one revocation.
pub(super) const REVOKED_BYTES: usize = 33;

impl JournalRecord {
    /// Appends its bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Revoked(entry) => write_entry(entry, bytes),
            Self::Site { issuer, generation } => {
                bytes.push(SITE);
                write_text(issuer.as_bytes(), bytes);
                bytes.extend(generation.to_le_bytes());
            }
            Self::Keys { issuer, keys } => {
                bytes.push(KEYS);
                write_text(issuer.as_bytes(), bytes);
                bytes.extend(count(keys.len()).to_le_bytes());
                for key in keys {
                    write_text(key.kid.as_bytes(), bytes);
                    write_text(key.algorithm.name().as_bytes(), bytes);
                    write_text(key.material.expose(), bytes);
                    bytes.extend(key.created_at.as_millis().to_le_bytes());
                }
            }
            Self::Number(number) => {
                bytes.push(NUMBER);
                bytes.extend(number.to_le_bytes());
            }
            Self::Contact(contact) => {
                bytes.push(CONTACT);
                bytes.extend(contact.wall.as_millis().to_le_bytes());
                bytes.extend(contact.boot.as_millis().to_le_bytes());
                bytes.extend(contact.boot_id);
            }
            Self::Lineage(lineage) => {
                bytes.push(LINEAGE);
                write_text(lineage.as_bytes(), bytes);
            }
        }
    }

    /// Reads all records of a frame; `None` where one does not read.
    pub(super) fn read_all(bytes: &[u8], mut take: impl FnMut(Self)) -> Option<()> {
        let mut bytes = Bytes(bytes);
        while !bytes.0.is_empty() {
            take(Self::read(&mut bytes)?);
        }
        Some(())
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let [kind] = bytes.chunk()?;
        Some(match kind {
            REVOKED => Self::Revoked(FeedEntry {
                key: RevocationKey(bytes.chunk()?),
                floor: u64::from_le_bytes(bytes.chunk()?),
                expires_at: bytes.timestamp()?,
            }),
            SITE => Self::Site {
                issuer: bytes.string()?,
                generation: u64::from_le_bytes(bytes.chunk()?),
            },
            KEYS => {
                let issuer = bytes.string()?;
                let count = u32::from_le_bytes(bytes.chunk()?);
                let keys = (0..count).map(|_| bytes.key()).collect::<Option<_>>()?;
                Self::Keys { issuer, keys }
            }
            NUMBER => Self::Number(i64::from_le_bytes(bytes.chunk()?)),
            CONTACT => Self::Contact(LastContact {
                wall: bytes.timestamp()?,
                boot: BootTime::from_millis(u64::from_le_bytes(bytes.chunk()?)),
                boot_id: bytes.chunk()?,
            }),
            LINEAGE => Self::Lineage(bytes.string()?),
            _ => return None,
        })
    }
}

/// Appends a revocation's bytes.
pub(super) fn write_entry(entry: &FeedEntry, bytes: &mut Vec<u8>) {
    bytes.push(REVOKED);
    bytes.extend(entry.key.0);
    bytes.extend(entry.floor.to_le_bytes());
    bytes.extend(entry.expires_at.as_millis().to_le_bytes());
}

fn write_text(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend(count(text.len()).to_le_bytes());
    bytes.extend(text);
}

/// Saturates: a record of that length does not fit into a frame, and is not written.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The bytes that are still to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(i64::from_le_bytes(self.chunk()?)))
    }

    fn text(&mut self) -> Option<&[u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.chunk()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }

    fn key(&mut self) -> Option<StoredKey> {
        Some(StoredKey {
            kid: self.string()?,
            algorithm: Algorithm::from_name(&self.string()?)?,
            material: Secret::new(self.text()?.to_vec()),
            created_at: self.timestamp()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::{JournalRecord, LastContact, REVOKED_BYTES};
    use crate::clock::{BootId, BootTime, Timestamp};
    use crate::config::Algorithm;
    use crate::operation::RevocationKey;
    use crate::store::FeedEntry;
    use crate::token::StoredKey;

    fn contact(boot_id: u8, boot: u64) -> LastContact {
        let wall = Timestamp::from_seconds(1_800_000_000);
        LastContact { wall, boot: BootTime::from_millis(boot), boot_id: [boot_id; 16] }
    }

    fn every_kind() -> Vec<JournalRecord> {
        let now = Timestamp::from_seconds(1_800_000_000);
        let issuer = || "https://api.example.com".to_owned();
        let keys = [Algorithm::Hs512, Algorithm::Es256]
            .map(|algorithm| StoredKey::generate(algorithm, now).unwrap());
        let entry = FeedEntry { key: RevocationKey([9; 16]), floor: 3, expires_at: now };
        vec![
            JournalRecord::Revoked(entry),
            JournalRecord::Site { issuer: issuer(), generation: u64::MAX },
            JournalRecord::Keys { issuer: issuer(), keys: keys.to_vec() },
            JournalRecord::Keys { issuer: String::new(), keys: Vec::new() },
            JournalRecord::Number(i64::MAX),
            JournalRecord::Contact(contact(1, 77)),
            JournalRecord::Lineage("a/b".to_owned()),
        ]
    }

    fn read(bytes: &[u8]) -> Option<Vec<JournalRecord>> {
        let mut records = Vec::new();
        JournalRecord::read_all(bytes, |record| records.push(record)).map(|()| records)
    }

    #[test]
    fn every_kind_reads_back_and_none_cut_short_does() {
        for record in every_kind() {
            let mut bytes = Vec::new();
            record.write(&mut bytes);

            assert_eq!(read(&bytes), Some(vec![record.clone()]));
            for length in 1..bytes.len() {
                assert_eq!(read(&bytes[..length]), None, "{record:?} cut to {length}");
            }
            if matches!(record, JournalRecord::Revoked(_)) {
                assert_eq!(bytes.len(), REVOKED_BYTES);
            }
        }
    }

    #[test]
    fn records_follow_one_another() {
        let (records, mut bytes) = (every_kind(), Vec::new());
        records.iter().for_each(|record| record.write(&mut bytes));

        assert_eq!(read(&bytes), Some(records));
        assert_eq!(read(&[0xff]), None);
    }

    #[test]
    fn a_contact_counts_only_within_its_boot() {
        let now = BootTime::from_millis(100);
        let this = Some(BootId([1; 16]));
        for (name, contact, boot, expected) in [
            ("this boot", contact(1, 90), this, Some(BootTime::from_millis(90))),
            ("another boot", contact(2, 90), this, None),
            ("no name for this boot", contact(0, 90), None, None),
            ("later than now", contact(1, 101), this, None),
        ] {
            assert_eq!(contact.within(boot, now), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn anything_at_all_reads_or_does_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }
    }
}
