//! Export and import of all records, in SQL.
//!
//! The export is one read transaction: it sees the database as it was at its beginning, whatever a
//! running gateway writes meanwhile.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{Email, RefreshHash, RevocationKey, SessionId, UserId};
use crate::store::archive::{ExportStop, Pages};
use crate::store::sqlite::database::CheckedConnection;
use crate::store::sqlite::fault::{SqliteFault, signed, unsigned};
use crate::store::sqlite::{accounts, backup, revocations, sessions, signing_keys, tries};
use crate::store::tries::micros;
use crate::store::{
    Archive, CodePurpose, FeedEntry, NewCode, Page, Record, SqliteStore, StoreError, StoredMail,
    StoredRefresh, TrySubject,
};

#[async_trait]
impl Archive for SqliteStore {
    async fn export(&self, now: Timestamp, pages: Sender<Page>) -> Result<(), StoreError> {
        let database = Arc::clone(&self.database);
        let work = move || export(CheckedConnection::open(&database)?.connection()?, now, pages);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_ended| Err(SqliteFault::Ended.into()))
    }

    async fn import(&self, page: Page, _now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| import(connection, &page)).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.read(is_empty).await
    }
}

/// Sends every record that has not expired; it blocks.
pub(super) fn export(
    connection: &mut Connection,
    now: Timestamp,
    pages: Sender<Page>,
) -> Result<(), StoreError> {
    let snapshot = connection.transaction()?;
    let mut export = Export {
        connection: &snapshot,
        now,
        gathered: Pages::default(),
        pages,
        unreadable_users: HashSet::new(),
    };
    ExportStop::outcome(export.run())
}

struct Export<'a> {
    connection: &'a Connection,
    now: Timestamp,
    gathered: Pages,
    pages: Sender<Page>,
    /// Their sessions are left out.
    unreadable_users: HashSet<i64>,
}

impl Export<'_> {
    fn run(&mut self) -> Result<(), ExportStop> {
        let highest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'users'";
        let highest = self.connection.query_row(highest, [], |row| row.get(0))?;
        self.send(Record::Number(UserId(highest)))?;
        if let Some(saved_at) = backup::mark(self.connection)? {
            self.send(Record::Backup(saved_at))?;
        }
        self.keys_and_sites()?;
        self.users()?;
        self.sessions()?;
        self.revocations()?;
        self.codes_and_tries()?;
        self.mails()?;
        let rest = self.gathered.take();
        if rest.is_empty() { Ok(()) } else { self.hand_on(rest) }
    }

    fn keys_and_sites(&mut self) -> Result<(), ExportStop> {
        let issuers: Vec<String> = self
            .connection
            .prepare("SELECT DISTINCT issuer FROM keys ORDER BY issuer")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for issuer in issuers {
            match signing_keys::list(self.connection, &issuer) {
                Ok(keys) => {
                    for key in keys {
                        self.send(Record::Key { issuer: issuer.clone(), key })?;
                    }
                }
                Err(error) => self.send_read(Err(error), || format!("a key of {issuer}"))?,
            }
        }
        let connection = self.connection;
        let mut select = connection.prepare("SELECT issuer, generation FROM sites")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let generation = unsigned(row.get("generation")?)?;
            if generation > 0 {
                self.send(Record::Site { issuer: row.get("issuer")?, generation })?;
            }
        }
        Ok(())
    }

    fn users(&mut self) -> Result<(), ExportStop> {
        let connection = self.connection;
        let mut select = connection.prepare(&format!(
            "SELECT {}, text FROM users LEFT JOIN attributes ON attributes.user = users.id
             ORDER BY id",
            accounts::COLUMNS
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get("id")?;
            let user =
                accounts::StoredAccount::read(row).and_then(accounts::StoredAccount::complete);
            if user.is_err() {
                self.unreadable_users.insert(id);
            }
            let record = user.map(|user| Record::User(Box::new(user)));
            self.send_read(record, || format!("account {id}"))?;
        }
        Ok(())
    }

    /// Active sessions, then all refresh tokens that they ever had.
    fn sessions(&mut self) -> Result<(), ExportStop> {
        let connection = self.connection;
        let columns = sessions::STORED_COLUMNS;
        let mut select = connection.prepare(&format!(
            "SELECT {columns} FROM sessions WHERE expires_at > ?1 ORDER BY id"
        ))?;
        let mut ended = Vec::new();
        let mut rows = select.query([self.now.as_millis()])?;
        while let Some(row) = rows.next()? {
            let Ok(id) = row.get("id").map(|id| SessionId(Uuid::from_bytes(id))) else {
                self.send(Record::Unreadable("a session has no id that reads".to_owned()))?;
                continue;
            };
            if self.unreadable_users.contains(&row.get::<_, i64>("user")?) {
                ended.push(id);
                continue;
            }
            let stored = match sessions::stored_session(row) {
                Ok(stored) => stored,
                Err(error) => {
                    ended.push(id);
                    self.send_read(Err(error), || format!("session {id}"))?;
                    continue;
                }
            };
            let key = RevocationKey::of_session(&stored.session.issuer, id);
            if revocations::find(connection, key, self.now)?.is_some() {
                ended.push(id);
            } else {
                self.send(Record::Session(Box::new(stored)))?;
            }
        }
        let mut select = connection.prepare(
            "SELECT hash, session, ends_at FROM refresh JOIN sessions ON sessions.id = session
             WHERE expires_at > ?1",
        )?;
        let mut rows = select.query([self.now.as_millis()])?;
        while let Some(row) = rows.next()? {
            let session = SessionId(Uuid::from_bytes(row.get("session")?));
            if ended.binary_search(&session).is_err() {
                self.send(Record::Refresh(StoredRefresh {
                    hash: RefreshHash(row.get("hash")?),
                    session,
                    ends_at: Timestamp::from_millis(row.get("ends_at")?),
                }))?;
            }
        }
        Ok(())
    }

    fn revocations(&mut self) -> Result<(), ExportStop> {
        let connection = self.connection;
        let mut select = connection
            .prepare("SELECT key, floor, expires_at FROM revocations WHERE expires_at > ?1")?;
        let mut rows = select.query([self.now.as_millis()])?;
        while let Some(row) = rows.next()? {
            let entry = revocation(row).map(Record::Revocation);
            self.send_read(entry, || "a revocation".to_owned())?;
        }
        Ok(())
    }

    fn codes_and_tries(&mut self) -> Result<(), ExportStop> {
        let connection = self.connection;
        let mut select = connection.prepare("SELECT * FROM codes WHERE expires_at > ?1")?;
        let mut rows = select.query([self.now.as_millis()])?;
        while let Some(row) = rows.next()? {
            self.send_read(code(row).map(Record::Code), || "a mailed code".to_owned())?;
        }
        let mut select = connection.prepare("SELECT * FROM tries WHERE ends_at > ?1")?;
        let mut rows = select.query([micros(self.now)])?;
        while let Some(row) = rows.next()? {
            let subject = TrySubject::from_text(row.get("subject")?);
            self.send(Record::Tries { subject, count: tries::count(row)? })?;
        }
        Ok(())
    }

    fn mails(&mut self) -> Result<(), ExportStop> {
        let connection = self.connection;
        let mut select = connection.prepare("SELECT * FROM mails WHERE expires_at > ?1")?;
        let mut rows = select.query([self.now.as_millis()])?;
        while let Some(row) = rows.next()? {
            self.send_read(mail(row).map(Record::Mail), || "a mail".to_owned())?;
        }
        Ok(())
    }

    /// Sends a record, or the description of an unreadable one.
    fn send_read(
        &mut self,
        read: Result<Record, StoreError>,
        about: impl FnOnce() -> String,
    ) -> Result<(), ExportStop> {
        let record = Record::or_unreadable(read, about)?;
        self.send(record)
    }

    fn send(&mut self, record: Record) -> Result<(), ExportStop> {
        match self.gathered.add(record) {
            Some(page) => self.hand_on(page),
            None => Ok(()),
        }
    }

    fn hand_on(&self, page: Page) -> Result<(), ExportStop> {
        self.pages.blocking_send(page).map_err(|_closed| ExportStop::Closed)
    }
}

/// Imports a page.
pub(super) fn import(connection: &Connection, page: &[Record]) -> Result<(), StoreError> {
    for record in page {
        match record {
            Record::Number(number) => raise_number(connection, *number)?,
            Record::Backup(saved_at) => backup::set_mark(connection, Some(*saved_at))?,
            Record::Key { issuer, key } => signing_keys::put(connection, issuer, key)?,
            Record::Site { issuer, generation } => {
                revocations::raise_site(connection, issuer, *generation)?;
            }
            Record::User(user) => accounts::put(connection, user)?,
            Record::Session(stored) => sessions::put(connection, stored)?,
            Record::Refresh(stored) => {
                sessions::remember(connection, stored.session, &stored.hash)?
            }
            Record::Revocation(entry) => revocations::put(connection, entry)?,
            Record::Code(code) => super::codes::put(connection, code)?,
            Record::Tries { subject, count } => tries::put(connection, subject, count)?,
            Record::Mail(mail) => put_mail(connection, mail)?,
            Record::Unreadable(_) => {}
        }
    }
    Ok(())
}

/// Whether there is no record; events for the audit trail do not count.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    let is_kept: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM sessions)
             OR EXISTS (SELECT 1 FROM revocations) OR EXISTS (SELECT 1 FROM sites)
             OR EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM codes)
             OR EXISTS (SELECT 1 FROM mails) OR EXISTS (SELECT 1 FROM tries)
             OR EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'users' AND seq > 0)",
        [],
        |row| row.get(0),
    )?;
    Ok(!is_kept)
}

fn revocation(row: &Row<'_>) -> Result<FeedEntry, StoreError> {
    Ok(FeedEntry {
        key: RevocationKey(row.get("key")?),
        floor: unsigned(row.get("floor")?)?,
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}

fn mail(row: &Row<'_>) -> Result<StoredMail, StoreError> {
    Ok(StoredMail {
        id: Uuid::from_bytes(row.get("id")?),
        sealed: row.get("sealed")?,
        due_at: Timestamp::from_millis(row.get("due_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
        attempts: row.get("attempts")?,
    })
}

fn code(row: &Row<'_>) -> Result<NewCode, StoreError> {
    let purpose: String = row.get("purpose")?;
    let email: String = row.get("email")?;
    let corrupt = |what: &str| StoreError::Corrupt(format!("codes: {what}"));
    Ok(NewCode {
        purpose: CodePurpose::from_name(&purpose).ok_or_else(|| corrupt(&purpose))?,
        realm: row.get("realm")?,
        email: Email::stored(email),
        hash: row.get("hash")?,
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
        guesses: row.get("guesses")?,
    })
}

fn raise_number(connection: &Connection, number: UserId) -> Result<(), StoreError> {
    // The table has no key of its own, and a row of `users` once one was made.
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'users', 0
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'users')",
        [],
    )?;
    connection.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'users'",
        [number.0],
    )?;
    Ok(())
}

fn put_mail(connection: &Connection, mail: &StoredMail) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO mails (id, due_at, expires_at, attempts, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            mail.id.as_bytes(),
            mail.due_at.as_millis(),
            mail.expires_at.as_millis(),
            signed(u64::from(mail.attempts))?,
            mail.sealed,
        ])?;
    Ok(())
}
