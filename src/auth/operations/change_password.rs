//! Password change: all earlier sessions end, and a new one begins.

use crate::auth::throttle::Account;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{
    AuthMethods, Caller, ErrorCode, Input, Outcome, Password, Principal, Rejection,
};
use crate::store::{Lookup, User, UserChange};

impl Auth {
    pub(in crate::auth) async fn change_password(
        &self,
        site: &AuthSite,
        caller: &Caller,
        principal: &Principal,
        (old, new): (&Password, &Password),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        site.settings.passwords.check_new(new, Input::NewPassword)?;
        self.check_signer(site, now)?;
        let user = self.account_of(site, principal, Lookup::Routine).await?;
        self.prove_password(site, caller, &user, old, now).await?;
        let verifier = site.settings.passwords.hash(new, Input::NewPassword).await?;
        let change = UserChange::SetPassword { verifier };
        let own_end = Self::revoked_until(site, principal.expires_at);
        let until = Self::users_revoked_until(site, now).max(own_end);
        let Some(user) = self.change_account(site, user.id, change, now, until).await? else {
            return Err(Rejection::invalid_token("the token's user is gone"));
        };
        self.forget_failures(&user).await;
        let methods = AuthMethods { password: true, ..principal.methods };
        let opened = self
            .open_session(site, caller, (&user, methods), now)
            .await?
            .ok_or_else(|| Rejection::invalid_token("the account changed once more meanwhile"))?;
        let (user, tokens) = opened;
        Ok(Outcome::TokensIssued { user, tokens, is_new_user: false })
    }

    /// Proves the password of a user who is signed in; as at a login: a stolen token gives no more
    /// guesses than none.
    pub(in crate::auth) async fn prove_password(
        &self,
        site: &AuthSite,
        caller: &Caller,
        user: &User,
        password: &Password,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let account = Account::Known(user.id);
        let attempt = self.begin_password_attempt(site, account, caller.address, now).await?;
        match site.settings.passwords.verify(password, user.verifier.as_deref()).await {
            Ok(Some(_)) => {
                attempt.succeed().await;
                Ok(())
            }
            Ok(None) => {
                Err(Rejection::new(ErrorCode::InvalidCredentials, "wrong present password"))
            }
            Err(rejection) => {
                attempt.cancel().await;
                Err(rejection)
            }
        }
    }
}
