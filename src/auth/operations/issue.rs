//! Opens sessions and issues their tokens.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{
    AuthMethods, Authentication, Caller, Generations, Identifier, Rejection, SessionId, TokenSet,
    UserView,
};
use crate::store::{Lookup, NewSession, Session, User};
use crate::token::{AccessToken, Grant};

impl Auth {
    /// Opens a session for a user who has just authenticated by `methods`, and returns their
    /// account.
    ///
    /// The attributes are read here and not with the account: before authentication, the time that
    /// they take would reveal the account to a stranger. They are read before the session is
    /// opened, so that none is left over where they cannot be read.
    ///
    /// `None` when the account was disabled or removed, or its generation raised, since `user` was
    /// read.
    pub(in crate::auth) async fn open_session(
        &self,
        site: &AuthSite,
        caller: &Caller,
        (user, methods): (&User, AuthMethods),
        now: Timestamp,
    ) -> Result<Option<(UserView, TokenSet)>, Rejection> {
        let Some(shown) = self.shown(site, user, now).await? else { return Ok(None) };
        let policy = site.tokens.policy();
        let id = SessionId(Uuid::new_v4());
        let ends_at = now.plus(policy.session_ttl);
        let refresh = site.tokens.issue_refresh(user.id, id, now)?;
        let refresh_ends = refresh.as_ref().map(|refresh| refresh.expires_at.min(ends_at));
        let mut session = Session {
            id,
            user: user.id,
            realm: site.realm.clone(),
            issuer: policy.issuer.clone(),
            created_at: now,
            last_used_at: now,
            expires_at: refresh_ends.unwrap_or(ends_at),
            ends_at,
            address: caller.address.to_string(),
            agent: caller.agent.clone(),
            methods,
        };
        let access = self.issue_access(site, (user, &shown.attributes), &session, now).await?;
        session.expires_at = refresh_ends.unwrap_or(access.expires_at);
        let opened = NewSession {
            session,
            refresh: refresh.as_ref().map(|refresh| refresh.hash),
            generation: user.generation,
            replaces_others: site.one_session,
        };
        let until = Self::sessions_revoked_until(site, now);
        let Some(replaced) = self.store.open_session(opened, until).await? else {
            return Ok(None);
        };
        self.revocations.record(&replaced);
        let tokens = TokenSet {
            access_token: access.text,
            issued_at: access.issued_at,
            access_expires_at: access.expires_at,
            refresh_token: refresh.map(|refresh| refresh.text),
            refresh_expires_at: refresh_ends,
            session: id,
            device: None,
        };
        Ok(Some((shown, tokens)))
    }

    /// The account with its attributes, as it is after a login at `now`; `None` when it is gone.
    async fn shown(
        &self,
        site: &AuthSite,
        user: &User,
        now: Timestamp,
    ) -> Result<Option<UserView>, Rejection> {
        let who = Identifier::Id(user.id);
        let whole = self.store.find_user(&site.realm, &who, Lookup::Whole).await?;
        Ok(whole.map(|User { attributes, .. }| UserView {
            attributes,
            last_login_at: Some(now),
            ..UserView::from(user)
        }))
    }

    /// Refuses to issue tokens that would be refused at once, while the signing key is revoked and
    /// its successor is not in use yet.
    pub(in crate::auth) fn check_signer(
        &self,
        site: &AuthSite,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let lives = |key| !self.revocations.holds(&key, now);
        if site.tokens.signing_key().is_some_and(lives) {
            return Ok(());
        }
        let reason = "the site's signing key is revoked, and the new one is not in use yet";
        Err(Rejection::unavailable(reason))
    }

    /// Issues an access token of a session, for its user with these attributes.
    pub(in crate::auth) async fn issue_access(
        &self,
        site: &AuthSite,
        (user, attributes): (&User, &BTreeMap<String, serde_json::Value>),
        session: &Session,
        now: Timestamp,
    ) -> Result<AccessToken, Rejection> {
        self.check_signer(site, now)?;
        let issuer = &site.tokens.policy().issuer;
        let site_generation = self.store.site_generation(issuer).await?;
        let generations = Generations { user: user.generation, site: site_generation };
        let grant = Grant {
            user: user.id,
            session: session.id,
            generations,
            email: user.email.as_ref(),
            username: user.username.as_ref(),
            roles: &user.roles,
            permissions: &user.permissions,
            authentication: Some(Authentication {
                methods: session.methods,
                at: session.created_at,
            }),
            attributes: Some(attributes),
            not_after: Some(session.ends_at),
        };
        Ok(site.tokens.issue_access(grant, now)?)
    }
}
