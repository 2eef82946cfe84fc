//! What must outlive the process: users, sessions, revocations, keys.
//!
//! [`Store`] states operations, not keys. Each is atomic: it happened or it did not, whatever is
//! killed. One conformance suite (`tests/store/`) runs over every backend.
//!
//! An operation that touches a user or session and revocations writes the revocations first where
//! the backend cannot do both at once, so that a crash between is safe.

mod accounts;
mod archive;
pub(crate) mod backoff;
pub(crate) mod disk;
mod error;
mod events;
mod mails;
mod redis;
mod revocations;
mod sessions;
mod setup_report;
mod signing_keys;
mod sqlite;
mod tries;

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;

pub use accounts::{Accounts, Listing, Lookup, Unreadable, User, UserChange};
pub use archive::{
    Archive, Exchange, Page, Record, StoredMail, StoredRefresh, StoredSession, Tally,
};
pub use error::StoreError;
pub use events::{Events, MOST_EVENTS, WaitingEvent};
pub use mails::{CodePurpose, MOST_MAILS, Mails, NewCode, NewMail, QueuedMail};
pub use redis::{RedisOptions, RedisStore};
pub use revocations::{FeedEntry, FeedEvent, FeedInterruption, Revocations, above};
pub use sessions::{NewSession, Rotation, Session, Sessions, Successor};
pub use setup_report::{Fact, SetupReport};
pub use signing_keys::SigningKeys;
pub use sqlite::{Durability, SqliteStore};
pub use tries::{Bound, Limit, Taking, Tries, TryCount, TrySubject};

/// Where users, sessions, revocations and keys are kept.
///
/// Every method has a deadline of its own (`[store] timeout`; `lookup_timeout` for
/// [`Lookup::Login`]) and answers [`StoreError::TimedOut`] past it.
#[async_trait]
pub trait Store:
    Accounts + Sessions + Revocations + SigningKeys + Mails + Events + Tries + Send + Sync + 'static
{
    /// When what this store holds was saved, where it was put back from a backup and has not been
    /// used since ([`Store::mark_as_backup`]).
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Marks the store as one that was saved at an instant, or takes the mark away. Whoever begins
    /// to use a marked one ends all sessions first: it may have forgotten that they ended.
    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError>;

    /// Deletes sessions, revocations, codes, counts of tries and mails that expired before `now`.
    async fn purge(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Whether what the store is asked now can be made durable, as far as it can know without
    /// being asked: who is not ready gets no traffic that would tell.
    ///
    /// A write that failed is followed by one of its own here, at most once a second, whoever asks
    /// how often. A store whose feed writes tells by that, and says nothing here.
    async fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The address without credentials, for logs and the banner.
    fn describe(&self) -> String;
}

/// Deadlines that every store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// One command.
    pub command: Duration,
    /// The user look-up of a login.
    pub lookup: Duration,
}
