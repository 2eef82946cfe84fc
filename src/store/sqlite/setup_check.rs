//! A check of the file without changing it: `munjigi check --deep`.

use std::path::Path;
use std::time::Duration;

use rusqlite::TransactionBehavior;

use crate::store::sqlite::database;
use crate::store::sqlite::database::SCHEMA_VERSION;
use crate::store::sqlite::fault::SqliteFault;
use crate::store::{SetupReport, SqliteStore, StoreError, disk};

impl SqliteStore {
    /// Reads the file's schema where there is one, checks that it can be written, and measures
    /// `fsync` in its folder.
    ///
    /// # Errors
    /// When the file does not open, is another program's or a newer version's, is locked, or it or
    /// its folder cannot be written to.
    pub fn check_setup(path: &Path) -> Result<SetupReport, StoreError> {
        let mut found = SetupReport::default();
        let about = path.display().to_string();
        if path.exists() {
            let schema = try_write(path).map_err(|error| database::explained(path, error))?;
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
        disk::check_setup(path, &mut found)
            .map_err(|source| SqliteFault::Unwritable { path: path.to_owned(), source })?;
        Ok(found)
    }
}

/// Begins a write, and rolls it back; returns the schema.
fn try_write(path: &Path) -> Result<i64, StoreError> {
    let mut connection = database::open_to_write(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    let schema = database::checked_version(&connection)?;
    let writing = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    database::rewrite_head(&writing)?;
    writing.rollback()?;
    Ok(schema)
}
