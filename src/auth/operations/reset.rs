//! Password reset: a mailed code sets a new password, the user's own or one that is mailed.
//!
//! Everything that can be refused without the code is refused before the code is spent, whether or
//! not an account has the address; Argon2 runs only after the code was right. The new verifier is
//! stored in the step that ends all sessions, and only then is a generated password mailed: no mail
//! names a password that was not set. A crash in between leaves an unknown password; the client got
//! no answer or 503, and can ask for a new code.

use std::time::Duration;

use crate::auth::operations::code::{mail_failure, no_account, outbox};
use crate::auth::random::Alphabet;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::mail::Letter;
use crate::operation::{Email, Input, Outcome, Password, Rejection};
use crate::secret::Secret;
use crate::store::{CodePurpose, User, UserChange};

/// Characters of a generated password; more where `min_length` is more.
const MADE_LENGTH: usize = 16;

/// The time within which a mail with a generated password is worth sending.
const MAIL_LIFETIME: Duration = Duration::from_hours(24);

impl Auth {
    /// Sets a password for a mailed code; without `new` it generates one and mails it.
    pub(in crate::auth) async fn confirm_reset(
        &self,
        site: &AuthSite,
        (email, code): (&Email, &Secret<String>),
        new: Option<&Password>,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let passwords = &site.settings.passwords;
        match new {
            Some(new) => passwords.check_new(new, Input::NewPassword)?,
            None => outbox(site).map(|_| ())?,
        }
        let user = self.redeem_code(site, CodePurpose::Reset, (email, code), now).await?;
        match new {
            Some(new) => self.set_password(site, &user, new, now).await?,
            None => self.mail_password(site, &user, email, now).await?,
        }
        Ok(Outcome::PasswordReset { user: user.id })
    }

    async fn set_password(
        &self,
        site: &AuthSite,
        user: &User,
        password: &Password,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let verifier = site.settings.passwords.hash(password, Input::NewPassword).await?;
        let change = UserChange::ResetPassword { verifier };
        let until = Self::users_revoked_until(site, now);
        let changed = self.change_account(site, user.id, change, now, until).await?;
        self.forget_failures(&changed.ok_or_else(no_account)?).await;
        Ok(())
    }

    async fn mail_password(
        &self,
        site: &AuthSite,
        user: &User,
        email: &Email,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let length = MADE_LENGTH.max(site.settings.passwords.min_length());
        let password = Password { text: Alphabet::Unambiguous.draw(length)?, may_be_hashed: false };
        // Written first: a template that fails changes nothing.
        let letter = Letter::TemporaryPassword { password: password.text.expose() };
        let times = (now, now.plus(MAIL_LIFETIME));
        let mails = outbox(site)?;
        let mail = mails
            .write(letter, Some(email), site.language, &site.host, times)
            .map_err(|error| mail_failure(&error))?;
        self.set_password(site, user, &password, now).await?;
        self.store.queue_mail(mail).await.inspect_err(|_| {
            let user = user.id;
            tracing::error!(%user, "a password was reset, and its mail could not be queued");
        })?;
        mails.nudge();
        Ok(())
    }
}
