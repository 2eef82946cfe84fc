//! A user's sessions of this site: listed, and ended by id.

use crate::auth::operations::account::{no_account, user_of};
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{
    ErrorCode, Outcome, Principal, Rejection, Revocation, SessionId, SessionView,
};
use crate::store::Session;

impl Auth {
    pub(in crate::auth) async fn sessions(
        &self,
        site: &AuthSite,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let sessions = self.living_sessions(site, principal, now).await?.into_iter();
        let sessions = sessions.map(|session| SessionView {
            id: session.id,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            current: principal.session_id() == Some(session.id),
            address: session.address,
            agent: session.agent,
        });
        Ok(Outcome::Sessions { sessions: sessions.collect() })
    }

    pub(in crate::auth) async fn end_session(
        &self,
        site: &AuthSite,
        principal: &Principal,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let living = self.living_sessions(site, principal, now).await?;
        let Some(session) = living.into_iter().find(|session| session.id == id) else {
            let reason = "no living session of this user on this site";
            return Err(Rejection::new(ErrorCode::SessionNotFound, reason));
        };
        let until = Self::sessions_revoked_until(site, now);
        let revocations = [Revocation::of_session(&session.issuer, id, until)];
        let ended = self.store.end_session(id, &revocations).await;
        // Whatever the store did, the session is refused here.
        self.revocations.record(&revocations);
        ended?;
        Ok(Outcome::SessionEnded)
    }

    async fn living_sessions(
        &self,
        site: &AuthSite,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Vec<Session>, Rejection> {
        let user = user_of(principal).ok_or_else(no_account)?;
        let issuer = Some(site.tokens.policy().issuer.as_str());
        Ok(self.store.list_sessions(&site.realm, user, issuer, now).await?)
    }
}
