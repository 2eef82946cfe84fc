//! The audit trail's event of one operation, recorded however the operation ends.

use crate::gateway::scope::RequestScope;
use crate::operation::{Claimant, Command, Outcome, Principal, Rejection, SecondProof, UserId};
use crate::telemetry::audit;
use crate::telemetry::audit::{Entry, Event};

/// An operation under way; it is recorded also when the client leaves before its end.
#[derive(Debug)]
pub(crate) struct Audited {
    entry: Option<Entry>,
}

impl Audited {
    /// Begins an event with the command's principal; `None` for commands that the trail leaves out.
    pub(crate) fn begin(scope: &RequestScope<'_>, command: &Command) -> Option<Self> {
        let entry = Entry {
            site: Some(scope.site.auth.host.clone()),
            address: Some(scope.context.client.address.to_string()),
            request: Some(scope.context.request_id.as_str().to_owned()),
            ..asked(command)?
        };
        Some(Self { entry: Some(entry) })
    }

    /// Records the outcome.
    pub(crate) fn end(mut self, outcome: &Result<Outcome, Rejection>) {
        let Some(mut entry) = self.entry.take() else { return };
        match outcome {
            Ok(outcome) => {
                entry.result = Some("success");
                if let Some(user) = whose(outcome) {
                    entry.user = Some(user.to_string());
                }
                if let Some((_, tokens)) = outcome.session() {
                    entry.session = Some(tokens.session.to_string());
                }
            }
            Err(rejection) => {
                entry.result = Some(rejection.code.name());
                entry.reason = Some(rejection.reason.clone().into_owned());
                if let Some(user) = rejection.about {
                    entry.user = Some(user.to_string());
                }
            }
        }
        audit::record(entry);
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            // It may have happened or not.
            entry.result = Some("abandoned");
            audit::record(entry);
        }
    }
}

/// The event of a command, and the principal of its token; never what a stranger typed, which may
/// be a password in the wrong place.
fn asked(command: &Command) -> Option<Entry> {
    let of = |event| Some(Entry::of(event));
    match command {
        Command::SignUp { .. } => of(Event::SignUp),
        Command::Login { .. } => of(Event::Login),
        Command::SocialLogin { provider, .. } => {
            Some(Entry { provider: Some(provider.name()), ..Entry::of(Event::SocialLogin) })
        }
        Command::Logout { principal, .. } => Some(by(principal, Event::Logout)),
        Command::ChangePassword { principal, .. } => Some(by(principal, Event::PasswordChange)),
        Command::EndSession { principal, session } => {
            let name = Some(session.to_string());
            Some(Entry { kind: Some("session".into()), name, ..by(principal, Event::SessionEnd) })
        }
        Command::ConfirmReset { .. } => of(Event::PasswordReset),
        Command::ConfirmVerification { .. } => of(Event::EmailVerification),
        Command::SecondFactor { proof, .. } => {
            let kind = match proof {
                SecondProof::Code(_) => "code",
                SecondProof::RecoveryCode(_) => "recovery_code",
            };
            Some(Entry { kind: Some(kind.into()), ..Entry::of(Event::SecondFactor) })
        }
        Command::ConfirmSecondFactor { claimant: Claimant::SignedIn(principal), .. } => {
            Some(by(principal, Event::SecondFactorOn))
        }
        Command::ConfirmSecondFactor { claimant: Claimant::LoggingIn(_), .. } => {
            of(Event::SecondFactorOn)
        }
        Command::RemoveSecondFactor { principal, .. } => {
            Some(by(principal, Event::SecondFactorOff))
        }
        Command::RenewRecoveryCodes { principal, .. } => Some(by(principal, Event::RecoveryCodes)),
        Command::ForgetDevices { principal, .. } => Some(by(principal, Event::DevicesForgotten)),
        Command::Refresh { .. }
        | Command::Me { .. }
        | Command::Sessions { .. }
        | Command::CheckToken { .. }
        | Command::RequestReset { .. }
        | Command::RequestVerification { .. }
        | Command::SetUpSecondFactor { .. }
        | Command::ShowSecondFactor { .. } => None,
    }
}

/// The account that an outcome is about, where the command did not say.
const fn whose(outcome: &Outcome) -> Option<UserId> {
    match outcome {
        Outcome::SignedUp { user }
        | Outcome::TokensIssued { user, .. }
        | Outcome::Account { user } => Some(user.id),
        Outcome::PasswordReset { user }
        | Outcome::EmailVerified { user }
        | Outcome::RecoveryCodes { user, .. } => Some(*user),
        Outcome::LoggedOut
        | Outcome::Sessions { .. }
        | Outcome::SessionEnded
        | Outcome::TokenChecked { .. }
        | Outcome::CodeRequested
        | Outcome::SecondFactorDrawn { .. }
        | Outcome::SecondFactorRemoved
        | Outcome::SecondFactorShown { .. }
        | Outcome::DevicesForgotten => None,
    }
}

fn by(principal: &Principal, event: Event) -> Entry {
    Entry {
        user: Some(principal.subject.clone()),
        session: principal.session.as_ref().map(ToString::to_string),
        ..Entry::of(event)
    }
}
