//! Error kinds: each with its status, message and body, by the table of the contract's file.
//!
//! A kind's own entry wins over `default`, member by member, and an endpoint's entry over both.

use std::collections::BTreeMap;
use std::ops::Range;

use http::StatusCode;

use crate::contract::ReplyContext;
use crate::contract::answer::compose::{Composer, Vocabulary};
use crate::contract::answer::slot::{Place, Slot};
use crate::contract::answer::slot_values::SlotValues;
use crate::contract::answer::template::{Template, Text};
use crate::document::{Node, NodeTable, Report, suggestion};
use crate::operation::{ErrorCode, ProblemKind};

/// The refusals of a contract, or those that an endpoint has of its own.
pub(crate) type ErrorAnswers = BTreeMap<ErrorCode, ErrorAnswer>;

/// The answer to one kind of error.
#[derive(Clone, Debug)]
pub(crate) struct ErrorAnswer {
    /// The status.
    pub(crate) status: StatusCode,
    /// `{message}`, unless the input at fault has its own.
    pub(crate) message: Option<Text>,
    /// The body, if an input is at fault.
    pub(crate) body: Template,
    /// The body of other refusals: most of it is JSON already, because most refusals are such.
    pub(crate) faultless: Template,
}

/// `[errors]`, as read.
#[derive(Debug)]
pub(crate) struct ErrorTable<'n> {
    span: Range<usize>,
    default: Option<ErrorEntry<'n>>,
    kinds: BTreeMap<ErrorCode, ErrorEntry<'n>>,
}

/// One entry: `{ status = 404, code = "…", message = "…", … }`.
#[derive(Clone, Debug, Default)]
struct ErrorEntry<'n> {
    status: Option<StatusCode>,
    members: Vec<(&'n str, &'n Node)>,
}

/// The parts that all error answers share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorEnvelope<'c> {
    /// `[envelope] error`.
    pub(crate) envelope: &'c Node,
    /// Slots.
    pub(crate) vocabulary: &'c Vocabulary,
}

/// `[problems]`: the contract's words for faults of an input.
#[derive(Clone, Debug)]
pub(crate) struct ProblemWords {
    missing: String,
    malformed: String,
    length: String,
    body: String,
}

impl<'n> ErrorTable<'n> {
    /// Reads `[errors]`, or the `errors` of an endpoint.
    pub(crate) fn read(mut section: NodeTable<'n>, report: &mut Report) -> Self {
        let default = section.find("default").and_then(|node| ErrorEntry::read(None, node, report));
        let mut kinds = BTreeMap::new();
        for (key, node) in section.rest() {
            match ErrorCode::ALL.into_iter().find(|kind| kind.name() == key.name) {
                Some(kind) => {
                    kinds.extend(
                        ErrorEntry::read(Some(kind), node, report).map(|entry| (kind, entry)),
                    );
                }
                None => {
                    let known = ErrorCode::ALL.iter().map(|kind| kind.name());
                    let title = format!("unknown error kind `{}`", key.name);
                    report.fault(&key.span, title, suggestion(&key.name, known));
                }
            }
        }
        Self { span: section.span, default, kinds }
    }

    /// Stands in for a table that is missing, so that the rest can be checked.
    pub(crate) const fn absent() -> Self {
        let default = ErrorEntry { status: None, members: Vec::new() };
        Self { span: 0..0, default: Some(default), kinds: BTreeMap::new() }
    }

    /// Every kind's refusal.
    pub(crate) fn complete(&self, form: ErrorEnvelope<'_>, report: &mut Report) -> ErrorAnswers {
        let mut answers = ErrorAnswers::new();
        for kind in ErrorCode::ALL {
            let own = self.kinds.get(&kind);
            let own = own.or_else(|| self.kinds.get(&kind.resembles()?));
            if own.is_none() && self.default.is_none() {
                let title = format!("no words for the error kind `{}`", kind.name());
                report.fault(&self.span, title, "give it an entry, or give `default`");
                continue;
            }
            let chain: Vec<_> = own.into_iter().chain(&self.default).collect();
            answers.extend(compile(kind, &chain, form, report).map(|answer| (kind, answer)));
        }
        answers
    }

    /// The refusals of an endpoint that has entries of its own.
    pub(crate) fn override_with(
        &self,
        endpoint: &Self,
        form: ErrorEnvelope<'_>,
        report: &mut Report,
    ) -> ErrorAnswers {
        if endpoint.default.is_some() {
            report.fault(&endpoint.span, "`default` in an endpoint", "name the error kinds");
        }
        let mut answers = ErrorAnswers::new();
        for (kind, entry) in &endpoint.kinds {
            let chain: Vec<_> =
                [entry].into_iter().chain(self.kinds.get(kind)).chain(&self.default).collect();
            answers.extend(compile(*kind, &chain, form, report).map(|answer| (*kind, answer)));
        }
        answers
    }
}

impl<'n> ErrorEntry<'n> {
    fn read(kind: Option<ErrorCode>, node: &'n Node, report: &mut Report) -> Option<Self> {
        let mut section = NodeTable::of(node, report)?;
        let status = section.count("status", report).and_then(|status| {
            let read = u16::try_from(*status.get_ref()).ok();
            let read = read.and_then(|code| StatusCode::from_u16(code).ok());
            let fits = read.zip(kind).is_some_and(|(status, kind)| is_of_class(kind, status));
            match kind {
                None => report.fault(
                    &status.span(),
                    "`default` has no status",
                    "each kind has its own; an entry of a kind may change it",
                ),
                Some(kind) if !fits => report.fault(
                    &status.span(),
                    format!("{} is no status for `{}`", status.get_ref(), kind.name()),
                    format!("such as {}", kind.status()),
                ),
                Some(_) => {}
            }
            read
        });
        let members = section.rest().map(|(key, node)| (key.name.as_str(), node)).collect();
        Some(Self { status, members })
    }
}

impl ProblemWords {
    /// Reads the section; missing texts are in English.
    pub(crate) fn read(section: Option<NodeTable<'_>>, report: &mut Report) -> Self {
        let mut words = Self {
            missing: "is required".to_owned(),
            malformed: "is malformed".to_owned(),
            length: "has the wrong length".to_owned(),
            body: "cannot be read".to_owned(),
        };
        let Some(mut section) = section else { return words };
        for (key, word) in [
            ("missing", &mut words.missing),
            ("malformed", &mut words.malformed),
            ("length", &mut words.length),
            ("body", &mut words.body),
        ] {
            if let Some(text) = section.text(key, report) {
                *word = text.into_inner();
            }
        }
        section.finish(report);
        words
    }

    /// The words for a problem.
    pub(crate) fn of(&self, kind: ProblemKind) -> &str {
        match kind {
            ProblemKind::Missing => &self.missing,
            ProblemKind::Malformed => &self.malformed,
            ProblemKind::Length => &self.length,
            ProblemKind::Body => &self.body,
        }
    }
}

/// Composes one kind's refusal; the first entry of the chain that has a member gives it.
fn compile(
    kind: ErrorCode,
    chain: &[&ErrorEntry<'_>],
    form: ErrorEnvelope<'_>,
    report: &mut Report,
) -> Option<ErrorAnswer> {
    let mut members: Vec<(&str, &Node)> = Vec::new();
    for (name, node) in chain.iter().flat_map(|entry| &entry.members) {
        if !members.iter().any(|(own, _)| own == name) {
            members.push((name, node));
        }
    }
    let composer = Composer::new(form.vocabulary, Place::Refusal);
    let mut is_whole = true;
    let mut message = None;
    let mut parts = Vec::new();
    for (name, node) in members {
        if name != "message" {
            let template = composer.template(node, report);
            is_whole &= template.is_some();
            parts.extend(template.map(|template| (format!("error.{name}"), template)));
            continue;
        }
        match node.as_text() {
            Some(text) => message = composer.text(text, &node.span, report),
            None => report.fault(&node.span, "a message that is no string", "a string"),
        }
        is_whole &= message.is_some();
    }
    if !is_whole {
        return None;
    }
    let mut composer = Composer::new(form.vocabulary, Place::Refusal);
    for (name, template) in &parts {
        composer.part(name, template);
    }
    if message.is_some() {
        composer.message();
    }
    let body = composer.template(form.envelope, report)?;
    let own = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = chain.iter().find_map(|entry| entry.status).unwrap_or(own);
    let faultless = faultless(kind, status, message.as_ref(), &body);
    Some(ErrorAnswer { status, message, body, faultless })
}

/// The body of refusals where no input is at fault: all but the request's id and the time is known.
fn faultless(
    kind: ErrorCode,
    status: StatusCode,
    message: Option<&Text>,
    body: &Template,
) -> Template {
    let is_settled = |slot: &Slot| {
        use Slot::{Challenge, ErrorKind, InputField, InputProblem, Null, Status, StatusText};
        matches!(slot, ErrorKind | InputField | InputProblem | Null | Status | StatusText)
            || (*slot == Challenge && !kind.has_challenge())
    };
    let has_known_message = message.is_none_or(|message| message.is_known(&is_settled));
    let is_known = |slot: &Slot| is_settled(slot) || (has_known_message && *slot == Slot::Message);
    let values = SlotValues::of_refusal(kind, None, status, ReplyContext::unknown());
    let message = message.map(|message| message.render(&values));
    body.folded(&values.with_message(message.as_deref()), &is_known)
}

/// The class of a kind's status (4xx or 5xx) does not depend on the contract; a slow look-up may
/// have either.
fn is_of_class(kind: ErrorCode, status: StatusCode) -> bool {
    match kind {
        ErrorCode::LookupTimeout => status.is_client_error() || status.is_server_error(),
        _ if kind.status() >= 500 => status.is_server_error(),
        _ => status.is_client_error(),
    }
}
