//! The auth API's operations, written once, knowing nothing of any contract's shape.
//!
//! A revocation is answered only after the store has acknowledged it and the in-memory list has
//! taken it in. When the store does not acknowledge, the client is told so (503); what the client
//! wanted refused is refused at this node all the same.

mod account;
mod change_password;
mod issue;
mod login;
mod logout;
pub mod password;
mod refresh;
mod sessions;
mod sign_up;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::operation::Caller;
use crate::operation::Command;
use crate::operation::ErrorCode;
use crate::operation::Outcome;
use crate::operation::Rejection;
use crate::revocation::Revocations;
use crate::store::Store;
use crate::store::StoreError;
use crate::token::KeyError;
use crate::token::SiteTokens;

use password::PasswordPool;
use sign_up::NewAccount;

/// What operations stand on; lives as long as the process.
#[derive(Clone)]
pub struct Auth {
    /// Users, sessions, revocations.
    pub store: Arc<dyn Store>,
    /// The in-memory list.
    pub revocations: Arc<Revocations>,
}

/// What operations need to know of the site; part of the snapshot.
#[derive(Clone, Debug)]
pub struct AuthSite {
    /// The realm of its accounts.
    pub realm: String,
    /// Its tokens.
    pub tokens: Arc<SiteTokens>,
    /// Whether sign-up is open.
    pub signup: bool,
    /// The role of an account that asks for none it may have.
    pub default_role: Option<String>,
    /// Roles a sign-up may ask for besides.
    pub signup_roles: Vec<String>,
    /// A login ends the user's other sessions of this site.
    pub one_session: bool,
    /// Argon2: one pool for all sites.
    pub passwords: Arc<PasswordPool>,
    /// How long a revocation of a user is remembered: as long as any token of theirs can live, on
    /// whatever site.
    pub user_revocation_ttl: Duration,
}

/// When a client that met a store that is away is told to come again.
const COME_AGAIN: Duration = Duration::from_secs(1);

impl std::fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Auth")
            .field("store", &self.store.describe())
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Runs a command.
    ///
    /// # Errors
    /// A [`Rejection`] with the code that the client may learn and the reason that it may not.
    pub async fn run(
        &self,
        site: &AuthSite,
        caller: &Caller,
        command: Command,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        match command {
            Command::SignUp { email, username, password, role, attributes } => {
                let account = NewAccount { email, username, password, role, attributes };
                self.sign_up(site, account, now).await
            }
            Command::Login { identifier, password } => {
                self.login(site, caller, &identifier, &password, now).await
            }
            Command::Refresh { refresh_token } => self.refresh(site, &refresh_token, now).await,
            Command::Logout { principal, everywhere } => {
                self.logout(site, &principal, everywhere, now).await
            }
            Command::Me { principal } => self.me(site, &principal).await,
            Command::ChangePassword { principal, old, new } => {
                self.change_password(site, caller, &principal, (&old, &new), now).await
            }
            Command::Sessions { principal } => self.sessions(site, &principal, now).await,
            Command::EndSession { principal, session } => {
                self.end_session(site, &principal, session, now).await
            }
        }
    }

    /// Until when a revocation of a user, made now, is remembered: no token of theirs, on whatever
    /// site, lives longer.
    ///
    /// The leeway covers nodes whose clocks differ.
    fn users_revoked_until(site: &AuthSite, now: Timestamp) -> Timestamp {
        Self::sessions_revoked_until(site, now)
            .max(now.plus(site.user_revocation_ttl).plus(site.tokens.policy().leeway))
    }

    /// Until when a revocation of a session of this site, made now, is remembered.
    fn sessions_revoked_until(site: &AuthSite, now: Timestamp) -> Timestamp {
        let policy = site.tokens.policy();
        now.plus(policy.access_ttl).plus(policy.leeway)
    }
}

/// What a client is told when the store did not do what it was asked.
fn store_failure(error: &StoreError) -> Rejection {
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error {
        StoreError::TimedOut(_) | StoreError::Unavailable(_) => {
            Rejection::new(ErrorCode::ServiceUnavailable, reason).retry_after(COME_AGAIN)
        }
        StoreError::Taken => Rejection::new(ErrorCode::AccountExists, reason),
        StoreError::Corrupt(_) | StoreError::Newer { .. } => {
            Rejection::new(ErrorCode::Internal, reason)
        }
    }
}

/// What a client is told when a token could not be made.
fn key_failure(error: &KeyError) -> Rejection {
    Rejection::new(ErrorCode::Internal, error.to_string())
}

#[cfg(test)]
mod tests;
