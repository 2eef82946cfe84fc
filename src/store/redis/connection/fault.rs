//! Faults of a Redis, as [`StoreError`]s.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::config::Expected;
use crate::store::StoreError;

/// Reasons for which a Redis cannot be used, besides its own errors.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::redis) enum RedisFault {
    /// It forgets keys under memory pressure.
    #[error(
        "maxmemory-policy is `{0}`: revocations and accounts would be evicted; set `noeviction`"
    )]
    Evicts(String),
    /// It lacks what the scripts need.
    #[error("the server is Redis {0}, and 6.2 or newer is needed")]
    Old(String),
    /// It is a node of a cluster.
    #[error("the server is a node of a cluster: write redis+cluster://… in `url`")]
    Cluster,
    /// It is a sentinel.
    #[error("the server is a sentinel: write redis+sentinel://…/NAME in `url`")]
    Sentinel,
    /// It takes no writes.
    #[error("the server is a replica: name its master, or the sentinels that know it")]
    Replica,
    /// Slots are without a node.
    #[error("no node of the cluster has {0} of its slots")]
    Orphans(u16),
    /// The address does not read.
    #[error("the store's URL does not read: {0}")]
    Url(Expected),
    /// A certificate without its key, or the other way round.
    #[error("a client certificate needs both `cert` and `key`")]
    HalfCertificate,
    /// A CA, certificate or key file does not read.
    #[error("cannot read the file {path}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The account was changed at every attempt.
    #[error("the account was changed by others at every one of {0} attempts")]
    Contended(usize),
}

impl From<RedisFault> for StoreError {
    fn from(fault: RedisFault) -> Self {
        Self::Unavailable(Box::new(fault))
    }
}

/// Every error except an unreadable record is unavailability: an outage is never "not found".
impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ if is_wrong_type(&error) => Self::Corrupt(error.to_string()),
            _ if is_passing(&error) => Self::Outage(Box::new(error)),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// Whether a key holds another type than the command needs; of a script, older servers say so in
/// the text alone.
pub(in crate::store::redis) fn is_wrong_type(error: &RedisError) -> bool {
    const CODE: &str = "WRONGTYPE";
    error.code() == Some(CODE) || error.detail().is_some_and(|detail| detail.contains(CODE))
}

/// Whether the server is away, or may not serve the command now.
pub(in crate::store::redis) fn is_passing(error: &RedisError) -> bool {
    let passing = [
        ServerErrorKind::BusyLoading,
        ServerErrorKind::ClusterDown,
        ServerErrorKind::MasterDown,
        ServerErrorKind::TryAgain,
        ServerErrorKind::ReadOnly,
    ];
    error.is_io_error()
        || matches!(error.kind(), ErrorKind::Io | ErrorKind::ClusterConnectionNotFound)
        || passing.iter().any(|kind| error.kind() == ErrorKind::Server(*kind))
        // `min-replicas-to-write`.
        || error.code() == Some("NOREPLICAS")
}

/// An unreadable field of a record.
pub(in crate::store::redis) fn corrupt(record: &str, field: &str) -> StoreError {
    StoreError::Corrupt(format!("{record}: {field}"))
}
