//! Logins: a session is opened if the account is unchanged since the login read it.

use std::sync::LazyLock;

use futures_util::future::try_join;

use crate::clock::Timestamp;
use crate::operation::{Revocation, SessionId};
use crate::store::redis::ATTEMPTS;
use crate::store::redis::connection::fault::{RedisFault, corrupt};
use crate::store::redis::connection::script::Script;
use crate::store::redis::sessions::expiry::end_member;
use crate::store::redis::sessions::record::{Owner, SessionRecord};
use crate::store::redis::sessions::session::ttl_millis;
use crate::store::{NewSession, RedisStore, StoreError};

static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/open_session.lua")));

impl RedisStore {
    /// Writes revocations of the replaced sessions and index entries, then opens the session and
    /// ends the replaced ones in one step.
    ///
    /// Cut short, it leaves index entries that lead to nothing and expire, and revocations of
    /// sessions that were to be replaced; refresh refuses those sessions, and ends them. The script
    /// opens only if every session that it ends was revoked before; otherwise one was opened
    /// meanwhile, and the others are read again.
    pub(in crate::store::redis) async fn open_in_steps(
        &self,
        new: &NewSession,
        revoked_until: Timestamp,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        let mut revoked = Vec::new();
        let mut ended: Vec<SessionId> = Vec::new();
        for attempt in 0..ATTEMPTS {
            let Some(others) = self.others_if_allowed(new).await? else {
                return self.open_nothing(new, attempt > 0).await;
            };
            let fresh: Vec<_> = others.into_iter().filter(|it| !ended.contains(it)).collect();
            let issuer = &new.session.issuer;
            let revocations: Vec<_> =
                fresh.iter().map(|it| Revocation::of_session(issuer, *it, revoked_until)).collect();
            self.append(&revocations).await?;
            ended.extend(fresh);
            revoked.extend(revocations);
            if attempt == 0 {
                self.index_session(new).await?;
            }
            let outcome = self.open_if_unchanged(new, &ended).await?;
            match outcome.as_str() {
                "opened" => return Ok(Some(revoked)),
                "refused" => return self.open_nothing(new, true).await,
                "changed" => {}
                _ => return Err(corrupt("login", &outcome)),
            }
        }
        Err(RedisFault::Contended(ATTEMPTS).into())
    }

    /// The sessions to be replaced; `None` where the account must not open one. The script decides;
    /// this only saves a refused login the revocations.
    async fn others_if_allowed(
        &self,
        new: &NewSession,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let NewSession { session, generation, .. } = new;
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.keys.user(&session.realm, session.user)).arg("enabled").arg("generation");
        let (enabled, found): (Option<u8>, Option<u64>) = self.command(&ask).await?;
        if enabled != Some(1) || found != Some(*generation) {
            return Ok(None);
        }
        if !new.replaces_others {
            return Ok(Some(Vec::new()));
        }
        let mut others = self.recorded_sessions(&session.realm, session.user).await?;
        others.retain(|other| {
            other.id != session.id
                && other.issuer == session.issuer
                && other.expires_at > session.created_at
        });
        Ok(Some(others.into_iter().map(|other| other.id).collect()))
    }

    async fn open_if_unchanged(
        &self,
        new: &NewSession,
        ended: &[SessionId],
    ) -> Result<String, StoreError> {
        let NewSession { session, generation, .. } = new;
        let floor = self.floor_of(&session.realm, session.user).await?;
        let record = SessionRecord::of(new).to_text()?;
        let open = async |is_certain: bool| {
            let mut script = OPEN.prepare_invoke();
            script.key(self.keys.user(&session.realm, session.user));
            script.key(self.keys.sessions(&session.realm, session.user));
            script.arg(session.id.to_string()).arg(&record).arg(generation);
            script.arg(floor).arg(session.created_at.as_millis());
            script.arg(u8::from(new.replaces_others)).arg(&session.issuer);
            script.arg(u8::from(is_certain));
            for sid in ended {
                script.arg(sid.to_string());
            }
            self.script::<String>(&script).await
        };
        let outcome = open(false).await?;
        if outcome != "behind" {
            return Ok(outcome);
        }
        self.await_change(&session.realm, session.user, floor).await?;
        open(true).await
    }

    async fn open_nothing(
        &self,
        new: &NewSession,
        is_indexed: bool,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        if is_indexed {
            self.forget_session(new.session.id).await?;
            if let Some(refresh) = &new.refresh {
                self.forget_refresh(refresh).await?;
            }
        }
        Ok(None)
    }

    async fn index_session(&self, new: &NewSession) -> Result<(), StoreError> {
        let session = &new.session;
        let owner = Owner::of(session);
        let ttl = ttl_millis(session.ends_at, session.created_at);
        let mut index = redis::cmd("SET");
        index.arg(self.keys.session(session.id)).arg(owner.to_text()?).arg("PX").arg(ttl);
        let mut end = redis::cmd("ZADD");
        end.arg(self.keys.session_ends(session.id)).arg(session.expires_at.as_millis());
        end.arg(end_member(session.id, &owner));
        try_join(self.command::<()>(&index), self.command::<()>(&end)).await?;
        match &new.refresh {
            Some(refresh) => self.index_refresh(refresh, session.id, ttl).await,
            None => Ok(()),
        }
    }
}
