//! Who a verified token speaks for.

use crate::clock::Timestamp;
use crate::operation::SessionId;
use crate::operation::TokenId;

/// The session generations that a token was made under; a token below a raised one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// Of the user.
    pub user: u64,
    /// Of the site.
    pub site: u64,
}

/// The identity that a verified access token proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// `iss`: who made the token.
    pub issuer: String,
    /// `sub`: who it speaks for; the user's number for the gateway's own tokens.
    pub subject: String,
    /// `jti`.
    pub token: TokenId,
    /// `sid`; absent from tokens that others made.
    pub session: Option<SessionId>,
    /// `gen`.
    pub generations: Generations,
    /// The key that signed it.
    pub key: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `email`.
    pub email: Option<String>,
    /// `username`.
    pub username: Option<String>,
    /// `roles`.
    pub roles: Vec<String>,
    /// `permissions`.
    pub permissions: Vec<String>,
    /// Every claim, for rules and headers that name one.
    pub claims: serde_json::Map<String, serde_json::Value>,
}
