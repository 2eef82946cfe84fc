//! The error of building a gateway's parts.

use crate::config::Faults;
use crate::journal::JournalError;
use crate::own_keys::OwnKeysError;
use crate::pages::template::PagesError;
use crate::store::StoreError;
use crate::token::KeyError;

/// An error of building a gateway's parts.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The configuration, or a contract that it names, has faults.
    #[error("{0}")]
    Config(#[from] Faults),
    /// The store cannot be opened or asked.
    #[error("store {store}")]
    Store {
        /// Which.
        store: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The node's own file cannot be used.
    #[error("[revocation] journal")]
    Journal(#[from] Box<JournalError>),
    /// A thread that was to read a file ended early.
    #[error("the start was interrupted")]
    Task(#[source] tokio::task::JoinError),
    /// A key that the store holds does not work.
    #[error("keys of site `{site}`")]
    Keys {
        /// Which.
        site: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The hosted pages cannot be made.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// The gateway's own keys do not work.
    #[error(transparent)]
    OwnKeys(#[from] OwnKeysError),
}
