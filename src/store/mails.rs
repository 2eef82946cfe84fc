//! Queued mails, and the codes that they carry.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::StoreError;

/// The mail queue of a store, and its mailed codes.
#[async_trait]
pub trait Mails {
    /// Stores a code and queues its mail, in one step. Older codes of the same purpose and address
    /// stay valid until they expire.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the mail queue is.
    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError>;

    /// Counts a guess against each code of the address, then judges it, in one step: under any
    /// concurrency no more guesses are judged than a code allows. A right guess uses up all codes.
    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Queues a mail; once this returns, it is durable. A mail that waits already is not queued
    /// twice.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the queue holds [`MOST_MAILS`].
    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError>;

    /// Takes mails that are due, longest due first, at most `limit`, and hides them from every node
    /// until `hidden_until`: the taker deletes or postpones each before then.
    ///
    /// Expired mails are deleted and not returned.
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
    /// Its id.
    pub id: Uuid,
    /// The mail, encrypted.
    pub sealed: Vec<u8>,
    /// The instant from which it is due.
    pub created_at: Timestamp,
    /// The instant after which it is not worth sending.
    pub expires_at: Timestamp,
}

/// A mail that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its id.
    pub id: Uuid,
    /// The mail, encrypted.
    pub sealed: Vec<u8>,
    /// The number of times that it was taken before.
    pub attempts: u32,
    /// The instant after which it is not worth sending.
    pub expires_at: Timestamp,
}

/// A mailed code, stored by address whether or not an account has it, so that neither time nor
/// guesses reveal the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCode {
    /// Its purpose.
    pub purpose: CodePurpose,
    /// Realm.
    pub realm: String,
    /// The address.
    pub email: Email,
    /// The keyed hash of the code.
    pub hash: [u8; 32],
    /// Its expiry.
    pub expires_at: Timestamp,
    /// The guesses that it allows.
    pub guesses: u32,
}

/// The purpose of a mailed code.
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

/// The most mails that may wait.
pub const MOST_MAILS: usize = 10_000;
