//! The slots that bodies and headers may name, and where each of them has a value.

use std::fmt;

use crate::operation::Operation;

/// The value that a `{name}` in a template stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Null,
    Now,
    RequestId,
    Status,
    StatusText,
    Message,
    ErrorKind,
    InputField,
    InputProblem,
    UserId,
    UserEmail,
    UserEmailVerified,
    UserUsername,
    /// The first role; of an account without any, the contract's default.
    UserRole(Option<String>),
    UserRoles,
    UserPermissions,
    UserCreatedAt,
    UserLastLoginAt,
    Attribute(String),
    AccessToken,
    AccessIssuedAt,
    AccessExpiresAt,
    ExpiresIn,
    RefreshToken,
    RefreshExpiresAt,
    Sessions,
    SessionId,
    SessionCreatedAt,
    SessionLastUsedAt,
    SessionAddress,
    SessionAgent,
    SessionCurrent,
    IsNewUser,
    Challenge,
    SecondFactorSetup,
    SecondFactorSecret,
    SecondFactorUri,
    SecondFactorOn,
    SecondFactorSince,
    RecoveryCodes,
    RecoveryCodesLeft,
    Token,
    TokenExpiresAt,
}

/// The place of a template, which decides which slots have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The answer of an operation.
    Answer(Operation),
    /// One item of a list of sessions.
    Item,
    /// A refusal.
    Refusal,
}

/// The fields of `{user.…}` that every account has.
pub(crate) const USER_FIELDS: [&str; 9] = [
    "id",
    "email",
    "email_verified",
    "username",
    "role",
    "roles",
    "permissions",
    "created_at",
    "last_login_at",
];

static SLOTS: [(&str, Slot); 41] = [
    ("null", Slot::Null),
    ("now", Slot::Now),
    ("request_id", Slot::RequestId),
    ("status", Slot::Status),
    ("status_text", Slot::StatusText),
    ("error.kind", Slot::ErrorKind),
    ("input.field", Slot::InputField),
    ("input.problem", Slot::InputProblem),
    ("user.id", Slot::UserId),
    ("user.email", Slot::UserEmail),
    ("user.email_verified", Slot::UserEmailVerified),
    ("user.username", Slot::UserUsername),
    ("user.role", Slot::UserRole(None)),
    ("user.roles", Slot::UserRoles),
    ("user.permissions", Slot::UserPermissions),
    ("user.created_at", Slot::UserCreatedAt),
    ("user.last_login_at", Slot::UserLastLoginAt),
    ("access_token", Slot::AccessToken),
    ("access_issued_at", Slot::AccessIssuedAt),
    ("access_expires_at", Slot::AccessExpiresAt),
    ("expires_in", Slot::ExpiresIn),
    ("refresh_token", Slot::RefreshToken),
    ("refresh_expires_at", Slot::RefreshExpiresAt),
    ("is_new_user", Slot::IsNewUser),
    ("challenge", Slot::Challenge),
    ("second_factor.setup", Slot::SecondFactorSetup),
    ("second_factor.secret", Slot::SecondFactorSecret),
    ("second_factor.uri", Slot::SecondFactorUri),
    ("second_factor.on", Slot::SecondFactorOn),
    ("second_factor.since", Slot::SecondFactorSince),
    ("recovery_codes", Slot::RecoveryCodes),
    ("recovery_codes_left", Slot::RecoveryCodesLeft),
    ("token", Slot::Token),
    ("token_expires_at", Slot::TokenExpiresAt),
    ("sessions", Slot::Sessions),
    ("session.id", Slot::SessionId),
    ("session.created_at", Slot::SessionCreatedAt),
    ("session.last_used_at", Slot::SessionLastUsedAt),
    ("session.address", Slot::SessionAddress),
    ("session.agent", Slot::SessionAgent),
    ("session.current", Slot::SessionCurrent),
];

impl Slot {
    /// The slot of a name that no contract chooses.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        SLOTS.iter().find(|(own, _)| *own == name).map(|(_, slot)| slot.clone())
    }

    /// The names of all slots that have a value in a place.
    pub(crate) fn names(place: Place) -> impl Iterator<Item = &'static str> {
        SLOTS.iter().filter(move |(_, slot)| slot.has_value(place)).map(|(name, _)| *name)
    }

    /// Whether it has a value in a place.
    pub(crate) const fn has_value(&self, place: Place) -> bool {
        match self {
            Self::Null | Self::Now | Self::RequestId | Self::Status | Self::StatusText => true,
            Self::Message => !matches!(place, Place::Item),
            Self::ErrorKind | Self::InputField | Self::InputProblem => {
                matches!(place, Place::Refusal)
            }
            Self::UserId
            | Self::UserEmail
            | Self::UserEmailVerified
            | Self::UserUsername
            | Self::UserRole(_)
            | Self::UserRoles
            | Self::UserPermissions
            | Self::UserCreatedAt
            | Self::UserLastLoginAt
            | Self::Attribute(_) => place.has_user(),
            Self::AccessToken
            | Self::AccessIssuedAt
            | Self::AccessExpiresAt
            | Self::ExpiresIn
            | Self::RefreshToken
            | Self::RefreshExpiresAt => place.has_tokens(),
            Self::IsNewUser => matches!(place, Place::Answer(Operation::SocialLogin)),
            Self::Token | Self::TokenExpiresAt => {
                matches!(place, Place::Answer(Operation::CheckToken))
            }
            // A refusal of another kind has none: then it is null.
            Self::Challenge => matches!(place, Place::Refusal),
            Self::SecondFactorSetup | Self::SecondFactorSecret | Self::SecondFactorUri => {
                matches!(place, Place::Answer(Operation::SetUpSecondFactor))
            }
            Self::SecondFactorOn | Self::SecondFactorSince | Self::RecoveryCodesLeft => {
                matches!(place, Place::Answer(Operation::ShowSecondFactor))
            }
            Self::RecoveryCodes => matches!(
                place,
                Place::Answer(Operation::ConfirmSecondFactor | Operation::RenewRecoveryCodes)
            ),
            Self::SessionId => place.has_tokens() || matches!(place, Place::Item),
            Self::Sessions => matches!(place, Place::Answer(Operation::Sessions)),
            Self::SessionCreatedAt
            | Self::SessionLastUsedAt
            | Self::SessionAddress
            | Self::SessionAgent
            | Self::SessionCurrent => matches!(place, Place::Item),
        }
    }

    /// Whether it is an instant, so that a format may follow it.
    pub(crate) const fn is_time(&self) -> bool {
        matches!(
            self,
            Self::Now
                | Self::UserCreatedAt
                | Self::UserLastLoginAt
                | Self::AccessIssuedAt
                | Self::AccessExpiresAt
                | Self::RefreshExpiresAt
                | Self::TokenExpiresAt
                | Self::SecondFactorSince
                | Self::SessionCreatedAt
                | Self::SessionLastUsedAt
        )
    }

    /// Whether its value is visible ASCII whatever a user chose, so that a header can carry it.
    pub(crate) const fn fits_header(&self) -> bool {
        matches!(
            self,
            Self::RequestId
                | Self::Status
                | Self::UserId
                | Self::AccessToken
                | Self::ExpiresIn
                | Self::RefreshToken
                | Self::SessionId
        ) || self.is_time()
    }

    /// Whether its value is made here of letters, digits and `-_.`, so that a cookie can carry it.
    pub(crate) const fn fits_cookie(&self) -> bool {
        matches!(
            self,
            Self::UserId
                | Self::AccessToken
                | Self::ExpiresIn
                | Self::RefreshToken
                | Self::SessionId
        )
    }

    /// Whether a contract without refresh tokens has no value for it.
    pub(crate) const fn needs_refresh(&self) -> bool {
        matches!(self, Self::RefreshToken | Self::RefreshExpiresAt)
    }
}

impl Place {
    const fn has_user(self) -> bool {
        matches!(self, Self::Answer(Operation::SignUp | Operation::Me)) || self.has_tokens()
    }

    const fn has_tokens(self) -> bool {
        use Operation::{
            ChangePassword, ConfirmSecondFactor, Login, Refresh, SecondFactor, SocialLogin,
        };
        let Self::Answer(operation) = self else { return false };
        matches!(
            operation,
            Login | SocialLogin | Refresh | ChangePassword | SecondFactor | ConfirmSecondFactor
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(operation) => write!(formatter, "answers of `{}`", operation.name()),
            Self::Item => formatter.write_str("items of `{sessions}`"),
            Self::Refusal => formatter.write_str("refusals"),
        }
    }
}
