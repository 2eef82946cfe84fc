//! The mail queue.
//!
//! It shares one slot with the codes, so that one script stores a code and its mail. No key of the
//! queue expires by the server's clock: a mail is deleted when it was sent, given up, or found to
//! have expired.

use std::sync::LazyLock;

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::encoding::hex;
use crate::operation::Email;
use crate::store::redis::code::code_text;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::{Invocation, Script};
use crate::store::redis::keyspace::QueueKeys;
use crate::store::redis::revocations::revocation::score;
use crate::store::redis::sessions::session::ttl_millis;
use crate::store::{
    CodePurpose, MOST_MAILS, Mails, NewCode, NewMail, QueuedMail, RedisStore, StoreError,
};

pub(super) static QUEUE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/enqueue.lua")));
pub(super) static TAKE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/take_due.lua")));
static GUESS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/guess_code.lua")));
pub(super) static DELETE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/delete_queued.lua")));

/// The most mails that one script deletes: a script blocks all other commands.
const BATCH: usize = 500;

#[async_trait]
impl Mails for RedisStore {
    async fn put_code(&self, code: NewCode, mail: NewMail) -> Result<(), StoreError> {
        self.in_time(self.enqueue(&mail, Some(&code))).await
    }

    /// Counts a guess against each code of the address, then judges it.
    ///
    /// A guess whose answer was lost counts twice; if it was right, the codes are used up, and the
    /// user has to request another.
    async fn try_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut script = GUESS.prepare_invoke();
        script.key(self.keys.codes(purpose, realm, email));
        script.arg(hex(hash)).arg(now.as_millis());
        self.in_time(self.script(&script)).await
    }

    async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.in_time(self.enqueue(&mail, None)).await
    }

    /// Deletes expired mails, then takes due ones. Mails whose answer was lost are due again at
    /// `hidden_until`.
    async fn take_mails(
        &self,
        now: Timestamp,
        hidden_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        self.in_time(async {
            self.delete_expired(now).await?;
            let mut script = queue_script(&TAKE, self.keys.mails());
            script.arg(score(now)).arg(score(hidden_until)).arg(limit.min(MOST_MAILS));
            let taken: Vec<(String, Vec<u8>, u32, i64)> = self.script(&script).await?;
            let read = |(id, sealed, attempts, expires_at): (String, _, _, _)| {
                let expires_at = Timestamp::from_millis(expires_at);
                let id = id.parse().ok().ok_or_else(|| corrupt("mail", &id))?;
                Ok(QueuedMail { id, sealed, attempts, expires_at })
            };
            taken.into_iter().map(read).collect()
        })
        .await
    }

    /// Makes a mail due at `until`, if it still exists.
    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        let mut hide = redis::cmd("ZADD");
        hide.arg(self.keys.mails().due).arg("XX").arg(score(until)).arg(id.to_string());
        self.in_time(self.command(&hide)).await
    }

    async fn drop_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.in_time(self.delete_mails(&[id.to_string()])).await
    }
}

impl RedisStore {
    /// Queues a mail, and stores its code, if it has one.
    pub(super) async fn enqueue(
        &self,
        mail: &NewMail,
        code: Option<&NewCode>,
    ) -> Result<(), StoreError> {
        let mut script = queue_script(&QUEUE, self.keys.mails());
        script.arg(mail.id.to_string()).arg(mail.sealed.as_slice());
        script.arg(score(mail.created_at)).arg(score(mail.expires_at)).arg(MOST_MAILS);
        if let Some(code) = code {
            script.key(self.keys.codes(code.purpose, &code.realm, &code.email));
            script.arg(code_text(code)).arg(ttl_millis(code.expires_at, mail.created_at));
        }
        if self.script(&script).await? { Ok(()) } else { Err(StoreError::Full) }
    }

    pub(super) async fn delete_mails(&self, ids: &[String]) -> Result<(), StoreError> {
        let mut script = queue_script(&DELETE, self.keys.mails());
        script.arg(ids);
        self.script(&script).await
    }

    pub(super) async fn purge_mails(&self, now: Timestamp) -> Result<(), StoreError> {
        while self.in_time(self.delete_expired(now)).await? == BATCH {}
        Ok(())
    }

    /// Deletes a batch of expired mails; returns their number.
    async fn delete_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut expired = redis::cmd("ZRANGEBYSCORE");
        expired.arg(self.keys.mails().ends).arg("-inf").arg(score(now));
        expired.arg("LIMIT").arg(0).arg(BATCH);
        let ids: Vec<String> = self.command(&expired).await?;
        if !ids.is_empty() {
            self.delete_mails(&ids).await?;
        }
        Ok(ids.len())
    }
}

/// A call of a queue's script.
pub(super) fn queue_script(script: &Script, keys: QueueKeys) -> Invocation<'_> {
    let mut script = script.prepare_invoke();
    script.key(keys.records).key(keys.due).key(keys.ends).key(keys.attempts);
    script
}
