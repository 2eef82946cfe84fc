//! A contract on one page: its documentation, made from the contract itself.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use humantime::format_duration;
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::table;
use crate::contract::{Contract, Endpoint, ExampleValues, InputSummary};
use crate::operation::{ErrorCode, Operation};
use crate::token::RefreshFormat;

use super::pretty::pretty;

/// The page of a contract.
#[derive(Debug, Serialize)]
pub(super) struct ContractPage {
    name: String,
    about: String,
    tokens: Tokens,
    language: &'static str,
    cookies: Vec<String>,
    not_served: Vec<&'static str>,
    endpoints: Vec<ShownEndpoint>,
    errors: Vec<ShownRefusal>,
}

#[derive(Debug, Serialize)]
struct Tokens {
    algorithm: &'static str,
    access_ttl: String,
    refresh_ttl: Option<String>,
    refresh_format: Option<&'static str>,
    one_session: bool,
    bare_tokens: bool,
    default_role: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownEndpoint {
    operation: &'static str,
    method: String,
    path: String,
    status: u16,
    inputs: Vec<InputSummary>,
    request: ShownRequest,
    response: ShownAnswer,
    errors: Vec<ShownRefusal>,
}

#[derive(Debug, Serialize)]
struct ShownRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    /// The body as it is sent, its members in their order.
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct ShownRefusal {
    kind: &'static str,
    #[serde(flatten)]
    answer: ShownAnswer,
}

impl ContractPage {
    /// The page of a contract.
    pub(super) fn of(contract: &Contract) -> Self {
        let values = contract.example_values();
        let endpoints: Vec<ShownEndpoint> = contract
            .endpoints()
            .iter()
            .map(|endpoint| ShownEndpoint::of(contract, endpoint, &values))
            .collect();
        let unserved = |operation: &Operation| contract.endpoint(*operation).is_none();
        let errors = Contract::common_refusal_kinds();
        let errors = errors.into_iter().map(|kind| ShownRefusal::of(contract, None, kind));
        Self {
            name: contract.name().to_owned(),
            about: contract.about().to_owned(),
            tokens: Tokens::of(contract),
            language: contract.language().tag(),
            cookies: contract.cookie_names().map(str::to_owned).collect(),
            not_served: Operation::ALL.into_iter().filter(unserved).map(Operation::name).collect(),
            endpoints,
            errors: errors.collect(),
        }
    }

    /// The page, for a terminal.
    pub(super) fn text(&self) -> String {
        let list = |items: &[String]| {
            if items.is_empty() { "none".to_owned() } else { items.join(", ") }
        };
        let not_served: Vec<String> = self.not_served.iter().map(|&name| name.to_owned()).collect();
        let mut text = format!(
            "{}: {}\n\n\
             tokens      {}\n\
             language    {}\n\
             cookies     {}\n\
             not served  {}\n\n",
            self.name,
            self.about,
            self.tokens.text(),
            self.language,
            list(&self.cookies),
            list(&not_served)
        );
        let rows: Vec<Vec<String>> = self.endpoints.iter().map(ShownEndpoint::row).collect();
        text.push_str(&table(&["OPERATION", "METHOD", "PATH", "STATUS"], &rows));
        for endpoint in &self.endpoints {
            text.push('\n');
            text.push_str(&endpoint.text());
        }
        text.push_str("\nErrors of every path:\n\n");
        text.push_str(&refusals(&self.errors));
        text
    }
}

impl Tokens {
    fn of(contract: &Contract) -> Self {
        let settings = contract.tokens();
        let written = |ttl: Duration| format_duration(ttl).to_string();
        let format = match settings.refresh_format {
            RefreshFormat::Opaque => "opaque",
            RefreshFormat::Uuid => "uuid",
            RefreshFormat::Jwt => "jwt",
        };
        Self {
            algorithm: settings.algorithm.name(),
            access_ttl: written(settings.access_ttl),
            refresh_ttl: settings.refresh_ttl.map(written),
            refresh_format: settings.refresh_ttl.map(|_| format),
            one_session: settings.one_session,
            bare_tokens: settings.bare_tokens,
            default_role: settings.default_role.clone(),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![format!("{}, access {}", self.algorithm, self.access_ttl)];
        parts.push(match (&self.refresh_ttl, self.refresh_format) {
            (Some(ttl), Some(format)) => format!("refresh {ttl} ({format})"),
            _ => "no refresh".to_owned(),
        });
        if self.one_session {
            parts.push("a login ends the user's other sessions".to_owned());
        }
        if self.bare_tokens {
            parts.push("`Bearer ` may be left out".to_owned());
        }
        parts.extend(self.default_role.as_ref().map(|role| format!("role `{role}` at sign-up")));
        parts.join(", ")
    }
}

impl ShownEndpoint {
    fn of(contract: &Contract, endpoint: &Endpoint, values: &ExampleValues) -> Self {
        let example = contract.example_request(endpoint, values);
        let refusal = |kind| ShownRefusal::of(contract, Some(endpoint), kind);
        let headers = example.headers.iter();
        let response = ShownAnswer::of(&contract.example_answer(endpoint, values));
        Self {
            operation: endpoint.operation().name(),
            method: endpoint.method().to_string(),
            path: endpoint.path().to_owned(),
            status: response.status,
            inputs: endpoint.input_summaries(),
            request: ShownRequest {
                method: example.method.to_string(),
                target: example.target.clone(),
                headers: headers.map(|(name, value)| (title(name), value.clone())).collect(),
                body: example.body,
            },
            response,
            errors: endpoint.refusal_kinds().into_iter().map(refusal).collect(),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.operation.to_owned(),
            self.method.clone(),
            self.path.clone(),
            self.status.to_string(),
        ]
    }

    fn text(&self) -> String {
        let heading = format!("{}: {} {}", self.operation, self.method, self.path);
        let line = "-".repeat(heading.chars().count());
        let mut text = format!("{heading}\n{line}\n\n");
        if !self.inputs.is_empty() {
            let row = |input: &InputSummary| {
                let name = if input.name.is_empty() { "(checked)" } else { &input.name };
                vec![name.to_owned(), input.from.join(" or "), input.need.to_owned()]
            };
            let rows: Vec<Vec<String>> = self.inputs.iter().map(row).collect();
            text.push_str(&table(&["INPUT", "FROM", "NEED"], &rows));
            text.push('\n');
        }
        let ShownRequest { method, target, headers, body } = &self.request;
        text.push_str(&message(&format!("{method} {target}"), headers, body.as_deref()));
        text.push('\n');
        text.push_str(&self.response.text());
        if !self.errors.is_empty() {
            text.push('\n');
            text.push_str(&refusals(&self.errors));
        }
        text
    }
}

impl ShownAnswer {
    fn of(response: &Response<Bytes>) -> Self {
        let headers = response.headers().iter();
        let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        Self {
            status: response.status().as_u16(),
            headers: headers.map(|(name, text)| (title(name), value(text))).collect(),
            body: serde_json::from_slice(response.body()).ok(),
            text: String::from_utf8_lossy(response.body()).into_owned(),
        }
    }

    fn text(&self) -> String {
        let words = StatusCode::from_u16(self.status).ok();
        let words = words.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let body = Some(self.text.as_str()).filter(|text| !text.is_empty());
        message(format!("{} {words}", self.status).trim_end(), &self.headers, body)
    }
}

impl ShownRefusal {
    fn of(contract: &Contract, endpoint: Option<&Endpoint>, kind: ErrorCode) -> Self {
        let answer = ShownAnswer::of(&contract.example_refusal(endpoint, kind));
        Self { kind: kind.name(), answer }
    }

    fn row(&self) -> Vec<String> {
        vec![self.kind.to_owned(), self.answer.status.to_string(), self.answer.text.clone()]
    }
}

fn refusals(errors: &[ShownRefusal]) -> String {
    let rows: Vec<Vec<String>> = errors.iter().map(ShownRefusal::row).collect();
    table(&["ERROR", "STATUS", "BODY"], &rows)
}

/// A request or an answer as it looks in HTTP/1.1, set off by two spaces.
fn message(first: &str, headers: &[(String, String)], body: Option<&str>) -> String {
    let mut lines = vec![first.to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if let Some(body) = body {
        let is_json = body.starts_with(['{', '[']);
        let body = if is_json { pretty(body) } else { body.to_owned() };
        lines.push(String::new());
        lines.extend(body.lines().map(str::to_owned));
    }
    lines.iter().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect()
}

/// A header's name as documents write it: `Content-Type`.
fn title(name: &HeaderName) -> String {
    let mut text = String::new();
    let mut begins = true;
    for c in name.as_str().chars() {
        text.push(if begins { c.to_ascii_uppercase() } else { c });
        begins = c == '-';
    }
    text
}
