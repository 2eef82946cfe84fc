//! Verifies a token, from its bytes to its claims (RFC 7519 §7.2, RFC 8725).
//!
//! The token is split and its header read before any key is used; then the key is picked and the
//! signature checked over the bytes as presented, and only then are the claims read.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::encoding::hex;
use crate::operation::{Principal, RevocationKey, TokenId, UserId};
use crate::token::cache::CachedToken;
use crate::token::claims::{Claims, TokenUse};
use crate::token::header::Compact;
use crate::token::key::Key;
use crate::token::material::library_algorithm;
use crate::token::{RevocationKeys, SiteTokens, TokenError, Verified, header, json};

impl SiteTokens {
    /// Verifies an access token without the cache.
    ///
    /// # Errors
    /// Says what failed.
    pub(super) fn verify_access(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<CachedToken, TokenError> {
        let (key, payload) = self.verify_signature(token)?;
        let (claims, all) = self.check_claims(&payload, TokenUse::Access)?;
        claims.check_end(now)?;
        claims.check_begin(now)?;
        let valid_from = claims.valid_from;
        let expires_at = claims.expires_at;
        let verified = Arc::new(self.verified(key, claims, all, &payload));
        for left_out in &verified.left_out {
            tracing::debug!(issuer = %self.policy.issuer, "{left_out}, and is left out");
        }
        Ok(CachedToken { verified, valid_from, expires_at })
    }

    /// Verifies an access token that may have expired.
    ///
    /// # Errors
    /// Says what failed.
    pub(super) fn verify_ended(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let (key, payload) = self.verify_signature(token)?;
        let (claims, all) = self.check_claims(&payload, TokenUse::Access)?;
        claims.check_begin(now)?;
        Ok(self.verified(key, claims, all, &payload))
    }

    /// Verifies a refresh token that is a JWT.
    ///
    /// # Errors
    /// Says what failed.
    pub(super) fn verify_refresh_jwt(&self, token: &str, now: Timestamp) -> Result<(), TokenError> {
        let (key, payload) = self.verify_signature(token)?;
        // The store knows its refresh tokens by hash, but a revoked key's tokens are refused.
        if self.ring.is_revoked(key) {
            return Err(TokenError::UnknownKey);
        }
        let (claims, _) = self.check_claims(&payload, TokenUse::Refresh)?;
        claims.check_end(now)?;
        claims.check_begin(now)
    }

    /// Finds the key whose signature it is; returns the payload, decoded but not read.
    ///
    /// # Errors
    /// Says what failed.
    fn verify_signature(&self, token: &str) -> Result<(&Key, Vec<u8>), TokenError> {
        let compact = Compact::parse(token, self.ring.origin)?;
        for key in self.ring.candidates(compact.kid.as_deref(), &compact.algorithm)? {
            let genuine = jsonwebtoken::crypto::verify(
                compact.signature,
                compact.message.as_bytes(),
                &key.material.verifying,
                library_algorithm(key.algorithm),
            );
            match genuine {
                Ok(true) => return Ok((key, header::decode(compact.payload)?)),
                Ok(false) => {}
                Err(_) => {
                    let problem = "the signature is not canonical base64url";
                    return Err(TokenError::Malformed(problem));
                }
            }
        }
        Err(TokenError::Signature)
    }

    /// Reads the claims and checks them for one use, except their time.
    ///
    /// # Errors
    /// Names the first that does not pass.
    fn check_claims(
        &self,
        payload: &[u8],
        token_use: TokenUse,
    ) -> Result<(Claims, Map<String, Value>), TokenError> {
        let mut all = json::object(payload).ok_or(TokenError::Malformed(
            "the claims are no JSON object, or have a member twice",
        ))?;
        let claims = Claims::check(&mut all, &self.policy, self.ring.origin, token_use)?;
        Ok((claims, all))
    }

    fn verified(
        &self,
        key: &Key,
        claims: Claims,
        all: Map<String, Value>,
        payload: &[u8],
    ) -> Verified {
        let issuer = &self.policy.issuer;
        let token = claims.token.unwrap_or_else(|| id_of(payload));
        let user = claims.subject.parse().ok().map(UserId);
        let revocation = RevocationKeys {
            token: RevocationKey::of_token(issuer, &token),
            session: claims
                .session
                .as_ref()
                .map(|session| RevocationKey::of_session_name(issuer, session)),
            user: user.map(|user| RevocationKey::of_user(&self.policy.realm, user)),
            site: self.site,
            key: RevocationKey::of_key(issuer, &key.kid),
            generations: claims.generations,
        };
        let principal = Principal {
            issuer: issuer.clone(),
            subject: claims.subject,
            token,
            session: claims.session,
            generations: claims.generations,
            key: key.kid.clone(),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            email: claims.email,
            username: claims.username,
            roles: claims.roles,
            permissions: claims.permissions,
            authenticated_at: claims.authenticated_at,
            methods: claims.methods,
            claims: all,
        };
        Verified {
            principal: Box::new(principal),
            revocation,
            is_own: claims.is_own,
            left_out: claims.left_out,
            was_shown: AtomicBool::new(false),
            identity: OnceLock::new(),
            logged: OnceLock::new(),
        }
    }
}

/// The id of a token without `jti`: SHA-256 over its decoded claims, in hex. The signature is not
/// part of it, because an ECDSA signature has a second valid form.
fn id_of(payload: &[u8]) -> TokenId {
    let hash = digest::digest(&digest::SHA256, payload);
    TokenId(hex(hash.as_ref()))
}
