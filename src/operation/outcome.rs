//! Outcomes of operations, as plain data for a contract's templates.

use std::collections::BTreeMap;

use uuid::Uuid;

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
        /// The account.
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
    /// The access token is valid.
    TokenChecked {
        /// The token, as presented.
        token: Secret<String>,
        /// Its expiry.
        expires_at: Timestamp,
    },
    /// A code is on its way, if an account has the address.
    CodeRequested,
    /// The password was reset, and all the user's sessions ended.
    PasswordReset {
        /// The account's number.
        user: UserId,
    },
    /// The address was proven.
    EmailVerified {
        /// The account's number.
        user: UserId,
    },
    /// The secret of a second factor; nothing is stored until it is confirmed.
    SecondFactorDrawn {
        /// The text that confirms it.
        setup: Secret<String>,
        /// The secret in Base32 (RFC 4648 §6), to be typed into an app.
        secret: Secret<String>,
        /// The same as an `otpauth:` address, for a QR code.
        uri: Secret<String>,
    },
    /// The second factor is on, or its recovery codes were replaced.
    RecoveryCodes {
        /// The account's number.
        user: UserId,
        /// The codes; they are shown this once.
        codes: Vec<Secret<String>>,
        /// Whether the second factor was turned on by it.
        turned_on: bool,
        /// The session, where a login waited for it.
        session: Option<Box<(UserView, TokenSet)>>,
    },
    /// The second factor is off.
    SecondFactorRemoved,
    /// The state of the second factor.
    SecondFactorShown {
        /// `None`: it is off.
        second_factor: Option<SecondFactorView>,
    },
    /// The remembered devices were forgotten.
    DevicesForgotten,
}

impl Outcome {
    /// The account and the tokens of a session that it opened or went on with.
    #[must_use]
    pub fn session(&self) -> Option<(&UserView, &TokenSet)> {
        match self {
            Self::TokensIssued { user, tokens, .. } => Some((user, tokens)),
            Self::RecoveryCodes { session, .. } => {
                session.as_deref().map(|(user, tokens)| (user, tokens))
            }
            _ => None,
        }
    }

    /// Whether it made an account, and opened a session of it.
    #[must_use]
    pub const fn made_account(&self) -> bool {
        matches!(self, Self::TokensIssued { is_new_user: true, .. })
    }
}

/// An account as its user may see it.
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
    /// Its expiry.
    pub access_expires_at: Timestamp,
    /// The refresh token, where the contract has any.
    pub refresh_token: Option<Secret<String>>,
    /// The expiry of the refresh token.
    pub refresh_expires_at: Option<Timestamp>,
    /// The session.
    pub session: SessionId,
    /// The device that is remembered from now on, and until when.
    pub device: Option<(Secret<String>, Timestamp)>,
}

/// A session as its user may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Latest login or refresh.
    pub last_used_at: Timestamp,
    /// The address it was opened from.
    pub address: String,
    /// The user agent it was opened with.
    pub agent: Option<String>,
    /// Whether it is the session of the request.
    pub current: bool,
}

/// A second factor as its user may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactorView {
    /// When it was turned on.
    pub since: Timestamp,
    /// Recovery codes that were not used.
    pub recovery_codes_left: usize,
    /// Whether the account has a password, which a grave change asks for.
    pub has_password: bool,
    /// The remembered devices, newest first.
    pub devices: Vec<DeviceView>,
}

/// A remembered device as its user may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: Uuid,
    /// The user agent that it was remembered with.
    pub agent: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whether it is the device of the request.
    pub current: bool,
}
