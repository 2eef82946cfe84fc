//! Checks an access token as a request with it would be, and returns its expiry.

use crate::auth::{Auth, AuthSite};
use crate::clock::Now;
use crate::operation::{Outcome, Rejection};
use crate::secret::Secret;

impl Auth {
    /// Checks a token as a request with it would be.
    ///
    /// # Errors
    /// 401 when the token is not sound or is revoked. While revocation is stale: as `when_stale`
    /// says, 503 where that is `reject`, or where the store is asked and does not answer.
    pub(in crate::auth) async fn check_token(
        &self,
        site: &AuthSite,
        token: Secret<String>,
        now: Now,
    ) -> Result<Outcome, Rejection> {
        let token_check = site.token_check(Some(&self.revocations), None);
        let status = token_check.check(token.expose(), now)?;
        if let Some(action) = status.stale_action() {
            tracing::warn!(action, "a token was checked although revocation is stale");
        }
        let verified = status.resolve(&*self.store, now.wall).await?;
        Ok(Outcome::TokenChecked { token, expires_at: verified.principal.expires_at })
    }
}
