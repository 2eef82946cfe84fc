//! Locks that outlive a panic: what ours guard is whole after every statement.

use std::sync::{LockResult, PoisonError};

/// Takes a lock whether or not a thread panicked while it held it.
pub(crate) trait IgnorePoison<T> {
    /// The guard, of a poisoned lock as well.
    fn ignore_poison(self) -> T;
}

impl<T> IgnorePoison<T> for LockResult<T> {
    fn ignore_poison(self) -> T {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}
