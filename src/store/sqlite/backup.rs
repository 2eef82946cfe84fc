//! Backup of a database in use, and checks of a database file.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::mpsc::Sender;

use crate::clock::Timestamp;
use crate::store::sqlite::fault::SqliteFault;
use crate::store::sqlite::{archive, database, events, fault};
use crate::store::{Page, SqliteStore, StoreError};

/// The longest wait for another process's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait for a lock whose holder would keep it.
const BRIEF: Duration = Duration::from_millis(200);

impl SqliteStore {
    /// Copies the database at `from`, as it is at one instant, into the empty file `to`. It blocks.
    /// Events for the audit trail stay where they were recorded, and are not copied.
    ///
    /// # Errors
    /// When either file cannot be opened, or the copy is not sound.
    pub fn back_up(from: &Path, to: &Path) -> Result<(), StoreError> {
        let source = open(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = database::checked_version(&source)?;
        let mut copy = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let backup = Backup::new(&source, &mut copy)?;
        let begun = Instant::now();
        // In one step: a copy that a writer interrupts begins again.
        loop {
            match backup.step(-1)? {
                StepResult::Done => break,
                _ if begun.elapsed() > PATIENCE => return Err(SqliteFault::Busy.into()),
                _ => pause(),
            }
        }
        drop(backup);
        if version >= events::SINCE {
            copy.execute("DELETE FROM events", [])?;
        }
        drop(copy);
        Self::seal(to)
    }

    /// Merges the log of a database that is not in use into its file, and checks it. It blocks.
    ///
    /// # Errors
    /// When it is not sound.
    pub fn seal(path: &Path) -> Result<(), StoreError> {
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
            row.get::<_, String>(0)
        })?;
        match damage(&connection)?.first() {
            Some(fault) => Err(StoreError::Corrupt(fault.clone())),
            None => Ok(()),
        }
    }

    /// Whether a database has the present schema, so that opening it changes nothing. It blocks.
    #[must_use]
    pub fn is_current(path: &Path) -> bool {
        let version = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|connection| database::checked_version(&connection));
        version.is_ok_and(|version| version == Self::SCHEMA_VERSION)
    }

    /// Whether another process has a database open; an unreadable one is not in use. It blocks.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        let leave_log = || -> Result<(), StoreError> {
            let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(BRIEF)?;
            // Only the last connection may leave the write-ahead log.
            let left = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
                row.get::<_, String>(0)
            });
            Ok(left.map(drop)?)
        };
        let busy = [Some(ErrorCode::DatabaseBusy), Some(ErrorCode::DatabaseLocked)];
        leave_log().is_err_and(|error| busy.contains(&fault::code(&error)))
    }

    /// Checks a database, and sends its records; returns each fault. It changes nothing, and
    /// blocks.
    ///
    /// # Errors
    /// When it cannot be opened, or is no database of this program.
    pub fn check_integrity(
        path: &Path,
        now: Timestamp,
        pages: Sender<Page>,
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let version = database::checked_version(&connection)?;
        let mut faults = damage(&connection)?;
        if version != Self::SCHEMA_VERSION {
            let known = Self::SCHEMA_VERSION;
            faults.push(format!("schema {version}: the next start brings it to {known}"));
            return Ok(faults);
        }
        faults.extend(differences(&connection)?);
        let lost: i64 = connection.query_row(
            "SELECT count(*) FROM sessions
             WHERE newest IS NOT NULL AND newest NOT IN (SELECT hash FROM refresh)",
            [],
            |row| row.get(0),
        )?;
        if lost > 0 {
            faults.push(format!("{lost} sessions whose newest refresh token is not known"));
        }
        archive::export(&mut connection, now, pages)?;
        Ok(faults)
    }
}

/// The instant of the backup that the file was restored from.
pub(super) fn mark(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let saved_at: Option<i64> =
        connection.query_row("SELECT saved_at FROM store", [], |row| row.get(0))?;
    Ok(saved_at.map(Timestamp::from_millis))
}

pub(super) fn set_mark(
    connection: &Connection,
    saved_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    connection.execute("UPDATE store SET saved_at = ?1", [saved_at.map(Timestamp::as_millis)])?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a backup blocks its thread all the while")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let failed = |source| SqliteFault::Open { path: path.to_owned(), source };
    // SQLite reads a name that begins with `file:` as a URI: an absolute path never does.
    let absolute = std::path::absolute(path)
        .map_err(|source| SqliteFault::Gone { path: path.to_owned(), source })?;
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(absolute, flags)
        .map_err(|source| database::explained(path, failed(source).into()))?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// The faults that SQLite itself finds.
fn damage(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut faults: Vec<String> = connection
        .prepare("PRAGMA integrity_check")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    faults.retain(|said| said != "ok");
    let mut select = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (table, of): (String, String) = (row.get(0)?, row.get(2)?);
        faults.push(format!("a row of {table} belongs to none of {of}"));
    }
    Ok(faults)
}

/// Differences from the present schema.
fn differences(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let schema = |connection: &Connection| -> Result<Vec<(String, Option<String>)>, StoreError> {
        let mut select = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let (found, made) = (schema(connection)?, schema(&database::fresh()?)?);
    let lacking = made.iter().filter(|item| !found.contains(item));
    let is_strange =
        |name: &str| !name.starts_with("sqlite_") && !made.iter().any(|(known, _)| known == name);
    let strange = found.iter().filter(|(name, _)| is_strange(name));
    let lacking = lacking.map(|(name, _)| format!("schema: `{name}` is not as it is made"));
    let strange = strange.map(|(name, _)| format!("schema: `{name}` is not of this program"));
    Ok(lacking.chain(strange).collect())
}
