//! `[ui]`: what an operator replaces of what people read.

use std::path::PathBuf;

use crate::document::{Item, Table};

/// `[ui]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UiConfig {
    /// Folder whose files replace built-in mails of the same name; default none. A reload applies
    /// it, and reads the files again.
    pub templates: Option<PathBuf>,
}

impl UiConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let config = Self { templates: table.optional("templates", folder) };
        table.end();
        config
    }
}

fn folder(item: &Item<'_>) -> Option<PathBuf> {
    let path = item.path()?;
    if path.is_dir() {
        return Some(path);
    }
    item.bad("expected a folder that exists");
    None
}
