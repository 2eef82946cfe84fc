//! Durable data: users, sessions, revocations, keys.
//!
//! [`Store`] states operations, not keys. Each is atomic: it happens as a whole or not at all, even
//! in a crash. One conformance suite (`tests/store/`) runs over every backend.
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
mod second_factor;
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
pub use second_factor::{KeyedHash, RememberedDevice, SecondFactor};
pub use sessions::{NewSession, Rotation, Session, Sessions, Successor};
pub use setup_report::{Fact, SetupReport};
pub use signing_keys::SigningKeys;
pub use sqlite::{Durability, SqliteStore};
pub use tries::{Bound, Limit, Taking, Tries, TryCount, TrySubject};

/// A store of users, sessions, revocations and keys.
///
/// Every method has a deadline of its own (`[store] timeout`; `lookup_timeout` for
/// [`Lookup::Login`]) and returns [`StoreError::TimedOut`] past it.
#[async_trait]
pub trait Store:
    Accounts + Sessions + Revocations + SigningKeys + Mails + Events + Tries + Send + Sync + 'static
{
    /// The instant of the backup that this store was restored from, if it has not been used since
    /// ([`Store::mark_as_backup`]).
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Marks the store as restored from a backup of an instant, or removes the mark. A gateway that
    /// begins to use a marked store ends all sessions first: some may have ended since the backup.
    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError>;

    /// Deletes sessions, revocations, codes, counts of tries and mails that expired before `now`.
    async fn purge(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Whether writes succeed, for `/readyz`: a gateway that is not ready gets no requests that
    /// would show it.
    ///
    /// After a failed write this makes one of its own, at most once a second. A store whose feed
    /// writes a heartbeat reports failures there, and always succeeds here.
    async fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The address without credentials, for logs and the banner.
    fn describe(&self) -> String;
}

/// Deadlines of every store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// One command.
    pub command: Duration,
    /// The user look-up of a login.
    pub lookup: Duration,
}
