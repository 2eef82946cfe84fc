//! `data/dev/munjigi.toml`: written at every start, until its user edits it.
//!
//! A copy of the last written text lies next to it; where the two differ, somebody has edited the
//! file, and it is neither written nor removed again.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config;
use crate::config::Config;

use super::DevArgs;

/// The file, as it was found.
#[derive(Debug)]
pub(super) struct File {
    /// Its path.
    pub(super) path: PathBuf,
    /// Whether its user has edited it.
    pub(super) is_edited: bool,
}

/// The copy's name.
const COPY: &str = "munjigi.toml.written";

impl File {
    /// Looks at the file in a folder; it need not be there.
    pub(super) fn find(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("munjigi.toml");
        let read = |path: &Path| match std::fs::read(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        };
        let found = read(&path)?;
        let is_edited = found.is_some() && found != read(&path.with_file_name(COPY))?;
        Ok(Self { path, is_edited })
    }

    /// The configuration of an edited file.
    ///
    /// # Errors
    /// When it has faults, or an option contradicts it.
    pub(super) fn edited(&self, args: &DevArgs) -> anyhow::Result<Option<Config>> {
        if !self.is_edited {
            return Ok(None);
        }
        let says_more = !args.origin.is_empty() || !args.open.is_empty();
        if args.contract.is_some() || args.to.is_some() || says_more {
            let path = self.path.display();
            bail!("{path} was edited and stays as it is: say it there, or remove the file");
        }
        Ok(Some(config::load(&self.path)?))
    }

    /// Writes the file, and the copy to compare it with at the next start.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        for path in [self.path.with_file_name(COPY), self.path.clone()] {
            std::fs::write(&path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    /// Removes the files of earlier runs from the folder, except an edited one.
    pub(super) fn forget_all_else(&self) -> anyhow::Result<()> {
        let folder = self.path.parent().context("the file has no folder")?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if self.is_edited && path == self.path {
                continue;
            }
            let is_folder = entry.file_type()?.is_dir();
            let removed = if is_folder {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        Ok(())
    }
}
