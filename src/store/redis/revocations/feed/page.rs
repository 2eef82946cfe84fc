//! A page of the set, as `read_revocations.lua` returns it.

use crate::operation::RevocationKey;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::revocations::revocation::parse_expiry;
use crate::store::{FeedEntry, StoreError};

/// The newest number; the concatenated keys; pairs of a count and the expiry of as many; floors.
pub(super) type SnapshotReply = (u64, Vec<u8>, Vec<String>, Vec<Option<u64>>);

/// A page of the set, with expired entries that were not purged yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetPage {
    /// The newest number when it was read.
    pub(super) sequence: u64,
    pub(super) entries: Vec<FeedEntry>,
}

impl SetPage {
    /// Reads the script's reply.
    ///
    /// # Errors
    /// When it is not a whole number of keys, each with an expiry.
    pub(super) fn read((sequence, keys, runs, floors): SnapshotReply) -> Result<Self, StoreError> {
        let bad = || corrupt("revocation", "key");
        let (keys, rest) = keys.as_chunks::<16>();
        let mut left = keys.iter();
        let mut floors = floors.into_iter();
        let mut entries = Vec::with_capacity(keys.len());
        for run in runs.chunks(2) {
            let [count, expires] = run else { return Err(bad()) };
            let count: usize = count.parse().ok().filter(|it| *it <= left.len()).ok_or_else(bad)?;
            let expires_at = parse_expiry(expires.as_bytes())?;
            entries.extend(left.by_ref().take(count).map(|key| {
                let floor = floors.next().flatten().unwrap_or(0);
                FeedEntry { key: RevocationKey(*key), floor, expires_at }
            }));
        }
        if rest.is_empty() && left.len() == 0 { Ok(Self { sequence, entries }) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::SetPage;
    use crate::clock::Timestamp;
    use crate::operation::RevocationKey;
    use crate::store::FeedEntry;

    fn entry(key: u8, floor: u64, expires: i64) -> FeedEntry {
        let expires_at = Timestamp::from_seconds(expires);
        FeedEntry { key: RevocationKey([key; 16]), floor, expires_at }
    }

    fn runs(of: &[&str]) -> Vec<String> {
        of.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn each_key_has_the_expiry_of_its_run() {
        let keys = [[1; 16], [2; 16], [3; 16]].concat();
        let runs = || runs(&["2", "9000", "1", "7e+3"]);

        let plain = SetPage::read((5, keys.clone(), runs(), Vec::new())).unwrap();
        let floored = SetPage::read((5, keys, runs(), vec![None, Some(4), None])).unwrap();

        assert_eq!(plain.sequence, 5);
        assert_eq!(plain.entries, [entry(1, 0, 9), entry(2, 0, 9), entry(3, 0, 7)]);
        assert_eq!(floored.entries, [entry(1, 0, 9), entry(2, 4, 9), entry(3, 0, 7)]);
    }

    #[test]
    fn keys_that_do_not_fit_are_corrupt() {
        for (name, keys, of) in [
            ("a short key", vec![1; 15], &["1", "9000"][..]),
            ("a longer key", vec![1; 17], &["1", "9000"]),
            ("an expiry too few", vec![1; 32], &["1", "9000"]),
            ("an expiry too many", vec![1; 16], &["2", "9000"]),
            ("half a turn", vec![1; 16], &["1"]),
            ("no number", vec![1; 16], &["1", "soon"]),
        ] {
            assert!(SetPage::read((5, keys, runs(of), Vec::new())).is_err(), "{name}");
        }
    }
}
