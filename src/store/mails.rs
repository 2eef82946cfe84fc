//! Queued mails, and the codes that they carry.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::Email;

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
