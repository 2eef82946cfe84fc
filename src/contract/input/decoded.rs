//! The inputs of one request, typed, and the command that they make.

use std::collections::BTreeMap;
use std::str::FromStr;

use uuid::Uuid;

use crate::contract::input::{InputRule, Target};
use crate::operation::{
    Claimant, Command, Email, ErrorCode, Identifier, IdentityError, Input, LogoutScope, Operation,
    OwnerProof, Password, Principal, Problem, ProblemKind, Provider, Rejection, SecondProof,
    SessionId, Username,
};
use crate::secret::Secret;

/// The typed inputs of a request.
#[derive(Default)]
pub(crate) struct DecodedInputs {
    principal: Option<Principal>,
    email: Option<Email>,
    username: Option<Username>,
    identifier: Option<Identifier>,
    password: Option<Password>,
    new_password: Option<Password>,
    role: Option<String>,
    refresh_tokens: Vec<Secret<String>>,
    previous_access_token: Option<Secret<String>>,
    scope: LogoutScope,
    session: Option<SessionId>,
    provider: Option<String>,
    provider_token: Option<Secret<String>>,
    token: Option<Secret<String>>,
    code: Option<Secret<String>>,
    recovery_code: Option<Secret<String>>,
    challenge: Option<Secret<String>>,
    setup: Option<Secret<String>>,
    attributes: BTreeMap<String, serde_json::Value>,
}

impl DecodedInputs {
    /// Starts with the principal that the access token proved.
    pub(crate) fn by(principal: Option<Principal>) -> Self {
        Self { principal, ..Self::default() }
    }

    /// Takes the text of an input, whose limits have been checked.
    ///
    /// A login may use an old name that no new account gets.
    pub(crate) fn take(
        &mut self,
        rule: &InputRule,
        operation: Operation,
        text: &str,
    ) -> Result<(), ProblemKind> {
        let input = match &rule.target {
            Target::Check => return Ok(()),
            Target::Attribute(name) => {
                let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
                if text.contains(control) {
                    return Err(ProblemKind::Malformed);
                }
                self.attributes.insert(name.clone(), text.into());
                return Ok(());
            }
            Target::Input(input) => *input,
        };
        let is_login = operation == Operation::Login;
        let password = || Password { text: Secret::from(text), may_be_hashed: rule.may_be_hashed };
        match input {
            Input::Email if is_login => self.email = Some(read(text, Email::of_login)?),
            Input::Email => self.email = Some(read(text, Email::from_str)?),
            Input::Username if is_login => self.username = Some(read(text, Username::of_login)?),
            Input::Username => self.username = Some(read(text, Username::from_str)?),
            Input::Identifier => self.identifier = Some(read(text, Identifier::from_str)?),
            Input::Password => self.password = Some(password()),
            Input::NewPassword => self.new_password = Some(password()),
            Input::Role => self.role = Some(text.to_owned()),
            Input::RefreshToken => self.refresh_tokens.push(Secret::from(text)),
            Input::PreviousAccessToken => self.previous_access_token = Some(Secret::from(text)),
            Input::Scope => self.scope = LogoutScope::from_name(text),
            Input::SessionId => self.session = Uuid::try_parse(text).ok().map(SessionId),
            Input::Provider => self.provider = Some(text.to_owned()),
            Input::ProviderToken => self.provider_token = Some(Secret::from(text)),
            Input::Token => self.token = Some(Secret::from(text)),
            Input::Code => self.code = Some(Secret::from(text)),
            Input::RecoveryCode => self.recovery_code = Some(Secret::from(text)),
            Input::Challenge => self.challenge = Some(Secret::from(text)),
            Input::Setup => self.setup = Some(Secret::from(text)),
            Input::AccessToken => {}
        }
        Ok(())
    }

    /// The command of an operation.
    #[expect(clippy::too_many_lines, reason = "a table, an arm an operation")]
    pub(crate) fn command(self, operation: Operation) -> Result<Command, Rejection> {
        let who = |principal| needed(principal, Input::AccessToken);
        Ok(match operation {
            Operation::SignUp => Command::SignUp {
                password: needed(self.password, Input::Password)?,
                email: self.email,
                username: self.username,
                role: self.role,
                attributes: self.attributes,
            },
            Operation::Login => Command::Login {
                identifier: self
                    .identifier
                    .or_else(|| self.email.map(Identifier::Email))
                    .or_else(|| self.username.map(Identifier::Username))
                    .ok_or_else(|| missing(Input::Identifier))?,
                password: needed(self.password, Input::Password)?,
            },
            Operation::SocialLogin => Command::SocialLogin {
                provider: provider(&needed(self.provider, Input::Provider)?)?,
                token: needed(self.provider_token, Input::ProviderToken)?,
            },
            Operation::Refresh if self.refresh_tokens.is_empty() => {
                return Err(missing(Input::RefreshToken));
            }
            Operation::Refresh => Command::Refresh {
                refresh_tokens: self.refresh_tokens,
                previous_access_token: self.previous_access_token,
            },
            Operation::Logout => {
                Command::Logout { principal: who(self.principal)?, scope: self.scope }
            }
            Operation::Me => Command::Me { principal: who(self.principal)? },
            Operation::ChangePassword => Command::ChangePassword {
                principal: who(self.principal)?,
                old: needed(self.password, Input::Password)?,
                new: needed(self.new_password, Input::NewPassword)?,
            },
            Operation::Sessions => Command::Sessions { principal: who(self.principal)? },
            Operation::EndSession => Command::EndSession {
                principal: who(self.principal)?,
                // Text of another form names no session, as an unknown id does.
                session: self.session.ok_or_else(|| {
                    Rejection::new(ErrorCode::SessionNotFound, "a session id that is no UUID")
                })?,
            },
            Operation::CheckToken => {
                Command::CheckToken { token: needed(self.token, Input::Token)? }
            }
            Operation::RequestReset => {
                Command::RequestReset { email: needed(self.email, Input::Email)? }
            }
            Operation::ConfirmReset => Command::ConfirmReset {
                email: needed(self.email, Input::Email)?,
                code: needed(self.code, Input::Code)?,
                new: self.new_password,
            },
            Operation::RequestVerification => {
                Command::RequestVerification { email: needed(self.email, Input::Email)? }
            }
            Operation::ConfirmVerification => Command::ConfirmVerification {
                email: needed(self.email, Input::Email)?,
                code: needed(self.code, Input::Code)?,
            },
            Operation::SecondFactor => Command::SecondFactor {
                proof: second_proof(self.code, self.recovery_code)?,
                challenge: needed(self.challenge, Input::Challenge)?,
                remember: false,
            },
            Operation::SetUpSecondFactor => Command::SetUpSecondFactor {
                claimant: claimant(self.principal, self.challenge)?,
                setup: None,
            },
            Operation::ConfirmSecondFactor => Command::ConfirmSecondFactor {
                claimant: claimant(self.principal, self.challenge)?,
                setup: needed(self.setup, Input::Setup)?,
                code: needed(self.code, Input::Code)?,
            },
            Operation::RemoveSecondFactor => {
                let principal = who(self.principal)?;
                let proof = owner_proof(self.password, self.code, self.recovery_code)?;
                Command::RemoveSecondFactor { principal, proof }
            }
            Operation::RenewRecoveryCodes => {
                let principal = who(self.principal)?;
                let proof = owner_proof(self.password, self.code, self.recovery_code)?;
                Command::RenewRecoveryCodes { principal, proof }
            }
            Operation::ShowSecondFactor => {
                Command::ShowSecondFactor { principal: who(self.principal)? }
            }
        })
    }
}

/// Whoever waits for their login, else whoever is signed in.
fn claimant(
    principal: Option<Principal>,
    challenge: Option<Secret<String>>,
) -> Result<Claimant, Rejection> {
    match (challenge, principal) {
        (Some(challenge), _) => Ok(Claimant::LoggingIn(challenge)),
        (None, Some(principal)) => Ok(Claimant::SignedIn(Box::new(principal))),
        (None, None) => Err(missing(Input::Challenge)),
    }
}

fn second_proof(
    code: Option<Secret<String>>,
    recovery_code: Option<Secret<String>>,
) -> Result<SecondProof, Rejection> {
    let recovery_code = recovery_code.map(SecondProof::RecoveryCode);
    needed(code.map(SecondProof::Code).or(recovery_code), Input::Code)
}

fn owner_proof(
    password: Option<Password>,
    code: Option<Secret<String>>,
    recovery_code: Option<Secret<String>>,
) -> Result<OwnerProof, Rejection> {
    match password {
        Some(password) => Ok(OwnerProof::Password(password)),
        None => second_proof(code, recovery_code).map(OwnerProof::SecondFactor),
    }
}

fn read<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdentityError>,
) -> Result<T, ProblemKind> {
    parse(text).or(Err(ProblemKind::Malformed))
}

fn provider(name: &str) -> Result<Provider, Rejection> {
    // The name stays out of the reason: it is whatever a client sent, at any length.
    let unknown = || Rejection::new(ErrorCode::UnsupportedProvider, "an unknown provider");
    Provider::from_name(name).ok_or_else(unknown)
}

fn needed<T>(value: Option<T>, input: Input) -> Result<T, Rejection> {
    value.ok_or_else(|| missing(input))
}

fn missing(input: Input) -> Rejection {
    let (field, kind) = (input.name().to_owned(), ProblemKind::Missing);
    Rejection::invalid_input(Problem { field, kind, message: None })
}
