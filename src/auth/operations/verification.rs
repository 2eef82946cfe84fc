//! Proof of an address by a mailed code.

use crate::auth::operations::code::no_account;
use crate::auth::{Auth, AuthSite};
use crate::clock::Timestamp;
use crate::operation::{Email, Outcome, Rejection};
use crate::secret::Secret;
use crate::store::{CodePurpose, UserChange};

impl Auth {
    pub(in crate::auth) async fn confirm_verification(
        &self,
        site: &AuthSite,
        (email, code): (&Email, &Secret<String>),
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let purpose = CodePurpose::Verification;
        let user = self.redeem_code(site, purpose, (email, code), now).await?;
        let Some(email) = user.email else { return Err(no_account()) };
        let change = UserChange::ProveEmail { email };
        let until = Self::users_revoked_until(site, now);
        let changed = self.change_account(site, user.id, change, now, until).await?;
        // The account may have gone, or have another address, since it was found.
        let proven = changed.is_some_and(|user| user.email_verified);
        if proven { Ok(Outcome::EmailVerified { user: user.id }) } else { Err(no_account()) }
    }
}
