//! The database: its location, its schema, and connections to it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use crate::store::sqlite::fault;
use crate::store::sqlite::fault::SqliteFault;
use crate::store::{Durability, StoreError, disk};

/// The location of a database, and the settings of connections to it.
#[derive(Debug)]
pub(super) struct Database {
    location: Location,
    durability: Durability,
    /// The longest that an open connection waits for another process's lock.
    patience: Duration,
}

#[derive(Debug)]
enum Location {
    File { path: PathBuf, id: FileId },
    Memory { uri: String },
}

/// Device and number of a file.
type FileId = (u64, u64);

impl Database {
    /// Locates a file, and makes it, readable for its owner alone, where there is none.
    pub(super) fn in_file(
        path: &Path,
        durability: Durability,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let make = |source| SqliteFault::Make { path: path.to_owned(), source };
        // SQLite reads a name that begins with `file:` as a URI: an absolute path never does.
        let absolute = std::path::absolute(path).map_err(make)?;
        // The log and the shared memory take the mode of the file.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&absolute);
        if let Err(error) = made
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(make(error).into());
        }
        let id = file_id(&absolute)?;
        Ok(Self { location: Location::File { path: absolute, id }, durability, patience })
    }

    /// Locates a new database in memory, which exists as long as a connection to it.
    pub(super) fn in_memory(patience: Duration) -> Self {
        let uri = format!("file:/munjigi-{}?vfs=memdb", Uuid::new_v4());
        Self { location: Location::Memory { uri }, durability: Durability::Normal, patience }
    }

    pub(super) fn describe(&self) -> String {
        match &self.location {
            Location::File { path, .. } => format!("sqlite:{}", path.display()),
            Location::Memory { .. } => "sqlite::memory:".to_owned(),
        }
    }

    /// Fails once the path leads to another file.
    ///
    /// A connection keeps its file when the file is replaced: its writes would be lost. The new
    /// file is not opened either: SQLite would take the old file's log for its own.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &self.location {
            Location::File { path, id } if file_id(path)? != *id => {
                Err(SqliteFault::Replaced(path.clone()).into())
            }
            Location::File { .. } | Location::Memory { .. } => Ok(()),
        }
    }

    /// Adds the file that cannot be written and the system's error, where SQLite names neither.
    pub(super) fn explained(&self, error: StoreError) -> StoreError {
        match &self.location {
            Location::File { path, .. } => explained(path, error),
            Location::Memory { .. } => error,
        }
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = match &self.location {
            Location::File { path, .. } => open_to_write(path)?,
            Location::Memory { uri } => Connection::open_with_flags(
                uri,
                FLAGS | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
            )?,
        };
        connection.busy_timeout(self.patience.max(OPENING))?;
        connection.set_prepared_statement_cache_capacity(64);
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        if matches!(self.location, Location::File { .. }) {
            enter_write_ahead(&connection)?;
        }
        // A commit costs most where it extends the log. The log keeps its length from one
        // checkpoint to the next, so that only the first 4 MiB after a start cost more. The limit
        // truncates it after a reader has held up the checkpoints.
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous};
             PRAGMA journal_size_limit = 67108864;
             PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;"
        ))?;
        migrate(&mut connection)?;
        connection.busy_timeout(self.patience)?;
        Ok(connection)
    }
}

/// A connection that is usable only while the path leads to its file.
pub(super) struct CheckedConnection {
    database: Arc<Database>,
    connection: Connection,
}

impl CheckedConnection {
    pub(super) fn open(database: &Arc<Database>) -> Result<Self, StoreError> {
        database.check()?;
        let connection = database.connect().map_err(|error| database.explained(error))?;
        let checked = Self { database: Arc::clone(database), connection };
        database.check()?;
        Ok(checked)
    }

    pub(super) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.database.check()?;
        Ok(&mut self.connection)
    }

    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }
}

/// The shortest wait while a connection is being opened: others may make the file or migrate it.
const OPENING: Duration = Duration::from_secs(1);

/// Version of the schema that the last of [`MIGRATIONS`] leads to.
pub(super) const SCHEMA_VERSION: i64 = 5;

/// The migration at position n leads from schema n to n + 1.
const MIGRATIONS: [&str; 5] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// As in `schema_1.sql`.
const APPLICATION_ID: i64 = 1_299_541_610;

fn file_id(path: &Path) -> Result<FileId, SqliteFault> {
    let metadata = std::fs::metadata(path)
        .map_err(|source| SqliteFault::Gone { path: path.to_owned(), source })?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A connection to a new database in memory.
pub(super) fn fresh() -> Result<Connection, StoreError> {
    Database::in_memory(Duration::from_secs(1)).connect()
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if checked_version(connection)? == SCHEMA_VERSION {
        return Ok(());
    }
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated while this one waited for the lock.
    let version = checked_version(&step)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().skip(done) {
        step.execute_batch(migration)?;
    }
    step.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    step.commit()?;
    Ok(())
}

/// The schema version of a database of this program; zero for a new one.
pub(super) fn checked_version(connection: &Connection) -> Result<i64, StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let is_new = found == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(SqliteFault::Foreign.into());
    }
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
    }
    Ok(found)
}

/// The flags of every connection.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Opens a file that this process may write; SQLite would open one that it may only read.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, FLAGS)
        .map_err(|source| SqliteFault::Open { path: path.to_owned(), source })?;
    if connection.is_readonly("main")? {
        return Err(SqliteFault::ReadOnly(path.to_owned()).into());
    }
    Ok(connection)
}

/// As [`Database::explained`], of the database in a file.
pub(super) fn explained(path: &Path, error: StoreError) -> StoreError {
    // SQLite reports a full disk itself.
    if !fault::is_of_disk(&error) || fault::code(&error) == Some(ErrorCode::DiskFull) {
        return error;
    }
    let found = disk::obstacle(path, &["-wal", "-shm"]);
    found.map_or(error, |(path, source)| SqliteFault::Unwritable { path, source }.into())
}

/// Rewrites the header of the database, which shows that a commit can succeed.
///
/// SQLite skips writing a row that does not change, but not the version.
pub(super) fn rewrite_head(connection: &Connection) -> Result<(), StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(connection.pragma_update(None, "user_version", version)?)
}

fn enter_write_ahead(connection: &Connection) -> Result<(), StoreError> {
    // SQLite does not wait where two connections switch a new file at once; taking the write lock
    // does, after which the other has switched.
    for _ in 0..8 {
        let mode: Result<String, _> =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(SqliteFault::NoLog(mode).into()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(SqliteFault::Busy.into())
}
