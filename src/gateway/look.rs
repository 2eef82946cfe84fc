//! A site's pages: which there are, and what they show of the site.

use crate::auth::AuthSite;
use crate::config::{Mfa, Origin, PagesConfig, PasswordConfig};
use crate::contract::{Contract, FormInput};
use crate::gateway::request::hosted_path::HostedPath;
use crate::operation::{Input, Operation};
use crate::pages::page::{SignUpInput, SiteLook};

/// The pages of a site.
#[derive(Debug)]
pub(crate) struct SitePages {
    /// What they show of it.
    pub(crate) look: SiteLook,
    /// Other origins that they may send a browser back to.
    pub(crate) return_origins: Vec<Origin>,
    /// The paths that are served.
    pub(crate) paths: Vec<HostedPath>,
}

impl SitePages {
    /// The pages that a contract has the operations for; `None` where nobody could sign in.
    pub(crate) fn new(
        config: &PagesConfig,
        contract: &Contract,
        auth: &AuthSite,
        password: &PasswordConfig,
    ) -> Option<Self> {
        let has = |operation| contract.form(operation).is_some();
        let login = contract.form(Operation::Login)?;
        let mails = auth.settings.mails.is_some();
        let sign_up = contract.form(Operation::SignUp).filter(|_| auth.signup);
        let verifies =
            mails && has(Operation::RequestVerification) && has(Operation::ConfirmVerification);
        let reset = mails && has(Operation::RequestReset) && has(Operation::ConfirmReset);
        let serves = |path: &HostedPath| match path {
            HostedPath::Refresh | HostedPath::Ticket => false,
            HostedPath::Asset | HostedPath::SignIn | HostedPath::SignOut => true,
            HostedPath::SignUp => sign_up.is_some(),
            HostedPath::Verify | HostedPath::VerifyAgain => verifies,
            HostedPath::Reset | HostedPath::ResetAgain | HostedPath::ResetCode => reset,
            HostedPath::Sessions | HostedPath::EndSession | HostedPath::EndOthers => {
                has(Operation::Sessions) && has(Operation::EndSession)
            }
            HostedPath::Password | HostedPath::ChangePassword => has(Operation::ChangePassword),
            HostedPath::SecondFactor
            | HostedPath::SecondFactorSetUp
            | HostedPath::SecondFactorOn
            | HostedPath::SecondFactorOff
            | HostedPath::RecoveryCodes
            | HostedPath::ForgetDevice => auth.mfa != Mfa::Off,
        };
        let paths = HostedPath::PAGES.into_iter().filter(serves).collect::<Vec<_>>();
        let look = SiteLook {
            name: config.name.clone(),
            prefix: config.prefix.clone(),
            privacy: config.privacy.clone().unwrap_or_default(),
            help: config.help.clone().unwrap_or_default(),
            names: names(&login),
            sign_up: sign_up.is_some(),
            sign_up_inputs: sign_up.unwrap_or_default().into_iter().map(sign_up_input).collect(),
            reset,
            mails: verifies,
            sessions: paths.contains(&HostedPath::Sessions),
            password: paths.contains(&HostedPath::Password),
            second_factor: paths.contains(&HostedPath::SecondFactor),
            password_min: count(password.min_length),
            password_max: count(password.max_length),
        };
        Some(Self { look, return_origins: config.return_origins.clone(), paths })
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// How a sign-in names accounts.
fn names(login: &[FormInput]) -> &'static str {
    let takes = |input| login.iter().any(|own| own.input == Some(input));
    match (takes(Input::Email), takes(Input::Username)) {
        (true, false) if !takes(Input::Identifier) => "email",
        (false, true) if !takes(Input::Identifier) => "username",
        _ => "either",
    }
}

fn sign_up_input(input: FormInput) -> SignUpInput {
    let kind = match input.input {
        Some(Input::Email) => "email",
        Some(Input::Username) => "username",
        Some(Input::Password) => "password",
        _ => "attribute",
    };
    SignUpInput {
        kind,
        label: input.name.clone(),
        name: input.name,
        required: input.required,
        max: input.max,
    }
}
