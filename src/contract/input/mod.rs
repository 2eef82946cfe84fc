//! Inputs of an endpoint: where each comes from, its limits, and the command that they make.

pub(super) mod body;
mod constraint;
pub(super) mod decode;
mod decoded;
pub(super) mod form;
mod json;
pub(super) mod source;

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;

use crate::contract::attribute::{Attribute, AttributeKind};
use crate::contract::input::constraint::Constraint;
use crate::contract::input::source::InputSource;
use crate::document::{Node, NodeTable, NodeValue, Report, suggestion};
use crate::operation::{
    ErrorCode, Input, InputKind, Operation, Provider, code_as_meant, trim_blanks,
};

/// The rule of one input: where it comes from, whether it is required, its limits.
#[derive(Clone, Debug)]
pub(crate) struct InputRule {
    /// The input of the operation that it becomes.
    pub(crate) target: Target,
    /// Its sources; the first with a value wins.
    pub(crate) sources: Vec<InputSource>,
    /// Whether a request without it is at fault.
    pub(crate) required: bool,
    /// Whether 64 hex digits may stand for the SHA-256 of a password.
    pub(crate) may_be_hashed: bool,
    /// The error kind of malformed text; default invalid input.
    pub(crate) malformed: Option<ErrorCode>,
    /// The contract's message when it is at fault.
    pub(crate) message: Option<String>,
    /// Its limits.
    pub(crate) constraint: Constraint,
    /// Place in the file.
    pub(crate) span: Range<usize>,
}

/// The input of the operation that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One of the operation's own.
    Input(Input),
    /// An attribute of the account.
    Attribute(String),
    /// None: it is only checked.
    Check,
}

impl InputRule {
    /// Reads the members of `input`, in the order of the file.
    pub(crate) fn read_all(
        section: &NodeTable<'_>,
        operation: Operation,
        attributes: &[Attribute],
        report: &mut Report,
    ) -> Vec<Self> {
        let own = if operation == Operation::SignUp { attributes } else { &[] };
        let mut rules = Vec::new();
        for (key, node) in section.rest() {
            let input = operation.inputs().iter().find(|(input, _)| input.name() == key.name);
            let attribute = own.iter().find(|attribute| attribute.name == key.name);
            let mut rule = match (input, attribute) {
                (Some((input, _)), _) => Self::read(Target::Input(*input), node, report),
                (None, Some(attribute)) => {
                    let target = Target::Attribute(attribute.name.clone());
                    Self::read(target, node, report)
                }
                (None, None) => {
                    let names = operation.inputs().iter().map(|(input, _)| input.name());
                    let known = names.chain(own.iter().map(|own| own.name.as_str()));
                    let title = format!("unknown input `{}`", key.name);
                    report.fault(&key.span, title, suggestion(&key.name, known));
                    continue;
                }
            };
            match attribute.map(|attribute| attribute.kind) {
                Some(AttributeKind::Text { max }) => {
                    let own = rule.constraint.max.unwrap_or(max);
                    rule.constraint.max = Some(own.min(max));
                }
                Some(AttributeKind::Base64 { max }) => rule.constraint.base64_max = Some(max),
                None => {}
            }
            rule.span = key.span.clone();
            rules.push(rule);
        }
        settle_required(&mut rules, operation, &section.span, report);
        rules
    }

    /// Reads the items of `require`: checked, where they are there, then dropped.
    pub(crate) fn read_checks(node: Option<&Node>, report: &mut Report) -> Vec<Self> {
        match node.map(|node| (&node.value, &node.span)) {
            None => Vec::new(),
            Some((NodeValue::List(items), _)) => {
                items.iter().map(|item| Self::read(Target::Check, item, report)).collect()
            }
            Some((_, span)) => {
                report.fault(
                    span,
                    "no list",
                    "require = [{ from = \"body:x\", one_of = [\"y\"] }]",
                );
                Vec::new()
            }
        }
    }

    fn read(target: Target, node: &Node, report: &mut Report) -> Self {
        let mut rule = Self {
            required: target == Target::Check,
            target,
            sources: Vec::new(),
            may_be_hashed: false,
            malformed: None,
            message: None,
            constraint: Constraint::default(),
            span: node.span.clone(),
        };
        let from = match &node.value {
            NodeValue::Table(_) => {
                let Some(mut section) = NodeTable::of(node, report) else { return rule };
                let from = section.texts("from", report);
                rule.required = section.flag("required", report).unwrap_or(rule.required);
                if rule.target != Target::Check {
                    rule.may_be_hashed = section.flag("may_be_hashed", report).unwrap_or(false);
                    rule.malformed = read_malformed(&mut section, report);
                }
                rule.message = section.text("message", report).map(Spanned::into_inner);
                rule.constraint = Constraint::read(&mut section, report);
                section.finish(report);
                from
            }
            _ => node.texts(report),
        };
        if from.is_empty() {
            report.fault(&node.span, "an input from nowhere", "such as \"body:email\"");
        }
        for text in from {
            match InputSource::parse(text.get_ref()) {
                Ok(source) => rule.sources.push(source),
                Err(hint) => {
                    let title = format!("`{}` is no place of a request", text.get_ref());
                    report.fault(&text.span(), title, hint);
                }
            }
        }
        rule.check(report);
        rule
    }

    fn check(&self, report: &mut Report) {
        let is_token = self.target == Target::Input(Input::AccessToken);
        if is_token != self.sources.contains(&InputSource::Bearer)
            || is_token && self.sources.len() > 1
        {
            let hint = "`access_token = \"bearer\"`: it is verified before the contract reads on";
            report.fault(&self.span, "`bearer` is the place of `access_token` alone", hint);
        }
        if self.may_be_hashed && self.target != Target::Input(Input::Password) {
            let hint = "only the present password may arrive as its SHA-256";
            report.fault(&self.span, "`may_be_hashed` on another input", hint);
        }
        let fixed = self.sources.iter().position(|source| source.as_fixed().is_some());
        if let Some(index) = fixed
            && index + 1 < self.sources.len()
        {
            let hint = "`fixed:…` is always there: let it be the last";
            report.fault(&self.span, "places after a `fixed:…`", hint);
        }
        for text in self.sources.iter().filter_map(InputSource::as_fixed) {
            let (fits, hint) = match self.target {
                Target::Input(Input::Scope) => (SCOPES.contains(&text), suggestion(text, SCOPES)),
                Target::Input(Input::Provider) => {
                    let names = Provider::ALL.into_iter().map(Provider::name);
                    (Provider::from_name(text).is_some(), suggestion(text, names))
                }
                _ => (true, String::new()),
            };
            if !fits || self.constraint.check(text).is_err() {
                report.fault(&self.span, format!("`fixed:{text}` does not do here"), hint);
            }
        }
    }

    /// The normalized text, as people and keyboards type it: without blanks around a name, or
    /// separators between the digits of a code; wide digits are digits.
    pub(crate) fn as_meant<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.target {
            Target::Input(Input::Email | Input::Username | Input::Identifier) => {
                Cow::Borrowed(trim_blanks(text))
            }
            Target::Input(Input::Code) => Cow::Owned(code_as_meant(text)),
            _ => Cow::Borrowed(text),
        }
    }

    /// The name that a client knows it by.
    pub(crate) fn client_name(&self) -> &str {
        self.sources.first().map_or("", InputSource::client_name)
    }

    /// The name that the operation knows it by.
    pub(crate) fn own_name(&self) -> &str {
        match &self.target {
            Target::Input(input) => input.name(),
            Target::Attribute(name) => name,
            Target::Check => "",
        }
    }

    /// Whether the operation needs it, or another of its kind.
    pub(crate) fn is_one_of(&self, operation: Operation) -> bool {
        let one_of = |(input, kind): &(Input, InputKind)| {
            *kind == InputKind::OneOf && self.target == Target::Input(*input)
        };
        operation.inputs().iter().any(one_of)
    }
}

/// The names that [`crate::operation::LogoutScope`] distinguishes.
const SCOPES: [&str; 3] = ["session", "refresh_tokens", "global"];

/// The optional inputs of an operation, unless the contract requires them.
const NEEDED_IF_MAPPED: [Input; 2] = [Input::PreviousAccessToken, Input::NewPassword];

fn read_malformed(section: &mut NodeTable<'_>, report: &mut Report) -> Option<ErrorCode> {
    let name = section.text("malformed", report)?;
    let own = |code: &ErrorCode| code.status() < 500;
    let code = ErrorCode::ALL.into_iter().filter(own).find(|code| code.name() == name.get_ref());
    if code.is_none() {
        let known = ErrorCode::ALL.into_iter().filter(own).map(ErrorCode::name);
        let title = format!("`{}` is no error kind of a client's", name.get_ref());
        report.fault(&name.span(), title, suggestion(name.get_ref(), known));
    }
    code
}

fn settle_required(
    rules: &mut [InputRule],
    operation: Operation,
    span: &Range<usize>,
    report: &mut Report,
) {
    for (input, kind) in operation.inputs() {
        let mapped = rules.iter_mut().find(|rule| rule.target == Target::Input(*input));
        match (kind, mapped) {
            (InputKind::Required, Some(rule)) => rule.required = true,
            (InputKind::Required, None) => {
                let title = format!("`{}` needs the input `{}`", operation.name(), input.name());
                report.fault(span, title, format!("{} = \"…\"", input.name()));
            }
            (InputKind::Optional, Some(rule)) if NEEDED_IF_MAPPED.contains(input) => {
                rule.required = true;
            }
            (InputKind::Optional | InputKind::OneOf, _) => {}
        }
    }
    let mut choices = rules.iter_mut().filter(|rule| rule.is_one_of(operation));
    match (choices.next(), choices.next()) {
        (Some(only), None) => only.required = true,
        (None, _) if operation.inputs().iter().any(|(_, kind)| *kind == InputKind::OneOf) => {
            let wanted: Vec<_> = operation
                .inputs()
                .iter()
                .filter(|(_, kind)| *kind == InputKind::OneOf)
                .map(|(input, _)| input.name())
                .collect();
            let title = format!("`{}` needs to know who", operation.name());
            report.fault(span, title, format!("map one of: {}", wanted.join(", ")));
        }
        _ => {}
    }
}
