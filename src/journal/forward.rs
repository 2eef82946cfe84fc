//! The parts of the store without a journal: mails, events and counts of tries.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::journal::JournaledStore;
use crate::operation::Email;
use crate::store::{
    Bound, CodePurpose, Events, Mails, NewCode, NewMail, QueuedMail, StoreError, Taking, Tries,
    TryCount, TrySubject, WaitingEvent,
};

/// Implements a trait by calling the store.
macro_rules! forward {
    ($part:ident { $($method:ident($($name:ident: $kind:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $part for JournaledStore {
            $(async fn $method(&self, $($name: $kind),*) -> Result<$answer, StoreError> {
                self.store.$method($($name),*).await
            })*
        }
    };
}

forward! { Mails {
    put_code(code: NewCode, mail: NewMail) -> ();
    try_code(
        purpose: CodePurpose, realm: &str, email: &Email, hash: &[u8; 32], now: Timestamp
    ) -> bool;
    queue_mail(mail: NewMail) -> ();
    take_mails(now: Timestamp, hidden_until: Timestamp, limit: usize) -> Vec<QueuedMail>;
    postpone_mail(id: Uuid, until: Timestamp) -> ();
    drop_mail(id: Uuid) -> ();
} }

forward! { Events {
    record_event(event: WaitingEvent) -> ();
    take_events(now: Timestamp, hidden_until: Timestamp, limit: usize) -> Vec<WaitingEvent>;
    drop_events(ids: &[Uuid]) -> ();
} }

forward! { Tries {
    take_try(subject: &TrySubject, bounds: &[Bound], now: Timestamp) -> Taking;
    give_back_try(subject: &TrySubject, bounds: &[Bound], now: Timestamp) -> ();
    forget_tries(subject: &TrySubject, name: Option<&str>) -> ();
    tries(subject: &TrySubject, now: Timestamp) -> Vec<TryCount>;
} }
