//! Paths that the gateway itself serves: under a site's prefix, and one under `/.well-known/`.

use http::Method;

/// A path of the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostedPath {
    /// Renews the session of a script's page.
    Refresh,
    /// Makes a ticket.
    Ticket,
    /// A file that pages load.
    Asset,
    /// Signs in.
    SignIn,
    /// Makes an account.
    SignUp,
    /// Proves an address by its code.
    Verify,
    /// Mails that code again.
    VerifyAgain,
    /// Mails a code for a new password.
    Reset,
    /// Mails that code again.
    ResetAgain,
    /// Sets a password by its code.
    ResetCode,
    /// Lists the sessions.
    Sessions,
    /// Ends one.
    EndSession,
    /// Ends all others.
    EndOthers,
    /// Changes the password.
    Password,
    /// Proves the second factor of a login.
    SecondFactor,
    /// Shows the second factor, or sets it up.
    SecondFactorSetUp,
    /// Turns it on.
    SecondFactorOn,
    /// Turns it off.
    SecondFactorOff,
    /// Replaces the recovery codes.
    RecoveryCodes,
    /// Forgets a device.
    ForgetDevice,
    /// Signs out.
    SignOut,
    /// Leads password managers to the page (W3C, a well-known URL for changing passwords).
    ChangePassword,
}

impl HostedPath {
    /// Those of the pages.
    pub(crate) const PAGES: [Self; 20] = [
        Self::Asset,
        Self::SignIn,
        Self::SignUp,
        Self::Verify,
        Self::VerifyAgain,
        Self::Reset,
        Self::ResetAgain,
        Self::ResetCode,
        Self::Sessions,
        Self::EndSession,
        Self::EndOthers,
        Self::Password,
        Self::SecondFactor,
        Self::SecondFactorSetUp,
        Self::SecondFactorOn,
        Self::SecondFactorOff,
        Self::RecoveryCodes,
        Self::ForgetDevice,
        Self::SignOut,
        Self::ChangePassword,
    ];

    /// The path's pattern, under a prefix.
    pub(crate) fn pattern(self, prefix: &str) -> String {
        let suffix = match self {
            Self::Refresh => "/refresh",
            Self::Ticket => "/ticket",
            Self::Asset => "/assets/{name}",
            Self::SignIn => "/sign-in",
            Self::SignUp => "/sign-up",
            Self::Verify => "/verify",
            Self::VerifyAgain => "/verify/again",
            Self::Reset => "/reset",
            Self::ResetAgain => "/reset/again",
            Self::ResetCode => "/reset/code",
            Self::Sessions => "/sessions",
            Self::EndSession => "/sessions/end",
            Self::EndOthers => "/sessions/end-others",
            Self::Password => "/password",
            Self::SecondFactor => "/second-factor",
            Self::SecondFactorSetUp => "/second-factor/setup",
            Self::SecondFactorOn => "/second-factor/on",
            Self::SecondFactorOff => "/second-factor/off",
            Self::RecoveryCodes => "/second-factor/codes",
            Self::ForgetDevice => "/second-factor/forget",
            Self::SignOut => "/sign-out",
            Self::ChangePassword => return "/.well-known/change-password".to_owned(),
        };
        format!("{prefix}{suffix}")
    }

    /// The methods that it takes; HEAD wherever GET is.
    pub(crate) const fn methods(self) -> &'static [Method] {
        match self {
            Self::Refresh
            | Self::Ticket
            | Self::VerifyAgain
            | Self::ResetAgain
            | Self::EndSession
            | Self::EndOthers
            | Self::ForgetDevice => &[Method::POST],
            Self::Asset | Self::ChangePassword | Self::SecondFactorSetUp => &[Method::GET],
            Self::SignIn
            | Self::SignUp
            | Self::Verify
            | Self::Reset
            | Self::ResetCode
            | Self::Sessions
            | Self::Password
            | Self::SecondFactor
            // A GET leads to the page that the form stands on: what was posted may be read again.
            | Self::SecondFactorOn
            | Self::SecondFactorOff
            | Self::RecoveryCodes
            | Self::SignOut => &[Method::GET, Method::POST],
        }
    }
}
