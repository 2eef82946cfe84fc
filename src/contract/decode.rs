//! Turns a request to an endpoint into the command it asks for.
//!
//! Inputs are looked at in the order of the contract's file, so that the first one at fault is
//! the first one that its document names.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::contract::Endpoint;
use crate::contract::EndpointRequest;
use crate::contract::body::Body;
use crate::contract::body::Found;
use crate::contract::body::find_field;
use crate::contract::form;
use crate::contract::input::InputRule;
use crate::contract::input::Target;
use crate::contract::source::Source;
use crate::operation::Command;
use crate::operation::Email;
use crate::operation::ErrorCode;
use crate::operation::Identifier;
use crate::operation::Input;
use crate::operation::Operation;
use crate::operation::Password;
use crate::operation::Principal;
use crate::operation::Problem;
use crate::operation::ProblemKind;
use crate::operation::Rejection;
use crate::operation::SessionId;
use crate::operation::Username;
use crate::secret::Secret;

/// Decodes a request.
pub(super) fn decode(
    endpoint: &Endpoint,
    mut request: EndpointRequest<'_>,
) -> Result<Command, Rejection> {
    let principal = request.principal.take();
    if endpoint.needs_principal() && principal.is_none() {
        return Err(Rejection::new(ErrorCode::MissingToken, "no access token"));
    }
    let request = Request::read(endpoint, &request)?;
    let found: Vec<_> = endpoint.inputs.iter().map(|rule| (rule, request.find(rule))).collect();
    let somebody = found
        .iter()
        .any(|(rule, found)| rule.is_one_of(endpoint.operation) && *found != Found::Nothing);
    let mut given = Given { principal, ..Given::default() };
    for (rule, found) in found {
        let nobody = !somebody && rule.is_one_of(endpoint.operation);
        match found {
            Found::Nothing if rule.required || nobody => {
                return Err(at_fault(rule, ProblemKind::Missing));
            }
            Found::Nothing => {}
            Found::Mistyped => return Err(at_fault(rule, ProblemKind::Malformed)),
            Found::Text(text) => {
                rule.constraint.check(text).map_err(|kind| at_fault(rule, kind))?;
                given.take(rule, text).map_err(|kind| at_fault(rule, kind))?;
            }
        }
    }
    given.command(endpoint.operation)
}

/// A request, read as far as its endpoint needs.
struct Request<'a> {
    parts: &'a EndpointRequest<'a>,
    body: Body,
    query: Vec<(String, String)>,
}

impl<'a> Request<'a> {
    fn read(endpoint: &Endpoint, parts: &'a EndpointRequest<'a>) -> Result<Self, Rejection> {
        let sources = || endpoint.inputs.iter().flat_map(|rule| &rule.sources);
        let mut body = Body::default();
        let places: Vec<_> = sources().filter_map(Source::as_body).collect();
        if !places.is_empty() {
            body = Body::read(parts.body, parts.headers, &endpoint.accept, &places)?;
        }
        let wanted: Vec<_> = sources().filter_map(Source::as_query).collect();
        let text = parts.query.filter(|_| !wanted.is_empty()).unwrap_or_default();
        let query = form::parse(text.as_bytes(), &wanted).ok_or_else(|| {
            let (field, kind) = ("query".to_owned(), ProblemKind::Malformed);
            Rejection::invalid_input(Problem { field, kind, message: None })
        })?;
        Ok(Self { parts, body, query })
    }

    /// The first place of an input with a value.
    fn find(&self, rule: &InputRule) -> Found<'_> {
        let mut places = rule.sources.iter().map(|source| self.look(source));
        places.find(|found| *found != Found::Nothing).unwrap_or(Found::Nothing)
    }

    fn look(&self, source: &Source) -> Found<'_> {
        match source {
            Source::Body(path) => self.body.find(path),
            Source::Query(name) => find_field(&self.query, name),
            Source::Path(name) => find_field(self.parts.path, name),
            Source::Header(name) => {
                let mut values = self.parts.headers.get_all(name).iter();
                match (
                    values.next().map(|value| std::str::from_utf8(value.as_bytes())),
                    values.next(),
                ) {
                    (None, _) => Found::Nothing,
                    (Some(Ok(text)), None) => Found::of(text),
                    _ => Found::Mistyped,
                }
            }
            // The principal stands for it.
            Source::Bearer => Found::Text("bearer"),
        }
    }
}

/// The inputs of one request, typed.
#[derive(Default)]
struct Given {
    principal: Option<Principal>,
    email: Option<Email>,
    username: Option<Username>,
    identifier: Option<Identifier>,
    password: Option<Password>,
    new_password: Option<Password>,
    role: Option<String>,
    refresh_token: Option<Secret<String>>,
    scope: Option<String>,
    session: Option<SessionId>,
    attributes: BTreeMap<String, serde_json::Value>,
}

impl Given {
    fn take(&mut self, rule: &InputRule, text: &str) -> Result<(), ProblemKind> {
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
        let password = || Password { text: Secret::from(text), may_be_hashed: rule.may_be_hashed };
        match input {
            Input::Email => self.email = Some(parse(text)?),
            Input::Username => self.username = Some(parse(text)?),
            Input::Identifier => self.identifier = Some(parse(text)?),
            Input::Password => self.password = Some(password()),
            Input::NewPassword => self.new_password = Some(password()),
            Input::Role => self.role = Some(text.to_owned()),
            Input::RefreshToken => self.refresh_token = Some(Secret::from(text)),
            Input::Scope => self.scope = Some(text.to_owned()),
            Input::SessionId => self.session = Uuid::try_parse(text).ok().map(SessionId),
            Input::AccessToken => {}
        }
        Ok(())
    }

    fn command(self, operation: Operation) -> Result<Command, Rejection> {
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
            Operation::Refresh => {
                Command::Refresh { refresh_token: needed(self.refresh_token, Input::RefreshToken)? }
            }
            Operation::Logout => Command::Logout {
                principal: needed(self.principal, Input::AccessToken)?,
                everywhere: self.scope.as_deref() == Some("global"),
            },
            Operation::Me => Command::Me { principal: needed(self.principal, Input::AccessToken)? },
            Operation::ChangePassword => Command::ChangePassword {
                principal: needed(self.principal, Input::AccessToken)?,
                old: needed(self.password, Input::Password)?,
                new: needed(self.new_password, Input::NewPassword)?,
            },
            Operation::Sessions => {
                Command::Sessions { principal: needed(self.principal, Input::AccessToken)? }
            }
            Operation::EndSession => Command::EndSession {
                principal: needed(self.principal, Input::AccessToken)?,
                // Text of another form names no session, as an unknown id does.
                session: self.session.ok_or_else(|| {
                    Rejection::new(ErrorCode::SessionNotFound, "a session id that is no UUID")
                })?,
            },
        })
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, ProblemKind> {
    text.parse().or(Err(ProblemKind::Malformed))
}

fn at_fault(rule: &InputRule, kind: ProblemKind) -> Rejection {
    let field = rule.client_name().to_owned();
    Rejection::invalid_input(Problem { field, kind, message: rule.message.clone() })
}

fn needed<T>(value: Option<T>, input: Input) -> Result<T, Rejection> {
    value.ok_or_else(|| missing(input))
}

fn missing(input: Input) -> Rejection {
    let (field, kind) = (input.name().to_owned(), ProblemKind::Missing);
    Rejection::invalid_input(Problem { field, kind, message: None })
}
