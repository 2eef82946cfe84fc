//! The named inputs of operations.

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
    /// The scope of a logout: see [`crate::operation::LogoutScope`].
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
    /// A mailed code, or one of an app.
    Code,
    /// One of the codes for when the app is not at hand.
    RecoveryCode,
    /// The text that a login gave with its demand for a second factor.
    Challenge,
    /// The text that came with the secret of a second factor.
    Setup,
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
            Self::RecoveryCode => "recovery_code",
            Self::Challenge => "challenge",
            Self::Setup => "setup",
        }
    }
}
