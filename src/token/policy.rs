//! A site's token policy: claims, audience, lifetimes.

use std::time::Duration;

use crate::config::Algorithm;
use crate::token::RefreshFormat;

/// What a site's tokens say and how long they live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// `iss`.
    pub issuer: String,
    /// `aud`: what is issued; a token needs one of them. Defaults to the issuer alone.
    pub audience: Vec<String>,
    /// The realm whose users the subjects are.
    pub realm: String,
    /// What new tokens are signed with.
    pub algorithm: Algorithm,
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// Lifetime of a refresh token from each rotation; `None`: the contract has none.
    pub refresh_ttl: Option<Duration>,
    /// How a refresh token looks.
    pub refresh_format: RefreshFormat,
    /// The longest a session lasts, whatever is refreshed.
    pub session_ttl: Duration,
    /// How long the parent of the newest refresh token gets the same successor again.
    pub refresh_grace: Duration,
    /// Names of the text attributes that access tokens carry.
    pub attributes: Vec<String>,
    /// Tolerance for `nbf` and `iat`.
    pub leeway: Duration,
    /// Verified tokens remembered; 0 = none.
    pub verify_cache: usize,
    /// What a token under an operator's key must say.
    pub foreign: ForeignClaims,
    /// Longest token looked at, in bytes (`[limits] token_bytes`).
    pub token_bytes: usize,
}

/// What a token under an operator's key must say besides issuer and subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignClaims {
    /// Any audience passes, or none.
    pub any_audience: bool,
    /// Claims that may not be absent.
    pub required: Vec<String>,
}

impl Default for ForeignClaims {
    fn default() -> Self {
        Self { any_audience: false, required: vec!["exp".to_owned()] }
    }
}
