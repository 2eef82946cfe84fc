//! Export of all records.
//!
//! Records are found by their index; only realms, sites, codes and used refresh tokens have none,
//! and are found by scanning keys. No gateway may write meanwhile: the export is not atomic.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::future::{join_all, try_join_all};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::encoding::{decode_hex, percent_decode};
use crate::operation::{Email, RefreshHash, RevocationKey, UserId};
use crate::store::archive::{ExportStop, Pages};
use crate::store::redis::accounts::record::UserRecord;
use crate::store::redis::code::parse_code;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::revocations::revocation::{parse_entry, parse_expiry};
use crate::store::redis::sessions::session::parse_session_id;
use crate::store::{
    CodePurpose, FeedEntry, NewCode, Page, Record, RedisStore, Store, StoreError, StoredMail,
    StoredRefresh, StoredSession, Tries, TrySubject, User,
};

/// The number of index entries that are read at once.
const PAGE: isize = 500;

/// The number of small records that are read at once.
const AT_ONCE: usize = 32;

/// The number of accounts that are read at once: their attributes may be megabytes.
const USERS_AT_ONCE: usize = 8;

pub(super) struct Export<'a> {
    store: &'a RedisStore,
    now: Timestamp,
    gathered: Pages,
    pages: mpsc::Sender<Page>,
    /// The sessions that were sent, with the latest end of each.
    sessions: HashMap<Uuid, Timestamp>,
}

impl RedisStore {
    /// The keys that begin with the prefix and `begin`, each once: for kinds of which there are
    /// few.
    pub(in crate::store::redis) async fn find_keys(
        &self,
        begin: &str,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut keys = BTreeSet::new();
        let mut scan = self.scan(begin).await?;
        while let Some(some) = scan.next().await? {
            keys.extend(some);
        }
        Ok(keys)
    }

    /// The realms that have, or had, accounts.
    pub(in crate::store::redis) async fn realms(&self) -> Result<Vec<String>, StoreError> {
        let mut realms = Vec::new();
        for key in self.find_keys("{l:").await? {
            realms.push(name_in(&self.keys.beginning("{l:"), &key, "}")?);
        }
        realms.sort();
        Ok(realms)
    }

    /// A part of a realm's list of accounts.
    pub(in crate::store::redis) async fn part_of_roster(
        &self,
        realm: &str,
        from: isize,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut page = redis::cmd("ZRANGE");
        page.arg(self.keys.roster(realm)).arg(from).arg(from + PAGE - 1);
        let work = self.command::<Vec<i64>>(&page);
        let ids = self.in_time(work).await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    /// An account's recorded sessions, ended ones included; each may be unreadable.
    pub(in crate::store::redis) async fn stored_sessions(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<Vec<Result<StoredSession, StoreError>>, StoreError> {
        let records = self.session_records(realm, user).await?;
        let stored = records.into_iter().map(|record| {
            let (id, record) = record?;
            record.stored(realm, user, id)
        });
        Ok(stored.collect())
    }

    async fn whole_user(&self, realm: &str, user: UserId) -> Result<Option<User>, StoreError> {
        let work = self.whole_user_record(realm, user);
        let found = self.within(self.deadlines.lookup, work).await?;
        found.map(UserRecord::complete).transpose()
    }
}

impl<'a> Export<'a> {
    pub(super) fn new(store: &'a RedisStore, now: Timestamp, pages: mpsc::Sender<Page>) -> Self {
        Self { store, now, gathered: Pages::default(), pages, sessions: HashMap::new() }
    }

    /// Sends all records, until the receiver is gone.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        ExportStop::outcome(self.send_all().await)
    }

    async fn send_all(&mut self) -> Result<(), ExportStop> {
        let numbers = self.store.keys.user_numbers();
        let highest: Option<i64> = self.ask(redis::cmd("GET").arg(numbers)).await?;
        let highest = highest.unwrap_or(0);
        self.send(Record::Number(UserId(highest))).await?;
        if let Some(saved_at) = self.store.backup_mark().await? {
            self.send(Record::Backup(saved_at)).await?;
        }
        self.keys_and_sites().await?;
        for realm in self.store.realms().await? {
            self.users(&realm).await?;
        }
        self.refresh_tokens().await?;
        self.revocations().await?;
        self.codes().await?;
        self.tries().await?;
        self.mails().await?;
        let rest = self.gathered.take();
        if rest.is_empty() { Ok(()) } else { self.hand_on(rest).await }
    }

    async fn keys_and_sites(&mut self) -> Result<(), ExportStop> {
        let begin = self.store.keys.beginning("{k:");
        for key in self.store.find_keys("{k:").await? {
            let issuer = name_in(&begin, &key, "}")?;
            let work = self.store.keys_of_site(&issuer);
            match self.store.in_time(work).await {
                Ok(keys) => {
                    for key in keys {
                        self.send(Record::Key { issuer: issuer.clone(), key }).await?;
                    }
                }
                Err(error) => self.send_read(Err(error), || format!("a key of {issuer}")).await?,
            }
        }
        let sites = self.store.keys.revocations().sites;
        let sites: HashMap<String, u64> = self.ask(redis::cmd("HGETALL").arg(sites)).await?;
        for (issuer, generation) in sites {
            if generation > 0 {
                self.send(Record::Site { issuer, generation }).await?;
            }
        }
        Ok(())
    }

    /// Accounts of a realm, each page followed by its sessions.
    async fn users(&mut self, realm: &str) -> Result<(), ExportStop> {
        let store = self.store;
        let mut from = 0;
        loop {
            let ids = store.part_of_roster(realm, from).await?;
            if ids.is_empty() {
                return Ok(());
            }
            from += isize::try_from(ids.len()).unwrap_or(PAGE);
            for some in ids.chunks(USERS_AT_ONCE) {
                let read = some.iter().map(|id| store.whole_user(realm, *id));
                let mut ids = Vec::new();
                for (id, user) in some.iter().zip(join_all(read).await) {
                    let user = match user {
                        // An entry may lead to nothing: the account was never made, or is gone.
                        Ok(None) => continue,
                        Ok(Some(user)) => {
                            ids.push(*id);
                            Ok(Record::User(Box::new(user)))
                        }
                        Err(error) => Err(error),
                    };
                    self.send_read(user, || format!("account {id}")).await?;
                }
                let read = ids.iter().map(|id| {
                    let work = store.stored_sessions(realm, *id);
                    store.in_time(work)
                });
                let mut sessions = Vec::new();
                for (id, found) in ids.iter().zip(join_all(read).await) {
                    for stored in found.unwrap_or_else(|error| vec![Err(error)]) {
                        match stored {
                            Ok(stored) => sessions.push(stored),
                            Err(error) => {
                                let about = || format!("a session of account {id}");
                                self.send_read(Err(error), about).await?;
                            }
                        }
                    }
                }
                self.sessions(sessions).await?;
            }
        }
    }

    /// Sends the active ones of an account's sessions.
    async fn sessions(&mut self, mut sessions: Vec<StoredSession>) -> Result<(), ExportStop> {
        sessions.retain(|stored| stored.session.expires_at > self.now);
        let keys: Vec<_> = sessions
            .iter()
            .map(|stored| RevocationKey::of_session(&stored.session.issuer, stored.session.id))
            .collect();
        let work = self.store.recorded(&keys);
        let recorded = self.store.in_time(work).await?;
        for (stored, recorded) in sessions.into_iter().zip(recorded) {
            if !recorded.is_active(self.now) {
                self.sessions.insert(stored.session.id.0, stored.session.ends_at);
                self.send(Record::Session(Box::new(stored))).await?;
            }
        }
        Ok(())
    }

    /// Sends the refresh tokens of active sessions; an index entry may outlive its session.
    async fn refresh_tokens(&mut self) -> Result<(), ExportStop> {
        let begin = self.store.keys.beginning("{r:");
        let mut seen = HashSet::new();
        let mut scan = self.store.scan("{r:").await?;
        while let Some(keys) = scan.next().await? {
            for keys in keys.chunks(AT_ONCE) {
                let asked = keys.iter().map(async |key| {
                    let session: Option<String> = self.ask(redis::cmd("GET").arg(key)).await?;
                    Ok::<_, ExportStop>((key, session))
                });
                for (key, session) in try_join_all(asked).await? {
                    let Some(session) = session else { continue };
                    let read = parse_session_id(&session)
                        .and_then(|session| Ok((session, hash_in(&begin, key)?)));
                    let (session, hash) = match read {
                        Ok(read) => read,
                        Err(error) => {
                            self.send_read(Err(error), || "a refresh token".to_owned()).await?;
                            continue;
                        }
                    };
                    let Some(&ends_at) = self.sessions.get(&session.0) else { continue };
                    if seen.insert(hash.0) {
                        let stored = StoredRefresh { hash, session, ends_at };
                        self.send(Record::Refresh(stored)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn revocations(&mut self) -> Result<(), ExportStop> {
        let keys = self.store.keys.revocations();
        let mut from = 0;
        loop {
            let mut page = redis::cmd("ZRANGE");
            page.arg(&keys.set).arg(from).arg(from + PAGE - 1).arg("WITHSCORES");
            let page: Vec<(Vec<u8>, Vec<u8>)> = self.ask(&page).await?;
            if page.is_empty() {
                return Ok(());
            }
            from += isize::try_from(page.len()).unwrap_or(PAGE);
            let mut floors = redis::cmd("HMGET");
            floors.arg(&keys.floors);
            for (key, _) in &page {
                floors.arg(key.as_slice());
            }
            let floors: Vec<Option<Vec<u8>>> = self.ask(&floors).await?;
            for ((key, expires), floor) in page.iter().zip(floors) {
                let floor = floor.as_deref().unwrap_or(b"0");
                let entry = parse_entry(key, floor, expires);
                if entry.as_ref().is_ok_and(|entry: &FeedEntry| entry.expires_at <= self.now) {
                    continue;
                }
                let entry = entry.map(Record::Revocation);
                self.send_read(entry, || "a revocation".to_owned()).await?;
            }
        }
    }

    async fn codes(&mut self) -> Result<(), ExportStop> {
        let begin = self.store.keys.beginning("{mail}:codes:");
        for key in self.store.find_keys("{mail}:codes:").await? {
            let (purpose, realm, email) = code_in(&begin, &key)?;
            let codes: BTreeMap<String, String> = self.ask(redis::cmd("HGETALL").arg(&key)).await?;
            for text in codes.into_values() {
                let parts = parse_code(&text).ok_or_else(|| corrupt("code", &key))?;
                let (guesses, expires_at, hash) = parts;
                if expires_at > self.now {
                    let (realm, email) = (realm.clone(), email.clone());
                    let code = NewCode { purpose, realm, email, hash, expires_at, guesses };
                    self.send(Record::Code(code)).await?;
                }
            }
        }
        Ok(())
    }

    async fn tries(&mut self) -> Result<(), ExportStop> {
        let begin = self.store.keys.beginning("{t:");
        for key in self.store.find_keys("{t:").await? {
            let subject = TrySubject::from_text(name_in(&begin, &key, "}")?);
            for count in self.store.tries(&subject, self.now).await? {
                self.send(Record::Tries { subject: subject.clone(), count }).await?;
            }
        }
        Ok(())
    }

    async fn mails(&mut self) -> Result<(), ExportStop> {
        let keys = self.store.keys.mails();
        let mut from = 0;
        loop {
            let mut page = redis::cmd("ZRANGE");
            page.arg(&keys.ends).arg(from).arg(from + 63).arg("WITHSCORES");
            let page: Vec<(String, Vec<u8>)> = self.ask(&page).await?;
            if page.is_empty() {
                return Ok(());
            }
            from += isize::try_from(page.len()).unwrap_or(PAGE);
            for (id, ends) in page {
                let sealed = self.ask(redis::cmd("HGET").arg(&keys.records).arg(&id)).await?;
                let due: Option<Vec<u8>> =
                    self.ask(redis::cmd("ZSCORE").arg(&keys.due).arg(&id)).await?;
                let attempts: Option<u32> =
                    self.ask(redis::cmd("HGET").arg(&keys.attempts).arg(&id)).await?;
                let expires_at = parse_expiry(&ends)?;
                let (Some(sealed), Some(due)) = (sealed, due) else { continue };
                if expires_at > self.now {
                    let mail = StoredMail {
                        id: id.parse().map_err(|_other| corrupt("mail", &id))?,
                        sealed,
                        due_at: parse_expiry(&due)?,
                        expires_at,
                        attempts: attempts.unwrap_or(0),
                    };
                    self.send(Record::Mail(mail)).await?;
                }
            }
        }
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, ExportStop> {
        let work = self.store.command(command);
        Ok(self.store.in_time(work).await?)
    }

    /// Sends a record, or the description of an unreadable one.
    async fn send_read(
        &mut self,
        read: Result<Record, StoreError>,
        about: impl FnOnce() -> String,
    ) -> Result<(), ExportStop> {
        let record = Record::or_unreadable(read, about)?;
        self.send(record).await
    }

    async fn send(&mut self, record: Record) -> Result<(), ExportStop> {
        match self.gathered.add(record) {
            Some(page) => self.hand_on(page).await,
            None => Ok(()),
        }
    }

    async fn hand_on(&self, page: Page) -> Result<(), ExportStop> {
        self.pages.send(page).await.map_err(|_closed| ExportStop::Closed)
    }
}

/// The name in a key, unescaped.
pub(in crate::store::redis) fn name_in(
    begin: &str,
    key: &str,
    end: &str,
) -> Result<String, StoreError> {
    let escaped = key.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    let name = escaped.and_then(percent_decode).and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| corrupt("key", key))
}

fn hash_in(begin: &str, key: &str) -> Result<RefreshHash, StoreError> {
    let hex = key.strip_prefix(begin).and_then(|rest| rest.strip_suffix('}'));
    hex.and_then(decode_hex)
        .and_then(|hash| hash.try_into().ok())
        .map(RefreshHash)
        .ok_or_else(|| corrupt("refresh token", key))
}

/// Purpose, realm and address.
fn code_in(begin: &str, key: &str) -> Result<(CodePurpose, String, Email), StoreError> {
    let bad = || corrupt("code", key);
    let rest = key.strip_prefix(begin).ok_or_else(bad)?;
    let mut parts = rest.split(':');
    let (Some(purpose), Some(realm), Some(email), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad());
    };
    let purpose = CodePurpose::from_name(purpose).ok_or_else(bad)?;
    Ok((purpose, name_in("", realm, "")?, Email::stored(name_in("", email, "")?)))
}
