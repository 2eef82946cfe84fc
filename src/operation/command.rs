//! What a client can ask of the auth API, and by which named inputs it says so.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::operation::Email;
use crate::operation::Identifier;
use crate::operation::Principal;
use crate::operation::SessionId;
use crate::operation::Username;
use crate::secret::Secret;

/// Everything that an endpoint of a contract can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Makes an account.
    SignUp,
    /// Opens a session with a password.
    Login,
    /// Exchanges a refresh token for its successor and a fresh access token.
    Refresh,
    /// Ends this session, or all of the user's.
    Logout,
    /// Shows the account behind the token.
    Me,
    /// Sets a new password; all earlier sessions end and a new one begins.
    ChangePassword,
    /// Lists the user's sessions.
    Sessions,
    /// Ends one of the user's sessions by its id.
    EndSession,
}

/// A named input of an operation; a contract says where in the request it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// Email address.
    Email,
    /// User name.
    Username,
    /// Email address or user name, whichever it is.
    Identifier,
    /// The password, plain or (where the contract allows) as 64 hex digits of its SHA-256.
    Password,
    /// The new password of a change.
    NewPassword,
    /// A role asked for at sign-up.
    Role,
    /// An opaque or JWT refresh token.
    RefreshToken,
    /// The access token that the caller proves itself with.
    AccessToken,
    /// `"global"` ends all sessions of the user, anything else this one.
    Scope,
    /// The session to end.
    SessionId,
}

/// Whether an operation can run without an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// The contract must map it, and a request without it is invalid input.
    Required,
    /// The contract may map it, and a request may leave it out.
    Optional,
    /// The contract must map at least one of these.
    OneOf,
}

/// A password as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// The text as sent.
    pub text: Secret<String>,
    /// Whether the contract lets 64 hex digits stand for the password's SHA-256.
    pub may_be_hashed: bool,
}

/// Who asks, as the connection shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address (after `trusted_proxies`).
    pub address: IpAddr,
    /// `User-Agent`, cut to 256 bytes; absent when none was sent.
    pub agent: Option<String>,
}

/// A request to the auth API, decoded and typed.
#[derive(Clone, Debug)]
pub enum Command {
    /// [`Operation::SignUp`]
    SignUp {
        /// Address of the account, where the contract has one.
        email: Option<Email>,
        /// Name of the account, where the contract has one; at least one of the two is there.
        username: Option<Username>,
        /// The plain password.
        password: Password,
        /// Role asked for; granted only as `contracts.md` (Sign-up) says.
        role: Option<String>,
        /// The contract's own attributes, checked against its types and limits.
        attributes: BTreeMap<String, serde_json::Value>,
    },
    /// [`Operation::Login`]
    Login {
        /// Who.
        identifier: Identifier,
        /// Proof.
        password: Password,
    },
    /// [`Operation::Refresh`]
    Refresh {
        /// The presented refresh token.
        refresh_token: Secret<String>,
    },
    /// [`Operation::Logout`]
    Logout {
        /// Who, by the access token.
        principal: Principal,
        /// All of the user's sessions, not only this one.
        everywhere: bool,
    },
    /// [`Operation::Me`]
    Me {
        /// Who, by the access token.
        principal: Principal,
    },
    /// [`Operation::ChangePassword`]
    ChangePassword {
        /// Who, by the access token.
        principal: Principal,
        /// The password until now.
        old: Password,
        /// The password from now on.
        new: Password,
    },
    /// [`Operation::Sessions`]
    Sessions {
        /// Who, by the access token.
        principal: Principal,
    },
    /// [`Operation::EndSession`]
    EndSession {
        /// Who, by the access token.
        principal: Principal,
        /// Which session.
        session: SessionId,
    },
}

impl Operation {
    /// Every operation, in the order of a user's life.
    pub const ALL: [Self; 8] = [
        Self::SignUp,
        Self::Login,
        Self::Refresh,
        Self::Logout,
        Self::Me,
        Self::ChangePassword,
        Self::Sessions,
        Self::EndSession,
    ];

    /// The name in a contract file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Logout => "logout",
            Self::Me => "me",
            Self::ChangePassword => "change_password",
            Self::Sessions => "sessions",
            Self::EndSession => "end_session",
        }
    }

    /// The inputs it takes.
    #[must_use]
    pub const fn inputs(self) -> &'static [(Input, InputKind)] {
        use InputKind::OneOf;
        use InputKind::Optional;
        use InputKind::Required;
        match self {
            Self::SignUp => &[
                (Input::Email, OneOf),
                (Input::Username, OneOf),
                (Input::Password, Required),
                (Input::Role, Optional),
            ],
            Self::Login => &[
                (Input::Email, OneOf),
                (Input::Username, OneOf),
                (Input::Identifier, OneOf),
                (Input::Password, Required),
            ],
            Self::Refresh => &[(Input::RefreshToken, Required)],
            Self::Logout => &[(Input::AccessToken, Required), (Input::Scope, Optional)],
            Self::Me | Self::Sessions => &[(Input::AccessToken, Required)],
            Self::ChangePassword => &[
                (Input::AccessToken, Required),
                (Input::Password, Required),
                (Input::NewPassword, Required),
            ],
            Self::EndSession => &[(Input::AccessToken, Required), (Input::SessionId, Required)],
        }
    }
}

impl Input {
    /// The name in a contract file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
            Self::Identifier => "identifier",
            Self::Password => "password",
            Self::NewPassword => "new_password",
            Self::Role => "role",
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
            Self::Scope => "scope",
            Self::SessionId => "session_id",
        }
    }
}
