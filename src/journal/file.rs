//! The journal's file: opened, locked, begun, and replaced as a whole.
//!
//! It begins with a magic, its version and the prefix of the store's keys; frames follow. It has
//! mode 0600, since it holds signing keys, and is locked (`flock`) as long as a gateway has it
//! open. A new file is written under another name and renamed, so that none is ever found
//! incomplete.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::journal::JournalError;
use crate::journal::frame::{frame, whole};

/// The version of the layout; a file of another one is refused.
const VERSION: u32 = 2;

const MAGIC: &[u8; 12] = b"munjigi jrnl";

/// An open journal, written at its end.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: File,
    /// The offset of the next frame.
    pub(super) end: u64,
}

/// A journal that is being written to replace another.
#[derive(Debug)]
pub(super) struct Draft {
    written: JournalFile,
    place: PathBuf,
    target: PathBuf,
}

/// The file that a draft may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// None: one that another process made meanwhile stays.
    Nothing,
    /// The file that this process has locked.
    Own,
}

impl JournalFile {
    /// Appends a frame, which may not be on the disk until [`JournalFile::sync`].
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let bytes = frame(records, self.end);
        self.file.write_all(&bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Waits until the appended frames are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Truncates the file to `end`, and appends from there.
    pub(super) fn cut(mut file: File, end: u64) -> io::Result<Self> {
        file.set_len(end)?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { file, end })
    }
}

/// Opens and locks the file; `None` where there is none.
pub(super) fn open(path: &Path) -> Result<Option<File>, JournalError> {
    loop {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::file("open", path, source)),
        };
        lock(&file, path)?;
        // Its last holder may have renamed another file onto it before it released the lock.
        if is_at(&file, path) {
            let own = Permissions::from_mode(0o600);
            file.set_permissions(own).map_err(|source| JournalError::file("open", path, source))?;
            return Ok(Some(file));
        }
    }
}

/// Checks the header of a file; returns the offset of its frames.
pub(super) fn read_header(mut file: &File, path: &Path, prefix: &str) -> Result<u64, JournalError> {
    let bad = |source| JournalError::file("read", path, source);
    let damaged = || JournalError::Damaged { path: path.to_owned(), place: 0 };
    let mut begin = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(bad)?;
    file.take(MOST_HEADER).read_to_end(&mut begin).map_err(bad)?;
    let rest = begin.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (version, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let found = u32::from_le_bytes(*version);
    // Twice, so that a damaged version does not pass for another one.
    let (again, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    if u32::from_le_bytes(*again) != !found {
        return Err(damaged());
    }
    if found != VERSION {
        return Err(JournalError::Version { path: path.to_owned(), found, known: VERSION });
    }
    let expected = header(prefix);
    if begin.get(..expected.len()) == Some(expected.as_slice()) {
        return Ok(expected.len() as u64);
    }
    let other = whole(rest, NAMED_AT).ok_or_else(damaged)?;
    let prefix = String::from_utf8_lossy(other.trim_ascii_end()).into_owned();
    Err(JournalError::Other { path: path.to_owned(), prefix })
}

impl Draft {
    /// Begins a draft for `target`.
    pub(super) fn begin(target: &Path, prefix: &str) -> Result<Self, JournalError> {
        let place = sibling(target, "new");
        let failed = |source| JournalError::file("write", &place, source);
        let file = loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&place).map_err(failed)?;
            lock(&file, target)?;
            // Another process may have finished it, so that it is a journal now.
            if is_at(&file, &place) {
                break file;
            }
        };
        let mut written = JournalFile::cut(file, 0).map_err(failed)?;
        let header = header(prefix);
        written.file.write_all(&header).map_err(failed)?;
        written.end = header.len() as u64;
        Ok(Self { written, place, target: target.to_owned() })
    }

    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.written.append(records)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.written.sync()
    }

    /// Renames it to its target, durably.
    pub(super) fn finish(self, onto: Onto) -> Result<JournalFile, JournalError> {
        let failed = |source| JournalError::file("replace", &self.target, source);
        self.written.file.sync_all().map_err(failed)?;
        match onto {
            Onto::Own => fs::rename(&self.place, &self.target).map_err(failed)?,
            Onto::Nothing => {
                fs::hard_link(&self.place, &self.target).map_err(failed)?;
                fs::remove_file(&self.place).map_err(failed)?;
            }
        }
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or_else(|| Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(self.written)
    }

    /// The path of the draft.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Deletes the draft.
    pub(super) fn discard(self) {
        // A file that remains is overwritten by the next draft.
        drop(fs::remove_file(&self.place));
    }
}

/// Renames a damaged file, so that an operator can look at it.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, JournalError> {
    let aside = sibling(path, "damaged");
    fs::rename(path, &aside).map_err(|source| JournalError::file("set aside", path, source))?;
    Ok(aside)
}

/// The header of a file: magic, version, and a frame with the prefix.
fn header(prefix: &str) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend((!VERSION).to_le_bytes());
    // With a line end, so that an empty prefix makes a frame too.
    header.extend(frame(format!("{prefix}\n").as_bytes(), NAMED_AT));
    header
}

/// After the magic and the version, which is there twice.
const NAMED_AT: u64 = 12 + 8;

/// Far longer than any header.
const MOST_HEADER: u64 = 1 << 16;

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(JournalError::file("lock", path, source)),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let names = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata().map(names), fs::metadata(path).map(names)) {
        (Ok(open), Ok(there)) => open == there,
        _ => false,
    }
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}
