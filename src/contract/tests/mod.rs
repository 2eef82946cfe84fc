//! Contracts as their clients see them: literal bytes in, literal bytes out.

mod arbitrary;
mod auth_api;
mod described;
mod examples;
mod fame;
mod faulty;
mod invented;
mod standard;
mod username;
mod zdm;
mod zipcheck;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::config::SameSite;
use crate::contract::{Contract, Endpoint, EndpointRequest, ReplyContext};
use crate::operation::{
    AuthMethods, Command, ErrorCode, Generations, Operation, Outcome, Principal, Rejection,
    SessionId, SessionName, SessionView, TokenId, TokenSet, UserId, UserView,
};
use crate::secret::Secret;

/// 2025-01-15T10:30:00Z, the instant of the documents.
const ISSUED: Timestamp = Timestamp::from_seconds(1_736_937_000);
/// A day later.
const EXPIRES: Timestamp = Timestamp::from_seconds(1_737_023_400);
const SESSION: SessionId = SessionId(Uuid::from_u128(0x6f1c_2a4e_0d3b_4c5d_8e9f_a0b1_c2d3_e4f5));
const JSON: (&str, &str) = ("content-type", "application/json");

fn built_in(name: &str) -> Contract {
    Contract::built_in(name).unwrap().map_err(|faults| faults.0).unwrap()
}

fn parsed(text: &str) -> Contract {
    Contract::parse(text, Path::new("own.toml")).map_err(|faults| faults.0).unwrap()
}

fn endpoint(contract: &Contract, operation: Operation) -> &Endpoint {
    contract.endpoints().iter().find(|endpoint| endpoint.operation() == operation).unwrap()
}

/// Names and values.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// A request in a form that rows of a table can state.
#[derive(Clone, Copy, Default)]
struct Sent<'a> {
    headers: Headers<'a>,
    query: Option<&'a str>,
    id: Option<&'a str>,
    body: &'a [u8],
}

fn decode(contract: &Contract, operation: Operation, sent: Sent<'_>) -> Result<Command, Rejection> {
    let endpoint = endpoint(contract, operation);
    let mut headers = HeaderMap::new();
    for (name, value) in sent.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let path: Vec<_> = sent.id.map(|id| ("id".to_owned(), id.to_owned())).into_iter().collect();
    let principal = endpoint.needs_principal().then(principal);
    let (query, body) = (sent.query, sent.body);
    let request = EndpointRequest { headers: &headers, query, path: &path, body, principal };
    contract.decode(endpoint, request)
}

fn encode(contract: &Contract, operation: Operation, outcome: &Outcome) -> Response<Bytes> {
    contract.encode(endpoint(contract, operation), outcome, context())
}

/// The answer to a request that does not decode.
fn refused(contract: &Contract, operation: Operation, sent: Sent<'_>) -> Response<Bytes> {
    let rejection = decode(contract, operation, sent).unwrap_err();
    contract.refuse(Some(endpoint(contract, operation)), &rejection, context())
}

fn refuse(contract: &Contract, code: ErrorCode) -> Response<Bytes> {
    contract.refuse(None, &Rejection::new(code, "for the log"), context())
}

const fn context() -> ReplyContext<'static> {
    ReplyContext {
        now: ISSUED,
        request_id: "req-abc123",
        host: "a.example",
        same_site: SameSite::Lax,
    }
}

fn body(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn user() -> UserView {
    UserView {
        id: UserId(7),
        email: Some("user@example.com".to_owned()),
        email_verified: false,
        username: None,
        roles: vec!["editor".to_owned(), "user".to_owned()],
        permissions: vec!["SMS".to_owned()],
        attributes: BTreeMap::new(),
        created_at: ISSUED,
        last_login_at: None,
    }
}

fn tokens() -> TokenSet {
    TokenSet {
        access_token: Secret::from("eyJh.eyJz.c2ln"),
        issued_at: ISSUED,
        access_expires_at: EXPIRES,
        refresh_token: Some(Secret::from("r3fr3sh")),
        refresh_expires_at: Some(EXPIRES),
        session: SESSION,
        device: None,
    }
}

fn issued() -> Outcome {
    Outcome::TokensIssued { user: user(), tokens: tokens(), is_new_user: false }
}

fn session(agent: Option<&str>, current: bool) -> SessionView {
    SessionView {
        id: SESSION,
        created_at: ISSUED,
        last_used_at: EXPIRES,
        address: "192.0.2.7".to_owned(),
        agent: agent.map(str::to_owned),
        current,
    }
}

fn principal() -> Principal {
    Principal {
        issuer: "https://api.example.com".to_owned(),
        subject: "7".to_owned(),
        token: TokenId("jti".to_owned()),
        session: Some(SessionName::Own(SESSION)),
        generations: Generations::default(),
        key: "k".to_owned(),
        issued_at: ISSUED,
        expires_at: EXPIRES,
        email: None,
        username: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        authenticated_at: None,
        methods: AuthMethods::default(),
        claims: serde_json::Map::new(),
    }
}
