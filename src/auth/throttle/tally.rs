//! How many wrong passwords one account got from one address.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::auth::throttle::table::Counter;
use crate::clock::Timestamp;

/// The count, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    wrong: u32,
    /// Tries that are not judged yet.
    open: u32,
    /// When the wrong ones are forgotten.
    ends_at: Timestamp,
    /// Tells those who wait that a try was judged; they hold it as well.
    judged: Arc<Notify>,
}

/// How a try begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// It may be judged.
    Go,
    /// It could be one too many: it begins again once another is judged.
    Wait(OwnedNotified),
    /// Too many wait.
    Crowded,
    /// Too many were wrong; how long that lasts.
    Locked(Duration),
}

/// How a try ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// It was not judged.
    Unjudged,
}

/// How many may wait for one account and address.
const MOST_WAITING: usize = 512;

impl Tally {
    /// Begins a try.
    pub(super) fn begin(&mut self, limit: u32, window: Duration, now: Timestamp) -> Begin {
        self.forget(window, now);
        if self.wrong >= limit {
            return Begin::Locked(self.ends_at.since(now));
        }
        if self.wrong.saturating_add(self.open) < limit {
            self.open = self.open.saturating_add(1);
            return Begin::Go;
        }
        if Arc::strong_count(&self.judged) > MOST_WAITING {
            return Begin::Crowded;
        }
        Begin::Wait(Arc::clone(&self.judged).notified_owned())
    }

    /// Ends a try that began at `now`.
    pub(super) fn settle(&mut self, outcome: Outcome, window: Duration, now: Timestamp) {
        self.open = self.open.saturating_sub(1);
        match outcome {
            Outcome::Right => self.wrong = 0,
            Outcome::Wrong => {
                self.forget(window, now);
                if self.wrong == 0 {
                    self.ends_at = now.plus(window);
                }
                self.wrong = self.wrong.saturating_add(1);
            }
            Outcome::Unjudged => {}
        }
        self.judged.notify_waiters();
    }

    /// Whether the try that has just ended so is the one too many.
    pub(super) fn locks_now(&self, outcome: Outcome, limit: u32) -> bool {
        outcome == Outcome::Wrong && self.wrong == limit
    }

    fn forget(&mut self, window: Duration, now: Timestamp) {
        // No later than it can be, lest a clock that was set back prolongs it.
        self.ends_at = self.ends_at.min(now.plus(window));
        if self.ends_at <= now {
            self.wrong = 0;
        }
    }
}

impl Counter for Tally {
    fn ends(&self) -> Option<Timestamp> {
        let busy = self.open > 0 || Arc::strong_count(&self.judged) > 1;
        (!busy).then_some(if self.wrong == 0 { Timestamp::default() } else { self.ends_at })
    }
}
