//! Events for the audit trail: a queue like that of the mails, in a slot of its own.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Revocation;
use crate::store::redis::mail::{DELETE, QUEUE, TAKE, queue_script};
use crate::store::redis::revocations::revocation::score;
use crate::store::{Events, MOST_EVENTS, RedisStore, StoreError, WaitingEvent};

#[async_trait]
impl Events for RedisStore {
    async fn record_event(&self, event: WaitingEvent) -> Result<(), StoreError> {
        let mut script = queue_script(&QUEUE, self.keys.events());
        script.arg(event.id.to_string()).arg(event.text);
        // Due at once, by any clock; in the order of their ids.
        script.arg(0).arg(score(Revocation::NEVER_ENDS)).arg(MOST_EVENTS);
        let is_queued = self.in_time(self.script(&script)).await?;
        if is_queued { Ok(()) } else { Err(StoreError::Full) }
    }

    async fn take_events(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingEvent>, StoreError> {
        let mut script = queue_script(&TAKE, self.keys.events());
        script.arg(score(now)).arg(score(hidden_until)).arg(limit.min(MOST_EVENTS));
        let taken: Vec<(String, Vec<u8>, u32, i64)> = self.in_time(self.script(&script)).await?;
        // One without such an id was put there by hand, and must not hold up the rest.
        let read = |(id, text, _, _): (String, Vec<u8>, _, _)| {
            let text = String::from_utf8_lossy(&text).into_owned();
            Some(WaitingEvent { id: id.parse().ok()?, text })
        };
        Ok(taken.into_iter().filter_map(read).collect())
    }

    async fn drop_events(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut script = queue_script(&DELETE, self.keys.events());
        script.arg(ids);
        self.in_time(self.script(&script)).await
    }
}
