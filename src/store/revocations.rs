//! Revocations as a store records them and feeds them to gateways.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::clock::{BootTime, Timestamp};
use crate::operation::{Revocation, RevocationKey};
use crate::store::StoreError;

/// The revocations of a store, and the generations of its sites.
#[async_trait]
pub trait Revocations {
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

    /// Follows the revocations, and sends them until `events` closes.
    ///
    /// First everything that is recorded and has not expired, then what comes, in order. It
    /// reconnects by itself, for ever, with back-off; it reports contact only after everything
    /// acknowledged before was sent.
    async fn follow(&self, events: mpsc::Sender<FeedEvent>);
}

/// What a store tells a node about revocations.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// A connection was made. What the store of this lineage was once told it still has; another
    /// lineage may have lost some of it.
    Attached {
        /// Of the data and of the process that holds it; only ever compared.
        lineage: String,
    },
    /// These are recorded.
    Revoked(Vec<FeedEntry>),
    /// Everything recorded before this instant has been sent.
    Contact {
        /// When the question was *sent* that the store has answered.
        asked_at: BootTime,
    },
    /// The feed was interrupted and is read again from the start; told for the log and metrics.
    Interrupted {
        /// Why.
        cause: FeedInterruption,
    },
}

/// Why a feed is read again from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedInterruption {
    /// The store did not answer.
    #[error("the store is away: {0}")]
    Away(String),
    /// What the store holds does not read; it stays so until somebody mends it.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Entries are missing between two that came.
    #[error("entries are missing after {after}")]
    Gap {
        /// Number of the last entry in order.
        after: u64,
    },
    /// The store was wiped, or is another one.
    #[error("the store was wiped or swapped")]
    Swapped,
}

/// One revocation as the feed carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// What is revoked.
    pub key: RevocationKey,
    /// The lowest generation that is still accepted; zero where the match alone refuses.
    pub floor: u64,
    /// From when it need not be remembered.
    pub expires_at: Timestamp,
}

impl From<&Revocation> for FeedEntry {
    fn from(revocation: &Revocation) -> Self {
        Self {
            key: revocation.revoked.key(),
            floor: revocation.revoked.floor(),
            expires_at: revocation.expires_at,
        }
    }
}

/// The generation that follows `earlier` ones.
///
/// It is above the clock's milliseconds as well: also after a restore, which forgets generations,
/// none is given twice.
#[must_use]
pub fn above(earlier: u64, now: Timestamp) -> u64 {
    earlier.max(u64::try_from(now.as_millis()).unwrap_or(0)).saturating_add(1)
}
