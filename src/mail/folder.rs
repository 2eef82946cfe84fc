//! Writes mails into a folder, a file each: for development.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::mail::outbox::SendError;

/// The folder; made when the first mail comes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes a file that is there whole or not at all; the same mail twice is one file.
    pub(super) async fn put(
        &self,
        id: Uuid,
        at: Timestamp,
        message: Vec<u8>,
    ) -> Result<(), SendError> {
        let path = self.path.join(name(id, at));
        let written = tokio::task::spawn_blocking(move || write(&path, &message)).await;
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => Ok(()),
            Err(error) => Err(SendError::Temporary(format!("{}: {error}", self.path.display()))),
        }
    }
}

/// `20261121-101530-123_0f8a….eml`: a listing has the newest last.
fn name(id: Uuid, at: Timestamp) -> String {
    let date = OffsetDateTime::from_unix_timestamp(at.as_seconds());
    let date = date.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = date.time().as_hms();
    format!(
        "{:04}{:02}{:02}-{hour:02}{minute:02}{second:02}-{:03}_{}.eml",
        date.year(),
        u8::from(date.month()),
        date.day(),
        at.as_millis().rem_euclid(1000),
        id.simple()
    )
}

fn write(path: &Path, message: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    // A mail holds a code: it is its owner's alone.
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(message)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
