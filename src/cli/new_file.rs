//! A new file that appears whole and synced under its name, or not at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A file under another name until it is finished; removed if this is dropped before.
pub(super) struct NewFile {
    path: PathBuf,
    draft: PathBuf,
}

impl NewFile {
    /// Makes the draft next to the file, readable for its owner alone; refuses where there is a
    /// file.
    pub(super) fn begin(path: &Path) -> anyhow::Result<Self> {
        let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
        if path.symlink_metadata().is_ok() {
            bail!("{} is there already", path.display());
        }
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        made.with_context(|| format!("{} cannot be made", draft.display()))?;
        Ok(Self { path: path.to_owned(), draft })
    }

    /// The same under another name of its folder.
    pub(super) fn named(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The path to write to.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Syncs it and gives it its name; answers its length.
    pub(super) fn finish(self) -> anyhow::Result<u64> {
        let named = || -> io::Result<u64> {
            let file = File::open(&self.draft)?;
            file.sync_all()?;
            // Unlike a renaming, a link never takes another file's place.
            std::fs::hard_link(&self.draft, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
            Ok(file.metadata()?.len())
        };
        named().with_context(|| format!("{} cannot be made", self.path.display()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        for beside in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.draft.clone().into_os_string();
            name.push(beside);
            // Most are not there.
            drop(std::fs::remove_file(name));
        }
    }
}
