//! A request that an endpoint takes, made from the contract itself.

use http::Method;
use serde_json::Value;

use crate::contract::Contract;
use crate::contract::Endpoint;
use crate::contract::input::InputRule;
use crate::contract::input::Target;
use crate::contract::slot::Slot;
use crate::contract::source::Source;
use crate::contract::template::Template;
use crate::operation::Input;
use crate::operation::Operation;

/// A request to paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The JSON body, where anything stands in it.
    pub json: Option<String>,
    /// The member of the answer that holds the access token.
    pub access_token_member: Option<String>,
}

impl Contract {
    /// Makes a request for an operation, with what it needs and no more; `None` where no endpoint
    /// serves it.
    #[must_use]
    pub fn example(&self, operation: Operation, email: &str, password: &str) -> Option<Example> {
        let endpoint = self.endpoints().iter().find(|own| own.operation() == operation)?;
        let mut body = serde_json::Map::new();
        for rule in needed(endpoint) {
            let Some(Source::Body(name)) = rule.sources.first() else { continue };
            insert(&mut body, name, sample(rule, email, password));
        }
        Some(Example {
            method: endpoint.method().clone(),
            path: endpoint.path().to_owned(),
            json: (!body.is_empty()).then(|| Value::Object(body).to_string()),
            access_token_member: endpoint.body.as_ref().and_then(member_of_access_token),
        })
    }
}

/// The required inputs, and the first of those that say who.
fn needed(endpoint: &Endpoint) -> impl Iterator<Item = &InputRule> {
    let who = endpoint.inputs.iter().find(|rule| rule.is_one_of(endpoint.operation()));
    let is_who = move |rule: &InputRule| who.is_some_and(|who| who.target == rule.target);
    endpoint.inputs.iter().filter(move |rule| rule.required || is_who(rule))
}

fn sample(rule: &InputRule, email: &str, password: &str) -> Value {
    let name = email.split('@').next().unwrap_or(email);
    let text = match &rule.target {
        Target::Input(Input::Email | Input::Identifier) => email,
        Target::Input(Input::Username) => name,
        Target::Input(Input::Password | Input::NewPassword) => password,
        Target::Check => rule.constraint.one_of.first().map_or("", String::as_str),
        Target::Input(_) | Target::Attribute(_) => "…",
    };
    Value::String(text.to_owned())
}

/// Puts a value at a path of member names joined by dots.
fn insert(object: &mut serde_json::Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(object.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner =
                object.entry(first).or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn member_of_access_token(template: &Template) -> Option<String> {
    let Template::Object(members) = template else { return None };
    members.iter().find_map(|(name, value)| match value {
        Template::Slot(slot) if slot.slot == Slot::AccessToken => Some(name.clone()),
        Template::Object(_) => member_of_access_token(value),
        _ => None,
    })
}
