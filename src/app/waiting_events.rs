//! Tells the audit trail what waits for it in the store: what operators changed by verbs.
//!
//! An event is taken for a while in which no other node takes it, told, and dropped once it is
//! written. What a process that dies had taken is told by another, or by the next, when that while
//! is over: so an event is told twice only where its teller died between the two, and then word for
//! word.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Now;
use crate::drain::Guard;
use crate::store::{Store, StoreError, WaitingEvent};
use crate::telemetry::{audit, causes};

/// Takes events from the store and tells them; one a process.
pub(super) struct WaitingEvents {
    store: Arc<dyn Store>,
    /// Told, but still in the store.
    told: Vec<Uuid>,
}

/// Interval of looking for waiting events.
const POLL: Duration = Duration::from_secs(1);

/// The longest pause between two looks while the store does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Time for which events taken here are hidden from other nodes: enough to record them on a slow
/// disk.
const LEASE: Duration = Duration::from_secs(60);

/// Events taken at once: they are recorded one by one within the lease.
const PAGE: usize = 50;

impl WaitingEvents {
    pub(super) const fn new(store: Arc<dyn Store>) -> Self {
        Self { store, told: Vec::new() }
    }

    /// Goes on until the signal.
    pub(super) async fn tell_all(mut self, mut guard: Guard) {
        let mut pause = POLL;
        loop {
            match self.tell_some().await {
                Ok(told) => pause = if told == PAGE { Duration::ZERO } else { POLL },
                Err(error) => {
                    // Said once, until the store answers again.
                    if pause <= POLL {
                        let error = causes(&error);
                        tracing::warn!(error, "what waits for the audit trail cannot be read");
                    }
                    pause = (pause * 2).clamp(POLL * 2, LONGEST_PAUSE);
                }
            }
            tokio::select! {
                () = guard.signalled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells a page of events, and drops what is told; how many were taken.
    async fn tell_some(&mut self) -> Result<usize, StoreError> {
        self.drop_told().await?;
        let now = Now::read().wall;
        let taken = self.store.take_events(now, now.plus(LEASE), PAGE).await?;
        let count = taken.len();
        for event in taken {
            if !tell(&event).await {
                // The disk is full, or slow: the lease may end before the rest is told.
                break;
            }
            self.told.push(event.id);
        }
        self.drop_told().await?;
        Ok(count)
    }

    async fn drop_told(&mut self) -> Result<(), StoreError> {
        if !self.told.is_empty() {
            self.store.drop_events(&self.told).await?;
            self.told.clear();
        }
        Ok(())
    }
}

/// Tells one event, and says whether it need not wait any longer; one that does not read is an
/// error of the log, as it is.
async fn tell(event: &WaitingEvent) -> bool {
    match serde_json::from_str(&event.text) {
        Ok(entry) => audit::record_waiting(entry).await,
        Err(error) => {
            let text = &event.text;
            tracing::error!(%error, text, "an event for the audit trail does not read");
            true
        }
    }
}
