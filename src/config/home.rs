//! The user's home folder.

use std::path::PathBuf;

/// The home folder; `None` where none is known.
#[must_use]
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|folder| folder.is_absolute())
}
