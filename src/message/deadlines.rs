//! Deadlines of a body, up or down: idle time, and a least rate.
//!
//! Only time spent waiting for the client counts; while the backend is the slow side, nobody
//! waits for the client.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::LimitsConfig;

/// The deadlines of one body.
#[derive(Clone, Debug)]
pub(crate) struct BodyDeadlines {
    idle: Duration,
    /// Period that the rate is averaged over.
    window: Duration,
    least: u64,
    waiting_since: Option<Instant>,
    window_waited: Duration,
    window_bytes: u64,
    is_held_back: bool,
}

/// The way in which a body is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooSlow {
    /// Nothing came for `limits.body_idle_timeout`.
    #[error("no part of the body came for limits.body_idle_timeout")]
    Idle,
    /// The client waits for a `100 Continue`, which hyper does not send over HTTP/2.
    #[error("the client waits for 100 Continue, which HTTP/2 is not sent")]
    HeldBack,
    /// Less than `limits.body_rate` came, averaged over [`WINDOW`].
    #[error("the body came slower than limits.body_rate")]
    Trickle,
}

/// Period that a rate is averaged over.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Longest wait for a body that is held back: most clients send it unasked after a second
/// (RFC 9110 §10.1.1), and the others repeat their request without the expectation.
const HELD_BACK: Duration = Duration::from_secs(2);

impl BodyDeadlines {
    /// Begins at the configured limits.
    pub(crate) const fn new(limits: &LimitsConfig, is_held_back: bool) -> Self {
        Self::over(WINDOW, limits, is_held_back)
    }

    /// Deadlines of an answer. The kernel reports progress in steps of some 32 KiB, so that the
    /// rate is averaged over the longest time that a step may take.
    pub(crate) fn of_answers(limits: &LimitsConfig) -> Self {
        Self::over(limits.body_idle_timeout.max(WINDOW), limits, false)
    }

    const fn over(window: Duration, limits: &LimitsConfig, is_held_back: bool) -> Self {
        Self {
            idle: limits.body_idle_timeout,
            window,
            least: limits.body_rate.0.saturating_mul(window.as_secs()),
            waiting_since: None,
            window_waited: Duration::ZERO,
            window_bytes: 0,
            is_held_back,
        }
    }

    /// Notes that bytes came.
    pub(crate) fn received(&mut self, bytes: u64, now: Instant) {
        self.is_held_back &= bytes == 0;
        if let Some(since) = self.waiting_since.take() {
            self.window_waited += now.saturating_duration_since(since);
        }
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        if self.window_waited >= self.window && self.window_bytes >= self.least {
            self.window_waited = Duration::ZERO;
            self.window_bytes = 0;
        }
    }

    /// Notes that the client is waited for; says until when at most.
    ///
    /// # Errors
    /// When it has been waited for too long already.
    pub(crate) fn waiting(&mut self, now: Instant) -> Result<Instant, TooSlow> {
        let since = *self.waiting_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let (idle, too_slow) = match self.is_held_back {
            true => (self.idle.min(HELD_BACK), TooSlow::HeldBack),
            false => (self.idle, TooSlow::Idle),
        };
        if waited >= idle {
            return Err(too_slow);
        }
        let until_idle = since + idle;
        if self.window_bytes >= self.least {
            return Ok(until_idle);
        }
        let left = self.window.saturating_sub(self.window_waited + waited);
        if left.is_zero() {
            return Err(TooSlow::Trickle);
        }
        Ok(until_idle.min(now + left))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BodyDeadlines, TooSlow};
    use crate::config::{ByteRate, LimitsConfig};

    fn deadlines() -> BodyDeadlines {
        paced(false)
    }

    fn paced(is_held_back: bool) -> BodyDeadlines {
        let limits = LimitsConfig {
            body_idle_timeout: Duration::from_secs(4),
            body_rate: ByteRate(100),
            ..LimitsConfig::default()
        };
        BodyDeadlines::new(&limits, is_held_back)
    }

    #[test]
    fn a_body_that_is_held_back_is_waited_for_until_it_begins() {
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        let mut deadlines = paced(true);

        assert_eq!(deadlines.waiting(start), Ok(start + Duration::from_secs(2)));
        assert_eq!(deadlines.waiting(later), Err(TooSlow::HeldBack));
        deadlines.received(1, later);
        assert_eq!(deadlines.waiting(later), Ok(later + Duration::from_secs(4)));
    }

    #[test]
    fn a_silent_client_is_too_slow_after_the_idle_timeout() {
        let start = Instant::now();
        let mut deadlines = deadlines();

        assert_eq!(deadlines.waiting(start), Ok(start + Duration::from_secs(4)));
        assert!(deadlines.waiting(start + Duration::from_secs(3)).is_ok());
        assert_eq!(deadlines.waiting(start + Duration::from_secs(4)), Err(TooSlow::Idle));
    }

    #[test]
    fn a_trickle_is_too_slow_after_ten_seconds_of_waiting() {
        let start = Instant::now();
        let mut deadlines = deadlines();
        let mut slow_after = None;

        for second in 0..30 {
            let now = start + Duration::from_secs(second);
            deadlines.received(10, now);
            if deadlines.waiting(now).is_err() {
                slow_after = Some(second);
                break;
            }
        }

        assert_eq!(slow_after, Some(10));
    }

    #[test]
    fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let start = Instant::now();
        let mut deadlines = deadlines();

        deadlines.received(10, start);
        let much_later = start + Duration::from_secs(600);

        assert!(deadlines.waiting(much_later).is_ok());
    }

    #[test]
    fn a_steady_client_is_never_too_slow() {
        let start = Instant::now();
        let mut deadlines = deadlines();

        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            deadlines.received(100, now);
            assert!(deadlines.waiting(now).is_ok(), "second {second}");
        }
    }
}
