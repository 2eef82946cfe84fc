//! The principal of a verified token.

use std::fmt;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::operation::{AuthMethods, SessionId, TokenId};

/// The generations that a token was issued under; a token below a raised one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// Of the user.
    pub user: u64,
    /// Of the site.
    pub site: u64,
}

/// A session as a token names it (`sid`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// One of the gateway's own form: a UUID.
    Own(SessionId),
    /// Another issuer's own name of a session.
    Foreign(String),
}

/// The identity that a verified access token proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// `iss`: the issuer of the token.
    pub issuer: String,
    /// `sub`: the subject; the user's number for the gateway's own tokens.
    pub subject: String,
    /// `jti`.
    pub token: TokenId,
    /// `sid`; tokens of other issuers may lack it.
    pub session: Option<SessionName>,
    /// `gen`.
    pub generations: Generations,
    /// The key that signed it.
    pub key: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `auth_time`: when the user logged in, where the token tells it.
    pub authenticated_at: Option<Timestamp>,
    /// `amr`, where the token tells it.
    pub methods: AuthMethods,
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

impl Principal {
    /// The session, where it is of the gateway's own form.
    #[must_use]
    pub const fn session_id(&self) -> Option<SessionId> {
        match self.session {
            Some(SessionName::Own(id)) => Some(id),
            Some(SessionName::Foreign(_)) | None => None,
        }
    }
}

impl From<&str> for SessionName {
    /// `Uuid` reads braces, URNs and bare hex as well; here a session has one spelling.
    fn from(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Self::Own(SessionId(id)),
            _ => Self::Foreign(text.to_owned()),
        }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => id.fmt(formatter),
            Self::Foreign(name) => name.fmt(formatter),
        }
    }
}
