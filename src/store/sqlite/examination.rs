//! A look at the file without changing it: `munjigi check --deep`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::OpenFlags;

use crate::store::Examination;
use crate::store::SqliteStore;
use crate::store::StoreError;
use crate::store::sqlite::database::SCHEMA_VERSION;
use crate::store::sqlite::database::checked_version;
use crate::store::sqlite::fault::Fault;

/// How many times the disk is asked; the slowest is told.
const SYNCS: usize = 8;

/// What one answer may take of the disk before it is worth a word.
const SLOW: Duration = Duration::from_millis(50);

impl SqliteStore {
    /// Reads the file's schema where there is one, and measures `fsync` in its folder.
    ///
    /// # Errors
    /// When the file does not open, is another program's or a newer version's, or its folder
    /// cannot be written to.
    pub fn examine(path: &Path) -> Result<Examination, StoreError> {
        let mut found = Examination::default();
        let about = path.display().to_string();
        if path.exists() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)
                .map_err(|source| Fault::Open { path: path.to_owned(), source })?;
            connection.busy_timeout(Duration::from_secs(1))?;
            let schema = checked_version(&connection)?;
            found.fact(
                about,
                match schema {
                    SCHEMA_VERSION => format!("schema {schema}"),
                    _ => format!("schema {schema}; a start brings it to {SCHEMA_VERSION}"),
                },
            );
        } else {
            found.fact(about, "a start makes it");
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let slowest = time_syncs(folder.unwrap_or_else(|| Path::new(".")))
            .map_err(|source| Fault::Make { path: path.to_owned(), source })?;
        found.fact("fsync", format!("at most {slowest:.1?} of {SYNCS}"));
        if slowest > SLOW {
            found.warn(format!(
                "fsync takes up to {slowest:.0?}: every login and log-out waits for one"
            ));
        }
        Ok(found)
    }
}

/// Writes beside the store, as it does, and says how long the slowest write took to be on disk.
fn time_syncs(folder: &Path) -> std::io::Result<Duration> {
    let probe = folder.join(format!(".munjigi-probe-{}", std::process::id()));
    let measured = || -> std::io::Result<Duration> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
        let mut slowest = Duration::ZERO;
        for _ in 0..SYNCS {
            let begun = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    };
    let measured = measured();
    let removed = std::fs::remove_file(&probe);
    measured.and_then(|slowest| removed.map(|()| slowest))
}
