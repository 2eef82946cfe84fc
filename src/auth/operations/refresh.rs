//! Refresh: exchanges a refresh token for its successor and a new access token.
//!
//! A token that was rotated long ago was stolen, or its successor was: the session ends with its
//! access tokens (RFC 9700 §4.14.2). The parent of the newest token is no theft while the newest is
//! unused: it was not exchanged, and no access token that was issued with it or later was seen
//! here. Then the answer was lost, and the same successor is returned again.
//!
//! Where a contract wants the previous access token as well, that one must be genuine and of the
//! same user and session, expired or not; a pair that does not match spends nothing. It proves only
//! that both belong together. A revoked access token does not end a session, whose user may just
//! have lost a role and needs a token with the present rights. A token under a revoked key is
//! refused: its signature proves nothing.

use std::slice;
use std::time::Duration;

use crate::auth::operations::account::user_of;
use crate::auth::{Auth, AuthSite};
use crate::clock::{Now, Timestamp};
use crate::config::Mfa;
use crate::operation::{
    Caller, ErrorCode, Identifier, Outcome, Principal, RefreshHash, Rejection, Revocation,
    RevocationKey, TokenSet, UserView,
};
use crate::secret::Secret;
use crate::store::{Lookup, Rotation, Session, Successor, User};
use crate::telemetry::audit;
use crate::telemetry::audit::{Entry, Event};
use crate::token::{RefreshToken, TokenError};

/// A refresh token that may be exchanged, with its session and user.
struct Refreshable<'t> {
    presented: &'t Secret<String>,
    hash: RefreshHash,
    session: Session,
    user: User,
}

impl Auth {
    pub(in crate::auth) async fn refresh(
        &self,
        site: &AuthSite,
        caller: &Caller,
        presented: &[Secret<String>],
        previous: Option<&Secret<String>>,
        clocks: Now,
    ) -> Result<Outcome, Rejection> {
        let now = clocks.wall;
        let previous = previous.map(|token| self.read_previous(site, token, clocks)).transpose()?;
        // Before the token is spent: it stays good until the site can sign again.
        self.check_signer(site, now)?;
        let Refreshable { presented, hash, session, user } =
            self.choose(site, caller, presented, clocks).await?;
        if previous.is_some_and(|previous| !is_of(&previous, &session)) {
            return Err(Rejection::invalid_grant("the access token is of another user or session"));
        }
        let successor = site
            .tokens
            .issue_refresh(user.id, session.id, now)?
            .ok_or_else(|| Rejection::invalid_grant("this site has no refresh tokens"))?;
        let sealed = successor.seal(presented)?;
        let offered =
            Successor { hash: successor.hash, sealed, now, expires_at: successor.expires_at };
        let grace = grace(site, &session);
        let until = Self::sessions_revoked_until(site, now);
        let rotation = self.store.rotate(session.id, &hash, offered, grace, until).await?;
        match rotation {
            Rotation::Rotated(session) => {
                self.renewed(site, &user, &session, successor.text, now).await
            }
            Rotation::Repeated { session, sealed } => {
                let text = RefreshToken::unseal(&sealed, presented)
                    .ok_or_else(|| Rejection::invalid_grant("the kept successor does not open"))?;
                self.renewed(site, &user, &session, text, now).await
            }
            Rotation::Reused(revocations) => {
                self.revocations.record(&revocations);
                record_reuse(site, caller, &session);
                Err(Rejection::invalid_grant(
                    "the token was rotated before: theft; the session was ended",
                ))
            }
            Rotation::Refused => {
                Err(Rejection::invalid_grant("unknown, expired, or of a session that ended"))
            }
        }
    }

    /// Reads the access token that goes with a refresh token, expired or not.
    fn read_previous(
        &self,
        site: &AuthSite,
        token: &Secret<String>,
        now: Now,
    ) -> Result<Principal, Rejection> {
        let verified = site.tokens.verify_expired(token.expose(), now.wall);
        let verified = verified.map_err(|error| self.unsound(site, "access", &error, now))?;
        if self.revocations.holds(&verified.revocation.key, now.wall) {
            return Err(Rejection::invalid_grant("the access token's key is revoked"));
        }
        Ok(*verified.principal)
    }

    /// The refusal of a token that does not verify.
    fn unsound(&self, site: &AuthSite, name: &str, error: &TokenError, now: Now) -> Rejection {
        let token_check = site.token_check(Some(&self.revocations), None);
        let reason = || format!("the {name} token: {error}");
        let invalid = || Rejection::invalid_grant(reason());
        token_check.unknown_key_while_stale(error, now).unwrap_or_else(invalid)
    }

    /// Chooses among the tokens of several cookies of one name: the one that was not exchanged yet.
    /// Two such tokens of different sessions are not one user's doing: both sessions end.
    async fn choose<'t>(
        &self,
        site: &AuthSite,
        caller: &Caller,
        presented: &'t [Secret<String>],
        clocks: Now,
    ) -> Result<Refreshable<'t>, Rejection> {
        if let [only] = presented {
            return self.find_refreshable(site, only, clocks).await;
        }
        let (mut live, mut exchanged) = (Vec::new(), None);
        let mut refused = Rejection::invalid_grant("no refresh token");
        for token in presented {
            match self.find_refreshable(site, token, clocks).await {
                Ok(found) => {
                    let newest =
                        self.store.is_newest_refresh(found.session.id, &found.hash).await?;
                    if newest {
                        live.push(found);
                    } else {
                        exchanged.get_or_insert(found);
                    }
                }
                Err(rejection) if rejection.code == ErrorCode::InvalidGrant => refused = rejection,
                Err(outage) => return Err(outage),
            }
        }
        if live.len() > 1 {
            return Err(self.end_all(site, caller, &live, clocks.wall).await);
        }
        live.pop().or(exchanged).ok_or(refused)
    }

    /// Ends the sessions of tokens that are all live; returns the refusal.
    async fn end_all(
        &self,
        site: &AuthSite,
        caller: &Caller,
        live: &[Refreshable<'_>],
        now: Timestamp,
    ) -> Rejection {
        let until = Self::sessions_revoked_until(site, now);
        let revocation = |Refreshable { session, .. }: &Refreshable<'_>| {
            Revocation::of_session(&session.issuer, session.id, until)
        };
        let revocations: Vec<_> = live.iter().map(revocation).collect();
        // Whatever the store does, the sessions are refused here.
        self.revocations.record(&revocations);
        for (Refreshable { session, .. }, revocation) in live.iter().zip(&revocations) {
            if let Err(error) =
                self.store.end_session(session.id, slice::from_ref(revocation)).await
            {
                return error.into();
            }
            record_reuse(site, caller, session);
        }
        let reason = "refresh tokens of several sessions came at once; all were ended";
        Rejection::new(ErrorCode::DuplicateCookie, reason)
    }

    /// Finds the session of a refresh token and its user, where both are still valid.
    async fn find_refreshable<'t>(
        &self,
        site: &AuthSite,
        presented: &'t Secret<String>,
        clocks: Now,
    ) -> Result<Refreshable<'t>, Rejection> {
        let now = clocks.wall;
        site.tokens
            .verify_refresh(presented.expose(), now)
            .map_err(|error| self.unsound(site, "refresh", &error, clocks))?;
        let hash = RefreshHash::of(presented.expose());
        let issuer = &site.tokens.policy().issuer;
        let session = self.store.find_session_by_refresh(issuer, &hash, now).await?;
        let session = session
            .filter(|session| session.issuer == *issuer && session.realm == site.realm)
            .ok_or_else(|| Rejection::invalid_grant("unknown, or of a session that ended"))?;
        if self.revocations.holds(&RevocationKey::of_session(issuer, session.id), now) {
            return Err(Rejection::invalid_grant("the session is revoked"));
        }
        if site.mfa == Mfa::Required && !session.methods.second_factor {
            let reason = "the site wants a second factor, and the session has proved none";
            return Err(Rejection::invalid_grant(reason));
        }
        let who = Identifier::Id(session.user);
        let user = self.store.find_user(&site.realm, &who, Lookup::Whole).await?;
        let user = user
            .filter(|user| user.enabled)
            .ok_or_else(|| Rejection::invalid_grant("the user is disabled or gone"))?;
        Ok(Refreshable { presented, hash, session, user })
    }

    async fn renewed(
        &self,
        site: &AuthSite,
        user: &User,
        session: &Session,
        refresh: Secret<String>,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let access = self.issue_access(site, (user, &user.attributes), session, now).await?;
        let tokens = TokenSet {
            access_token: access.text,
            issued_at: access.issued_at,
            access_expires_at: access.expires_at,
            refresh_token: Some(refresh),
            refresh_expires_at: Some(session.expires_at.min(session.ends_at)),
            session: session.id,
            device: None,
        };
        Ok(Outcome::TokensIssued { user: UserView::from(user), tokens, is_new_user: false })
    }
}

/// The time within which the parent of the newest token gets the same successor again: while the
/// successor is unused here, its answer may be lost.
fn grace(site: &AuthSite, session: &Session) -> Duration {
    let grace = site.tokens.policy().refresh_grace;
    let is_seen = || site.settings.seen.has_seen_since(session.id, session.last_used_at);
    if grace.is_zero() || is_seen() { grace } else { session.ends_at.since(session.created_at) }
}

/// Records in the audit trail that reused tokens ended a session.
fn record_reuse(site: &AuthSite, caller: &Caller, session: &Session) {
    audit::record(Entry {
        site: Some(site.host.clone()),
        user: Some(session.user.to_string()),
        session: Some(session.id.to_string()),
        address: Some(caller.address.to_string()),
        ..Entry::of(Event::RefreshReused)
    });
}

fn is_of(previous: &Principal, session: &Session) -> bool {
    previous.session_id() == Some(session.id) && user_of(previous) == Some(session.user)
}
