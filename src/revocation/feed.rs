//! Follows the store's feed, purges, and keeps the metrics.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::clock::{BootTime, Now};
use crate::drain::Guard;
use crate::revocation::RevocationList;
use crate::store::{FeedEvent, FeedInterruption};
use crate::telemetry::metric;

/// The state between events.
#[derive(Debug, Default)]
struct Follower {
    /// An interruption was logged and no contact came since.
    interrupted: bool,
    /// That the list is nearly full was logged.
    nearly_full: bool,
    /// The shard to purge next.
    next_shard: u8,
}

/// The interval of purges and of gauges.
const TICK: Duration = Duration::from_secs(1);

/// Shards purged a tick: each has its turn every 64 s, and only one is locked at a time.
const SHARDS_A_TICK: u8 = 4;

/// The interval of sweeps for streams whose tokens have expired.
const SWEEP: Duration = Duration::from_millis(200);

impl RevocationList {
    /// Takes in the feed, purges expired entries, and updates the metrics, until `guard` is
    /// signalled or the feed ends.
    pub async fn run(&self, mut events: mpsc::Receiver<FeedEvent>, mut guard: Guard) {
        let mut follower = Follower::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = guard.signalled() => return,
                event = events.recv() => match event {
                    Some(event) => follower.take(self, event, Now::read()),
                    None => return,
                },
                _ = ticks.tick() => follower.tick(self, Now::read()),
                _ = sweeps.tick() => self.streams.end_expired(Now::read().wall),
            }
        }
    }
}

impl Follower {
    fn take(&mut self, list: &RevocationList, event: FeedEvent, now: Now) {
        match event {
            FeedEvent::Attached { .. } => {}
            FeedEvent::Revoked(entries) => list.apply(&entries),
            FeedEvent::Contact { asked_at } => {
                let before = list.last_contact();
                list.note_contact(asked_at);
                if std::mem::take(&mut self.interrupted) {
                    list.note_interruption(None);
                    // Entries that were recorded and expired meanwhile were not sent.
                    if let Some(before) = before {
                        let since = now.wall.minus(now.boot.since(before));
                        list.streams.end_unknown(since, now.wall);
                    }
                    tracing::info!(entries = list.len(), "the revocation feed goes on");
                }
            }
            FeedEvent::Interrupted { cause } => {
                let label = match cause {
                    FeedInterruption::Away(_) => "away",
                    FeedInterruption::Damaged(_) => "damaged",
                    FeedInterruption::Gap { .. } => "gap",
                    FeedInterruption::Swapped => "swapped",
                };
                metrics::counter!(metric::REVOCATION_INTERRUPTIONS, "cause" => label).increment(1);
                if matches!(cause, FeedInterruption::Damaged(_)) {
                    tracing::error!(%cause, "the revocation feed was interrupted");
                } else if !self.interrupted {
                    tracing::warn!(%cause, "the revocation feed was interrupted");
                }
                self.interrupted = true;
                list.note_interruption(Some(cause));
            }
        }
    }

    fn tick(&mut self, list: &RevocationList, now: Now) {
        for _ in 0..SHARDS_A_TICK {
            list.purge_shard(self.next_shard, now.wall);
            self.next_shard = self.next_shard.wrapping_add(1);
        }
        list.forget_left_out(now.wall);
        self.warn_when_nearly_full(list);
        list.set_gauges(now.boot);
    }

    fn warn_when_nearly_full(&mut self, list: &RevocationList) {
        let nearly_full = list.len() > list.capacity / 5 * 4;
        if nearly_full && !self.nearly_full {
            let (entries, capacity) = (list.len(), list.capacity);
            tracing::warn!(entries, capacity, "the revocation list is more than 80 % full");
        }
        self.nearly_full = nearly_full;
    }
}

impl RevocationList {
    fn set_gauges(&self, now: BootTime) {
        metrics::gauge!(metric::REVOCATION_ENTRIES).set(self.len() as f64);
        metrics::gauge!(metric::REVOCATION_BYTES).set(self.bytes() as f64);
        metrics::gauge!(metric::REVOCATION_CAPACITY).set(self.capacity as f64);
        metrics::gauge!(metric::STREAMS).set(self.streams.len() as f64);
        if let Some(contact) = self.last_contact() {
            metrics::gauge!(metric::REVOCATION_AGE).set(now.since(contact).as_secs_f64());
        }
    }
}
