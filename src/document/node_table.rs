//! A table of a tree, read key by key; keys that were not asked for are faults.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::document::{Member, Node, NodeValue, Report, parse_duration_above_zero, suggestion};

/// A table while it is read.
#[derive(Debug)]
pub(crate) struct NodeTable<'n> {
    /// Its place.
    pub(crate) span: Range<usize>,
    members: &'n [Member],
    known: Vec<&'static str>,
}

impl<'n> NodeTable<'n> {
    /// Takes a value as a table.
    pub(crate) fn of(node: &'n Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            NodeValue::Table(members) => {
                Some(Self { span: node.span.clone(), members, known: Vec::new() })
            }
            _ => mistyped(node, "a table", report),
        }
    }

    /// The value of a key, which is known from then on.
    pub(crate) fn find(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.members.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
    }

    /// The members whose keys the file chooses.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &'n Member> {
        self.members.iter().filter(|(key, _)| !self.known.contains(&key.name.as_str()))
    }

    /// A table in it.
    pub(crate) fn section(&mut self, key: &'static str, report: &mut Report) -> Option<Self> {
        self.find(key).and_then(|node| Self::of(node, report))
    }

    /// A string that is not empty.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Spanned<String>> {
        self.find(key)?.text(report)
    }

    /// A string that must be there.
    pub(crate) fn needed_text(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Spanned<String>> {
        match self.find(key) {
            Some(node) => node.text(report),
            None => {
                report.fault(&self.span, format!("`{key}` is missing"), "it must be given here");
                None
            }
        }
    }

    /// A string, or a list of strings.
    pub(crate) fn texts(&mut self, key: &'static str, report: &mut Report) -> Vec<Spanned<String>> {
        self.find(key).map(|node| node.texts(report)).unwrap_or_default()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str, report: &mut Report) -> Option<bool> {
        let node = self.find(key)?;
        match node.value {
            NodeValue::Boolean(value) => Some(value),
            _ => mistyped(node, "`true` or `false`", report),
        }
    }

    /// A whole number from zero up.
    pub(crate) fn count(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Spanned<usize>> {
        let node = self.find(key)?;
        match &node.value {
            NodeValue::Integer(number) => match number.map(usize::try_from) {
                Some(Ok(number)) => Some(Spanned::new(node.span.clone(), number)),
                _ => mistyped(node, "a number from zero up", report),
            },
            _ => mistyped(node, "a whole number", report),
        }
    }

    /// A duration above zero, such as `"15m"`.
    pub(crate) fn duration(&mut self, key: &'static str, report: &mut Report) -> Option<Duration> {
        let text = self.text(key, report)?;
        match parse_duration_above_zero(text.get_ref()) {
            Ok(duration) => Some(duration),
            Err(expected) => {
                let title = format!("`{}` is no duration", text.get_ref());
                report.fault(&text.span(), title, expected.to_string());
                None
            }
        }
    }

    /// Ends the reading: any other key is a fault.
    pub(crate) fn finish(self, report: &mut Report) {
        for (key, _) in self.rest() {
            let hint = suggestion(&key.name, self.known.iter().copied());
            report.fault(&key.span, format!("unknown key `{}`", key.name), hint);
        }
    }
}

impl Node {
    /// Takes the value as a string that is not empty.
    fn text(&self, report: &mut Report) -> Option<Spanned<String>> {
        match self.as_text() {
            Some("") => {
                report.fault(&self.span, "an empty string", "leave the key out instead");
                None
            }
            Some(text) => Some(Spanned::new(self.span.clone(), text.to_owned())),
            None => mistyped(self, "a string", report),
        }
    }

    /// Takes the value as a string or a list of strings.
    pub(crate) fn texts(&self, report: &mut Report) -> Vec<Spanned<String>> {
        match &self.value {
            NodeValue::List(items) => items.iter().filter_map(|item| item.text(report)).collect(),
            _ => self.text(report).into_iter().collect(),
        }
    }
}

fn mistyped<T>(node: &Node, wanted: &str, report: &mut Report) -> Option<T> {
    // The names of TOML and JSON.
    let kind = match node.value {
        NodeValue::Integer(_) => "an integer",
        NodeValue::List(_) => "an array",
        _ => node.kind(),
    };
    report.fault(&node.span, format!("{kind} where {wanted} belongs"), wanted);
    None
}
