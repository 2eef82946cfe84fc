//! The disk below a durable file: what may be written there, how fast, and how much more.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::store::SetupReport;

/// How many times the disk is asked; the slowest is told.
const SYNCS: usize = 8;

/// What one answer may take of the disk before it is worth a word.
const SLOW: Duration = Duration::from_millis(50);

/// What is left of a disk when it is worth a word.
const LITTLE: u64 = 64 << 20;

/// Tries what a durable file needs beside it, and says how long a sync takes and what is free.
///
/// # Errors
/// The system's own reason why nothing can be written there.
pub(crate) fn check_setup(file: &Path, found: &mut SetupReport) -> io::Result<()> {
    let folder = folder_of(file);
    let slowest = time_syncs(folder, SYNCS)?;
    found.fact("fsync", format!("at most {slowest:.1?} of {SYNCS}"));
    if slowest > SLOW {
        found.warn(format!(
            "fsync takes up to {slowest:.0?}: every login and log-out waits for one"
        ));
    }
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < LITTLE {
        let free = free >> 20;
        found.warn(format!("the disk of {} is nearly full: {free} MiB are left", file.display()));
    }
    Ok(())
}

/// Finds what keeps this process from writing a durable file: the file itself, one beside it that
/// is named as it is but for its ending, or their folder; with the system's own reason.
///
/// None is opened: to close SQLite's file again would take away the locks that it has on it.
pub(crate) fn obstacle(file: &Path, endings: &[&str]) -> Option<(PathBuf, io::Error)> {
    let names = [""].iter().chain(endings).map(|ending| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    });
    let forbidden = |path: PathBuf| match rustix::fs::access(&path, Access::WRITE_OK) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => Some((path, error.into())),
    };
    let folder = folder_of(file);
    let of_folder = || Some((folder.to_owned(), time_syncs(folder, 1).err()?));
    names.filter_map(forbidden).next().or_else(of_folder)
}

/// Writes into a new file, and says how long the slowest write took to be on the disk.
fn time_syncs(folder: &Path, syncs: usize) -> io::Result<Duration> {
    let probe = folder.join(format!(".munjigi-probe-{}", uuid::Uuid::new_v4()));
    let measured = || -> io::Result<Duration> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&probe)?;
        let mut slowest = Duration::ZERO;
        for _ in 0..syncs {
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

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
