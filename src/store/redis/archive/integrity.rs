//! The integrity check of a Redis: every record must be reachable by its indexes.
//!
//! A name, a list or an index may lead to nothing: a step was cut short, which has no effect. A
//! record to which no index leads is a fault.

use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::operation::UserId;
use crate::store::redis::accounts::user::names_of;
use crate::store::redis::archive::export::name_in;
use crate::store::redis::sessions::expiry::end_member;
use crate::store::redis::sessions::record::Owner;
use crate::store::{Archive, Page, RedisStore, StoreError, StoredSession, User};

/// The number of accounts that are checked at once.
const AT_ONCE: usize = 16;

/// The most faults that are named; a lost store has too many.
const MOST: usize = 100;

impl RedisStore {
    /// Checks all records, and sends them; returns each fault. It changes nothing.
    ///
    /// # Errors
    /// When a server does not answer, or cannot keep the promise.
    pub async fn check_integrity(
        &self,
        now: Timestamp,
        pages: mpsc::Sender<Page>,
    ) -> Result<Vec<String>, StoreError> {
        self.check_setup().await?;
        let mut faults = self.faults_of_layout().await?;
        for realm in self.realms().await? {
            faults.extend(self.faults_of_realm(&realm, now).await?);
        }
        faults.extend(self.unlisted().await?);
        faults.truncate(MOST);
        match self.export(now, pages).await {
            Err(StoreError::Corrupt(what)) => faults.push(what),
            exported => exported?,
        }
        Ok(faults)
    }

    async fn faults_of_layout(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        let schema: Option<i64> = self.look(redis::cmd("GET").arg(self.keys.schema())).await?;
        if let Some(found) =
            schema.filter(|found| *found > crate::store::redis::connection::server_checks::SCHEMA)
        {
            return Err(StoreError::Newer {
                found,
                known: crate::store::redis::connection::server_checks::SCHEMA,
            });
        }
        let keys = self.keys.revocations();
        let length: u64 = self.look(redis::cmd("XLEN").arg(&keys.log)).await?;
        let generation: Option<String> = self.look(redis::cmd("GET").arg(&keys.generation)).await?;
        if length > 0 && generation.is_none_or(|name| name.is_empty()) {
            faults.push("the revocation log has no generation".to_owned());
        }
        let sequence: Option<u64> = self.look(redis::cmd("GET").arg(&keys.sequence)).await?;
        if length > sequence.unwrap_or(0) {
            faults.push("the revocation log is longer than its counter says".to_owned());
        }
        let numbers: Option<i64> =
            self.look(redis::cmd("GET").arg(self.keys.user_numbers())).await?;
        for realm in self.realms().await? {
            let mut last = redis::cmd("ZRANGE");
            last.arg(self.keys.roster(&realm)).arg(-1).arg(-1);
            let last: Vec<i64> = self.look(&last).await?;
            if last.first().is_some_and(|last| *last > numbers.unwrap_or(0)) {
                faults.push(format!("realm {realm}: an account's number will be given again"));
            }
        }
        Ok(faults)
    }

    async fn faults_of_realm(
        &self,
        realm: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let (mut faults, mut from) = (Vec::new(), 0);
        loop {
            let ids = self.part_of_roster(realm, from).await?;
            if ids.is_empty() || faults.len() > MOST {
                return Ok(faults);
            }
            from += isize::try_from(ids.len()).unwrap_or(isize::MAX);
            for some in ids.chunks(AT_ONCE) {
                let found = some.iter().map(|id| {
                    let work = self.faults_of_user(realm, *id, now);
                    self.in_time(work)
                });
                faults.extend(try_join_all(found).await?.into_iter().flatten());
            }
        }
    }

    async fn faults_of_user(
        &self,
        realm: &str,
        id: UserId,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let user = match self.user_record(realm, id).await {
            Ok(Some(record)) => record.user,
            Ok(None) => return Ok(Vec::new()),
            Err(StoreError::Corrupt(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut faults = Vec::new();
        if user.id != id || user.realm != realm {
            faults.push(format!("user {id}: the record is another's"));
        }
        for name in names_of(user.email.as_ref(), user.username.as_ref()) {
            if self.claimant(realm, name).await? != Some(id) {
                faults.push(format!("user {id}: {} does not lead to the account", name.field()));
            }
        }
        // The export names unreadable records.
        let sessions = match self.stored_sessions(realm, id).await {
            Err(StoreError::Corrupt(_)) => return Ok(faults),
            sessions => sessions?,
        };
        for stored in sessions.iter().flatten().filter(|stored| stored.session.expires_at > now) {
            faults.extend(self.faults_of_session(&user, stored).await?);
        }
        Ok(faults)
    }

    async fn faults_of_session(
        &self,
        user: &User,
        stored: &StoredSession,
    ) -> Result<Vec<String>, StoreError> {
        let session = &stored.session;
        let (sid, owner) = (session.id, Owner::of(session));
        let fault = |what: &str| format!("user {}: session {sid}: {what}", user.id);
        let mut faults = Vec::new();
        if self.owner(sid).await?.as_ref() != Some(&owner) {
            faults.push(fault("its id does not lead to it"));
        }
        let mut due = redis::cmd("ZSCORE");
        due.arg(self.keys.session_ends(sid)).arg(end_member(sid, &owner));
        if self.command::<Option<f64>>(&due).await?.is_none() {
            faults.push(fault("nothing would delete it once it has expired"));
        }
        if let Some(newest) = &stored.newest
            && self.session_of_index(newest).await? != Some(sid)
        {
            faults.push(fault("its refresh token does not lead to it"));
        }
        Ok(faults)
    }

    /// Accounts that are in no list.
    async fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        let (begin, mut faults) = (self.keys.beginning("{u:"), Vec::new());
        let mut scan = self.scan("{u:").await?;
        while let Some(keys) = scan.next().await? {
            for key in keys.iter().filter(|key| key.ends_with("}:user")) {
                let parts = key.strip_prefix(&begin).and_then(|rest| rest.strip_suffix("}:user"));
                let Some((realm, id)) = parts.and_then(|parts| parts.split_once(':')) else {
                    faults.push(format!("key {key}: it names no account"));
                    continue;
                };
                let realm = name_in("", realm, "")?;
                let mut listed = redis::cmd("ZSCORE");
                listed.arg(self.keys.roster(&realm)).arg(id);
                if self.look::<Option<f64>>(&listed).await?.is_none() {
                    faults.push(format!("user {id}: the list of realm {realm} lacks it"));
                }
            }
            if faults.len() > MOST {
                break;
            }
        }
        Ok(faults)
    }

    async fn look<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StoreError> {
        self.in_time(self.command(command)).await
    }
}
