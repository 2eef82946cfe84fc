//! Errors of stores.

use std::time::Duration;

use crate::operation::{ErrorCode, Rejection};
use crate::telemetry::causes;

/// Reasons for which a store did not perform an operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The email address or user name is taken.
    #[error("the email address or user name is taken")]
    Taken,
    /// The queue of mails, or of events for the audit trail, is full.
    #[error("the queue is full")]
    Full,
    /// No answer within the deadline; the operation may or may not have happened.
    #[error("the store did not answer within {0:?}")]
    TimedOut(Duration),
    /// The server is away, or may not serve it now: a retry may succeed.
    #[error("the store is unavailable")]
    Outage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot perform it.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record is unreadable.
    #[error("the store holds a record that does not read: {0}")]
    Corrupt(String),
    /// The store was made by a newer version.
    #[error("the store has schema {found}, this version knows {known}")]
    Newer {
        /// Schema of the store.
        found: i64,
        /// Newest schema known here.
        known: i64,
    },
}

impl StoreError {
    /// Whether the store is only away: a retry may succeed without an operator.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Outage(_))
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        let reason = causes(&error);
        match error {
            StoreError::TimedOut(_)
            | StoreError::Outage(_)
            | StoreError::Unavailable(_)
            | StoreError::Full => Self::unavailable(reason),
            StoreError::Taken => Self::new(ErrorCode::AccountExists, reason),
            StoreError::Corrupt(_) | StoreError::Newer { .. } => Self::internal(reason),
        }
    }
}
