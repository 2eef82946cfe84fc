//! The operations of the auth API, and the inputs that each takes.

use crate::operation::{Input, InputKind};

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
    /// Opens the session that a login asked a second factor for.
    SecondFactor,
    /// Draws the secret of a second factor; it counts once it is confirmed.
    SetUpSecondFactor,
    /// Turns a second factor on with a code of its app; recovery codes are made.
    ConfirmSecondFactor,
    /// Turns the second factor off.
    RemoveSecondFactor,
    /// Replaces the recovery codes.
    RenewRecoveryCodes,
    /// Tells whether there is a second factor, and what it remembers.
    ShowSecondFactor,
}

impl Operation {
    /// Every operation, in the order of a user's life.
    pub const ALL: [Self; 20] = [
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
        Self::SecondFactor,
        Self::SetUpSecondFactor,
        Self::ConfirmSecondFactor,
        Self::RemoveSecondFactor,
        Self::RenewRecoveryCodes,
        Self::ShowSecondFactor,
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
            Self::SecondFactor => "second_factor",
            Self::SetUpSecondFactor => "set_up_second_factor",
            Self::ConfirmSecondFactor => "confirm_second_factor",
            Self::RemoveSecondFactor => "remove_second_factor",
            Self::RenewRecoveryCodes => "renew_recovery_codes",
            Self::ShowSecondFactor => "show_second_factor",
        }
    }

    /// Whether it belongs to the second factor, which a contract need not have.
    #[must_use]
    pub const fn is_of_second_factor(self) -> bool {
        matches!(
            self,
            Self::SecondFactor
                | Self::SetUpSecondFactor
                | Self::ConfirmSecondFactor
                | Self::RemoveSecondFactor
                | Self::RenewRecoveryCodes
                | Self::ShowSecondFactor
        )
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
            Self::Me | Self::Sessions | Self::ShowSecondFactor => &[(Input::AccessToken, Required)],
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
            Self::SecondFactor => {
                &[(Input::Challenge, Required), (Input::Code, OneOf), (Input::RecoveryCode, OneOf)]
            }
            // By the token of whoever is signed in, or by the challenge of a login that waits.
            Self::SetUpSecondFactor => &[(Input::AccessToken, OneOf), (Input::Challenge, OneOf)],
            Self::ConfirmSecondFactor => &[
                (Input::AccessToken, OneOf),
                (Input::Challenge, OneOf),
                (Input::Setup, Required),
                (Input::Code, Required),
            ],
            Self::RemoveSecondFactor | Self::RenewRecoveryCodes => &[
                (Input::AccessToken, Required),
                (Input::Password, OneOf),
                (Input::Code, OneOf),
                (Input::RecoveryCode, OneOf),
            ],
        }
    }
}
