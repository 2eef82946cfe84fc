//! Revocations in a store, and their feed to gateways.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::clock::{BootTime, Timestamp};
use crate::operation::{Revocation, RevocationKey};
use crate::store::StoreError;

/// The revocations of a store, and the generations of its sites.
#[async_trait]
pub trait Revocations {
    /// Records revocations; once this returns, they are durable.
    ///
    /// A [`crate::operation::Revoked::Site`] also raises that site's generation to its floor, and a
    /// [`crate::operation::Revoked::Key`] also takes the key from the site's signing keys.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError>;

    /// Looks up the floor of an active revocation (`when_stale = "ask"`).
    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// The site's generation: zero until it was raised.
    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError>;

    /// Follows the revocations, and sends them until `events` closes.
    ///
    /// First those that are recorded and have not expired, then new ones, in order. It reconnects
    /// by itself, for ever, with back-off; it reports contact only after it has sent everything
    /// that was acknowledged before.
    async fn follow(&self, events: mpsc::Sender<FeedEvent>);
}

/// An event of a store's feed of revocations.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// A connection was made. A store of the same lineage has lost nothing that it acknowledged;
    /// another lineage may have.
    Attached {
        /// Identifies the data and the process that holds them; only ever compared.
        lineage: String,
    },
    /// These are recorded.
    Revoked(Vec<FeedEntry>),
    /// Everything recorded before this instant has been sent.
    Contact {
        /// The instant when the answered question was *sent*.
        asked_at: BootTime,
    },
    /// The feed was interrupted and is read again from the start; for the log and metrics.
    Interrupted {
        /// The cause.
        cause: FeedInterruption,
    },
}

/// Reasons for which a feed is read again from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedInterruption {
    /// The store did not answer.
    #[error("the store is away: {0}")]
    Away(String),
    /// The store holds unreadable data, until an operator repairs it.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Entries are missing in the sequence.
    #[error("entries are missing after {after}")]
    Gap {
        /// Number of the last entry in order.
        after: u64,
    },
    /// The store was wiped or swapped.
    #[error("the store was wiped or swapped")]
    Swapped,
}

/// One revocation of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The key of the revoked object.
    pub key: RevocationKey,
    /// The lowest generation that is still accepted; zero where the match alone refuses.
    pub floor: u64,
    /// Its expiry.
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
/// It is also above the clock's milliseconds, so that none is given twice even after a restore,
/// which forgets generations.
#[must_use]
pub fn above(earlier: u64, now: Timestamp) -> u64 {
    earlier.max(u64::try_from(now.as_millis()).unwrap_or(0)).saturating_add(1)
}
