//! The embedded store: one SQLite file, one writer thread with group commit, readers beside it.

mod accounts;
mod archive;
mod backup;
mod codes;
mod database;
mod events;
mod examination;
mod expired;
mod fault;
mod feed;
mod health;
mod keys;
mod mails;
mod readers;
mod revocations;
mod rotation;
mod sessions;
mod tries;
mod workers;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{
    Email, Identifier, RefreshHash, Revocation, RevocationKey, SessionId, UserId,
};
use crate::store::{
    Archive, CodePurpose, Deadlines, FeedEvent, Listing, Lookup, NewCode, NewMail, NewSession,
    NewUser, Page, QueuedMail, Rotation, Session, Store, StoreError, Successor, User, UserChange,
};
use crate::token::StoredKey;

use accounts::Account;
use database::{Database, Link};
use fault::Fault;
use readers::Readers;
use writer::Writer;

/// When a commit counts as done.
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
/// Other processes may work on the same file at the same time. Dropping the store finishes what
/// was asked, closes the file and ends its threads.
pub struct SqliteStore {
    database: Arc<Database>,
    /// They end before the writer: the connection that is closed last takes the log away, and of
    /// several that are closed at once none does.
    readers: Readers,
    writer: Writer,
    deadlines: Deadlines,
}

impl SqliteStore {
    /// Version of the schema that this program reads and writes.
    pub const SCHEMA_VERSION: i64 = database::SCHEMA_VERSION;

    /// Opens the file, makes it when it is not there, and brings its schema up to date.
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

    /// Opens a store that lives in memory and goes with this value.
    ///
    /// # Errors
    /// When SQLite cannot make one.
    pub fn in_memory(deadlines: Deadlines) -> Result<Self, StoreError> {
        // Here it is this store's own readers that have the lock.
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
impl Archive for SqliteStore {
    async fn export(&self, now: Timestamp, pages: mpsc::Sender<Page>) -> Result<(), StoreError> {
        let database = Arc::clone(&self.database);
        let work = move || archive::export(Link::open(&database)?.connection()?, now, pages);
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_ended| Err(Fault::Ended.into()))
    }

    async fn import(&self, page: Page, _now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| archive::import(connection, &page)).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.read(archive::is_empty).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_user(&self, user: NewUser) -> Result<User, StoreError> {
        let attributes = accounts::attributes_text(&user.attributes)?;
        self.write(move |connection| accounts::create(connection, user, attributes.as_deref()))
            .await
    }

    async fn find_user(
        &self,
        realm: &str,
        who: &Identifier,
        lookup: Lookup,
    ) -> Result<Option<User>, StoreError> {
        let deadline = match lookup {
            Lookup::Login => self.deadlines.lookup,
            Lookup::Routine | Lookup::Whole => self.deadlines.command,
        };
        let (realm, who) = (realm.to_owned(), who.clone());
        let query = move |connection: &Connection| accounts::find(connection, &realm, &who, lookup);
        let found = self.readers.ask(deadline, query).await?;
        found.map(Account::complete).transpose()
    }

    async fn list_users(
        &self,
        realm: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        let realm = realm.to_owned();
        self.read(move |connection| accounts::list(connection, &realm, after, limit)).await
    }

    async fn change_user(
        &self,
        realm: &str,
        user: UserId,
        change: UserChange,
        now: Timestamp,
        revoked_until: Timestamp,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let realm = realm.to_owned();
        self.write(move |connection| {
            accounts::change(connection, &realm, user, &change, (now, revoked_until))
        })
        .await
    }

    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        self.write(move |connection| sessions::open(connection, &session, revoked_until)).await
    }

    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let (issuer, presented) = (issuer.to_owned(), *presented);
        self.read(move |connection| sessions::find_by_refresh(connection, &issuer, &presented, now))
            .await
    }

    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError> {
        let presented = *presented;
        self.read(move |connection| sessions::is_newest(connection, session, &presented)).await
    }

    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let presented = *presented;
        self.write(move |connection| {
            rotation::rotate(connection, session, &presented, &successor, grace, revoked_until)
        })
        .await
    }

    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let (realm, issuer) = (realm.to_owned(), issuer.map(str::to_owned));
        self.read(move |connection| {
            sessions::list(connection, &realm, user, issuer.as_deref(), now)
        })
        .await
    }

    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError> {
        let revocations = revocations.to_vec();
        self.write(move |connection| {
            revocations::record(connection, &revocations)?;
            sessions::end(connection, session)
        })
        .await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let revocations = revocations.to_vec();
        self.write(move |connection| revocations::record(connection, &revocations)).await
    }

    async fn find_revocation(
        &self,
        key: RevocationKey,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        self.read(move |connection| revocations::find(connection, key, now)).await
    }

    async fn site_generation(&self, issuer: &str) -> Result<u64, StoreError> {
        let issuer = issuer.to_owned();
        self.read(move |connection| revocations::site_generation(connection, &issuer)).await
    }

    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        let issuer = issuer.to_owned();
        self.read(move |connection| keys::list(connection, &issuer)).await
    }

    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let issuer = issuer.to_owned();
        self.write(move |connection| keys::add_first(connection, &issuer, &key)).await
    }

    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError> {
        self.write(move |connection| {
            mails::queue(connection, &mail)?;
            codes::put(connection, &code)
        })
        .await
    }

    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (realm, email, hash) = (realm.to_owned(), email.clone(), *hash);
        self.write(move |connection| codes::guess(connection, purpose, &realm, &email, &hash, now))
            .await
    }

    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.write(move |connection| mails::queue(connection, &mail)).await
    }

    async fn take_mails(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        self.write(move |connection| mails::take(connection, now, hidden_until, limit)).await
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| mails::postpone(connection, id, until)).await
    }

    async fn drop_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.write(move |connection| mails::delete(connection, id)).await
    }

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

    async fn follow(&self, events: mpsc::Sender<FeedEvent>) {
        feed::follow(Arc::clone(&self.database), events).await;
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.writer.check(PROBE_DEADLINE).await
    }

    fn describe(&self) -> String {
        self.database.describe()
    }
}

/// How long whoever asks whether writes succeed waits for one.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// How long a connection waits for another process: whoever asks is to hear that it had to wait.
fn patience(deadlines: Deadlines) -> Duration {
    deadlines.command * 3 / 4
}
