//! What waits for the audit trail: changes that operators made by verbs, beside running gateways
//! or while none ran.
//!
//! An event is recorded in the store that was changed. One gateway of that store takes it, writes
//! it to its trail, and drops it: it is told once, by whichever gateway that is. It waits until
//! then, however long that takes.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// Where events wait for the audit trail.
#[async_trait]
pub trait Events {
    /// Records an event; the answer means that it is durable. One that waits already is not
    /// recorded twice.
    ///
    /// # Errors
    /// [`StoreError::Full`] when [`MOST_EVENTS`] wait: whoever records it says so, where an older
    /// one that had to make room would go unheard.
    async fn record_event(&self, event: WaitingEvent) -> Result<(), StoreError>;

    /// Takes events, the oldest first, at most `limit`, and hides them from every node until
    /// `hidden_until`: who takes one drops it before then, or it is taken again.
    ///
    /// While none waits nothing is written.
    async fn take_events(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingEvent>, StoreError>;

    /// Deletes events that were told.
    async fn drop_events(&self, ids: &[Uuid]) -> Result<(), StoreError>;
}

/// An event that waits to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingEvent {
    /// Its name; later ones have higher ones (UUID version 7).
    pub id: Uuid,
    /// What happened, as the trail writes it.
    pub text: String,
}

/// Events that may wait at once.
pub const MOST_EVENTS: usize = 10_000;
