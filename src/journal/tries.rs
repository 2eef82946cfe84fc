//! Counts of tries: the store's alone, which survive as its accounts do.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::journal::Journaled;
use crate::store::{Bound, StoreError, Taking, Tries, TryCount, TrySubject};

#[async_trait]
impl Tries for Journaled {
    async fn take_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<Taking, StoreError> {
        self.store.take_try(subject, bounds, now).await
    }

    async fn give_back_try(
        &self,
        subject: &TrySubject,
        bounds: &[Bound],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.give_back_try(subject, bounds, now).await
    }

    async fn forget_tries(
        &self,
        subject: &TrySubject,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        self.store.forget_tries(subject, name).await
    }

    async fn tries(
        &self,
        subject: &TrySubject,
        now: Timestamp,
    ) -> Result<Vec<TryCount>, StoreError> {
        self.store.tries(subject, now).await
    }
}
