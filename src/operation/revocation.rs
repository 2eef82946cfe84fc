//! Revocations, and the exact keys that they are looked up by.

use std::time::Duration;

use aws_lc_rs::digest;

use crate::clock::Timestamp;
use crate::operation::{SessionId, SessionName, TokenId, UserId};

/// The tokens that a revocation refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token (`jti`).
    Token {
        /// `iss` of the token.
        issuer: String,
        /// `jti`.
        token: TokenId,
    },
    /// All tokens of one session (`sid`).
    Session {
        /// `iss` of its tokens.
        issuer: String,
        /// `sid`.
        session: SessionId,
    },
    /// All tokens of a session with another issuer's own name.
    ForeignSession {
        /// `iss` of its tokens.
        issuer: String,
        /// `sid`.
        session: String,
    },
    /// All tokens of a user, on every site of the realm, made under a lower generation.
    User {
        /// The realm of the account.
        realm: String,
        /// The user.
        user: UserId,
        /// The lowest generation that is still accepted.
        generation: u64,
    },
    /// All tokens of a site made under a lower generation.
    Site {
        /// `iss` of its tokens.
        issuer: String,
        /// The lowest generation that is still accepted.
        generation: u64,
    },
    /// Everything signed by a key.
    Key {
        /// `iss` of its tokens.
        issuer: String,
        /// `kid`.
        key: String,
    },
}

/// A revocation and the instant from which it need not be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The tokens that are refused.
    pub revoked: Revoked,
    /// The instant when its last token has expired by every clock: [`Revocation::until`].
    pub expires_at: Timestamp,
}

/// The first 128 bits of SHA-256 over kind, issuer or realm, and name.
///
/// Two names share a key with a chance of 2⁻¹²⁸ a pair: a look-up by key is as exact as one by
/// name, and takes 16 bytes whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationKey(pub [u8; 16]);

impl Revocation {
    /// The end of a revocation that never ends: the last instant of the year 9999.
    ///
    /// A stolen signing key can sign new tokens for ever, so that its revocation must never expire.
    pub const NEVER_ENDS: Timestamp = Timestamp::from_millis(253_402_300_799_999);

    /// The most that a clock may be wrong: a node whose clock is so far ahead forgets nothing
    /// early.
    pub const CLOCK_SKEW: Duration = Duration::from_mins(10);

    /// The revocation of a session of the gateway's own.
    #[must_use]
    pub fn of_session(issuer: &str, session: SessionId, expires_at: Timestamp) -> Self {
        Self { revoked: Revoked::Session { issuer: issuer.to_owned(), session }, expires_at }
    }

    /// The expiry of a revocation of tokens that expire at `end`.
    ///
    /// They are accepted for the leeway longer, and by a slow clock for as long as it is behind.
    #[must_use]
    pub fn until(end: Timestamp, leeway: Duration) -> Timestamp {
        end.plus(leeway).plus(Self::CLOCK_SKEW)
    }
}

impl RevocationKey {
    /// The key of a token.
    #[must_use]
    pub fn of_token(issuer: &str, token: &TokenId) -> Self {
        Self::of("token", issuer, token.0.as_bytes())
    }

    /// The key of a session.
    #[must_use]
    pub fn of_session(issuer: &str, session: SessionId) -> Self {
        Self::of("session", issuer, session.0.as_bytes())
    }

    /// The key of a session as a token names it.
    #[must_use]
    pub fn of_session_name(issuer: &str, session: &SessionName) -> Self {
        match session {
            SessionName::Own(id) => Self::of_session(issuer, *id),
            SessionName::Foreign(name) => Self::of("sid", issuer, name.as_bytes()),
        }
    }

    /// The key of a user.
    #[must_use]
    pub fn of_user(realm: &str, user: UserId) -> Self {
        Self::of("user", realm, user.0.to_string().as_bytes())
    }

    /// The key of a site.
    #[must_use]
    pub fn of_site(issuer: &str) -> Self {
        Self::of("site", issuer, b"")
    }

    /// The key of a signing key.
    #[must_use]
    pub fn of_key(issuer: &str, key: &str) -> Self {
        Self::of("key", issuer, key.as_bytes())
    }

    fn of(kind: &str, scope: &str, name: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(kind.as_bytes());
        // The length of the scope precedes it, so that no two (scope, name) read alike.
        context.update(&scope.len().to_le_bytes());
        context.update(scope.as_bytes());
        context.update(name);
        let hash = context.finish();
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        Self(key)
    }
}

impl Revoked {
    /// The session that a token names.
    #[must_use]
    pub fn session(issuer: &str, session: &SessionName) -> Self {
        let issuer = issuer.to_owned();
        match session {
            SessionName::Own(id) => Self::Session { issuer, session: *id },
            SessionName::Foreign(name) => Self::ForeignSession { issuer, session: name.clone() },
        }
    }

    /// The key that it is looked up by.
    #[must_use]
    pub fn key(&self) -> RevocationKey {
        match self {
            Self::Token { issuer, token } => RevocationKey::of_token(issuer, token),
            Self::Session { issuer, session } => RevocationKey::of_session(issuer, *session),
            Self::ForeignSession { issuer, session } => {
                RevocationKey::of("sid", issuer, session.as_bytes())
            }
            Self::User { realm, user, .. } => RevocationKey::of_user(realm, *user),
            Self::Site { issuer, .. } => RevocationKey::of_site(issuer),
            Self::Key { issuer, key } => RevocationKey::of_key(issuer, key),
        }
    }

    /// The lowest generation still accepted; zero where the match alone refuses.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        match self {
            Self::User { generation, .. } | Self::Site { generation, .. } => *generation,
            Self::Token { .. }
            | Self::Session { .. }
            | Self::ForeignSession { .. }
            | Self::Key { .. } => 0,
        }
    }

    /// The kind, as logs and the store name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::Session { .. } | Self::ForeignSession { .. } => "session",
            Self::User { .. } => "user",
            Self::Site { .. } => "site",
            Self::Key { .. } => "key",
        }
    }
}
