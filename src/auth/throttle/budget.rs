//! How often one address may try: the generic cell rate algorithm.
//!
//! One instant is kept: when the budget is whole again. Each try moves it on by the interval of
//! the rate, and is refused when that would move it further ahead than a burst reaches.

use std::time::Duration;

use crate::auth::throttle::table::Counter;
use crate::clock::Timestamp;
use crate::config::Rate;

/// What is left of an address's tries.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Microseconds since the epoch: at 2,000 a second a try is worth half a millisecond.
    whole_at: i64,
}

impl Budget {
    /// Takes one try; the error says when there is one again.
    pub(super) fn spend(&mut self, rate: &Rate, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_millis().saturating_mul(1000);
        let period = i64::try_from(rate.period.as_micros()).unwrap_or(i64::MAX);
        let interval = (period / i64::from(rate.count)).max(1);
        let reach = interval.saturating_mul(i64::from(rate.burst));
        // No further ahead than it can be, lest a clock that was set back shuts everyone out.
        let whole_at = self.whole_at.clamp(now, now.saturating_add(reach));
        let next = whole_at.saturating_add(interval);
        let wait = next.saturating_sub(now).saturating_sub(reach);
        if let Ok(wait @ 1..) = u64::try_from(wait) {
            return Err(Duration::from_micros(wait));
        }
        self.whole_at = next;
        Ok(())
    }
}

impl Counter for Budget {
    fn ends(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.whole_at / 1000 + 1))
    }
}
