//! Every example that a contract makes of itself is one that it takes, or one that it gives.

use std::path::Path;

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::contract::tests::{built_in, parsed, principal};
use crate::contract::{AnswerPlace, Contract, Endpoint, EndpointRequest, RequestExample};
use crate::operation::{Command, ErrorCode, Input, Operation, Rejection};

/// Sends an example as its text says, through the decoder of the gateway.
fn decode(
    contract: &Contract,
    endpoint: &Endpoint,
    example: &RequestExample,
) -> Result<Command, Rejection> {
    let (path, query) = match example.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (example.target.as_str(), None),
    };
    let pairs = endpoint.path().split('/').zip(path.split('/'));
    let parameters: Vec<(String, String)> = pairs
        .filter_map(|(name, value)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let mut headers = HeaderMap::new();
    for (name, value) in &example.headers {
        headers.append(name, HeaderValue::try_from(value).unwrap());
    }
    let request = EndpointRequest {
        headers: &headers,
        query,
        path: &parameters,
        body: example.body.as_deref().unwrap_or_default().as_bytes(),
        principal: endpoint.needs_principal().then(principal),
    };
    contract.decode(endpoint, request)
}

fn contracts() -> Vec<Contract> {
    let built_in = Contract::built_in_names().iter().map(|name| built_in(name));
    built_in.chain([parsed(OWN)]).collect()
}

#[test]
fn every_example_request_is_taken() {
    let mut wrong = Vec::new();
    for contract in contracts() {
        for endpoint in contract.endpoints() {
            let example = contract.example_request(endpoint, &contract.example_values());

            let decoded = decode(&contract, endpoint, &example);

            if let Err(rejection) = decoded {
                let operation = endpoint.operation().name();
                wrong.push(format!("{} {operation}: {rejection} {example:?}", contract.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_answer_is_json_or_empty() {
    for contract in contracts() {
        let values = contract.example_values();
        for endpoint in contract.endpoints() {
            let name = format!("{} {}", contract.name(), endpoint.operation().name());
            let answer = contract.example_answer(endpoint, &values);
            let refusals = endpoint.refusal_kinds().into_iter().chain(ErrorCode::ALL).map(|kind| {
                let refusal = contract.example_refusal(Some(endpoint), kind);
                assert!(refusal.status().as_u16() >= 400, "{name} {kind:?}");
                refusal
            });
            assert!(answer.status().is_success(), "{name}");

            for answer in refusals.chain([answer]) {
                let body = answer.body();
                let is_json = serde_json::from_slice::<Value>(body).is_ok();
                assert!(body.is_empty() || is_json, "{name}: {body:?}");
            }
        }
        for kind in ErrorCode::ALL {
            let refusal = contract.example_refusal(None, kind);
            assert!(serde_json::from_slice::<Value>(refusal.body()).is_ok(), "{kind:?}");
        }
    }
}

#[test]
fn an_example_says_what_is_needed_in_the_first_form_that_is_taken() {
    let contract = parsed(OWN);
    let request = |operation| {
        let endpoint = contract.endpoint(operation).unwrap();
        contract.example_request(endpoint, &contract.example_values())
    };

    let sign_up = request(Operation::SignUp);
    assert_eq!(
        sign_up.body.as_deref(),
        Some(
            r#"{"who":{"mail":"user@example.com","secret":"correct"},"nickname":"texttext","kind":"person"}"#
        )
    );
    let login = request(Operation::Login);
    assert_eq!(login.body.as_deref(), Some("user%20name=user"));
    assert_eq!(login.target, "/session?secret=correct%20horse%201");
    let end = request(Operation::EndSession);
    assert_eq!(end.target, "/sessions/6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5");
    assert_eq!(contract.login_input(), Some(Input::Username));
}

#[test]
fn a_refusal_is_shown_where_it_can_happen() {
    let standard = built_in("standard");
    let kinds = |operation| standard.endpoint(operation).unwrap().refusal_kinds();

    assert_eq!(kinds(Operation::Refresh), [ErrorCode::InvalidInput, ErrorCode::InvalidGrant]);
    assert_eq!(kinds(Operation::EndSession), [ErrorCode::SessionNotFound]);
    assert_eq!(kinds(Operation::Logout), []);
    let shown: Vec<ErrorCode> = Operation::ALL
        .into_iter()
        .filter_map(|operation| standard.endpoint(operation))
        .flat_map(Endpoint::refusal_kinds)
        .chain(Contract::common_refusal_kinds())
        .collect();
    for kind in [ErrorCode::AccountExists, ErrorCode::InvalidToken, ErrorCode::Forbidden] {
        assert!(shown.contains(&kind), "{kind:?}");
    }
    assert!(!shown.contains(&ErrorCode::RefreshMissing));
}

#[test]
fn a_token_is_found_where_an_answer_holds_it() {
    let contract = parsed(OWN);
    let values = contract.example_values();
    let find = |operation, value: &str| {
        let endpoint = contract.endpoint(operation).unwrap();
        AnswerPlace::find(&contract.example_answer(endpoint, &values), value)
    };

    let header = find(Operation::Login, &values.access_token);
    let nested = find(Operation::Login, &values.refresh_token);

    let (name, prefix) = ("x-own-token".parse().unwrap(), "Bearer ".to_owned());
    assert_eq!(header, Some(AnswerPlace::Header { name, prefix }));
    assert_eq!(nested, Some(AnswerPlace::Member("next".to_owned())));
    assert_eq!(find(Operation::SignUp, &values.access_token), None);
}

#[test]
fn what_a_contract_is_stands_in_its_file() {
    let contract = Contract::parse(OWN, Path::new("own.toml")).unwrap();

    assert_eq!(contract.about(), "Everything that an example has to fit.");
}

const OWN: &str = r#"
name = "own"
about = "Everything that an example has to fit."
not_served = [
    "refresh", "logout", "me", "sessions", "change_password", "social_login", "check_token",
    "request_reset", "confirm_reset", "request_verification", "confirm_verification",
]

[tokens]
algorithm = "HS256"
access_ttl = "1h"
refresh_ttl = "1d"
refresh_format = "jwt"

[attributes]
nickname = { type = "text", max = 20 }
phone = { type = "text", max = 20 }

[envelope]
error = { error = "{error.kind}" }

[errors]
default = {}

[[endpoint]]
operation = "sign_up"
path = "POST /people"
require = [{ from = "body:kind", one_of = ["person", "robot"] }]
data = { nickname = "{user.nickname}", phone = "{user.phone}" }

[endpoint.input]
email = "body:who.mail"
password = { from = "body:who.secret", max = 7 }
nickname = { from = "body:nickname", required = true, min = 8 }
phone = "body:phone"

[[endpoint]]
operation = "login"
path = "POST /session"
accept = ["form", "json"]
input = { username = ["body:user name", "body:name"], email = "body:mail", password = "query:secret" }
headers = { X-Own-Token = "Bearer {access_token}" }
data = { list = [1], tokens = { next = "{refresh_token}" } }

[[endpoint]]
operation = "end_session"
path = "DELETE /sessions/{id}"
status = 204
input = { access_token = "bearer", session_id = "path:id" }
"#;
