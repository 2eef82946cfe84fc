//! Turns a tree of the file into a template, and checks each slot against its place.

use std::cell::Cell;
use std::ops::Range;

use crate::contract::answer::slot::{Place, Slot};
use crate::contract::answer::template::{Piece, SlotUse, Template, Text, json};
use crate::contract::answer::time_format::TimeFormats;
use crate::contract::attribute::Attribute;
use crate::document::{Key, Node, NodeValue, Report, suggestion};

/// The contract's own part of the slots: attributes, time formats, refresh tokens.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    /// `{user.NAME}`
    pub(crate) attributes: Vec<Attribute>,
    /// `{slot:NAME}`
    pub(crate) times: TimeFormats,
    /// Whether there are refresh tokens.
    pub(crate) refresh: bool,
    /// Value of `{user.role}` for an account without roles.
    pub(crate) default_role: Option<String>,
}

/// Composes the templates of one place.
#[derive(Debug)]
pub(crate) struct Composer<'v> {
    vocabulary: &'v Vocabulary,
    place: Place,
    /// Names that stand for templates of the file itself: `data`, `error.code`.
    parts: Vec<Part<'v>>,
    has_message: bool,
    message_used: Cell<bool>,
}

#[derive(Debug)]
struct Part<'v> {
    name: String,
    template: &'v Template,
    used: Cell<bool>,
}

/// A name in braces, resolved.
enum Resolved {
    Slot(SlotUse),
    Part(Template),
}

impl<'v> Composer<'v> {
    /// Starts with the slots of a place.
    pub(crate) const fn new(vocabulary: &'v Vocabulary, place: Place) -> Self {
        let message_used = Cell::new(false);
        Self { vocabulary, place, parts: Vec::new(), has_message: false, message_used }
    }

    /// Lets `{name}` stand for a template.
    pub(crate) fn part(&mut self, name: impl Into<String>, template: &'v Template) {
        self.parts.push(Part { name: name.into(), template, used: Cell::new(false) });
    }

    /// Lets `{message}` stand for a message that is known when the answer is made.
    pub(crate) const fn message(&mut self) {
        self.has_message = true;
    }

    /// Whether a template has named this part or `message`.
    pub(crate) fn has_used(&self, name: &str) -> bool {
        let used = |part: &Part<'_>| part.name == name && part.used.get();
        name == "message" && self.message_used.get() || self.parts.iter().any(used)
    }

    /// Composes a tree.
    pub(crate) fn template(&self, node: &Node, report: &mut Report) -> Option<Template> {
        match &node.value {
            NodeValue::Integer(number) => number.as_ref().map(fixed),
            NodeValue::Datetime => None,
            NodeValue::Float(number) => Some(fixed(number)),
            NodeValue::Boolean(value) => Some(fixed(value)),
            NodeValue::Text(text) => self.string(text, &node.span, report),
            NodeValue::Table(members) => match as_each(members) {
                Some((each, item)) => self.each(each, item, report),
                None => {
                    let values = members.iter().map(|(_, value)| value);
                    let names = members.iter().map(|(key, _)| as_json(key.name.as_str()) + ":");
                    let values = self.templates(values, report)?;
                    Some(Template::Object(names.zip(values).collect()))
                }
            },
            NodeValue::List(items) => self.templates(items.iter(), report).map(Template::List),
        }
    }

    /// Composes them all before it gives up, so that all their faults are reported.
    fn templates<'n>(
        &self,
        nodes: impl Iterator<Item = &'n Node>,
        report: &mut Report,
    ) -> Option<Vec<Template>> {
        let templates: Vec<_> = nodes.map(|node| self.template(node, report)).collect();
        templates.into_iter().collect()
    }

    /// Composes text that cannot be another value: messages, headers.
    pub(crate) fn text(
        &self,
        text: &str,
        span: &Range<usize>,
        report: &mut Report,
    ) -> Option<Text> {
        let mut pieces = Vec::new();
        for part in split(text, span, report)? {
            match part {
                Split::Words(words) => pieces.push(Piece::Words(words)),
                Split::Name(name) => match self.resolve(&name, span, report)? {
                    Resolved::Slot(slot) => pieces.push(Piece::Slot(slot)),
                    Resolved::Part(Template::Text(text)) => pieces.extend(text.pieces),
                    Resolved::Part(Template::Slot(slot)) => pieces.push(Piece::Slot(slot)),
                    Resolved::Part(_) => {
                        let title = format!("`{{{name}}}` stands for more than text");
                        report.fault(span, title, "let it be the whole string");
                        return None;
                    }
                },
            }
        }
        Some(Text { pieces })
    }

    fn string(&self, text: &str, span: &Range<usize>, report: &mut Report) -> Option<Template> {
        let parts = split(text, span, report)?;
        if let [Split::Name(name)] = parts.as_slice() {
            return match self.resolve(name, span, report)? {
                Resolved::Slot(slot) if slot.slot == Slot::Sessions => {
                    let hint = "{ each = \"{sessions}\", item = { … } }";
                    report.fault(span, "a list without a form for its items", hint);
                    None
                }
                Resolved::Slot(slot) => Some(Template::Slot(slot)),
                Resolved::Part(template) => Some(template),
            };
        }
        if let Some(words) = only_words(&parts) {
            return Some(Template::Text(Text { pieces: vec![Piece::Words(words)] }));
        }
        self.text(text, span, report).map(Template::Text)
    }

    fn each(&self, each: &Node, item: &Node, report: &mut Report) -> Option<Template> {
        let sessions = Slot::Sessions.has_value(self.place);
        if each.as_text() != Some("{sessions}") || !sessions {
            let hint = "`each = \"{sessions}\"`, in the answer of `sessions`";
            report.fault(&each.span, "not a list", hint);
            return None;
        }
        let item = Composer::new(self.vocabulary, Place::Item).template(item, report)?;
        Some(Template::EachSession(Box::new(item)))
    }

    /// Reads `name`, `name?`, `name:format` or `name:format?`.
    fn resolve(&self, inner: &str, span: &Range<usize>, report: &mut Report) -> Option<Resolved> {
        let (inner, optional) = match inner.strip_suffix('?') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let (name, format) = match inner.split_once(':') {
            Some((name, format)) => (name, Some(format)),
            None => (inner, None),
        };
        if let Some(part) = self.parts.iter().find(|part| part.name == name && format.is_none()) {
            part.used.set(true);
            return Some(Resolved::Part(part.template.clone()));
        }
        let Some(slot) = self.slot(name, optional) else {
            self.unknown(name, span, report);
            return None;
        };
        if slot.needs_refresh() && !self.vocabulary.refresh {
            let hint = "[tokens] has no `refresh_ttl`";
            report.fault(span, format!("`{{{name}}}` has no value"), hint);
            return None;
        }
        let mut time = self.vocabulary.times.default().clone();
        if let Some(format) = format {
            match self.vocabulary.times.find(format) {
                Ok(found) if slot.is_time() => time = found,
                Ok(_) => report.fault(span, format!("`{{{name}}}` is no time"), "drop the format"),
                Err(hint) => report.fault(span, format!("unknown time format `{format}`"), hint),
            }
        }
        Some(Resolved::Slot(SlotUse { slot, optional, time }))
    }

    fn slot(&self, name: &str, optional: bool) -> Option<Slot> {
        let is_own = |own: &str| self.vocabulary.attributes.iter().any(|known| known.name == own);
        let slot = match name {
            "message" if self.has_message => {
                self.message_used.set(true);
                Some(Slot::Message)
            }
            "user.role" => Some(Slot::UserRole(self.vocabulary.default_role.clone())),
            _ => Slot::from_name(name).or_else(|| {
                let own = name.strip_prefix("user.")?;
                is_own(own).then(|| Slot::Attribute(own.to_owned()))
            }),
        };
        let slot = slot.filter(|slot| slot.has_value(self.place));
        // `{data?}`, `{message?}`, `{error.x?}` may lack what they stand for.
        let may_lack = matches!(name, "data" | "message") || name.starts_with("error.");
        slot.or_else(|| (optional && may_lack).then_some(Slot::Null))
    }

    fn unknown(&self, name: &str, span: &Range<usize>, report: &mut Report) {
        if matches!(name, "data" | "message") {
            let hint = format!("give `{name}`, or write `{{{name}?}}`");
            report.fault(span, format!("`{{{name}}}` has no value in {}", self.place), hint);
            return;
        }
        if name.starts_with("error.") && self.place == Place::Refusal {
            let title = format!("`{{{name}}}` is not given for every error kind");
            let hint = format!("give it in `[errors] default`, or write `{{{name}?}}`");
            report.fault(span, title, hint);
            return;
        }
        if Slot::from_name(name).is_some() {
            let title = format!("`{{{name}}}` is not known to {}", self.place);
            let known: Vec<_> = Slot::names(self.place).collect();
            report.fault(span, title, format!("known here: {}", known.join(", ")));
            return;
        }
        let own: Vec<_> = self
            .vocabulary
            .attributes
            .iter()
            .map(|attribute| format!("user.{}", attribute.name))
            .collect();
        let mut known: Vec<&str> = Slot::names(self.place).collect();
        known.extend(own.iter().map(String::as_str));
        known.extend(self.parts.iter().map(|part| part.name.as_str()));
        report.fault(span, format!("unknown slot `{{{name}}}`"), suggestion(name, known));
    }
}

/// A text cut at its braces.
enum Split {
    Words(String),
    Name(String),
}

/// Cuts a text at its braces; `{{` and `}}` stand for one brace.
fn split(text: &str, span: &Range<usize>, report: &mut Report) -> Option<Vec<Split>> {
    let mut parts = Vec::new();
    let mut words = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => words.extend(rest.next()),
            '{' => {
                if !words.is_empty() {
                    parts.push(Split::Words(std::mem::take(&mut words)));
                }
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(c) => name.push(c),
                        None => {
                            let hint = "write `{{` for the brace itself";
                            report.fault(span, "a `{` without its `}`", hint);
                            return None;
                        }
                    }
                }
                parts.push(Split::Name(name));
            }
            '}' => {
                report.fault(span, "a `}` without its `{`", "write `}}` for the brace itself");
                return None;
            }
            _ => words.push(c),
        }
    }
    if !words.is_empty() || parts.is_empty() {
        parts.push(Split::Words(words));
    }
    Some(parts)
}

fn only_words(parts: &[Split]) -> Option<String> {
    match parts {
        [Split::Words(words)] => Some(words.clone()),
        _ => None,
    }
}

fn as_each(members: &[(Key, Node)]) -> Option<(&Node, &Node)> {
    let [first, second] = members else { return None };
    let (each, item) = if first.0.name == "each" { (first, second) } else { (second, first) };
    (each.0.name == "each" && item.0.name == "item").then_some((&each.1, &item.1))
}

fn fixed(value: &impl serde::Serialize) -> Template {
    Template::Fixed(as_json(value))
}

fn as_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    let mut text = Vec::new();
    json(value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
