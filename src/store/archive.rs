//! The content of a store as records, which `munjigi store` copies, saves and counts.
//!
//! Records are independent of the store: one store exports them, another imports and exports the
//! same. Expired records are not exported; neither are the id of the store, the numbers of its log,
//! and the events that wait for its audit trail.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_lc_rs::digest;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{RefreshHash, SessionId, UserId};
use crate::own_keys;
use crate::store::{FeedEntry, NewCode, Session, Store, StoreError, TryCount, TrySubject, User};
use crate::token::StoredKey;

/// A store that can export and import its content.
#[async_trait]
pub trait Archive: Store {
    /// Sends every record that has not expired by `now`, in pages: accounts before their sessions,
    /// sessions before their refresh tokens. An unreadable record is named in its place, and the
    /// records that belong to it are left out. It stops early, without an error, when the receiver
    /// is gone.
    ///
    /// # Errors
    /// When the store does not answer, or is damaged as a whole.
    async fn export(&self, now: Timestamp, pages: mpsc::Sender<Page>) -> Result<(), StoreError>;

    /// Imports a page; into a store that was empty, and in the order of the export.
    ///
    /// # Errors
    /// When the store does not take it; then some of the page may be there.
    async fn import(&self, page: Page, now: Timestamp) -> Result<(), StoreError>;

    /// Whether there is nothing to export.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn is_empty(&self) -> Result<bool, StoreError>;
}

/// Records that travel together: a few hundred, or fewer large ones.
pub type Page = Vec<Record>;

/// One record of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The highest number of any account, removed ones included.
    Number(UserId),
    /// The store came out of a backup of this instant, and was not used since.
    Backup(Timestamp),
    /// A signing key, or the gateway's own secret.
    Key {
        /// `iss` of its site.
        issuer: String,
        /// The key.
        key: StoredKey,
    },
    /// The generation of a site.
    Site {
        /// `iss` of its tokens.
        issuer: String,
        /// The generation, above zero.
        generation: u64,
    },
    /// An account, with its attributes.
    User(Box<User>),
    /// A session.
    Session(Box<StoredSession>),
    /// A refresh token that a session ever had.
    Refresh(StoredRefresh),
    /// A revocation.
    Revocation(FeedEntry),
    /// A mailed code; `guesses` are those left.
    Code(NewCode),
    /// A count of tries.
    Tries {
        /// The subject.
        subject: TrySubject,
        /// The count.
        count: TryCount,
    },
    /// A mail that waits.
    Mail(StoredMail),
    /// The description of a record that is unreadable, which no store imports.
    Unreadable(String),
}

/// A session and its newest refresh token.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// The session.
    pub session: Session,
    /// The newest refresh token, where it has any.
    pub newest: Option<RefreshHash>,
    /// The rotation that made it, where it is not the first.
    pub exchange: Option<Exchange>,
}

/// The latest rotation of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The token that was presented.
    pub parent: RefreshHash,
    /// The instant of the rotation.
    pub at: Timestamp,
    /// The newest token, sealed under a key derived from its parent.
    pub sealed: Vec<u8>,
}

/// A refresh token by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRefresh {
    /// The token.
    pub hash: RefreshHash,
    /// Its session.
    pub session: SessionId,
    /// The latest end of that session.
    pub ends_at: Timestamp,
}

/// A mail that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// Its name.
    pub id: Uuid,
    /// The mail, encrypted.
    pub sealed: Vec<u8>,
    /// When it is due.
    pub due_at: Timestamp,
    /// The instant after which it is not worth sending.
    pub expires_at: Timestamp,
    /// The number of times that it was taken.
    pub attempts: u32,
}

/// The number of records of each kind, with a sum that shows whether they are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    kinds: BTreeMap<&'static str, Count>,
    /// The highest number of any account, removed ones included.
    pub highest_number: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    records: u64,
    /// The sum of the records' fingerprints, which is independent of their order.
    sum: u128,
}

impl Record {
    /// The kind under which it is counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "highest user number",
            Self::Backup(_) => "mark of a backup",
            Self::Key { issuer, .. } if issuer == own_keys::ISSUER => "vault secrets",
            Self::Key { .. } => "signing keys",
            Self::Site { .. } => "site generations",
            Self::User(_) => "users",
            Self::Session(_) => "sessions",
            Self::Refresh(_) => "refresh tokens",
            Self::Revocation(_) => "revocations",
            Self::Code(_) => "codes",
            Self::Tries { .. } => "counts of tries",
            Self::Mail(_) => "mails",
            Self::Unreadable(_) => Self::UNREADABLE,
        }
    }

    /// The kind of unreadable records.
    pub const UNREADABLE: &'static str = "unreadable records";

    /// A record as it was read, or the description of an unreadable one.
    pub(super) fn or_unreadable(
        read: Result<Self, StoreError>,
        about: impl FnOnce() -> String,
    ) -> Result<Self, StoreError> {
        match read {
            Err(StoreError::Corrupt(why)) => {
                Ok(Self::Unreadable(format!("{} does not read: {why}", about())))
            }
            read => read,
        }
    }

    /// Its approximate size in bytes.
    pub(super) fn weight(&self) -> usize {
        const SMALL: usize = 256;
        SMALL
            + match self {
                Self::User(user) => {
                    let weights = user.attributes.values().map(|value| match value {
                        serde_json::Value::String(text) => text.len(),
                        other => other.to_string().len(),
                    });
                    weights.sum()
                }
                Self::Mail(mail) => mail.sealed.len(),
                _ => 0,
            }
    }

    /// Half of SHA-256 over the whole record.
    fn fingerprint(&self) -> u128 {
        // A derived `Debug` prints every field except a key's material.
        let mut text = format!("{self:?}").into_bytes();
        if let Self::Key { key, .. } = self {
            text.extend_from_slice(key.material.expose());
        }
        let hash = digest::digest(&digest::SHA256, &text);
        hash.as_ref().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
    }
}

impl Tally {
    /// Every kind, in the order in which they are shown.
    pub const KINDS: [&'static str; 10] = [
        "users",
        "sessions",
        "refresh tokens",
        "revocations",
        "site generations",
        "signing keys",
        "vault secrets",
        "codes",
        "counts of tries",
        "mails",
    ];

    /// Counts records.
    pub fn add(&mut self, records: &[Record]) {
        for record in records {
            if let Record::Number(number) = record {
                self.highest_number = self.highest_number.max(number.0);
                continue;
            }
            if matches!(record, Record::Backup(_)) {
                continue;
            }
            let count = self.kinds.entry(record.kind()).or_default();
            count.records += 1;
            count.sum = count.sum.wrapping_add(record.fingerprint());
        }
    }

    /// The number of records of a kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).map_or(0, |count| count.records)
    }

    /// The number of all records.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|count| count.records).sum()
    }

    /// The kinds that differ, if only in the content of one record.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differ = |kind: &&str| self.kinds.get(kind) != other.kinds.get(kind);
        let mut kinds: Vec<_> = Self::KINDS.into_iter().filter(differ).collect();
        if self.highest_number != other.highest_number {
            kinds.push("highest user number");
        }
        kinds
    }
}

/// The reason for which an export stops early.
pub(super) enum ExportStop {
    /// The receiver of its pages is gone.
    Closed,
    Failed(StoreError),
}

impl<T: Into<StoreError>> From<T> for ExportStop {
    fn from(error: T) -> Self {
        Self::Failed(error.into())
    }
}

impl ExportStop {
    /// The outcome of an export: one without a receiver did what it could.
    pub(super) fn outcome(exported: Result<(), Self>) -> Result<(), StoreError> {
        match exported {
            Ok(()) | Err(Self::Closed) => Ok(()),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

/// Gathers records into pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    page: Page,
    weight: usize,
}

impl Pages {
    /// Most records of a page.
    const RECORDS: usize = 500;
    /// About the most bytes of a page.
    const BYTES: usize = 1 << 20;

    /// Adds a record; returns the page if it is full.
    pub(super) fn add(&mut self, record: Record) -> Option<Page> {
        self.weight += record.weight();
        self.page.push(record);
        let is_full = self.page.len() >= Self::RECORDS || self.weight >= Self::BYTES;
        is_full.then(|| self.take())
    }

    /// The records that are gathered.
    pub(super) fn take(&mut self) -> Page {
        self.weight = 0;
        std::mem::take(&mut self.page)
    }
}
