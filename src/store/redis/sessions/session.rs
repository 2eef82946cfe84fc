//! Sessions: found, listed and ended.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join;

use crate::clock::Timestamp;
use crate::operation::{RefreshHash, Revocation, RevocationKey, SessionId, UserId};
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::sessions::expiry::end_member;
use crate::store::redis::sessions::record::{Owner, SessionRecord};
use crate::store::{NewSession, RedisStore, Rotation, Session, Sessions, StoreError, Successor};

/// Index entries outlive their session by this; they never decide whether it has expired.
const SLACK: Duration = Duration::from_secs(60);

/// The longest time to live of an index entry: beyond, Redis may overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[async_trait]
impl Sessions for RedisStore {
    async fn open_session(
        &self,
        session: NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        self.in_time(self.open_in_steps(&session, revoked_until)).await
    }

    async fn find_session_by_refresh(
        &self,
        issuer: &str,
        presented: &RefreshHash,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.in_time(async {
            let Some(id) = self.session_of_index(presented).await? else { return Ok(None) };
            let Some(owner) = self.owner(id).await?.filter(|owner| owner.issuer == issuer) else {
                return Ok(None);
            };
            let Some(record) = self.record(id, &owner).await? else { return Ok(None) };
            let session = record.session(&owner.realm, owner.user, id)?;
            Ok(self.active(vec![session], now).await?.pop())
        })
        .await
    }

    async fn is_newest_refresh(
        &self,
        session: SessionId,
        presented: &RefreshHash,
    ) -> Result<bool, StoreError> {
        self.in_time(async {
            let Some(owner) = self.owner(session).await? else { return Ok(false) };
            let record = self.record(session, &owner).await?;
            Ok(record.is_some_and(|record| record.is_newest(presented)))
        })
        .await
    }

    async fn rotate(
        &self,
        session: SessionId,
        presented: &RefreshHash,
        successor: Successor,
        grace: Duration,
        revoked_until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let work = self.rotate_in_steps(session, presented, &successor, grace, revoked_until);
        self.in_time(work).await
    }

    async fn list_sessions(
        &self,
        realm: &str,
        user: UserId,
        issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        self.in_time(async {
            let mut sessions = self.recorded_sessions(realm, user).await?;
            sessions.retain(|session| issuer.is_none_or(|issuer| session.issuer == issuer));
            let mut sessions = self.active(sessions, now).await?;
            sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
            Ok(sessions)
        })
        .await
    }

    /// Writes revocations, then deletes the session: cut short between, refresh refuses the session
    /// and ends it.
    ///
    /// A refresh may do so as well meanwhile, so that the session is looked up before. The
    /// revocations are recorded in any case.
    async fn end_session(
        &self,
        session: SessionId,
        revocations: &[Revocation],
    ) -> Result<bool, StoreError> {
        self.in_time(async {
            let found = self.owner_of_recorded(session).await;
            self.append(revocations).await?;
            match found? {
                Some(owner) => {
                    self.delete_session(session, &owner).await?;
                    Ok(true)
                }
                None => Ok(false),
            }
        })
        .await
    }
}

impl RedisStore {
    /// Indexes the session of a refresh token, for as long as the session may last.
    pub(in crate::store::redis) async fn index_refresh(
        &self,
        refresh: &RefreshHash,
        session: SessionId,
        ttl: u64,
    ) -> Result<(), StoreError> {
        let mut index = redis::cmd("SET");
        index.arg(self.keys.refresh(refresh)).arg(session.to_string()).arg("PX").arg(ttl);
        self.command(&index).await
    }

    /// The session of a refresh token, which may have ended.
    pub(in crate::store::redis) async fn session_of_index(
        &self,
        refresh: &RefreshHash,
    ) -> Result<Option<SessionId>, StoreError> {
        let key = self.keys.refresh(refresh);
        let found: Option<String> = self.command(redis::cmd("GET").arg(key)).await?;
        found.map(|text| parse_session_id(&text)).transpose()
    }

    /// The owner of a session, which may have ended.
    pub(in crate::store::redis) async fn owner(
        &self,
        session: SessionId,
    ) -> Result<Option<Owner>, StoreError> {
        let key = self.keys.session(session);
        let found: Option<String> = self.command(redis::cmd("GET").arg(key)).await?;
        found.map(|text| Owner::read(&text)).transpose()
    }

    async fn record(
        &self,
        session: SessionId,
        owner: &Owner,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let mut ask = redis::cmd("HGET");
        ask.arg(self.keys.sessions(&owner.realm, owner.user)).arg(session.to_string());
        let found: Option<String> = self.command(&ask).await?;
        found.map(|text| SessionRecord::read(&text)).transpose()
    }

    /// The sessions that are neither expired nor revoked; a revoked one may not be deleted yet.
    async fn active(
        &self,
        mut sessions: Vec<Session>,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        sessions.retain(|session| session.expires_at > now);
        let keys: Vec<_> =
            sessions.iter().map(|it| RevocationKey::of_session(&it.issuer, it.id)).collect();
        let mut recorded = self.recorded(&keys).await?.into_iter();
        sessions.retain(|_| !recorded.next().is_some_and(|entry| entry.is_active(now)));
        Ok(sessions)
    }

    /// All recorded sessions, ended ones included.
    pub(in crate::store::redis) async fn recorded_sessions(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<Vec<Session>, StoreError> {
        let records = self.session_records(realm, user).await?;
        let read = records.into_iter().map(|record| {
            let (id, record) = record?;
            record.session(realm, user, id)
        });
        read.collect()
    }

    /// The records of an account's sessions; each may be unreadable.
    pub(in crate::store::redis) async fn session_records(
        &self,
        realm: &str,
        user: UserId,
    ) -> Result<Vec<Result<(SessionId, SessionRecord), StoreError>>, StoreError> {
        let key = self.keys.sessions(realm, user);
        let records: HashMap<String, String> = self.command(redis::cmd("HGETALL").arg(key)).await?;
        let read = |(id, text): (String, String)| {
            Ok((parse_session_id(&id)?, SessionRecord::read(&text)?))
        };
        Ok(records.into_iter().map(read).collect())
    }

    async fn owner_of_recorded(&self, session: SessionId) -> Result<Option<Owner>, StoreError> {
        let Some(owner) = self.owner(session).await? else {
            return Ok(None);
        };
        let mut ask = redis::cmd("HEXISTS");
        ask.arg(self.keys.sessions(&owner.realm, owner.user)).arg(session.to_string());
        Ok(self.command::<bool>(&ask).await?.then_some(owner))
    }

    /// Deletes a session and its index entries.
    pub(in crate::store::redis) async fn delete_session(
        &self,
        session: SessionId,
        owner: &Owner,
    ) -> Result<(), StoreError> {
        let mut delete = redis::cmd("HDEL");
        delete.arg(self.keys.sessions(&owner.realm, owner.user)).arg(session.to_string());
        self.command::<()>(&delete).await?;
        let mut forget = redis::cmd("ZREM");
        forget.arg(self.keys.session_ends(session)).arg(end_member(session, owner));
        try_join(self.command::<()>(&forget), self.forget_session(session)).await?;
        Ok(())
    }

    pub(in crate::store::redis) async fn forget_session(
        &self,
        session: SessionId,
    ) -> Result<(), StoreError> {
        self.command(redis::cmd("DEL").arg(self.keys.session(session))).await
    }

    pub(in crate::store::redis) async fn forget_refresh(
        &self,
        refresh: &RefreshHash,
    ) -> Result<(), StoreError> {
        self.command(redis::cmd("DEL").arg(self.keys.refresh(refresh))).await
    }
}

/// The time to live of an index entry of a session from `now`, in milliseconds.
///
/// By duration and not by instant: the clock of the server need not agree with this one.
pub(in crate::store::redis) fn ttl_millis(ends_at: Timestamp, now: Timestamp) -> u64 {
    let ttl = ends_at.since(now).saturating_add(SLACK).min(LONGEST);
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a `sid` of a key or record.
pub(in crate::store::redis) fn parse_session_id(text: &str) -> Result<SessionId, StoreError> {
    text.parse().map(SessionId).ok().ok_or_else(|| corrupt("session", text))
}
