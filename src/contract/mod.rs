//! The client-facing shape of an auth API, described as data and read by one small engine.
//!
//! A contract is a TOML file (`config/contracts/`, compiled in; or an operator's own). It is
//! checked whole when it is loaded: what loads can be decoded and encoded without surprises.
//! Nothing here branches on a contract's name.

mod address;
mod answer;
mod attribute;
mod built_in;
mod compile;
mod cookie;
mod endpoint;
mod example;
mod input;
mod request_id;
mod tokens;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::clock::Timestamp;
use crate::config::SameSite;
use crate::contract::answer::errors::{ErrorAnswers, ProblemWords};
use crate::contract::cookie::Cookie;
use crate::contract::request_id::RequestIdForm;
use crate::document::{Fault, Faults};
use crate::operation::{Command, Language, Operation, Outcome, Principal, Rejection};

pub use endpoint::Endpoint;
pub use example::{AnswerPlace, ExampleValues, InputSummary, RequestExample};
pub use input::form::FormInput;
pub use tokens::ContractTokens;

/// A loaded contract.
#[derive(Debug)]
pub struct Contract {
    name: String,
    about: String,
    language: Language,
    tokens: ContractTokens,
    request_id: RequestIdForm,
    cookies: Vec<Cookie>,
    exposed_headers: Vec<HeaderName>,
    text_attributes: Vec<String>,
    endpoints: Vec<Endpoint>,
    error_answers: ErrorAnswers,
    problems: ProblemWords,
    success_type: HeaderValue,
    error_type: HeaderValue,
}

/// A request to an endpoint, its body read.
pub struct EndpointRequest<'a> {
    /// Headers, as the client sent them.
    pub headers: &'a HeaderMap,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The segments that stand for `{name}` in the endpoint's path, percent-decoded.
    pub path: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
    /// The principal, where [`Endpoint::needs_principal`].
    pub principal: Option<Principal>,
}

/// The values of an answer besides its outcome.
#[derive(Clone, Copy, Debug)]
pub struct ReplyContext<'a> {
    /// The instant of the answer.
    pub now: Timestamp,
    /// The request's id.
    pub request_id: &'a str,
    /// The host that was asked for, which a challenge names.
    pub host: &'a str,
    /// `SameSite` of cookies.
    pub same_site: SameSite,
}

impl ReplyContext<'_> {
    /// A placeholder, for encoding without a request.
    const fn unknown() -> Self {
        let now = Timestamp::from_millis(0);
        Self { now, request_id: "", host: "", same_site: SameSite::Lax }
    }
}

impl Contract {
    /// Loads a contract that is compiled in; `None` if none has that name.
    ///
    /// # Errors
    /// Every fault of the file, each with its place.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Result<Self, Faults>> {
        let file = built_in::find(name)?;
        Some(Self::parse(file.text, Path::new(file.path)))
    }

    /// The names of the attributes that are text.
    pub fn text_attributes(&self) -> impl Iterator<Item = &str> {
        self.text_attributes.iter().map(String::as_str)
    }

    /// The names of the contracts that are compiled in.
    #[must_use]
    pub const fn built_in_names() -> &'static [&'static str] {
        &built_in::NAMES
    }

    /// Loads an operator's own file.
    ///
    /// # Errors
    /// Every fault of the file, each with its place.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) => Err(Faults(vec![Fault {
                source: None,
                span: 0..0,
                title: format!("cannot read the contract `{}`", path.display()),
                hint: error.to_string(),
            }])),
        }
    }

    /// Reads a contract from text, as if it stood in `path`.
    ///
    /// # Errors
    /// Every fault, each with its place.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Faults> {
        compile::compile(text, path)
    }

    /// Removes the endpoints; the rest is for a site that serves none, and still refuses.
    #[must_use]
    pub fn without_endpoints(self) -> Self {
        Self { name: "none".to_owned(), endpoints: Vec::new(), cookies: Vec::new(), ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its description, in a sentence.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The language of texts that the gateway adds.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Its token settings.
    #[must_use]
    pub const fn tokens(&self) -> &ContractTokens {
        &self.tokens
    }

    /// Its endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoint that serves an operation.
    #[must_use]
    pub fn endpoint(&self, operation: Operation) -> Option<&Endpoint> {
        self.endpoints().iter().find(|endpoint| endpoint.operation() == operation)
    }

    /// The cookies that its endpoints set or read: the gateway's own, which no backend sees.
    pub fn cookie_names(&self) -> impl Iterator<Item = &str> {
        self.cookies.iter().map(|cookie| cookie.name.as_str())
    }

    /// The headers that scripts of another origin may read of any answer (`[cors] expose`).
    #[must_use]
    pub fn exposed_headers(&self) -> &[HeaderName] {
        &self.exposed_headers
    }

    /// Makes a request id of the contract's own form (`req-…`) from random bytes.
    #[must_use]
    pub fn make_request_id(&self, random: [u8; 16]) -> String {
        self.request_id.make(random)
    }

    /// Decodes a request to one of its endpoints.
    ///
    /// # Errors
    /// [`crate::operation::ErrorCode::InvalidInput`] with the contract's own message;
    /// [`crate::operation::ErrorCode::UnsupportedProvider`] for an unknown provider's name;
    /// [`crate::operation::ErrorCode::RefreshMissing`] and
    /// [`crate::operation::ErrorCode::DuplicateCookie`] where the refresh token is a cookie;
    /// [`crate::operation::ErrorCode::SessionNotFound`] for a session id of another form;
    /// [`crate::operation::ErrorCode::MissingToken`] where a principal is needed and absent.
    pub fn decode(
        &self,
        endpoint: &Endpoint,
        request: EndpointRequest<'_>,
    ) -> Result<Command, Rejection> {
        input::decode::decode(endpoint, request)
    }

    /// Encodes an answer.
    #[must_use]
    pub fn encode(
        &self,
        endpoint: &Endpoint,
        outcome: &Outcome,
        context: ReplyContext<'_>,
    ) -> Response<Bytes> {
        answer::encode::encode(self, endpoint, outcome, context)
    }

    /// Encodes a refusal: of an endpoint, or of the proxy itself (`None`).
    ///
    /// Sets `WWW-Authenticate`, `Allow`, `Retry-After`, `Cache-Control` as `contracts.md` says.
    #[must_use]
    pub fn refuse(
        &self,
        endpoint: Option<&Endpoint>,
        rejection: &Rejection,
        context: ReplyContext<'_>,
    ) -> Response<Bytes> {
        answer::encode::refuse(self, endpoint, rejection, context)
    }
}

impl fmt::Debug for EndpointRequest<'_> {
    /// Shows neither headers nor body: both carry secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EndpointRequest")
            .field("body_bytes", &self.body.len())
            .field("has_principal", &self.principal.is_some())
            .finish_non_exhaustive()
    }
}
