//! Checks of the disk of a durable file: permissions, `fsync` time, and free space.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::store::SetupReport;

/// The number of syncs that are timed; the slowest is reported.
const SYNCS: usize = 8;

/// A sync that takes longer is worth a warning.
const SLOW: Duration = Duration::from_millis(50);

/// Less free space, in bytes, is worth a warning.
const LITTLE: u64 = 64 << 20;

/// Writes a file into the folder of `file`, and reports the time of a sync and the free space.
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

/// Finds the file that this process cannot write: the durable file, one of that name with an
/// ending, or their folder; with the system's error.
///
/// None is opened: closing SQLite's file would release the locks that this process has on it.
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

/// Times writes with a sync into a new file; returns the slowest.
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
