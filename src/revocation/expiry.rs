//! The expiry of an entry, in four bytes.

use crate::clock::Timestamp;

/// Whole seconds since the epoch, rounded up; good until the year 2106.
///
/// An entry is active while its expiry is not below `Expiry::of(now)`: both are rounded up, so that
/// it never expires early, and less than a second late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expiry(u32);

impl Expiry {
    /// The second in which `instant` lies has passed.
    pub(super) fn of(instant: Timestamp) -> Self {
        let seconds = instant.as_millis().max(0).unsigned_abs().div_ceil(1000);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The instant at which that second has passed.
    pub(super) fn instant(self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.0))
    }

    /// The bytes in an entry.
    pub(super) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// Reads the bytes of an entry.
    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Expiry;
    use crate::clock::Timestamp;

    #[test]
    fn an_entry_stands_until_its_last_millisecond() {
        let rows = [
            ("the same instant", 5_500, 5_500, true),
            ("just before", 5_500, 5_499, true),
            ("within the second", 5_500, 6_000, true),
            ("after the second", 5_500, 6_001, false),
            ("a whole second", 5_000, 5_000, true),
            ("past a whole second", 5_000, 5_001, false),
            ("before the epoch", -5, 1, false),
            ("beyond 32 bits", i64::MAX, i64::MAX, true),
        ];
        for (name, expires, now, stands) in rows {
            let expires = Expiry::of(Timestamp::from_millis(expires));
            let now = Expiry::of(Timestamp::from_millis(now));
            assert_eq!(expires >= now, stands, "{name}");
        }
    }
}
