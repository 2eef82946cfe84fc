//! Moves the events of operators' verbs from the store to the audit trail.
//!
//! An event is taken under a lease that hides it from other nodes, recorded, and deleted once it is
//! written. If the process dies before that, another records it when the lease ends: so an event
//! appears twice, word for word, only if its process died between the two.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Now;
use crate::drain::Guard;
use crate::store::{Store, StoreError, WaitingEvent};
use crate::telemetry::{audit, causes};

/// Takes events from the store and records them; one a process.
pub(super) struct WaitingEvents {
    store: Arc<dyn Store>,
    /// Recorded, but still in the store.
    recorded: Vec<Uuid>,
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
        Self { store, recorded: Vec::new() }
    }

    /// Runs until the signal.
    pub(super) async fn record_all(mut self, mut guard: Guard) {
        let mut pause = POLL;
        loop {
            match self.record_some().await {
                Ok(taken) => pause = if taken == PAGE { Duration::ZERO } else { POLL },
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

    /// Records a page of events, and deletes them; answers how many were taken.
    async fn record_some(&mut self) -> Result<usize, StoreError> {
        self.drop_recorded().await?;
        let now = Now::read().wall;
        let taken = self.store.take_events(now, now.plus(LEASE), PAGE).await?;
        let count = taken.len();
        for event in taken {
            if !record(&event).await {
                // The disk is full, or slow: the lease may end before the rest is recorded.
                break;
            }
            self.recorded.push(event.id);
        }
        self.drop_recorded().await?;
        Ok(count)
    }

    async fn drop_recorded(&mut self) -> Result<(), StoreError> {
        if !self.recorded.is_empty() {
            self.store.drop_events(&self.recorded).await?;
            self.recorded.clear();
        }
        Ok(())
    }
}

/// Records one event, and says whether it may be deleted; one that does not read is logged as an
/// error.
async fn record(event: &WaitingEvent) -> bool {
    match serde_json::from_str(&event.text) {
        Ok(entry) => audit::record_waiting(entry).await,
        Err(error) => {
            let text = &event.text;
            tracing::error!(%error, text, "an event for the audit trail does not read");
            true
        }
    }
}
