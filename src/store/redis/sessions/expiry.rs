//! Expiry of sessions: an index by the expiry at login, and the purge that follows it.

use std::sync::LazyLock;

use crate::clock::Timestamp;
use crate::operation::{SessionId, UserId};
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::Script;
use crate::store::redis::keyspace::END_SHARDS;
use crate::store::redis::sessions::record::Owner;
use crate::store::redis::sessions::session::parse_session_id;
use crate::store::{RedisStore, StoreError};

static EXPIRE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/expire_session.lua")));

/// The number of sessions in one batch of a purge.
const BATCH: usize = 200;

impl RedisStore {
    /// Deletes expired sessions, found by their expiry at login; one that was refreshed is indexed
    /// again under its later expiry.
    pub(in crate::store::redis) async fn purge_sessions(
        &self,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for shard in 0..END_SHARDS {
            let key = self.keys.session_ends_shard(shard);
            let mut due = redis::cmd("ZRANGEBYSCORE");
            due.arg(&key).arg("-inf").arg(now.as_millis()).arg("LIMIT").arg(0).arg(BATCH);
            // Each member is removed, or indexed again as due later.
            loop {
                let work = self.command::<Vec<String>>(&due);
                let members = self.in_time(work).await?;
                for member in &members {
                    let work = self.expire_member(&key, member, now);
                    self.in_time(work).await?;
                }
                if members.len() < BATCH {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn expire_member(
        &self,
        key: &str,
        member: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (sid, realm, user) = parse_end_member(member)?;
        let mut script = EXPIRE.prepare_invoke();
        script.key(self.keys.sessions(realm, user)).arg(sid.to_string()).arg(now.as_millis());
        let expires_at: String = self.script(&script).await?;
        if expires_at.is_empty() {
            self.command::<()>(redis::cmd("ZREM").arg(key).arg(member)).await?;
            return self.forget_session(sid).await;
        }
        self.command(redis::cmd("ZADD").arg(key).arg("XX").arg(expires_at).arg(member)).await
    }
}

/// `sid:user:realm`: the realm last, since it may hold a colon.
pub(in crate::store::redis) fn end_member(session: SessionId, owner: &Owner) -> String {
    format!("{session}:{}:{}", owner.user, owner.realm)
}

fn parse_end_member(member: &str) -> Result<(SessionId, &str, UserId), StoreError> {
    let mut parts = member.splitn(3, ':');
    match (parts.next(), parts.next().and_then(|user| user.parse().ok()), parts.next()) {
        (Some(sid), Some(user), Some(realm)) => Ok((parse_session_id(sid)?, realm, UserId(user))),
        _ => Err(corrupt("session", member)),
    }
}
