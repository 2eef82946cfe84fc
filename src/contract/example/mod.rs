//! Examples of a contract's endpoints, made from the contract itself.
//!
//! A request that is made here decodes, and an answer is what the encoder makes of a sample
//! outcome: an example cannot say what the contract does not.

mod request;
mod response;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use serde_json::json;

use crate::clock::Timestamp;
use crate::config::SameSite;
use crate::contract::input::Target;
use crate::contract::{Contract, Endpoint, ReplyContext};
use crate::operation::{ErrorCode, Input, Operation};
use crate::token::RefreshFormat;

pub use request::{InputSummary, RequestExample};
pub use response::AnswerPlace;

/// Example values of a user, for the slots that differ from user to user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleValues {
    /// Email address.
    pub email: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Access token.
    pub access_token: String,
    /// Refresh token.
    pub refresh_token: String,
}

/// 2025-01-15T10:30:00Z
const INSTANT: Timestamp = Timestamp::from_seconds(1_736_937_000);
/// A request's.
const RANDOM: [u8; 16] = 0x9c4e_1f7a_5b2d_4e83_a6c1_70d9_e2f4_b835_u128.to_be_bytes();
const SESSION: &str = "6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5";
const CHALLENGE: &str = "b4Jx0tq8v2nRk5wYz7LmC1";
const SETUP: &str = "Zq3mV8yT1rNc6kXw0bPj5F";
/// Text, and base64 as well.
const ATTRIBUTE: &str = "text";

impl Contract {
    /// The input, email address or user name, that a login's example has; `None` where there is no
    /// login.
    #[must_use]
    pub fn login_input(&self) -> Option<Input> {
        let rule = request::who(self.endpoint(Operation::Login)?)?;
        Some(if request::wants_email(rule) { Input::Email } else { Input::Username })
    }

    /// Values of the kinds that the contract issues.
    #[must_use]
    pub fn example_values(&self) -> ExampleValues {
        let jwt = |claims| {
            let header = json!({ "alg": self.tokens.algorithm.name() });
            let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims))
        };
        ExampleValues {
            email: "user@example.com".to_owned(),
            username: "user".to_owned(),
            password: "correct horse 1".to_owned(),
            access_token: jwt(json!({ "sub": "7" })),
            refresh_token: match self.tokens.refresh_format {
                RefreshFormat::Opaque => "qv0yGvQ0Kw3Zt1hWb5x8nA7c2eJ4mR9s".to_owned(),
                RefreshFormat::Uuid => "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed".to_owned(),
                RefreshFormat::Jwt => jwt(json!({ "sub": "7", "token_use": "refresh" })),
            },
        }
    }

    /// A request to an endpoint, with what it needs and no more.
    #[must_use]
    pub fn example_request(&self, endpoint: &Endpoint, values: &ExampleValues) -> RequestExample {
        RequestExample::new(self, endpoint, values)
    }

    /// The answer of an endpoint whose operation succeeds.
    #[must_use]
    pub fn example_answer(&self, endpoint: &Endpoint, values: &ExampleValues) -> Response<Bytes> {
        let outcome = response::outcome(self, endpoint.operation(), values);
        self.in_context(|context| self.encode(endpoint, &outcome, context))
    }

    /// The answer to one kind of error: by an endpoint, or by the gateway itself (`None`).
    #[must_use]
    pub fn example_refusal(&self, endpoint: Option<&Endpoint>, kind: ErrorCode) -> Response<Bytes> {
        let rejection = response::rejection(endpoint, kind);
        self.in_context(|context| self.refuse(endpoint, &rejection, context))
    }

    /// The kinds of error of every path, whether it is an endpoint's or a route's.
    #[must_use]
    pub fn common_refusal_kinds() -> Vec<ErrorCode> {
        let of_endpoints = |kind: &ErrorCode| {
            *kind == ErrorCode::InvalidInput
                || kind.has_challenge()
                || response::KINDS_OF_COOKIES.contains(kind)
                || Operation::ALL.iter().any(|own| response::kinds_of(*own).contains(kind))
        };
        let of_routes = [ErrorCode::InvalidToken, ErrorCode::ReauthenticationRequired];
        let is_common = |kind: &ErrorCode| of_routes.contains(kind) || !of_endpoints(kind);
        ErrorCode::ALL.into_iter().filter(is_common).collect()
    }

    fn in_context<T>(&self, make: impl FnOnce(ReplyContext<'_>) -> T) -> T {
        let request_id = self.make_request_id(RANDOM);
        let same_site = SameSite::default();
        make(ReplyContext {
            now: INSTANT,
            request_id: &request_id,
            host: "api.example.com",
            same_site,
        })
    }

    /// Every attribute that a sign-up takes.
    fn example_attributes(&self) -> BTreeMap<String, serde_json::Value> {
        let rules = self.endpoint(Operation::SignUp).map(|endpoint| endpoint.inputs.as_slice());
        let names = rules.unwrap_or_default().iter().filter_map(|rule| match &rule.target {
            Target::Attribute(name) => Some(name.clone()),
            Target::Input(_) | Target::Check => None,
        });
        names.map(|name| (name, ATTRIBUTE.into())).collect()
    }
}

impl Endpoint {
    /// The sources of its inputs, in the order in which they are checked.
    #[must_use]
    pub fn input_summaries(&self) -> Vec<InputSummary> {
        self.inputs.iter().map(|rule| InputSummary::of(rule, self)).collect()
    }

    /// The kinds of error that it may answer besides those of every path.
    #[must_use]
    pub fn refusal_kinds(&self) -> Vec<ErrorCode> {
        let mut kinds: BTreeSet<_> = self.error_answers.keys().copied().collect();
        kinds.extend(response::kinds_of(self.operation));
        if self.reads_cookie() {
            kinds.extend(response::KINDS_OF_COOKIES);
        }
        if response::first_to_be_missed(self).is_some() {
            kinds.insert(ErrorCode::InvalidInput);
        }
        kinds.into_iter().collect()
    }
}
