//! The auth API's operations, written once, knowing nothing of any contract's shape.
//!
//! A client gets its answer to a revocation only after the store has acknowledged it and the
//! in-memory list has it. When the store does not acknowledge, the answer is 503; this node refuses
//! the revoked tokens all the same.

pub(crate) mod access_token;
mod operations;
pub mod passwords;
mod random;
pub(crate) mod recent_login;
mod second_factor;
pub mod seen_sessions;
pub mod throttle;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::config::{Mfa, SocialJoin, WhenStale};
use crate::mail::Outbox;
use crate::operation::{Caller, Command, Language, Outcome, Rejection, Revocation};
use crate::own_keys::OwnKeys;
use crate::revocation::RevocationList;
use crate::social::Social;
use crate::store::{CodePurpose, Store};
use crate::token::SiteTokens;

use operations::login::count_login;
use operations::sign_up::NewAccount;
use passwords::pool::PasswordPool;
use seen_sessions::SeenSessions;
use throttle::Throttle;

/// The store, the list and the keys that operations use; lives as long as the process.
#[derive(Clone)]
pub struct Auth {
    /// Users, sessions, revocations.
    pub store: Arc<dyn Store>,
    /// The in-memory list.
    pub revocations: Arc<RevocationList>,
    /// Hashes codes and names.
    pub own_keys: Arc<OwnKeys>,
}

/// The settings of one site; part of the snapshot.
#[derive(Clone, Debug)]
pub struct AuthSite {
    /// Its host as configured; mails name it.
    pub host: String,
    /// Its name for people; authenticator apps show it.
    pub name: String,
    /// The realm of its accounts.
    pub realm: String,
    /// Whether a login asks for a second factor.
    pub mfa: Mfa,
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
    /// The language of mails: the contract's own.
    pub language: Language,
    /// The settings of all sites.
    pub settings: Arc<AuthSettings>,
}

/// The settings of all sites; part of the snapshot.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Argon2.
    pub passwords: Arc<PasswordPool>,
    /// The limits on attempts.
    pub throttle: Arc<Throttle>,
    /// The sessions whose access tokens were seen here.
    pub seen: Arc<SeenSessions>,
    /// The outbox of mails; `None`: mail is off.
    pub mails: Option<Arc<Outbox>>,
    /// The social providers.
    pub social: Arc<Social>,
    /// The accounts that a verified address may join.
    pub social_join: SocialJoin,
    /// The greatest age of the revocation list.
    pub max_staleness: Duration,
    /// The action where the list is older.
    pub when_stale: WhenStale,
    /// The time for which a revocation of a user is remembered: the longest life of a token of
    /// theirs on any site.
    pub user_revocation_ttl: Duration,
}

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
        clocks: Now,
    ) -> Result<Outcome, Rejection> {
        if !is_limited(&command) {
            return Box::pin(self.perform(site, caller, command, clocks)).await;
        }
        let attempt = self.begin_attempt(site, caller.address, clocks.wall).await?;
        // Boxed, so that the future of a request holds no room for it.
        let outcome = Box::pin(self.perform(site, caller, command, clocks)).await;
        // A login does not count: the budget is for failures, and for what makes accounts and
        // mails.
        let is_login = match &outcome {
            Ok(outcome) => outcome.session().is_some() && !outcome.made_account(),
            Err(rejection) => rejection.code.has_challenge(),
        };
        if is_login {
            attempt.cancel().await;
        }
        outcome
    }

    async fn perform(
        &self,
        site: &AuthSite,
        caller: &Caller,
        command: Command,
        clocks: Now,
    ) -> Result<Outcome, Rejection> {
        let now = clocks.wall;
        match command {
            Command::SignUp { email, username, password, role, attributes } => {
                let account = NewAccount { email, username, password, role, attributes };
                self.sign_up(site, account, now).await
            }
            Command::Login { identifier, password } => {
                let outcome = self.login(site, caller, &identifier, &password, now).await;
                count_login(site, &outcome);
                outcome
            }
            Command::Refresh { refresh_tokens, previous_access_token } => {
                self.refresh(site, caller, &refresh_tokens, previous_access_token.as_ref(), clocks)
                    .await
            }
            Command::Logout { principal, scope } => self.logout(site, &principal, scope, now).await,
            Command::Me { principal } => self.me(site, &principal).await,
            Command::ChangePassword { principal, old, new } => {
                self.change_password(site, caller, &principal, (&old, &new), now).await
            }
            Command::Sessions { principal } => self.sessions(site, &principal, now).await,
            Command::EndSession { principal, session } => {
                self.end_session(site, &principal, session, now).await
            }
            Command::SocialLogin { provider, token } => {
                let outcome = self.social_login(site, caller, provider, &token, now).await;
                count_login(site, &outcome);
                outcome
            }
            Command::CheckToken { token } => self.check_token(site, token, clocks).await,
            Command::RequestReset { email } => {
                self.request_code(site, CodePurpose::Reset, email, now).await
            }
            Command::ConfirmReset { email, code, new } => {
                self.confirm_reset(site, (&email, &code), new.as_ref(), now).await
            }
            Command::RequestVerification { email } => {
                self.request_code(site, CodePurpose::Verification, email, now).await
            }
            Command::ConfirmVerification { email, code } => {
                self.confirm_verification(site, (&email, &code), now).await
            }
            Command::SecondFactor { challenge, proof, remember } => {
                let proof = (&proof, remember);
                let outcome = self.second_factor(site, caller, &challenge, proof, now).await;
                count_login(site, &outcome);
                outcome
            }
            Command::SetUpSecondFactor { claimant, setup } => {
                self.set_up_second_factor(site, &claimant, setup.as_ref(), now).await
            }
            Command::ConfirmSecondFactor { claimant, setup, code } => {
                self.confirm_second_factor(site, caller, &claimant, (&setup, &code), now).await
            }
            Command::RemoveSecondFactor { principal, proof } => {
                self.remove_second_factor(site, caller, (&principal, &proof), now).await
            }
            Command::RenewRecoveryCodes { principal, proof } => {
                self.renew_recovery_codes(site, caller, (&principal, &proof), now).await
            }
            Command::ShowSecondFactor { principal } => {
                self.show_second_factor(site, caller, &principal, now).await
            }
            Command::ForgetDevices { principal, device } => {
                self.forget_devices(site, &principal, device, now).await
            }
        }
    }

    /// The expiry of a revocation of a user, made now: no token of theirs, on any site, lives
    /// longer.
    fn users_revoked_until(site: &AuthSite, now: Timestamp) -> Timestamp {
        Self::sessions_revoked_until(site, now)
            .max(Self::revoked_until(site, now.plus(site.settings.user_revocation_ttl)))
    }

    /// The expiry of a revocation of a session of this site, made now.
    fn sessions_revoked_until(site: &AuthSite, now: Timestamp) -> Timestamp {
        Self::revoked_until(site, now.plus(site.tokens.policy().access_ttl))
    }

    /// The expiry of a revocation of tokens of this site that expire at `end`.
    fn revoked_until(site: &AuthSite, end: Timestamp) -> Timestamp {
        Revocation::until(end, site.tokens.policy().leeway)
    }
}

/// Whether a command counts against its address's budget: any that lets strangers guess does.
const fn is_limited(command: &Command) -> bool {
    match command {
        Command::SignUp { .. }
        | Command::Login { .. }
        | Command::SocialLogin { .. }
        | Command::RequestReset { .. }
        | Command::ConfirmReset { .. }
        | Command::RequestVerification { .. }
        | Command::ConfirmVerification { .. }
        | Command::SecondFactor { .. } => true,
        Command::Refresh { .. }
        | Command::Logout { .. }
        | Command::Me { .. }
        | Command::ChangePassword { .. }
        | Command::Sessions { .. }
        | Command::EndSession { .. }
        | Command::CheckToken { .. }
        | Command::SetUpSecondFactor { .. }
        | Command::ConfirmSecondFactor { .. }
        | Command::RemoveSecondFactor { .. }
        | Command::RenewRecoveryCodes { .. }
        | Command::ShowSecondFactor { .. }
        | Command::ForgetDevices { .. } => false,
    }
}

#[cfg(test)]
mod tests;
