//! The file of the audit trail: several gateways may append to it at once, a line a write.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Lines;

/// The open file.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    /// The file may end with a part of a line: the disk was full.
    is_torn: bool,
}

impl AuditFile {
    /// Opens the file; makes it, readable for its owner alone, where there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, is_torn: false })
    }

    /// Opens the path again, where its file was moved away.
    fn follow(&mut self) -> io::Result<()> {
        let is_same =
            |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let held = self.file.metadata()?;
        if !std::fs::metadata(&self.path).is_ok_and(|named| is_same(&named, &held)) {
            self.file = open(&self.path)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

impl Lines for AuditFile {
    /// In one write, so that the lines of several processes never mix.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.follow()?;
        let whole = if self.is_torn { [b"\n", line].concat() } else { line.to_vec() };
        let written = loop {
            match self.file.write(&whole) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => break written?,
            }
        };
        self.is_torn = written < whole.len() && (self.is_torn || written > 0);
        if written < whole.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.file.sync_data() {
            // A pipe or a terminal has no disk.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{AuditFile, Lines};

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let mut file = AuditFile::open(&path).unwrap();

        file.append(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.append(b"two\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        file.append(b"three\n").unwrap();

        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn two_that_append_keep_each_others_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let (mut one, mut other) =
            (AuditFile::open(&path).unwrap(), AuditFile::open(&path).unwrap());

        for _ in 0..2 {
            one.append(b"one\n").unwrap();
            other.append(b"other\n").unwrap();
        }

        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nother\none\nother\n");
    }
}
