//! A document as a tree: every value with its place, members in the order of the file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// A value and its bytes in the text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its place.
    pub(crate) span: Range<usize>,
    /// The value.
    pub(crate) value: NodeValue,
}

/// A value by its type.
#[derive(Clone, Debug)]
pub(crate) enum NodeValue {
    /// A string.
    Text(String),
    /// A whole number; `None` beyond 64 bits.
    Integer(Option<i64>),
    /// A number, which may be infinite or none.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date, a time or both.
    Datetime,
    /// An array.
    List(Vec<Node>),
    /// A table, its members in the order of the file.
    Table(Vec<Member>),
}

/// A key and its value.
pub(crate) type Member = (Key, Node);

/// The name of a member and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The name.
    pub(crate) name: String,
    /// Its place.
    pub(crate) span: Range<usize>,
}

impl Node {
    /// Reads a whole file as far as its syntax goes, with every error of it.
    pub(crate) fn parse(text: &str) -> (Self, Vec<Error>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let value = NodeValue::Table(members(table.get_ref()));
        (Self { span: table.span(), value }, errors)
    }

    /// The type of the value, in words.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Text(_) => "a string",
            NodeValue::Integer(_) => "a whole number",
            NodeValue::Float(_) => "a number",
            NodeValue::Boolean(_) => "a boolean",
            NodeValue::Datetime => "a date",
            NodeValue::List(_) => "a list",
            NodeValue::Table(_) => "a table",
        }
    }

    /// The text of a string.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member of a table.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        match &self.value {
            NodeValue::Table(members) => members.iter().find(|(key, _)| key.name == name),
            _ => None,
        }
    }

    fn new(value: &Spanned<DeValue<'_>>) -> Self {
        let span = value.span();
        let value = match value.get_ref() {
            DeValue::String(text) => NodeValue::Text(text.to_string()),
            DeValue::Integer(number) => {
                NodeValue::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => NodeValue::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => NodeValue::Boolean(*value),
            DeValue::Datetime(_) => NodeValue::Datetime,
            DeValue::Array(items) => NodeValue::List(items.iter().map(Self::new).collect()),
            DeValue::Table(table) => NodeValue::Table(members(table)),
        };
        Self { span, value }
    }
}

fn members(table: &DeTable<'_>) -> Vec<Member> {
    let member = |(key, value): (&Spanned<_>, _)| {
        let key = Key { name: ToString::to_string(key.get_ref()), span: key.span() };
        (key, Node::new(value))
    };
    let mut members: Vec<Member> = table.iter().map(member).collect();
    // The parser sorts members by name; clients read the order of the document.
    members.sort_by_key(|(key, _)| key.span.start);
    members
}
