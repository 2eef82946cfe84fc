//! Revocations as a store records them and feeds them to gateways.

use crate::clock::{BootTime, Timestamp};
use crate::operation::{Revocation, RevocationKey};

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
