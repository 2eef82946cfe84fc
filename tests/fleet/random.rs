//! Numbers that follow from a seed, so that a run can be repeated.

use std::time::Duration;

/// Names the seed of a run: `MUNJIGI_SEED`, or one of the clock, printed with a failure.
pub(crate) const SEED: &str = "MUNJIGI_SEED";

/// A source of numbers (xorshift64*).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        // Zero would stay zero; close seeds should not begin alike.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Puts things into another order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for place in (1..things.len()).rev() {
            let other = self.below(place as u64 + 1);
            things.swap(place, usize::try_from(other).expect("a place"));
        }
    }

    /// A duration below `end`, in microseconds.
    pub(crate) fn duration(&mut self, end: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(end.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The seed of this run.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration to read it from")]
pub(crate) fn seed() -> u64 {
    let given = std::env::var(SEED).ok();
    given.map_or_else(crate::history::now, |text| text.parse().expect("a number as seed"))
}
