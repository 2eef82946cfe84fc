//! Logout: revokes the presented token and ends its session, or all sessions of the user, with or
//! without their access tokens.

use crate::auth::operations::account::user_of;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{LogoutScope, Outcome, Principal, Rejection, Revocation, Revoked};
use crate::store::{StoreError, UserChange};

impl Auth {
    pub(in crate::auth) async fn logout(
        &self,
        site: &AuthSite,
        principal: &Principal,
        scope: LogoutScope,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let own = Self::revocations_of(site, principal, now);
        let stored = self.store_logout(site, principal, scope, &own, now).await;
        // Whatever the store did, the token is refused here.
        self.revocations.record(&own);
        self.revocations.record(&stored?);
        Ok(Outcome::LoggedOut)
    }

    /// The presented token, unless it has ended by every clock, and its session where it has one.
    fn revocations_of(site: &AuthSite, principal: &Principal, now: Timestamp) -> Vec<Revocation> {
        let issuer = &principal.issuer;
        let own_end = Self::revoked_until(site, principal.expires_at);
        let token = Revocation {
            revoked: Revoked::Token { issuer: issuer.clone(), token: principal.token.clone() },
            expires_at: own_end,
        };
        let session = principal.session.as_ref().map(|session| Revocation {
            revoked: Revoked::session(issuer, session),
            expires_at: Self::sessions_revoked_until(site, now).max(own_end),
        });
        Some(token).filter(|_| own_end > now).into_iter().chain(session).collect()
    }

    /// Ends the sessions in the store; returns the revocations that it recorded besides `own`.
    async fn store_logout(
        &self,
        site: &AuthSite,
        principal: &Principal,
        scope: LogoutScope,
        own: &[Revocation],
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let was_open = match principal.session_id() {
            Some(session) => self.store.end_session(session, own).await?,
            None => self.store.revoke(own).await.map(|()| true)?,
        };
        // A token that has expired may end its own session while that is open, and no other.
        if principal.expires_at <= now && !was_open {
            return Ok(Vec::new());
        }
        let change = match scope {
            LogoutScope::Session => return Ok(Vec::new()),
            LogoutScope::RefreshTokens => UserChange::EndRefreshTokens,
            LogoutScope::Global => UserChange::EndSessions,
        };
        // A subject that is no account's number is of an operator's issuer: it has no other
        // sessions.
        let Some(user) = user_of(principal) else { return Ok(Vec::new()) };
        let own_end = Self::revoked_until(site, principal.expires_at);
        let until = Self::users_revoked_until(site, now).max(own_end);
        let ended = self.store.change_user(&site.realm, user, change, now, until).await?;
        Ok(ended.map(|(_, revocations)| revocations).unwrap_or_default())
    }
}
