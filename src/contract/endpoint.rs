//! One endpoint of a contract: its inputs, its operation, its answers.

use http::{HeaderName, Method, StatusCode, header};
use toml::Spanned;

use crate::contract::address::Address;
use crate::contract::answer::compose::Composer;
use crate::contract::answer::errors::{ErrorAnswers, ErrorEnvelope, ErrorTable};
use crate::contract::answer::slot::Place;
use crate::contract::answer::template::{Piece, Template, Text};
use crate::contract::cookie::{Cookie, CookieChange};
use crate::contract::input::body::Accept;
use crate::contract::input::source::InputSource;
use crate::contract::input::{InputRule, Target};
use crate::document::{Node, NodeTable, NodeValue, Report, suggestion};
use crate::operation::{Input, Operation};
use crate::path::PathPattern;

/// One endpoint of a contract.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) operation: Operation,
    pub(super) address: Address,
    pub(super) accept: Vec<Accept>,
    /// In the order of the file, which is the order in which they are checked.
    pub(super) inputs: Vec<InputRule>,
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, Text)>,
    /// Cookies that a success sets and clears.
    pub(super) cookies: Vec<CookieChange>,
    /// The cookies that its inputs come from.
    pub(super) reads: Vec<Cookie>,
    pub(super) message: Option<Text>,
    /// `None`: the answer has no body.
    pub(super) body: Option<Template>,
    /// Error answers that differ from the contract's.
    pub(super) error_answers: ErrorAnswers,
}

/// The parts that all endpoints of a contract share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared<'c> {
    /// `[envelope] success`.
    pub(super) envelope: Option<&'c Node>,
    /// `[cookies]`.
    pub(super) cookies: &'c [Cookie],
    /// `[errors]`.
    pub(super) errors: &'c ErrorTable<'c>,
    /// The parts of error answers.
    pub(super) form: ErrorEnvelope<'c>,
}

impl Endpoint {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.address.method
    }

    /// The path, with `{name}` for a segment.
    #[must_use]
    pub fn path(&self) -> &str {
        self.address.path.as_str()
    }

    /// The path as a pattern.
    pub(crate) const fn pattern(&self) -> &PathPattern {
        &self.address.path
    }

    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// Whether the caller proves itself with an access token.
    #[must_use]
    pub fn needs_principal(&self) -> bool {
        self.inputs.iter().any(|rule| rule.target == Target::Input(Input::AccessToken))
    }

    /// Whether a request may be authenticated by a cookie, which a browser sends by itself.
    #[must_use]
    pub const fn reads_cookie(&self) -> bool {
        !self.reads.is_empty()
    }

    /// Reads an `[[endpoint]]`.
    pub(super) fn read(
        mut section: NodeTable<'_>,
        shared: Shared<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let operation = section.needed_text("operation", report);
        let operation = operation.and_then(|name| read_operation(&name, report));
        let address = section.needed_text("path", report);
        let address = address.and_then(|text| Address::read(&text, report));
        let accept = read_accept(&mut section, report);
        let mut inputs = Vec::new();
        match (operation, section.section("input", report)) {
            (Some(operation), Some(own)) => {
                let attributes = &shared.form.vocabulary.attributes;
                inputs = InputRule::read_all(&own, operation, attributes, report);
            }
            (_, None) => report.fault(&section.span, "`input` is missing", "input = { … }"),
            (None, Some(_)) => {}
        }
        inputs.extend(InputRule::read_checks(section.find("require"), report));
        if let Some(address) = &address {
            check_sources(&inputs, address, report);
        }
        let reads = read_cookies(&inputs, shared.cookies, report);
        let reads_body =
            inputs.iter().flat_map(|rule| &rule.sources).any(|s| s.as_body().is_some());
        if let Some(node) = section.find("accept").filter(|_| !reads_body) {
            report.fault(&node.span, "no input stands in the body", "leave `accept` out");
        }
        let status = read_status(&mut section, report);
        let place = operation.map(Place::Answer);
        let answer = Answer::read(&mut section, place, status, shared, report);
        let error_answers = match section.section("errors", report) {
            Some(own) => {
                let own = ErrorTable::read(own, report);
                shared.errors.override_with(&own, shared.form, report)
            }
            None => ErrorAnswers::new(),
        };
        section.finish(report);
        let Answer { headers, cookies, message, body } = answer?;
        Some(Self {
            operation: operation?,
            address: address?,
            accept,
            inputs,
            status,
            headers,
            cookies,
            reads,
            message,
            body,
            error_answers,
        })
    }
}

/// The answer of an endpoint whose operation succeeds.
struct Answer {
    headers: Vec<(HeaderName, Text)>,
    cookies: Vec<CookieChange>,
    message: Option<Text>,
    body: Option<Template>,
}

impl Answer {
    fn read(
        section: &mut NodeTable<'_>,
        place: Option<Place>,
        status: StatusCode,
        shared: Shared<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let headers = section.section("headers", report);
        let message = section.text("message", report);
        let (own, data) = (section.find("body"), section.find("data"));
        let is_empty = section.flag("empty", report).unwrap_or(false)
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        let plain = Composer::new(shared.form.vocabulary, place?);
        let headers = headers.map(|own| read_headers(&own, &plain, report)).unwrap_or_default();
        let cookies = CookieChange::read_all(section, shared.cookies, &plain, report);
        let message_span = message.as_ref().map(Spanned::span);
        let message = match message {
            Some(text) => Some(plain.text(text.get_ref(), &text.span(), report)?),
            None => None,
        };
        if is_empty {
            for span in own.into_iter().chain(data).map(|node| &node.span).chain(&message_span) {
                report.fault(span, "an answer without a body has no use for this", "leave it out");
            }
            return Some(Self { headers, cookies, message: None, body: None });
        }
        let data_template = match data {
            Some(node) => Some(plain.template(node, report)?),
            None => None,
        };
        let Some(tree) = own.or(shared.envelope) else {
            if let Some(span) = message_span {
                report.fault(&span, "`{message}` stands nowhere in the body", "leave it out");
            }
            if data_template.is_none() {
                let hint = "give `body` or `data`, or say `empty = true`";
                report.fault(&section.span, "an endpoint without an answer", hint);
            }
            return data_template.map(|body| Self {
                headers,
                cookies,
                message: None,
                body: Some(body),
            });
        };
        let mut composer = Composer::new(shared.form.vocabulary, place?);
        if let Some(template) = &data_template {
            composer.part("data", template);
        }
        if message.is_some() {
            composer.message();
        }
        let body = composer.template(tree, report)?;
        let spans = [("data", data.map(|node| node.span.clone())), ("message", message_span)];
        for (name, span) in spans {
            if let Some(span) = span.filter(|_| !composer.has_used(name)) {
                let title = format!("`{{{name}}}` stands nowhere in the body");
                report.fault(&span, title, "leave it out, or name it in the body");
            }
        }
        Some(Self { headers, cookies, message, body: Some(body) })
    }
}

fn read_operation(name: &Spanned<String>, report: &mut Report) -> Option<Operation> {
    let operation = Operation::ALL.into_iter().find(|own| own.name() == name.get_ref());
    if operation.is_none() {
        let known = Operation::ALL.iter().map(|own| own.name());
        let title = format!("unknown operation `{}`", name.get_ref());
        report.fault(&name.span(), title, suggestion(name.get_ref(), known));
    }
    operation
}

fn read_accept(section: &mut NodeTable<'_>, report: &mut Report) -> Vec<Accept> {
    let names = section.texts("accept", report);
    let mut accept = Vec::new();
    for name in &names {
        match Accept::ALL.iter().find(|(own, _)| own == name.get_ref()) {
            Some((_, form)) => accept.push(*form),
            None => {
                let known = Accept::ALL.iter().map(|(name, _)| *name);
                let title = format!("unknown form of body `{}`", name.get_ref());
                report.fault(&name.span(), title, suggestion(name.get_ref(), known));
            }
        }
    }
    if names.is_empty() {
        accept.push(Accept::Json);
    }
    accept
}

fn read_status(section: &mut NodeTable<'_>, report: &mut Report) -> StatusCode {
    let Some(number) = section.count("status", report) else { return StatusCode::OK };
    let status = u16::try_from(*number.get_ref()).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    match status.filter(StatusCode::is_success) {
        Some(status) => status,
        None => {
            let title = format!("{} is no status of success", number.get_ref());
            report.fault(&number.span(), title, "200 to 299");
            StatusCode::OK
        }
    }
}

fn read_headers(
    section: &NodeTable<'_>,
    composer: &Composer<'_>,
    report: &mut Report,
) -> Vec<(HeaderName, Text)> {
    let mut headers = Vec::new();
    for (key, node) in section.rest() {
        let name = HeaderName::try_from(key.name.as_str()).ok();
        let Some(name) = name.filter(|name| !RESERVED.contains(name)) else {
            let hint = "another name; framing, cookies and media types are the gateway's";
            report.fault(&key.span, format!("`{}` cannot be set here", key.name), hint);
            continue;
        };
        let NodeValue::Text(text) = &node.value else {
            report.fault(&node.span, "a header that is no string", "a string");
            continue;
        };
        let Some(text) = composer.text(text, &node.span, report) else { continue };
        let fits = text.pieces.iter().all(|piece| match piece {
            Piece::Words(words) => words.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
            Piece::Slot(slot) => slot.slot.fits_header(),
        });
        if !fits {
            let hint = "tokens, times, numbers, ids and visible ASCII fit";
            report.fault(&node.span, "a value that may not fit a header", hint);
        }
        headers.push((name, text));
    }
    headers
}

fn read_cookies(inputs: &[InputRule], cookies: &[Cookie], report: &mut Report) -> Vec<Cookie> {
    let named = inputs.iter().flat_map(|rule| {
        let names = rule.sources.iter().filter_map(InputSource::as_cookie);
        names.map(|name| (name, &rule.span))
    });
    let mut reads: Vec<Cookie> = Vec::new();
    for (name, span) in named {
        if !reads.iter().any(|own| own.name == name) {
            reads.extend(Cookie::find(cookies, name, span, report));
        }
    }
    reads
}

fn check_sources(inputs: &[InputRule], address: &Address, report: &mut Report) {
    for rule in inputs {
        for source in &rule.sources {
            match source {
                InputSource::Path(name) if !address.path.has_parameter(name) => {
                    let title = format!("no `{{{name}}}` in `{}`", address.path.as_str());
                    report.fault(&rule.span, title, format!("`{source}` names a segment of it"));
                }
                InputSource::Body(_) if address.method == Method::GET => {
                    let hint = "a GET has no body: use `query:…` or another method";
                    report.fault(&rule.span, format!("`{source}` in a GET"), hint);
                }
                _ => {}
            }
        }
    }
}

/// Headers that the engine, the gateway or the connection sets.
const RESERVED: [HeaderName; 14] = [
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-request-id"),
];
