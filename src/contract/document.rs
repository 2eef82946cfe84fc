//! A contract file as a tree: every value with its place, members in the order of the file.
//!
//! The reader of configurations gives out a key once and to who knows its type. Here the members
//! of a body are the file's own, their order is what clients see, and a template is read again
//! under other slots for each endpoint: hence a tree of values that a contract can keep. Faults,
//! durations and suggestions are those of [`crate::config`].

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::contract::report::Report;

/// A value and the bytes it stands in.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where.
    pub(super) span: Range<usize>,
    /// What.
    pub(super) value: NodeValue,
}

/// What a value can be.
#[derive(Clone, Debug)]
pub(super) enum NodeValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// An array.
    List(Vec<Node>),
    /// A table, its members as they stand in the file.
    Table(Vec<(Key, Node)>),
}

/// The name of a member and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The name.
    pub(super) name: String,
    /// Where.
    pub(super) span: Range<usize>,
}

impl Node {
    /// Reads a whole file; every error of its syntax goes to `report`.
    pub(super) fn parse(text: &str, report: &mut Report) -> Option<Self> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            report.fault(&error.span().unwrap_or(0..0), error.message(), "this is no TOML");
        }
        if !errors.is_empty() {
            return None;
        }
        let span = table.span();
        Some(Self { span, value: NodeValue::Table(members(table.get_ref(), report)) })
    }

    /// What kind of value it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Text(_) => "a string",
            NodeValue::Integer(_) => "an integer",
            NodeValue::Float(_) => "a number",
            NodeValue::Boolean(_) => "a boolean",
            NodeValue::List(_) => "an array",
            NodeValue::Table(_) => "a table",
        }
    }

    /// The text of a string.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn members(table: &DeTable<'_>, report: &mut Report) -> Vec<(Key, Node)> {
    let mut members: Vec<_> = table
        .iter()
        .filter_map(|(key, value)| {
            let key = Key { name: key.get_ref().to_string(), span: key.span() };
            node(value, report).map(|node| (key, node))
        })
        .collect();
    // The parser sorts members by name; clients read the order of the document.
    members.sort_by_key(|(key, _)| key.span.start);
    members
}

fn node(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Node> {
    let span = value.span();
    let parsed = match value.get_ref() {
        DeValue::String(text) => Some(NodeValue::Text(text.to_string())),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(NodeValue::Integer)
        }
        DeValue::Float(number) => {
            { number.as_str().parse().ok().filter(|number: &f64| number.is_finite()) }
                .map(NodeValue::Float)
        }
        DeValue::Boolean(value) => Some(NodeValue::Boolean(*value)),
        DeValue::Datetime(_) => None,
        DeValue::Array(items) => {
            Some(NodeValue::List(items.iter().filter_map(|item| node(item, report)).collect()))
        }
        DeValue::Table(table) => Some(NodeValue::Table(members(table, report))),
    };
    if parsed.is_none() {
        report.fault(&span, "no value of a contract", "a string, a number, a table or an array");
    }
    parsed.map(|value| Node { span, value })
}
