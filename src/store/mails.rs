//! Queued mails, and the codes that they carry.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::StoreError;

/// The mail queue of a store, and its mailed codes.
#[async_trait]
pub trait Mails {
    /// Keeps a code and queues its mail, in one step. Older codes of the same purpose and address
    /// live on until they end.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the mail queue is.
    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError>;

    /// Counts a guess at each code of the address, then judges it, in one step: whatever the
    /// concurrency, no more guesses are judged than a code allows. A right guess uses all of them up.
    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Queues a mail; the answer means that it is durable. One that waits already is not queued
    /// twice.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the queue holds [`MOST_MAILS`].
    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError>;

    /// Takes mails that are due, longest due first, at most `limit`, and hides them from every node
    /// until `hidden_until`: who takes one either drops or postpones it before then.
    ///
    /// Mails that have expired are deleted and not given out.
    async fn take_mails(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError>;

    /// Makes a mail due again at `until`.
    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError>;

    /// Deletes a mail that was sent or given up.
    async fn drop_mail(&self, id: Uuid) -> Result<(), StoreError>;
}

/// A mail to be sent, readable only with the gateway's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// Its name.
    pub id: Uuid,
    /// The mail, encrypted.
    pub sealed: Vec<u8>,
    /// When it is queued: it is due from then on.
    pub created_at: Timestamp,
    /// From when it is not worth sending.
    pub expires_at: Timestamp,
}

/// A mail that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its name.
    pub id: Uuid,
    /// The mail, encrypted.
    pub sealed: Vec<u8>,
    /// How often it was taken before.
    pub attempts: u32,
    /// From when it is not worth sending.
    pub expires_at: Timestamp,
}

/// A mailed code as the store keeps it: by address, whether or not an account has that address, so
/// that nobody can tell by time or guesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCode {
    /// What it is for.
    pub purpose: CodePurpose,
    /// Realm.
    pub realm: String,
    /// The address.
    pub email: Email,
    /// The keyed hash of the code.
    pub hash: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it may be guessed.
    pub guesses: u32,
}

/// What a mailed code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodePurpose {
    /// A password reset.
    Reset,
    /// The proof of an address.
    Verification,
}

impl CodePurpose {
    /// The purpose of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Reset, Self::Verification].into_iter().find(|purpose| purpose.name() == name)
    }

    /// Its name in the store and in keyed hashes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
        }
    }
}

/// Mails that may wait at once, in all.
pub const MOST_MAILS: usize = 10_000;
