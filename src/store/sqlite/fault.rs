//! Faults of a SQLite database, as a [`StoreError`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// A fault of the database; the source of a [`StoreError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub(super) enum SqliteFault {
    #[error("cannot make the file `{path}`")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot open `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the file `{path}` cannot be found")]
    Gone {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the file `{0}` was replaced while it was open: stop what uses it, remove what the old one \
         left (`-wal`, `-shm`), and start again"
    )]
    Replaced(PathBuf),
    #[error("the file is the database of another program")]
    Foreign,
    #[error("the file system cannot hold a write-ahead log (journal mode is `{0}`)")]
    NoLog(String),
    #[error("`{0}` is read-only for this process")]
    ReadOnly(PathBuf),
    #[error("`{path}` cannot be written")]
    Unwritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}", in_words(.0))]
    Sqlite(rusqlite::Error),
    /// The failure of the transaction, shared by all its operations.
    #[error(transparent)]
    Commit(Arc<StoreError>),
    #[error("the transaction was rolled back")]
    RolledBack,
    #[error("too many operations are waiting")]
    Busy,
    #[error("the threads of the database have ended")]
    Ended,
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl From<SqliteFault> for StoreError {
    fn from(fault: SqliteFault) -> Self {
        Self::Unavailable(Box::new(fault))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Corrupt(error.to_string()),
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Corrupt(error.to_string())
                }
                _ => SqliteFault::Sqlite(error).into(),
            },
        }
    }
}

impl SqliteFault {
    /// SQLite's code.
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) | Self::Open { source: error, .. } => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// The fault that an error comes from.
    fn within(error: &StoreError) -> Option<&Self> {
        let StoreError::Unavailable(source) = error else { return None };
        match source.downcast_ref() {
            Some(Self::Commit(error)) => Self::within(error),
            fault => fault,
        }
    }
}

/// SQLite's code of an error.
pub(super) fn code(error: &StoreError) -> Option<ErrorCode> {
    SqliteFault::within(error).and_then(SqliteFault::code)
}

/// Whether the disk, or the permission to write there, is at fault, and not the operation.
pub(super) fn is_of_disk(error: &StoreError) -> bool {
    const CODES: [ErrorCode; 5] = [
        ErrorCode::DiskFull,
        ErrorCode::ReadOnly,
        ErrorCode::PermissionDenied,
        ErrorCode::CannotOpen,
        ErrorCode::SystemIoFailure,
    ];
    matches!(SqliteFault::within(error), Some(SqliteFault::ReadOnly(_)))
        || code(error).is_some_and(|code| CODES.contains(&code))
}

/// A description of the fault, followed by SQLite's own message.
fn in_words(error: &rusqlite::Error) -> String {
    let words = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::ReadOnly) => "the database is read-only",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "a file of the database cannot be opened"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk fails to read or to write",
        Some(ErrorCode::DatabaseBusy) => "another process has the database locked",
        _ => return error.to_string(),
    };
    format!("{words} (SQLite: {error})")
}

/// The unsigned number that a column holds.
pub(super) fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|error| StoreError::Corrupt(format!("{value}: {error}")))
}

/// A number as a column holds it.
pub(super) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| StoreError::Corrupt(format!("{value}: {error}")))
}
