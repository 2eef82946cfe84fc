//! What waits for the audit trail: the store's alone, where every gateway finds it.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::journal::Journaled;
use crate::store::{Events, StoreError, WaitingEvent};

#[async_trait]
impl Events for Journaled {
    async fn record_event(&self, event: WaitingEvent) -> Result<(), StoreError> {
        self.store.record_event(event).await
    }

    async fn take_events(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingEvent>, StoreError> {
        self.store.take_events(now, hidden_until, limit).await
    }

    async fn drop_events(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        self.store.drop_events(ids).await
    }
}
