//! The embedded store: one SQLite file, one writer thread with group commit, and reader threads.

mod accounts;
mod archive;
mod backup;
mod codes;
mod database;
mod events;
mod expired;
mod fault;
mod feed;
mod health;
mod mails;
mod readers;
mod revocations;
mod rotation;
mod sessions;
mod setup_check;
mod signing_keys;
mod tries;
mod workers;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::store::{Deadlines, Store, StoreError};

use database::Database;
use readers::Readers;
use writer::Writer;

/// The durability of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous = FULL`: on disk before an acknowledgement.
    #[default]
    Full,
    /// `synchronous = NORMAL`: survives the process, not the machine.
    Normal,
}

/// A store in one SQLite file.
///
/// Other processes may use the same file at the same time. Dropping the store finishes the queued
/// operations, closes the file and ends its threads.
pub struct SqliteStore {
    database: Arc<Database>,
    /// They end before the writer: only a connection that is closed last, and alone, removes the
    /// log.
    readers: Readers,
    writer: Writer,
    deadlines: Deadlines,
}

impl SqliteStore {
    /// Version of the schema that this program reads and writes.
    pub const SCHEMA_VERSION: i64 = database::SCHEMA_VERSION;

    /// Opens the file, or makes it, and migrates its schema.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or was made by a newer version.
    pub fn open(
        path: &Path,
        durability: Durability,
        deadlines: Deadlines,
    ) -> Result<Self, StoreError> {
        Self::start(Database::in_file(path, durability, patience(deadlines))?, deadlines)
    }

    /// Opens a store in memory, which is dropped with this value.
    ///
    /// # Errors
    /// When SQLite cannot make one.
    pub fn in_memory(deadlines: Deadlines) -> Result<Self, StoreError> {
        // In memory, this store's own readers hold the lock.
        let patience = deadlines.command.max(Duration::from_secs(1));
        Self::start(Database::in_memory(patience), deadlines)
    }

    fn start(database: Database, deadlines: Deadlines) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        let writer = Writer::start(&database)?;
        let readers = Readers::start(&database)?;
        Ok(Self { database, writer, readers, deadlines })
    }

    async fn write<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.ask(self.deadlines.command, operation).await
    }

    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.ask(self.deadlines.command, query).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteStore").field("database", &self.database).finish()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(backup::mark).await
    }

    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(move |connection| backup::set_mark(connection, saved_at)).await
    }

    async fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        for statement in expired::STATEMENTS {
            let batch = move |connection: &Connection| expired::delete(connection, statement, now);
            while self.write(batch).await? > 0 {}
        }
        Ok(())
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.writer.check(PROBE_DEADLINE).await
    }

    fn describe(&self) -> String {
        self.database.describe()
    }
}

/// The deadline of a probing write.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// The wait for another process's lock: within the deadline, so that the error names the lock.
fn patience(deadlines: Deadlines) -> Duration {
    deadlines.command * 3 / 4
}
