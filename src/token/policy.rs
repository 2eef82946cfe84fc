//! A site's token policy: claims, audience, lifetimes.

use std::time::Duration;

use crate::config::Algorithm;
use crate::token::RefreshFormat;

/// The claims and lifetimes of a site's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// `iss`.
    pub issuer: String,
    /// `aud` of issued tokens; a token needs one of them. Defaults to the issuer alone.
    pub audience: Vec<String>,
    /// The realm whose users the subjects are.
    pub realm: String,
    /// The algorithm of new tokens.
    pub algorithm: Algorithm,
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// Lifetime of a refresh token from each rotation; `None`: the contract has none.
    pub refresh_ttl: Option<Duration>,
    /// The form of refresh tokens.
    pub refresh_format: RefreshFormat,
    /// The longest life of a session, whatever is refreshed.
    pub session_ttl: Duration,
    /// The time within which the parent of the newest refresh token gets the same successor again.
    pub refresh_grace: Duration,
    /// Access tokens tell when and how the user was authenticated (`auth_time`, `amr`).
    pub tells_authentication: bool,
    /// Names of the text attributes that access tokens carry.
    pub attributes: Vec<String>,
    /// Tolerance for `nbf` and `iat`.
    pub leeway: Duration,
    /// Verified tokens remembered; 0 = none.
    pub verify_cache: usize,
    /// The requirements on tokens under an operator's key.
    pub foreign: ForeignClaims,
    /// The longest token that is read, in bytes (`[limits] token_bytes`).
    pub token_bytes: usize,
    /// The longest access token that is issued, in bytes: less where it must fit a cookie.
    pub issued_bytes: usize,
}

/// The requirements on a token under an operator's key, besides issuer and subject.
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
