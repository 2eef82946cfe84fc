//! Turns a request to an endpoint into the command it asks for.
//!
//! Inputs are checked in the order of the contract's file, so that the first one at fault is
//! the first one that its document names.

use crate::contract::cookie::Cookie;
use crate::contract::input::body::{Body, Found, find_field};
use crate::contract::input::decoded::DecodedInputs;
use crate::contract::input::source::InputSource;
use crate::contract::input::{InputRule, Target};
use crate::contract::{Endpoint, EndpointRequest};
use crate::encoding::form;
use crate::operation::{
    Command, ErrorCode, Input, Operation, Principal, Problem, ProblemKind, Rejection,
};

/// Decodes a request.
pub(crate) fn decode(
    endpoint: &Endpoint,
    mut request: EndpointRequest<'_>,
) -> Result<Command, Rejection> {
    let principal = request.principal.take();
    if endpoint.needs_principal() && principal.is_none() {
        return Err(Rejection::new(ErrorCode::MissingToken, "no access token"));
    }
    let request = Request::read(endpoint, &request)?;
    let found = endpoint.inputs.iter().map(|rule| (rule, request.find(rule))).collect();
    let texts = |rule, text| request.values(rule, text);
    assemble(endpoint.operation, principal, found, texts, InputRule::client_name)
}

/// Makes the command of what was found for each input. `texts` gives the texts of one; `name` the
/// name that a refusal calls it by.
pub(crate) fn assemble<'f>(
    operation: Operation,
    principal: Option<Principal>,
    found: Vec<(&'f InputRule, Found<'f>)>,
    texts: impl Fn(&'f InputRule, &'f str) -> Result<Vec<&'f str>, Rejection>,
    name: fn(&InputRule) -> &str,
) -> Result<Command, Rejection> {
    let somebody =
        found.iter().any(|(rule, found)| rule.is_one_of(operation) && *found != Found::Nothing);
    let mut inputs = DecodedInputs::by(principal);
    for (rule, found) in found {
        let nobody = !somebody && rule.is_one_of(operation);
        match found {
            Found::Nothing if rule.required || nobody => {
                return Err(absent(rule, name));
            }
            Found::Nothing => {}
            Found::Mistyped => return Err(invalid_input(rule, name, ProblemKind::Malformed)),
            Found::Text(text) => {
                let take = |text: &str| {
                    let text = rule.as_meant(text);
                    let checked = rule.constraint.check(&text);
                    checked.and_then(|()| inputs.take(rule, operation, &text))
                };
                if let Some(Err(kind)) = texts(rule, text)?.into_iter().map(take).reduce(Result::or)
                {
                    return Err(malformed_input(rule, name, kind));
                }
            }
        }
    }
    inputs.command(operation)
}

/// A request, read as far as its endpoint needs.
struct Request<'a> {
    parts: &'a EndpointRequest<'a>,
    body: Body,
    query: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
}

impl<'a> Request<'a> {
    fn read(endpoint: &Endpoint, parts: &'a EndpointRequest<'a>) -> Result<Self, Rejection> {
        let values = |cookie: &Cookie| {
            let values = Cookie::of_request(parts.headers, &cookie.name).into_iter();
            values.map(|value| (cookie.name.clone(), value.into_owned())).collect::<Vec<_>>()
        };
        let cookies = endpoint.reads.iter().flat_map(values).collect();
        let sources = || endpoint.inputs.iter().flat_map(|rule| &rule.sources);
        let mut body = Body::default();
        let places: Vec<_> = sources().filter_map(InputSource::as_body).collect();
        if !places.is_empty() {
            body = Body::read(parts.body, parts.headers, &endpoint.accept, &places)?;
        }
        let wanted: Vec<_> = sources().filter_map(InputSource::as_query).collect();
        let text = parts.query.filter(|_| !wanted.is_empty()).unwrap_or_default();
        let query = form::parse(text.as_bytes(), &wanted).ok_or_else(|| {
            let (field, kind) = ("query".to_owned(), ProblemKind::Malformed);
            Rejection::invalid_input(Problem { field, kind, message: None })
        })?;
        Ok(Self { parts, body, query, cookies })
    }

    /// The texts of an input: one, but for cookies of one name, of which a browser sends every one
    /// that other paths or domains left behind. Each may be the refresh token that is meant.
    fn values<'s>(&'s self, rule: &'s InputRule, text: &'s str) -> Result<Vec<&'s str>, Rejection> {
        let source = rule.sources.iter().find(|source| self.look(source) != Found::Nothing);
        let Some(name) = source.and_then(InputSource::as_cookie) else { return Ok(vec![text]) };
        let named = self.cookies.iter().filter(|(own, _)| own == name);
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        if values.len() > 1 && rule.target != Target::Input(Input::RefreshToken) {
            let reason = format!("the cookie `{name}` came with several values");
            return Err(Rejection::new(ErrorCode::DuplicateCookie, reason));
        }
        Ok(values)
    }

    /// The first place of an input with a value.
    fn find<'s>(&'s self, rule: &'s InputRule) -> Found<'s> {
        let mut places = rule.sources.iter().map(|source| self.look(source));
        places.find(|found| *found != Found::Nothing).unwrap_or(Found::Nothing)
    }

    fn look<'s>(&'s self, source: &'s InputSource) -> Found<'s> {
        match source {
            InputSource::Cookie(name) => find_field(&self.cookies, name),
            InputSource::Fixed(text) => Found::Text(text),
            InputSource::Body(path) => self.body.find(path),
            InputSource::Query(name) => find_field(&self.query, name),
            InputSource::Path(name) => find_field(self.parts.path, name),
            InputSource::Header(name) => {
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
            InputSource::Bearer => Found::Text("bearer"),
        }
    }
}

/// A missing input.
fn absent(rule: &InputRule, name: fn(&InputRule) -> &str) -> Rejection {
    let in_cookies = rule.sources.iter().all(|source| source.as_cookie().is_some());
    if rule.target == Target::Input(Input::RefreshToken) && in_cookies {
        return Rejection::new(ErrorCode::RefreshMissing, "no cookie with a refresh token");
    }
    invalid_input(rule, name, ProblemKind::Missing)
}

/// An input with malformed text.
fn malformed_input(rule: &InputRule, name: fn(&InputRule) -> &str, kind: ProblemKind) -> Rejection {
    match rule.malformed {
        Some(code) if kind == ProblemKind::Malformed => {
            let reason = format!("input `{}` is malformed", name(rule));
            Rejection::new(code, reason)
        }
        _ => invalid_input(rule, name, kind),
    }
}

fn invalid_input(rule: &InputRule, name: fn(&InputRule) -> &str, kind: ProblemKind) -> Rejection {
    let field = name(rule).to_owned();
    Rejection::invalid_input(Problem { field, kind, message: rule.message.clone() })
}
