//! What an operation answers, as plain data that a contract's templates draw from.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::operation::{SessionId, UserId};
use crate::secret::Secret;

/// The answer to a [`crate::operation::Command`] that succeeded.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The account was made.
    SignedUp {
        /// The new account.
        user: UserView,
    },
    /// A session was opened or refreshed, or follows a password change.
    TokensIssued {
        /// Whose.
        user: UserView,
        /// The tokens.
        tokens: TokenSet,
        /// Whether the account was made by this very login.
        is_new_user: bool,
    },
    /// The session, or all of them, ended.
    LoggedOut,
    /// The account.
    Account {
        /// The caller's account.
        user: UserView,
    },
    /// The user's living sessions, newest first.
    Sessions {
        /// One item a session.
        sessions: Vec<SessionView>,
    },
    /// The named session ended.
    SessionEnded,
    /// The access token holds.
    TokenChecked {
        /// The token, as presented.
        token: Secret<String>,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A code is on its way, if there is anybody to send it to.
    CodeRequested,
    /// The password was reset, and all the user's sessions ended.
    PasswordReset {
        /// Whose.
        user: UserId,
    },
    /// The address was proven.
    EmailVerified {
        /// Whose.
        user: UserId,
    },
}

/// What a client may see of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct UserView {
    /// Number.
    pub id: UserId,
    /// Email address.
    pub email: Option<String>,
    /// Whether the address was proven.
    pub email_verified: bool,
    /// User name.
    pub username: Option<String>,
    /// Roles, in the order they were given.
    pub roles: Vec<String>,
    /// Permissions, in the order they were given.
    pub permissions: Vec<String>,
    /// The contract's own attributes.
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// The latest login, this one included.
    pub last_login_at: Option<Timestamp>,
}

/// Tokens just issued.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token (a JWT).
    pub access_token: Secret<String>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub access_expires_at: Timestamp,
    /// The refresh token, where the contract has any.
    pub refresh_token: Option<Secret<String>>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// The session.
    pub session: SessionId,
}

/// What a user may see of one of their sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// Its name.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Latest login or refresh.
    pub last_used_at: Timestamp,
    /// The address it was opened from.
    pub address: String,
    /// The user agent it was opened with.
    pub agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}
