//! Login: proves a password and opens a session, without revealing which accounts exist.

use futures_util::future::join;

use crate::auth::passwords::pool::Proof;
use crate::auth::throttle::Account;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{AuthMethods, Caller, ErrorCode, Identifier, Outcome, Password, Rejection};
use crate::store::{Lookup, StoreError, User, UserChange};
use crate::telemetry::metric;

impl Auth {
    pub(in crate::auth) async fn login(
        &self,
        site: &AuthSite,
        caller: &Caller,
        identifier: &Identifier,
        password: &Password,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        // Twice, for a login that raced a change of the account.
        for _ in 0..2 {
            let user = self
                .store
                .find_user(&site.realm, identifier, Lookup::Login)
                .await
                .map_err(look_up_failure)?;
            let account =
                user.as_ref().map_or(Account::Unknown(identifier), |user| Account::Known(user.id));
            let id = user.as_ref().map(|user| user.id);
            let attempt = self.begin_password_attempt(site, account, caller.address, now).await;
            let attempt = attempt.map_err(|rejection| rejection.about(id))?;
            let verifier = user.as_ref().and_then(|user| user.verifier.as_deref());
            // Before the account is looked at, so that every refusal takes the same time.
            let proof = match site.settings.passwords.verify(password, verifier).await {
                Ok(proof) => proof,
                Err(rejection) => {
                    attempt.cancel().await;
                    return Err(rejection.about(id));
                }
            };
            let (user, proof) = match (user, proof) {
                (Some(user), Some(proof)) if user.enabled => (user, proof),
                (user, _) => return Err(refusal(user.as_ref())),
            };
            let methods = AuthMethods::PASSWORD;
            let completing = self.complete_login(site, caller, (&user, false), methods, now);
            let ((), completed) = join(attempt.succeed(), completing).await;
            let Some(outcome) = completed.transpose() else { continue };
            let is_login = outcome.as_ref().map_or_else(|it| it.code.has_challenge(), |_| true);
            if is_login {
                self.renew_verifier(site, &user, proof, now).await;
            }
            return outcome;
        }
        Err(Rejection::new(ErrorCode::InvalidCredentials, "the account changed during the login"))
    }

    /// Replaces a verifier by one of the configured parameters; if that fails, the next login
    /// tries.
    async fn renew_verifier(&self, site: &AuthSite, user: &User, proof: Proof, now: Timestamp) {
        let Some(from) = user.verifier.clone() else { return };
        if !site.settings.passwords.is_outdated(&from) {
            return;
        }
        let renewed = match site.settings.passwords.renew(proof).await {
            Ok(to) => {
                let change = UserChange::UpgradeVerifier { from, to };
                let changed = self.store.change_user(&site.realm, user.id, change, now, now).await;
                changed.map(|_| ()).map_err(Rejection::from)
            }
            Err(rejection) => Err(rejection),
        };
        if let Err(rejection) = renewed {
            tracing::warn!(user = %user.id, reason = %rejection, "a verifier was not renewed");
        }
    }
}

/// Counts a login, of whatever kind.
pub(in crate::auth) fn count_login(site: &AuthSite, outcome: &Result<Outcome, Rejection>) {
    let result = outcome.as_ref().map_or_else(|rejection| rejection.code.name(), |_| "success");
    let issuer = site.tokens.policy().issuer.clone();
    metrics::counter!(metric::LOGINS, "site" => issuer, "result" => result).increment(1);
}

/// The refusal of a login whose account could not be looked up.
pub(in crate::auth) fn look_up_failure(error: StoreError) -> Rejection {
    match error {
        StoreError::TimedOut(_) => {
            Rejection { code: ErrorCode::LookupTimeout, ..Rejection::from(error) }
        }
        _ => error.into(),
    }
}

fn refusal(user: Option<&User>) -> Rejection {
    let reason = match user {
        None => "no such user",
        Some(user) if !user.enabled => "the account is disabled",
        Some(user) if user.verifier.is_none() => "the account has no password",
        Some(_) => "wrong password",
    };
    let id = user.map(|user| user.id);
    Rejection::new(ErrorCode::InvalidCredentials, reason).about(id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::look_up_failure;
    use crate::operation::ErrorCode;
    use crate::store::StoreError;

    #[test]
    fn a_slow_look_up_is_told_apart_from_a_store_that_is_away() {
        let away = || StoreError::Unavailable("connection refused".into());
        let rows = [
            (StoreError::TimedOut(Duration::from_secs(5)), ErrorCode::LookupTimeout, true),
            (away(), ErrorCode::ServiceUnavailable, true),
            (StoreError::Corrupt("user 7".to_owned()), ErrorCode::Internal, false),
        ];
        for (error, code, come_again) in rows {
            let case = error.to_string();
            let rejection = look_up_failure(error);

            assert_eq!(rejection.code, code, "{case}");
            assert_eq!(rejection.retry_after.is_some(), come_again, "{case}");
        }
        assert!(look_up_failure(away()).reason.ends_with("connection refused"));
    }
}
