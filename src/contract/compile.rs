//! Makes a contract of a file: reads it whole, checks it whole, and tells all faults at once.

use std::path::Path;

use http::HeaderValue;
use toml::Spanned;

use crate::config::Faults;
use crate::contract::Contract;
use crate::contract::ContractTokens;
use crate::contract::Endpoint;
use crate::contract::address::Address;
use crate::contract::attribute::Attribute;
use crate::contract::compose::Vocabulary;
use crate::contract::document::Node;
use crate::contract::document::NodeValue;
use crate::contract::endpoint::Shared;
use crate::contract::refusal::ErrorTable;
use crate::contract::refusal::ProblemWords;
use crate::contract::refusal::RefusalForm;
use crate::contract::report::Report;
use crate::contract::report::suggestion;
use crate::contract::request_id::RequestIdForm;
use crate::contract::section::Section;
use crate::contract::time_format::TimeFormats;
use crate::operation::Operation;

/// Operations that a contract may say it does not serve, though none can serve them yet.
const PLANNED: [&str; 6] = [
    "social_login",
    "check_token",
    "request_reset",
    "confirm_reset",
    "request_verification",
    "confirm_verification",
];

/// Reads and checks a file.
pub(super) fn compile(text: &str, path: &Path) -> Result<Contract, Faults> {
    let mut report = Report::new(text, path);
    let contract = Node::parse(text, &mut report)
        .and_then(|document| {
            Section::of(&document, &mut report).map(|root| read(root, &mut report))
        })
        .flatten();
    report.settle(contract)
}

fn read(mut root: Section<'_>, report: &mut Report) -> Option<Contract> {
    let name = root.needed_text("name", report).map(Spanned::into_inner);
    // For whoever reads the file: the gateway makes no use of it.
    root.needed_text("about", report);
    let not_served = root.texts("not_served", report);
    let tokens = match root.section("tokens", report) {
        Some(section) => ContractTokens::read(section, report),
        None => {
            report.fault(&(0..0), "`[tokens]` is missing", "it names `algorithm` and `access_ttl`");
            None
        }
    };
    let attributes = Attribute::read_all(root.section("attributes", report), report);
    let request_id = RequestIdForm::read(root.section("request_id", report), report);
    let times = TimeFormats::read(root.section("time", report), report);
    let problems = ProblemWords::read(root.section("problems", report), report);
    let envelope = Envelope::read(root.section("envelope", report), report);
    let errors = match root.section("errors", report) {
        Some(section) => ErrorTable::read(section, report),
        None => {
            report.fault(&(0..0), "`[errors]` is missing", "it gives at least `default`");
            ErrorTable::absent()
        }
    };
    let endpoints = sections(root.find("endpoint"), report);
    root.finish(report);

    // Without settings nobody can say which slots have values.
    let refresh = tokens.as_ref().is_none_or(|tokens| tokens.refresh_ttl.is_some());
    let vocabulary = Vocabulary { attributes, times, refresh };
    let Envelope { success, error, success_type, error_type } = envelope;
    // Stands in for an envelope that is missing, so that the rest can be checked.
    let nothing = Node { span: 0..0, value: NodeValue::Table(Vec::new()) };
    let form = RefusalForm { envelope: error.unwrap_or(&nothing), vocabulary: &vocabulary };
    let refusals = errors.complete(form, report);
    let shared = Shared { envelope: success, errors: &errors, form };
    let spans: Vec<_> = endpoints.iter().map(|section| section.span.clone()).collect();
    let endpoints: Vec<_> =
        endpoints.into_iter().map(|section| Endpoint::read(section, shared, report)).collect();
    check_served(&not_served, &endpoints, report);
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
        tokens: tokens?,
        request_id,
        endpoints: endpoints.into_iter().collect::<Option<_>>()?,
        refusals,
        problems,
        success_type: success_type?,
        error_type: error_type?,
    })
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
    fn read(section: Option<Section<'n>>, report: &mut Report) -> Self {
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

fn sections<'n>(node: Option<&'n Node>, report: &mut Report) -> Vec<Section<'n>> {
    match node.map(|node| (&node.value, &node.span)) {
        Some((NodeValue::List(items), _)) => {
            items.iter().filter_map(|item| Section::of(item, report)).collect()
        }
        Some((_, span)) => {
            report.fault(span, "no list of endpoints", "write `[[endpoint]]`");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Every operation is served or listed, none is both.
fn check_served(
    not_served: &[Spanned<String>],
    endpoints: &[Option<Endpoint>],
    report: &mut Report,
) {
    let serves =
        |name: &str| endpoints.iter().flatten().any(|endpoint| endpoint.operation.name() == name);
    let known = || Operation::ALL.iter().map(|operation| operation.name()).chain(PLANNED);
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
    for operation in Operation::ALL {
        let name = operation.name();
        if !serves(name) && !not_served.iter().any(|listed| listed.get_ref() == name) {
            let title = format!("`{name}` is neither served nor listed in `not_served`");
            report.fault(&(0..0), title, "give it an endpoint, or list it");
        }
    }
}
