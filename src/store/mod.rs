//! What must outlive the process: users, sessions, revocations, keys.
//!
//! [`Store`] states operations, not keys. Each is atomic: it happened or it did not, whatever is
//! killed. One conformance suite (`tests/store/`) runs over every backend.
//!
//! An operation that touches a user or session and revocations writes the revocations first where
//! the backend cannot do both at once, so that a crash between is safe.

mod accounts;
mod archive;
pub(crate) mod disk;
mod error;
mod events;
mod examination;
mod mails;
pub(crate) mod pause;
mod redis;
mod revocations;
mod sessions;
mod sqlite;
mod tries;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{
    Email, Identifier, RefreshHash, Revocation, RevocationKey, SessionId, UserId,
};
use crate::token::StoredKey;

pub use accounts::{Listing, Lookup, NewUser, Unreadable, User, UserChange};
pub use archive::{Archive, Exchange, KeptMail, KeptRefresh, KeptSession, Page, Record, Tally};
pub use error::StoreError;
pub use events::{Events, MOST_EVENTS, WaitingEvent};
pub use examination::{Examination, Fact};
pub use mails::{CodePurpose, MOST_MAILS, NewCode, NewMail, QueuedMail};
pub use redis::{RedisOptions, RedisStore};
pub use revocations::{FeedEntry, FeedEvent, FeedInterruption, above};
pub use sessions::{NewSession, Rotation, Session, Successor};
pub use sqlite::{Durability, SqliteStore};
pub use tries::{Bound, Limit, Taking, Tries, TryCount, TrySubject};

/// Where users, sessions, revocations and keys are kept.
///
/// Every method has a deadline of its own (`[store] timeout`; `lookup_timeout` for
/// [`Lookup::Login`]) and answers [`StoreError::TimedOut`] past it.
#[async_trait]
pub trait Store: Events + Tries + Send + Sync + 'static {
    /// Makes an account with the next number.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the realm has the email address or user name already.
    async fn create_user(&self, user: NewUser) -> Result<User, StoreError>;

    /// Finds an account; with its attributes for [`Lookup::Whole`] alone.
    ///
    /// By email address or user name, the others take as many steps for one that nobody has as for
    /// one that somebody has, however large the account is: their time must not tell which it is.
    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError>;

    /// Lists accounts of a realm by number, after `after`, at most `limit`; without attributes. One
    /// that does not read is named, and hides no other.
    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError>;

    /// Changes an account; ends what the change says it ends, in the same step.
    ///
    /// Where [`UserChange::ends_tokens`], the user's generation rises ([`above`]) and a
    /// [`crate::operation::Revoked::User`] until `revoked_until` is recorded; where
    /// [`UserChange::ends_sessions`], all the user's sessions go as well. They go, too, where a floor
    /// above the user's generation is recorded, which the generation then rises above: another
    /// change was cut short or lost, and may have ended them. A change that does not
    /// apply (as its variant says) changes and ends nothing. Answers the account as it is now (as it
    /// was, for [`UserChange::Remove`]) without attributes, and the revocations that were recorded;
    /// `None` when there is no such account. One that does not read can be removed all the same.
    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError>;

    /// Opens a session and notes the login on the account.
    ///
    /// It happens only if the account is enabled and still of `session.generation`, so that a
    /// login that races a password change opens nothing: then the answer is `None`. Where a floor
    /// above that generation is recorded, the account's follows it, and all its sessions end. With
    /// `session.replaces_others`, the user's other sessions of the same issuer end and are
    /// revoked until `revoked_until`; those revocations are the answer.
    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError>;

    /// Finds a session that has not ended by any refresh token it ever had.
    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError>;

    /// Whether a refresh token is the one of its session that was not exchanged yet.
    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError>;

    /// Exchanges a refresh token for its successor, atomically.
    ///
    /// `presented` the newest: `successor` takes its place ([`Rotation::Rotated`]). The parent of
    /// the newest, within `grace` of the rotation: the same successor again
    /// ([`Rotation::Repeated`]). Any other token that the session ever had: theft; the session
    /// ends and is revoked until `revoked_until` ([`Rotation::Reused`]). Unknown, or of a session
    /// that ended, expired or is revoked: [`Rotation::Refused`]; so is any of a user whose generation
    /// is below the floor that is recorded, which it follows, and all whose sessions end.
    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Lists a user's sessions of an issuer that have not ended, newest first.
    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends a session and records the revocations, in one step; `false` when there was none.
    ///
    /// The revocations are recorded either way.
    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError>;

    /// Records revocations; the answer means that they are durable.
    ///
    /// A [`crate::operation::Revoked::Site`] also raises that site's generation to its floor, and a
    /// [`crate::operation::Revoked::Key`] also takes the key from the site's signing keys.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError>;

    /// Looks one revocation up in the store itself (`when_stale = "ask"`): whether it stands, and
    /// its floor.
    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// The site's generation: zero until it was raised.
    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError>;

    /// The signing keys of a site, oldest first.
    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a first signing key for the algorithm, unless another node was quicker; answers all
    /// keys of the site, so that every node ends with the same.
    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError>;

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

    /// When what this store holds was saved, where it was put back from a backup and has not been
    /// used since ([`Store::mark_as_backup`]).
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Marks the store as one that was saved at an instant, or takes the mark away. Whoever begins
    /// to use a marked one ends all sessions first: it may have forgotten that they ended.
    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError>;

    /// Deletes sessions, revocations, codes, counts of tries and mails that expired before `now`.
    async fn purge(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Follows the revocations, and sends them until `events` closes.
    ///
    /// First everything that is recorded and has not expired, then what comes, in order. It
    /// reconnects by itself, for ever, with back-off; it reports contact only after everything
    /// acknowledged before was sent.
    async fn follow(&self, events: mpsc::Sender<FeedEvent>);

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
