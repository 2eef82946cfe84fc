//! A request that an endpoint takes.

use http::{HeaderName, Method, header};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::contract::example::{ATTRIBUTE, CHALLENGE, ExampleValues, SESSION, SETUP};
use crate::contract::input::body::Accept;
use crate::contract::input::source::InputSource;
use crate::contract::input::{InputRule, Target};
use crate::contract::{Contract, Endpoint};
use crate::encoding::percent_encode;
use crate::operation::{Input, Provider};

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestExample {
    /// The method.
    pub method: Method,
    /// The path, and the query, unless it is empty.
    pub target: String,
    /// Headers, `Content-Type` among them.
    pub headers: Vec<(HeaderName, String)>,
    /// The body, in the first form that the endpoint takes.
    pub body: Option<String>,
}

/// An input of an endpoint, for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputSummary {
    /// The name that the operation knows it by; empty for one that is only checked.
    pub name: String,
    /// Its sources: `body:email`.
    pub from: Vec<String>,
    /// `required`, `optional`, or `one of` where another of its kind will do.
    pub need: &'static str,
}

const FORM: &str = "application/x-www-form-urlencoded";

impl RequestExample {
    /// Makes it.
    pub(super) fn new(contract: &Contract, endpoint: &Endpoint, values: &ExampleValues) -> Self {
        let mut path = endpoint.path().to_owned();
        let (mut query, mut body) = (Vec::new(), Vec::new());
        let mut headers = Vec::new();
        for rule in needed(endpoint) {
            let value = sample(contract, rule, values);
            match rule.sources.first() {
                None | Some(InputSource::Fixed(_)) => {}
                Some(InputSource::Body(place)) => body.push((place.as_str(), value)),
                Some(InputSource::Query(name)) => query.push((name.as_str(), value)),
                Some(InputSource::Path(name)) => {
                    path = path.replace(&format!("{{{name}}}"), &encoded(&value));
                }
                Some(InputSource::Header(name)) => headers.push((name.clone(), value)),
                Some(InputSource::Cookie(name)) => {
                    headers.push((header::COOKIE, format!("{name}={value}")));
                }
                Some(InputSource::Bearer) => {
                    headers.push((header::AUTHORIZATION, format!("Bearer {value}")));
                }
            }
        }
        let body = (!body.is_empty()).then(|| {
            let (media_type, text) = write(endpoint.accept.first(), &body);
            headers.push((header::CONTENT_TYPE, media_type.to_owned()));
            text
        });
        let target = if query.is_empty() { path } else { format!("{path}?{}", form(&query)) };
        Self { method: endpoint.method().clone(), target, headers, body }
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether its body is JSON by its media type, not only by its looks.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.header(&header::CONTENT_TYPE).is_some_and(|media_type| media_type != FORM)
    }
}

impl InputSummary {
    /// Makes it.
    pub(super) fn of(rule: &InputRule, endpoint: &Endpoint) -> Self {
        let is_settled = who(endpoint).is_some_and(|who| who.required);
        let need = match rule.required {
            true => "required",
            false if rule.is_one_of(endpoint.operation()) && !is_settled => "one of",
            false => "optional",
        };
        let from = rule.sources.iter().map(ToString::to_string).collect();
        Self { name: rule.own_name().to_owned(), from, need }
    }
}

/// The required inputs, and the first of those that identify the account.
pub(super) fn needed(endpoint: &Endpoint) -> impl Iterator<Item = &InputRule> {
    let who = who(endpoint);
    let is_who = move |rule: &InputRule| who.is_some_and(|who| who.target == rule.target);
    endpoint.inputs.iter().filter(move |rule| rule.required || is_who(rule))
}

/// The input that identifies the account, if one of several is enough.
pub(super) fn who(endpoint: &Endpoint) -> Option<&InputRule> {
    let mut choices = endpoint.inputs.iter().filter(|rule| rule.is_one_of(endpoint.operation()));
    let required = choices.clone().find(|rule| rule.required);
    required.or_else(|| choices.next())
}

/// Whether an account is named by its address; where either will do, the client's own name for
/// the input decides.
pub(super) fn wants_email(rule: &InputRule) -> bool {
    match rule.target {
        Target::Input(Input::Identifier) => {
            rule.client_name().to_ascii_lowercase().contains("mail")
        }
        Target::Input(Input::Username) => false,
        _ => true,
    }
}

fn sample(contract: &Contract, rule: &InputRule, values: &ExampleValues) -> String {
    let input = match &rule.target {
        Target::Check => return rule.constraint.sample("text"),
        Target::Attribute(_) => return rule.constraint.sample(ATTRIBUTE),
        Target::Input(input) => *input,
    };
    let text = match input {
        Input::Email | Input::Username | Input::Identifier if wants_email(rule) => {
            values.email.as_str()
        }
        Input::Email | Input::Username | Input::Identifier => &values.username,
        Input::Password => &values.password,
        Input::NewPassword => "battery staple 2",
        Input::Role => contract.tokens().default_role.as_deref().unwrap_or("user"),
        Input::RefreshToken => &values.refresh_token,
        Input::AccessToken | Input::PreviousAccessToken | Input::Token => &values.access_token,
        Input::Scope => "global",
        Input::SessionId => SESSION,
        Input::Provider => Provider::Google.name(),
        Input::ProviderToken => "ya29.a0AfB_provider-token",
        Input::Code => "123456",
        Input::RecoveryCode => "k7m2p-x9rtd",
        Input::Challenge => CHALLENGE,
        Input::Setup => SETUP,
    };
    rule.constraint.sample(text)
}

fn write(accept: Option<&Accept>, members: &[(&str, String)]) -> (&'static str, String) {
    match accept {
        Some(Accept::Form) => (FORM, form(members)),
        Some(Accept::JsonInForm) => (FORM, json(members)),
        Some(Accept::Json) | None => ("application/json", json(members)),
    }
}

fn form(fields: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{}={}", encoded(name), encoded(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Percent-encodes what may not occur in a form, a query or a segment; `@` and `$` may.
fn encoded(text: &str) -> String {
    percent_encode(text, b"-._~@$")
}

/// An object whose members keep their order, so that an example reads as the contract does.
#[derive(Debug, Default)]
struct Object(Vec<(String, Member)>);

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Member {
    Text(String),
    Object(Object),
}

fn json(members: &[(&str, String)]) -> String {
    let mut object = Object::default();
    for (path, text) in members {
        object.insert(path, text);
    }
    serde_json::to_string(&object).unwrap_or_default()
}

impl Object {
    /// Puts a text at a path of names joined by dots.
    fn insert(&mut self, path: &str, text: &str) {
        let Some((first, rest)) = path.split_once('.') else {
            self.0.push((path.to_owned(), Member::Text(text.to_owned())));
            return;
        };
        let inner = self.0.iter_mut().find_map(|(name, member)| match member {
            Member::Object(inner) if name == first => Some(inner),
            _ => None,
        });
        if let Some(inner) = inner {
            inner.insert(rest, text);
        } else {
            let mut inner = Self::default();
            inner.insert(rest, text);
            self.0.push((first.to_owned(), Member::Object(inner)));
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, member) in &self.0 {
            map.serialize_entry(name, member)?;
        }
        map.end()
    }
}
