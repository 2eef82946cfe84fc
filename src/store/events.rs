//! Events for the audit trail: changes that operators made by verbs, with or without running
//! gateways.
//!
//! An event is queued in the store that was changed, for as long as it takes. One gateway of that
//! store takes it, writes it to its trail, and deletes it.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// The queue of events for the audit trail.
#[async_trait]
pub trait Events {
    /// Queues an event; once this returns, it is durable. An event that waits already is not queued
    /// twice.
    ///
    /// # Errors
    /// [`StoreError::Full`] when [`MOST_EVENTS`] wait: the caller can report it, whereas an older
    /// event that had to make room would be lost unseen.
    async fn record_event(&self, event: WaitingEvent) -> Result<(), StoreError>;

    /// Takes events, the oldest first, at most `limit`, and hides them from every node until
    /// `hidden_until`: an event that is not deleted by then is taken again.
    ///
    /// Writes nothing while none waits.
    async fn take_events(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingEvent>, StoreError>;

    /// Deletes events that are in the trail.
    async fn drop_events(&self, ids: &[Uuid]) -> Result<(), StoreError>;
}

/// An event that waits for the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingEvent {
    /// Its id, in the order of time (UUID version 7).
    pub id: Uuid,
    /// The entry of the trail, as JSON.
    pub text: String,
}

/// Events that may wait at once.
pub const MOST_EVENTS: usize = 10_000;
