//! Compiles a contract: reads and checks the whole file, and reports all faults at once.

use std::path::Path;

use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};
use toml::Spanned;

use crate::contract::address::Address;
use crate::contract::answer::compose::Vocabulary;
use crate::contract::answer::errors::{ErrorEnvelope, ErrorTable, ProblemWords};
use crate::contract::answer::time_format::TimeFormats;
use crate::contract::attribute::Attribute;
use crate::contract::cookie::Cookie;
use crate::contract::endpoint::Shared;
use crate::contract::request_id::RequestIdForm;
use crate::contract::{Contract, ContractTokens, Endpoint};
use crate::document::{Faults, Node, NodeTable, NodeValue, Report, Source, suggestion};
use crate::operation::{Language, Operation};

/// Reads and checks a file.
pub(super) fn compile(text: &str, path: &Path) -> Result<Contract, Faults> {
    let mut report = Report::default();
    let (tree, errors) = Node::parse(text);
    for error in &errors {
        report.fault(&error.span().unwrap_or_default(), error.message(), "this is no TOML");
    }
    let contract = if errors.is_empty() {
        check_values(&tree, &mut report);
        NodeTable::of(&tree, &mut report).and_then(|root| read(root, &mut report))
    } else {
        None
    };
    report.finish(contract, &Source { path: path.to_owned(), text: text.into() })
}

/// Refuses values that JSON has no form for.
fn check_values(node: &Node, report: &mut Report) {
    let is_usable = match &node.value {
        NodeValue::Text(_) | NodeValue::Boolean(_) => true,
        NodeValue::Integer(number) => number.is_some(),
        NodeValue::Float(number) => number.is_finite(),
        NodeValue::Datetime => false,
        NodeValue::List(items) => {
            items.iter().for_each(|item| check_values(item, report));
            true
        }
        NodeValue::Table(members) => {
            members.iter().for_each(|(_, value)| check_values(value, report));
            true
        }
    };
    if !is_usable {
        let hint = "a string, a number, a table or an array";
        report.fault(&node.span, "no value of a contract", hint);
    }
}

fn read(mut root: NodeTable<'_>, report: &mut Report) -> Option<Contract> {
    let name = root.needed_text("name", report).map(Spanned::into_inner);
    let about = root.needed_text("about", report).map(Spanned::into_inner);
    let language = language(root.text("language", report), report);
    let not_served = root.texts("not_served", report);
    let tokens = tokens(root.section("tokens", report), report);
    let attributes = Attribute::read_all(root.section("attributes", report), report);
    let request_id = RequestIdForm::read(root.section("request_id", report), report);
    let times = TimeFormats::read(root.section("time", report), report);
    let cookies = Cookie::read_all(root.section("cookies", report), report);
    let exposed_headers = exposed_headers(root.section("cors", report), report);
    let problems = ProblemWords::read(root.section("problems", report), report);
    let envelope = Envelope::read(root.section("envelope", report), report);
    let errors = errors(root.section("errors", report), report);
    let endpoints = sections(root.find("endpoint"), report);
    root.finish(report);

    // Without settings it is unknown which slots have values.
    let refresh = tokens.as_ref().is_none_or(|tokens| tokens.refresh_ttl.is_some());
    let default_role = tokens.as_ref().and_then(|tokens| tokens.default_role.clone());
    let texts = attributes.iter().filter(|attribute| attribute.is_text());
    let text_attributes = texts.map(|attribute| attribute.name.clone()).collect();
    let vocabulary = Vocabulary { attributes, times, refresh, default_role };
    let Envelope { success, error, success_type, error_type } = envelope;
    // Stands in for an envelope that is missing, so that the rest can be checked.
    let nothing = Node { span: 0..0, value: NodeValue::Table(Vec::new()) };
    let form = ErrorEnvelope { envelope: error.unwrap_or(&nothing), vocabulary: &vocabulary };
    let error_answers = errors.complete(form, report);
    let shared = Shared { envelope: success, cookies: &cookies, errors: &errors, form };
    let spans: Vec<_> = endpoints.iter().map(|section| section.span.clone()).collect();
    let endpoints: Vec<_> =
        endpoints.into_iter().map(|section| Endpoint::read(section, shared, report)).collect();
    check_served(&not_served, &endpoints, report);
    check_cookies(&cookies, &endpoints, report);
    let addresses: Vec<_> = endpoints.iter().flatten().map(|endpoint| &endpoint.address).collect();
    Address::check_claims(&addresses, report);
    for (endpoint, span) in endpoints.iter().zip(&spans) {
        let refreshes = endpoint.as_ref().is_some_and(|own| own.operation == Operation::Refresh);
        if refreshes && !vocabulary.refresh {
            let hint = "[tokens] has no `refresh_ttl`";
            report.fault(span, "`refresh` without refresh tokens", hint);
        }
    }
    Some(Contract {
        name: name?,
        about: about?,
        language,
        tokens: tokens?,
        request_id,
        cookies,
        exposed_headers,
        text_attributes,
        endpoints: endpoints.into_iter().collect::<Option<_>>()?,
        error_answers,
        problems,
        success_type: success_type?,
        error_type: error_type?,
    })
}

fn language(tag: Option<Spanned<String>>, report: &mut Report) -> Language {
    let Some(tag) = tag else { return Language::default() };
    let language = Language::from_tag(tag.get_ref());
    if language.is_none() {
        let known = Language::ALL.into_iter().map(Language::tag);
        let title = format!("unknown language `{}`", tag.get_ref());
        report.fault(&tag.span(), title, suggestion(tag.get_ref(), known));
    }
    language.unwrap_or_default()
}

fn tokens(section: Option<NodeTable<'_>>, report: &mut Report) -> Option<ContractTokens> {
    if section.is_none() {
        report.fault(&(0..0), "`[tokens]` is missing", "it names `algorithm` and `access_ttl`");
    }
    ContractTokens::read(section?, report)
}

fn errors<'n>(section: Option<NodeTable<'n>>, report: &mut Report) -> ErrorTable<'n> {
    match section {
        Some(section) => ErrorTable::read(section, report),
        None => {
            report.fault(&(0..0), "`[errors]` is missing", "it gives at least `default`");
            ErrorTable::absent()
        }
    }
}

/// `[cors] expose`
fn exposed_headers(section: Option<NodeTable<'_>>, report: &mut Report) -> Vec<HeaderName> {
    let Some(mut section) = section else { return Vec::new() };
    let names = section.texts("expose", report);
    section.finish(report);
    let mut exposed = Vec::new();
    for name in names {
        match HeaderName::try_from(name.get_ref()) {
            // Browsers keep it from scripts whatever is exposed (Fetch §2.2.6).
            Ok(SET_COOKIE) => {
                let hint = "no script may read it";
                report.fault(&name.span(), "`Set-Cookie` cannot be exposed", hint);
            }
            Ok(header) => exposed.push(header),
            Err(_) => {
                let title = format!("`{}` is no header name", name.get_ref());
                report.fault(&name.span(), title, "such as \"Authorization\"");
            }
        }
    }
    exposed
}

/// `[envelope]`, as read.
#[derive(Default)]
struct Envelope<'n> {
    success: Option<&'n Node>,
    error: Option<&'n Node>,
    success_type: Option<HeaderValue>,
    error_type: Option<HeaderValue>,
}

impl<'n> Envelope<'n> {
    fn read(section: Option<NodeTable<'n>>, report: &mut Report) -> Self {
        let Some(mut section) = section else {
            report.fault(&(0..0), "`[envelope]` is missing", "it gives at least `error`");
            return Self::default();
        };
        let success = section.find("success");
        let error = section.find("error");
        if error.is_none() {
            report.fault(&section.span, "`error` is missing", "the body of every refusal");
        }
        let success_type = media_type(section.text("success_type", report), report);
        let error_type = media_type(section.text("error_type", report), report);
        section.finish(report);
        Self { success, error, success_type, error_type }
    }
}

fn media_type(text: Option<Spanned<String>>, report: &mut Report) -> Option<HeaderValue> {
    let Some(text) = text else { return Some(HeaderValue::from_static("application/json")) };
    let value = HeaderValue::from_str(text.get_ref()).ok();
    let value = value.filter(|_| text.get_ref().contains("json"));
    if value.is_none() {
        let title = format!("`{}` is no media type of JSON", text.get_ref());
        report.fault(&text.span(), title, "such as \"application/problem+json\"");
    }
    value
}

fn sections<'n>(node: Option<&'n Node>, report: &mut Report) -> Vec<NodeTable<'n>> {
    match node.map(|node| (&node.value, &node.span)) {
        Some((NodeValue::List(items), _)) => {
            items.iter().filter_map(|item| NodeTable::of(item, report)).collect()
        }
        Some((_, span)) => {
            report.fault(span, "no list of endpoints", "write `[[endpoint]]`");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Refuses a cookie that no answer sets: a mistake of the file, or a backend's cookie.
fn check_cookies(cookies: &[Cookie], endpoints: &[Option<Endpoint>], report: &mut Report) {
    // An endpoint that did not read may be the one.
    if endpoints.iter().any(Option::is_none) {
        return;
    }
    for Cookie { name, span, .. } in cookies {
        let mut changes = endpoints.iter().flatten().flat_map(|endpoint| &endpoint.cookies);
        if !changes.any(|change| change.sets(name)) {
            let hint = format!("set_cookies = [\"{name}\"]");
            report.fault(span, format!("no endpoint sets the cookie `{name}`"), hint);
        }
    }
}

/// Every operation is served or listed, none is both; those of the second factor may be neither.
fn check_served(
    not_served: &[Spanned<String>],
    endpoints: &[Option<Endpoint>],
    report: &mut Report,
) {
    let serves =
        |name: &str| endpoints.iter().flatten().any(|endpoint| endpoint.operation.name() == name);
    let known = || Operation::ALL.iter().map(|operation| operation.name());
    for listed in not_served {
        let name = listed.get_ref();
        if !known().any(|own| own == name) {
            let title = format!("unknown operation `{name}`");
            report.fault(&listed.span(), title, suggestion(name, known()));
        } else if serves(name) {
            let title = format!("`{name}` is served and not served");
            report.fault(&listed.span(), title, "an endpoint below serves it");
        }
    }
    // An endpoint that did not read may be the one.
    if endpoints.iter().any(Option::is_none) {
        return;
    }
    for operation in Operation::ALL.into_iter().filter(|own| !own.is_of_second_factor()) {
        let name = operation.name();
        if !serves(name) && !not_served.iter().any(|listed| listed.get_ref() == name) {
            let title = format!("`{name}` is neither served nor listed in `not_served`");
            report.fault(&(0..0), title, "give it an endpoint, or list it");
        }
    }
}
