//! The operations of the auth API, their named inputs, and decoded commands.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::operation::{Email, Identifier, Principal, SessionId, Username};
use crate::secret::Secret;

/// An operation that an endpoint of a contract can perform.
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
    /// Opens a session with an access token of a social provider.
    SocialLogin,
    /// Checks an access token, and returns its expiry.
    CheckToken,
    /// Mails a code that lets a password be reset.
    RequestReset,
    /// Sets a new password for a mailed code, or mails a temporary one.
    ConfirmReset,
    /// Mails a code that proves an address.
    RequestVerification,
    /// Proves an address by a mailed code.
    ConfirmVerification,
}

/// A named input of an operation; a contract maps it to a place in the request.
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
    /// The access token that authenticates the caller.
    AccessToken,
    /// The scope of a logout: see [`LogoutScope`].
    Scope,
    /// The session to end.
    SessionId,
    /// The access token that goes with a refresh token; it may have expired.
    PreviousAccessToken,
    /// A social provider's name.
    Provider,
    /// An access token that a social provider made.
    ProviderToken,
    /// The access token to be checked; it does not authenticate the caller.
    Token,
    /// A mailed code.
    Code,
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

/// The scope of a logout, besides the presented access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogoutScope {
    /// The token's session: its refresh token and its access tokens.
    #[default]
    Session,
    /// The refresh tokens of all the user's sessions; other access tokens stay valid until they
    /// expire.
    RefreshTokens,
    /// All the user's sessions and access tokens.
    Global,
}

/// The provider of a social login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Google.
    Google,
    /// Kakao.
    Kakao,
}

/// The language of texts that the gateway adds: mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `ko`
    Korean,
}

/// A password as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// The text as sent.
    pub text: Secret<String>,
    /// Whether the contract lets 64 hex digits stand for the password's SHA-256.
    pub may_be_hashed: bool,
}

/// The client of a request, as its connection and head show.
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
        /// The role asked for; granted only where the site allows it.
        role: Option<String>,
        /// The contract's own attributes, checked against its types and limits.
        attributes: BTreeMap<String, serde_json::Value>,
    },
    /// [`Operation::Login`]
    Login {
        /// The account.
        identifier: Identifier,
        /// The password that proves it.
        password: Password,
    },
    /// [`Operation::Refresh`]
    Refresh {
        /// The presented refresh token; several where a cookie of that name came several times.
        refresh_tokens: Vec<Secret<String>>,
        /// The access token that the contract wants as well, expired or not; both must be of one
        /// session.
        previous_access_token: Option<Secret<String>>,
    },
    /// [`Operation::Logout`]
    Logout {
        /// The identity that the access token proves.
        principal: Principal,
        /// The scope.
        scope: LogoutScope,
    },
    /// [`Operation::Me`]
    Me {
        /// The identity that the access token proves.
        principal: Principal,
    },
    /// [`Operation::ChangePassword`]
    ChangePassword {
        /// The identity that the access token proves.
        principal: Principal,
        /// The present password.
        old: Password,
        /// The new password.
        new: Password,
    },
    /// [`Operation::Sessions`]
    Sessions {
        /// The identity that the access token proves.
        principal: Principal,
    },
    /// [`Operation::EndSession`]
    EndSession {
        /// The identity that the access token proves.
        principal: Principal,
        /// The session to end.
        session: SessionId,
    },
    /// [`Operation::SocialLogin`]
    SocialLogin {
        /// The provider.
        provider: Provider,
        /// The provider's access token.
        token: Secret<String>,
    },
    /// [`Operation::CheckToken`]
    CheckToken {
        /// The access token to be checked.
        token: Secret<String>,
    },
    /// [`Operation::RequestReset`]
    RequestReset {
        /// The address that gets the code, if an account has it.
        email: Email,
    },
    /// [`Operation::ConfirmReset`]
    ConfirmReset {
        /// The address that the code went to.
        email: Email,
        /// The code.
        code: Secret<String>,
        /// The new password; `None`: one is generated and mailed.
        new: Option<Password>,
    },
    /// [`Operation::RequestVerification`]
    RequestVerification {
        /// The address that gets the code, if an account has it and has not proven it.
        email: Email,
    },
    /// [`Operation::ConfirmVerification`]
    ConfirmVerification {
        /// The address that the code went to.
        email: Email,
        /// The code.
        code: Secret<String>,
    },
}

impl Operation {
    /// Every operation, in the order of a user's life.
    pub const ALL: [Self; 14] = [
        Self::SignUp,
        Self::Login,
        Self::Refresh,
        Self::Logout,
        Self::Me,
        Self::ChangePassword,
        Self::Sessions,
        Self::EndSession,
        Self::SocialLogin,
        Self::CheckToken,
        Self::RequestReset,
        Self::ConfirmReset,
        Self::RequestVerification,
        Self::ConfirmVerification,
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
            Self::SocialLogin => "social_login",
            Self::CheckToken => "check_token",
            Self::RequestReset => "request_reset",
            Self::ConfirmReset => "confirm_reset",
            Self::RequestVerification => "request_verification",
            Self::ConfirmVerification => "confirm_verification",
        }
    }

    /// The inputs it takes.
    #[must_use]
    pub const fn inputs(self) -> &'static [(Input, InputKind)] {
        use InputKind::{OneOf, Optional, Required};
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
            Self::Refresh => {
                &[(Input::RefreshToken, Required), (Input::PreviousAccessToken, Optional)]
            }
            Self::Logout => &[(Input::AccessToken, Required), (Input::Scope, Optional)],
            Self::Me | Self::Sessions => &[(Input::AccessToken, Required)],
            Self::ChangePassword => &[
                (Input::AccessToken, Required),
                (Input::Password, Required),
                (Input::NewPassword, Required),
            ],
            Self::EndSession => &[(Input::AccessToken, Required), (Input::SessionId, Required)],
            Self::SocialLogin => &[(Input::Provider, Required), (Input::ProviderToken, Required)],
            Self::CheckToken => &[(Input::Token, Required)],
            Self::RequestReset | Self::RequestVerification => &[(Input::Email, Required)],
            // Without `new_password` in the contract, a temporary one is generated and mailed.
            Self::ConfirmReset => {
                &[(Input::Email, Required), (Input::Code, Required), (Input::NewPassword, Optional)]
            }
            Self::ConfirmVerification => &[(Input::Email, Required), (Input::Code, Required)],
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
            Self::PreviousAccessToken => "previous_access_token",
            Self::Provider => "provider",
            Self::ProviderToken => "provider_token",
            Self::Token => "token",
            Self::Code => "code",
        }
    }
}

impl LogoutScope {
    /// The scope of a name; anything unknown ends this session, the least that was asked for.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "global" => Self::Global,
            "refresh_tokens" => Self::RefreshTokens,
            _ => Self::Session,
        }
    }
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::Google, Self::Kakao];

    /// The name that clients know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Kakao => "kakao",
        }
    }

    /// The provider of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// Its tag (RFC 5646).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language of a tag.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }
}
