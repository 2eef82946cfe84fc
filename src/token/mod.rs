//! Tokens of a site: issue, and verification except for revocation and rules.
//!
//! [`SiteTokens`] is immutable except for its cache of verified tokens; a reload or a new key makes
//! a new one. It reads no clock and asks no store. The caller checks revocation, every time, by the
//! keys in [`Verified`]; the cache never skips it.
//!
//! RFC 7515, RFC 7519, RFC 8725; `security.md` 1.1 in tests.

mod cache;
mod claims;
mod error;
mod header;
mod issue;
mod json;
mod jwks;
mod key;
mod material;
mod policy;
mod refresh;
mod verified;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::crypto::aws_lc;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{Generations, RevocationKey, SessionId, UserId};
use crate::token::cache::Cache;
use crate::token::issue::OwnClaims;
use crate::token::key::{Key, Origin};

pub use error::TokenError;
pub use issue::{ATTRIBUTES_CLAIM, AccessToken, Grant};
pub use key::{KeyError, KeyRing, StoredKey};
pub use policy::{ForeignClaims, TokenPolicy};
pub use refresh::{RefreshFormat, RefreshToken};
pub use verified::{IdentityHeaders, LeftOut, Revocable, RevocationKeys, RevokedBy, Verified};

/// Tokens of one site.
#[derive(Debug)]
pub struct SiteTokens {
    policy: TokenPolicy,
    ring: KeyRing,
    signer: Option<Arc<Key>>,
    cache: Option<Cache>,
    site: RevocationKey,
}

/// Makes aws-lc-rs the process's cryptography, for tokens and for TLS; calling again is harmless.
pub fn install_crypto() {
    // An error says that one is installed already; there is no other.
    let _tokens = aws_lc::DEFAULT_PROVIDER.install_default();
    let _tls = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl SiteTokens {
    /// Joins policy and keys, and tests by signing and verifying that they work.
    ///
    /// # Errors
    /// When no key can sign with the policy's algorithm, or the self-test fails.
    pub fn new(policy: TokenPolicy, keys: KeyRing) -> Result<Self, KeyError> {
        let tokens = Self::verifying_only(policy, keys)?;
        if tokens.signer.is_none() {
            return Err(KeyError::NoSigner(tokens.policy.algorithm));
        }
        tokens.prove()?;
        Ok(tokens)
    }

    /// As [`SiteTokens::new`], for a site that issues nothing: no key need be able to sign.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn verifying_only(mut policy: TokenPolicy, keys: KeyRing) -> Result<Self, KeyError> {
        install_crypto();
        if policy.audience.is_empty() {
            policy.audience.push(policy.issuer.clone());
        }
        Ok(Self {
            signer: keys.signer(policy.algorithm).cloned(),
            cache: Cache::new(policy.verify_cache)?,
            site: RevocationKey::of_site(&policy.issuer),
            policy,
            ring: keys,
        })
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// Verifies an access token: form, header, signature, type, issuer, audience, time, subject.
    ///
    /// # Errors
    /// With the check that failed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, TokenError> {
        self.check_length(token)?;
        let Some(cache) = &self.cache else {
            return self.verify_access(token, now).map(|entry| entry.verified);
        };
        let fingerprint = cache.fingerprint(token);
        if let Some(found) = fingerprint.and_then(|print| cache.get(print, now)) {
            return Ok(found);
        }
        let entry = self.verify_access(token, now)?;
        let verified = Arc::clone(&entry.verified);
        if let Some(fingerprint) = fingerprint {
            cache.insert(fingerprint, entry, now);
        }
        Ok(verified)
    }

    /// Verifies an access token as [`SiteTokens::verify`] does, but accepts an expired one: it
    /// proves only whose it was, and gives no access. It is not cached.
    ///
    /// # Errors
    /// Says what failed.
    pub fn verify_expired(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        self.check_length(token)?;
        self.verify_ended(token, now)
    }

    /// Verifies that a refresh token has the site's form and, as a JWT, that it is genuine, of this
    /// site and valid now. The store decides whether it is known.
    ///
    /// # Errors
    /// Says what failed.
    pub fn verify_refresh(&self, text: &str, now: Timestamp) -> Result<(), TokenError> {
        self.check_length(text)?;
        match self.policy.refresh_format {
            _ if self.policy.refresh_ttl.is_none() => Err(TokenError::Use),
            RefreshFormat::Opaque => refresh::check_opaque(text),
            RefreshFormat::Uuid => refresh::check_uuid(text),
            RefreshFormat::Jwt => self.verify_refresh_jwt(text, now),
        }
    }

    /// Makes an access token.
    ///
    /// # Errors
    /// When the key refuses to sign, or the token would be refused for its length.
    pub fn issue_access(&self, grant: Grant<'_>, now: Timestamp) -> Result<AccessToken, KeyError> {
        let claims = OwnClaims::access(&self.policy, grant, now)?;
        let text = claims.sign(self.signer()?)?;
        let (size, limit) = (text.expose().len(), self.policy.issued_bytes);
        if size > limit {
            let is_cookies = limit < self.policy.token_bytes;
            let bound =
                if is_cookies { "the most that a cookie holds" } else { "[limits] token_bytes" };
            return Err(KeyError::TooLong { size, limit, bound });
        }
        Ok(AccessToken {
            text,
            id: claims.id(),
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
        })
    }

    /// Checks that roles and permissions leave a user's access token short enough to be taken.
    ///
    /// # Errors
    /// [`KeyError::TooLong`], with the length that it would have.
    pub fn check_rights(&self, grant: Grant<'_>, now: Timestamp) -> Result<(), KeyError> {
        let rights = grant.roles.iter().chain(grant.permissions);
        let length: usize = rights.map(|right| right.len() + "\"\",".len()).sum();
        // Signing is needed only near the limit: an import checks each of its lines.
        if length <= self.policy.issued_bytes / 4 {
            return Ok(());
        }
        match self.issue_access(grant, now) {
            Err(error @ KeyError::TooLong { .. }) => Err(error),
            // Other failures to sign do not matter here.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Makes a refresh token; `None` where the contract has none.
    ///
    /// # Errors
    /// When the key refuses to sign, or there are no random bytes.
    pub fn issue_refresh(
        &self,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<RefreshToken>, KeyError> {
        let Some(lifetime) = self.policy.refresh_ttl else { return Ok(None) };
        let token = match self.policy.refresh_format {
            RefreshFormat::Opaque => RefreshToken::opaque(now.plus(lifetime))?,
            RefreshFormat::Uuid => RefreshToken::uuid(now.plus(lifetime))?,
            RefreshFormat::Jwt => {
                let seconds = lifetime.as_secs();
                let claims = OwnClaims::refresh(&self.policy, user, session, seconds, now)?;
                RefreshToken::new(claims.sign(self.signer()?)?, claims.expires_at())
            }
        };
        Ok(Some(token))
    }

    /// The revocation key of the signing key.
    #[must_use]
    pub fn signing_key(&self) -> Option<RevocationKey> {
        let signer = self.signer.as_deref()?;
        Some(RevocationKey::of_key(&self.policy.issuer, &signer.kid))
    }

    /// Whether the keys are in the store, where others may be added at any time.
    #[must_use]
    pub fn keys_are_stored(&self) -> bool {
        self.ring.origin == Origin::Stored
    }

    /// The same tokens, without a signer.
    #[must_use]
    pub fn not_issuing(self) -> Self {
        Self { signer: None, ..self }
    }

    /// The public keys as a JWK Set (RFC 7517 §5); symmetric keys are left out.
    #[must_use]
    pub fn jwks(&self) -> Value {
        jwks::set(&self.ring)
    }

    fn signer(&self) -> Result<&Key, KeyError> {
        self.signer.as_deref().ok_or(KeyError::NoSigner(self.policy.algorithm))
    }

    fn check_length(&self, text: &str) -> Result<(), TokenError> {
        let limit = self.policy.token_bytes;
        if text.len() > limit { Err(TokenError::TooLong { limit }) } else { Ok(()) }
    }

    /// Signs a test token and verifies it, so that a library without its backend, or a key pair
    /// whose halves do not match, shows at start and not at the first login.
    fn prove(&self) -> Result<(), KeyError> {
        let now = Timestamp::from_seconds(1_000_000_000);
        let grant = Grant {
            user: UserId(0),
            session: SessionId(Uuid::nil()),
            generations: Generations::default(),
            email: None,
            username: None,
            roles: &[],
            permissions: &[],
            authentication: None,
            attributes: None,
            not_after: None,
        };
        let token = self.issue_access(grant, now)?;
        match self.verify_access(token.text.expose(), now) {
            Ok(_) => Ok(()),
            Err(error) => Err(KeyError::Signing(format!("the self-test: {error}"))),
        }
    }
}
