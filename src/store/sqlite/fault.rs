//! What goes wrong with a SQLite database, as a [`StoreError`].

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why the database cannot be worked with; the source of a [`StoreError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cannot make the file `{path}`")]
    Make {
        path: PathBuf,
        #[source]
        source: std::io::Error,
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
        source: std::io::Error,
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
    #[error("the commit failed")]
    Commit(#[source] Arc<StoreError>),
    #[error("the transaction was rolled back")]
    RolledBack,
    #[error("too many operations are waiting")]
    Busy,
    #[error("the threads of the database have ended")]
    Ended,
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
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
                _ => Self::Unavailable(Box::new(error)),
            },
        }
    }
}

/// The unsigned number that a column holds.
pub(super) fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|error| StoreError::Corrupt(format!("{value}: {error}")))
}

/// A number as a column holds it.
pub(super) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| StoreError::Corrupt(format!("{value}: {error}")))
}
