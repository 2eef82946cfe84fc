//! What can be wrong with a Redis, and what of it the store's caller learns.

use redis::ErrorKind;
use redis::RedisError;
use redis::ServerErrorKind;

use crate::store::StoreError;

/// Why a Redis cannot be used, beyond what it says itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It forgets keys under memory pressure.
    #[error(
        "maxmemory-policy is `{0}`: revocations and accounts would be evicted; set `noeviction`"
    )]
    Evicts(String),
    /// It is a node of a cluster.
    #[error("the server is a node of a cluster; a standalone Redis is needed")]
    Cluster,
    /// The address carries what it must not.
    #[error("the store's URL must not have {0}")]
    Url(&'static str),
    /// A CA file does not read.
    #[error("cannot read the CA file {path}")]
    Ca {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The same account was changed again and again meanwhile.
    #[error("the account was changed by others at every one of {0} attempts")]
    Contended(usize),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Unavailable(Box::new(fault))
    }
}

/// An outage is never "not found": everything but a record that does not read is unavailability.
impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ if error.code() == Some("WRONGTYPE") => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// Whether nobody was there to answer: another time the same may be done.
pub(in crate::store) fn is_outage(error: &(dyn std::error::Error + 'static)) -> bool {
    let Some(error) = error.downcast_ref::<RedisError>() else { return false };
    let passing = [
        ServerErrorKind::BusyLoading,
        ServerErrorKind::ClusterDown,
        ServerErrorKind::MasterDown,
        ServerErrorKind::TryAgain,
        ServerErrorKind::ReadOnly,
    ];
    error.is_io_error()
        || error.is_unrecoverable_error() && error.kind() == ErrorKind::Io
        || passing.iter().any(|kind| error.kind() == ErrorKind::Server(*kind))
}

/// A record's field that does not read.
pub(super) fn corrupt(record: &str, field: &str) -> StoreError {
    StoreError::Corrupt(format!("{record}: {field}"))
}
