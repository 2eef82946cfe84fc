//! Everything in keys, written: names and index entries first, then what they lead to.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::store::redis::accounts::record;
use crate::store::redis::accounts::user::names_of;
use crate::store::redis::archive::export::Export;
use crate::store::redis::code::code_text;
use crate::store::redis::revocations::revocation::score;
use crate::store::redis::sessions::expiry::end_member;
use crate::store::redis::sessions::record::{Owner, SessionRecord};
use crate::store::redis::sessions::session::ttl_millis;
use crate::store::{
    Archive, NewCode, Page, Record, RedisStore, StoreError, StoredMail, StoredRefresh,
    StoredSession, User,
};

/// The number of records that are written at once.
const AT_ONCE: usize = 32;

/// Added to the time to live of imported keys, so that none expires while they are compared.
const MARGIN: u64 = 3_600_000;

#[async_trait]
impl Archive for RedisStore {
    async fn export(&self, now: Timestamp, pages: mpsc::Sender<Page>) -> Result<(), StoreError> {
        Export::new(self, now, pages).run().await
    }

    async fn import(&self, page: Page, now: Timestamp) -> Result<(), StoreError> {
        let mut revocations = Vec::new();
        let mut others = Vec::new();
        for record in page {
            match record {
                Record::Revocation(entry) => revocations.push(entry),
                other => others.push(other),
            }
        }
        self.restore_revocations(&revocations, &[], None).await?;
        stream::iter(others)
            .map(|record| self.in_time(self.import_one(record, now)))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Whether there is no key except those that any node leaves behind, and events for the audit
    /// trail.
    async fn is_empty(&self) -> Result<bool, StoreError> {
        let revocations = self.keys.revocations();
        let beats = self.keys.beat("");
        let left = [self.keys.schema(), revocations.generation];
        let events = self.keys.beginning("{audit}");
        let is_left = |key: &String| key.starts_with(&beats) || key.starts_with(&events);
        let is_kept = |key: &String| !left.contains(key) && !is_left(key);
        let mut scan = self.scan("").await?;
        while let Some(some) = scan.next().await? {
            if some.iter().any(is_kept) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl RedisStore {
    pub(in crate::store::redis) async fn set_saved_at(
        &self,
        saved_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut mark = redis::cmd(if saved_at.is_some() { "SET" } else { "DEL" });
        mark.arg(self.keys.backup_mark()).arg(saved_at.map(Timestamp::as_millis));
        self.command(&mark).await
    }

    async fn import_one(&self, record: Record, now: Timestamp) -> Result<(), StoreError> {
        match record {
            Record::Number(number) => self.raise_user_numbers(number).await,
            Record::Backup(saved_at) => self.set_saved_at(Some(saved_at)).await,
            Record::Key { issuer, key } => self.put_key_of_site(&issuer, &key).await,
            Record::Site { issuer, generation } => {
                self.raise_site_generation(&issuer, generation).await
            }
            Record::User(user) => self.import_user(&user).await,
            Record::Session(stored) => self.import_session(&stored, now).await,
            Record::Refresh(StoredRefresh { hash, session, ends_at }) => {
                self.index_refresh(&hash, session, ttl_millis(ends_at, now) + MARGIN).await
            }
            Record::Revocation(entry) => {
                self.restore_revocations(&[entry], &[], None).await.map(drop)
            }
            Record::Code(code) => self.import_code(&code, now).await,
            Record::Tries { subject, count } => {
                self.put_count(&subject, &count, (now, MARGIN)).await
            }
            Record::Mail(mail) => self.import_mail(&mail).await,
            Record::Unreadable(_) => Ok(()),
        }
    }

    /// Writes names and list first, as when an account is made.
    async fn import_user(&self, user: &User) -> Result<(), StoreError> {
        let claim = format!("{}:{}", user.id, user.created_at.as_millis().max(0));
        for name in names_of(user.email.as_ref(), user.username.as_ref()) {
            let mut set = redis::cmd("SET");
            set.arg(self.index_of(&user.realm, name)).arg(&claim);
            self.command::<()>(&set).await?;
        }
        let mut list = redis::cmd("ZADD");
        list.arg(self.keys.roster(&user.realm)).arg(user.id.0).arg(user.id.0);
        self.command::<()>(&list).await?;
        let mut fields = record::fields_of(user, record::to_json(&user.attributes)?)?;
        let login = user.last_login_at.map(|at| ("last_login_at", at.as_millis().to_string()));
        fields.extend(login);
        let mut put = redis::cmd("HSET");
        put.arg(self.keys.user(&user.realm, user.id)).arg(fields);
        self.command(&put).await
    }

    async fn import_session(
        &self,
        stored: &StoredSession,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let session = &stored.session;
        let owner = Owner::of(session);
        let stays = ttl_millis(session.ends_at, now) + MARGIN;
        let mut index = redis::cmd("SET");
        index.arg(self.keys.session(session.id)).arg(owner.to_text()?).arg("PX").arg(stays);
        self.command::<()>(&index).await?;
        let mut end = redis::cmd("ZADD");
        end.arg(self.keys.session_ends(session.id)).arg(session.expires_at.as_millis());
        end.arg(end_member(session.id, &owner));
        self.command::<()>(&end).await?;
        let mut put = redis::cmd("HSET");
        put.arg(self.keys.sessions(&session.realm, session.user)).arg(session.id.to_string());
        put.arg(SessionRecord::of_stored(stored).to_text()?);
        self.command(&put).await
    }

    async fn import_code(&self, code: &NewCode, now: Timestamp) -> Result<(), StoreError> {
        let key = self.keys.codes(code.purpose, &code.realm, &code.email);
        let mut put = redis::cmd("HSET");
        put.arg(&key).arg(Uuid::new_v4().to_string()).arg(code_text(code));
        self.command::<()>(&put).await?;
        self.keep_at_least(&key, ttl_millis(code.expires_at, now) + MARGIN).await
    }

    async fn import_mail(&self, mail: &StoredMail) -> Result<(), StoreError> {
        let (keys, id) = (self.keys.mails(), mail.id.to_string());
        let mut put = redis::cmd("HSET");
        put.arg(keys.records).arg(&id).arg(mail.sealed.as_slice());
        self.command::<()>(&put).await?;
        if mail.attempts > 0 {
            let mut put = redis::cmd("HSET");
            put.arg(keys.attempts).arg(&id).arg(mail.attempts);
            self.command::<()>(&put).await?;
        }
        for (key, at) in [(keys.ends, mail.expires_at), (keys.due, mail.due_at)] {
            let mut put = redis::cmd("ZADD");
            put.arg(key).arg(score(at)).arg(&id);
            self.command::<()>(&put).await?;
        }
        Ok(())
    }
}
