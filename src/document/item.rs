//! A single value being read, with its place and what it is called.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use crate::document::overrides::Override;
use crate::document::reader::read_small_bytes;
use crate::document::tree::{Node, NodeValue};
use crate::document::{
    Expected, Reader, Spot, Table, parse_duration, parse_duration_above_zero, redact,
};
use crate::secret::Secret;

/// A value of the file, or of a variable that overrides it.
///
/// Every reading method notes a fault and answers `None` where it cannot read.
#[derive(Clone)]
pub(crate) struct Item<'r> {
    reader: &'r Reader<'r>,
    name: &'r str,
    content: Content<'r>,
}

#[derive(Clone)]
enum Content<'r> {
    File(&'r Node),
    Variable(&'r str),
}

impl<'r> Item<'r> {
    pub(crate) fn from_file(reader: &'r Reader<'r>, name: &'r str, value: &'r Node) -> Self {
        Self { reader, name, content: Content::File(value) }
    }

    pub(crate) fn from_variable(reader: &'r Reader<'r>, found: Override<'r>) -> Self {
        Self { reader, name: found.variable, content: Content::Variable(found.value) }
    }

    /// Its place; line 0 for a variable.
    pub(crate) fn spot(&self) -> Spot {
        self.span().map_or_else(Spot::default, |span| self.reader.spot(span))
    }

    /// Notes a fault here.
    pub(crate) fn fault(&self, title: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(self.span(), title.into(), hint.into());
    }

    /// Notes that something this names is absent, unless the syntax may be why.
    pub(crate) fn absence(&self, title: impl Into<String>, hint: impl Into<String>) {
        self.reader.absence(self.span(), title.into(), hint.into());
    }

    /// Notes that the value cannot be used, and what was expected.
    pub(crate) fn bad(&self, expected: impl fmt::Display) {
        self.fault(format!("bad value for `{}`", self.name), expected.to_string());
    }

    /// Keeps the value, its quotes aside, out of everything that is drawn.
    pub(crate) fn conceal(&self) {
        if let Some(span) = self.span() {
            self.reader.conceal(match self.written_if_text() {
                Some(_) => span.start.saturating_add(1)..span.end.saturating_sub(1),
                None => span,
            });
        }
    }

    /// Keeps a secret out of everything that is drawn; where it comes from may be shown.
    pub(crate) fn conceal_unless_reference(&self) {
        if !self.written_if_text().is_some_and(redact::is_reference) {
            self.conceal();
        }
    }

    /// The string, `${NAME}` and `file:PATH` looked up.
    pub(crate) fn text(&self) -> Option<String> {
        let written = self.written()?;
        match self.reader.look_up(written) {
            Ok(text) => Some(text),
            Err(expected) => {
                self.bad(expected);
                None
            }
        }
    }

    /// Reads a string into a type of its own.
    pub(crate) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        self.parsed(&self.text()?, parse)
    }

    /// Reads where to write to: `file:PATH` is not read, but handed on.
    pub(crate) fn destination<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        match self.written()? {
            written if written.starts_with("file:") => self.parsed(written, parse),
            _ => self.parsed(&self.text()?, parse),
        }
    }

    fn parsed<T>(&self, text: &str, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(expected) => {
                self.bad(expected);
                None
            }
        }
    }

    /// Reads one of some names.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        self.parse(|text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            found.map(|(_, choice)| *choice).ok_or_else(|| Expected::one_of(text, &names()))
        })
    }

    /// Reads a duration longer than zero.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.parse(parse_duration_above_zero)
    }

    /// Reads a duration that may be zero.
    pub(crate) fn duration_or_zero(&self) -> Option<Duration> {
        self.parse(parse_duration)
    }

    /// Reads a path; a relative one starts from the file's folder.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self.text()? {
            path if path.is_empty() => {
                self.bad("expected the path of a file");
                None
            }
            path => Some(self.reader.resolve_path(&path)),
        }
    }

    /// Reads a secret.
    pub(crate) fn secret(&self) -> Option<Secret<String>> {
        self.conceal_unless_reference();
        self.text().map(Secret::new)
    }

    /// Reads a whole number within a range.
    pub(crate) fn integer<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let number = match &self.content {
            Content::Variable(text) => text.parse().ok(),
            Content::File(value) => match &value.value {
                NodeValue::Integer(number) => *number,
                _ => return self.wrong_type("a whole number"),
            },
        };
        let within = number.filter(|number| range.contains(number));
        let read = within.and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            self.bad(match (range.start(), range.end()) {
                (least, &i64::MAX) => format!("expected a whole number of at least {least}"),
                (least, most) => format!("expected a whole number from {least} to {most}"),
            });
        }
        read
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&self) -> Option<bool> {
        match &self.content {
            Content::Variable(text) => {
                let flag = text.parse().ok();
                if flag.is_none() {
                    self.bad("expected `true` or `false`");
                }
                flag
            }
            Content::File(value) => match &value.value {
                NodeValue::Boolean(flag) => Some(*flag),
                _ => self.wrong_type("`true` or `false`"),
            },
        }
    }

    /// Reads a list, item by item; what does not read is left out.
    pub(crate) fn list<T>(&self, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        Some(self.items()?.iter().filter_map(read).collect())
    }

    /// The items of a list; of a variable, the text between its commas.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        let contents: Vec<Content<'r>> = match &self.content {
            Content::Variable(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(Content::Variable)
                .collect(),
            Content::File(value) => match &value.value {
                NodeValue::List(items) => items.iter().map(Content::File).collect(),
                _ => return self.wrong_type("a list"),
            },
        };
        let item = |content| Self { reader: self.reader, name: self.name, content };
        Some(contents.into_iter().map(item).collect())
    }

    /// The table, called `label` in messages.
    pub(crate) fn table(&self, label: impl Into<Cow<'static, str>>) -> Option<Table<'r>> {
        match &self.content {
            Content::Variable(_) => {
                self.bad("this setting is no single value; set it in the file");
                None
            }
            Content::File(value) => match &value.value {
                NodeValue::Table(_) => Some(Table::new(self.reader, Some(value), label)),
                _ => self.wrong_type("a table"),
            },
        }
    }

    /// Whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(&self.content, Content::File(value) if matches!(value.value, NodeValue::Table(_)))
    }

    /// Whether it is written as this very string.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.written_if_text() == Some(word)
    }

    /// The bytes of the file that a secret names as `file:PATH`, as they are.
    pub(crate) fn secret_bytes(&self) -> Option<Vec<u8>> {
        let Some(path) = self.written()?.strip_prefix("file:") else {
            self.bad("expected `file:PATH`: raw bytes stand in a file");
            return None;
        };
        match read_small_bytes(&self.reader.resolve_path(path)) {
            Ok(bytes) => Some(bytes),
            Err(expected) => {
                self.bad(expected);
                None
            }
        }
    }

    /// Whether it is `""`, as written or looked up.
    pub(crate) fn is_empty_text(&self) -> bool {
        self.written_if_text()
            .is_some_and(|written| self.reader.look_up(written).is_ok_and(|text| text.is_empty()))
    }

    /// Reads any value as JSON; dates and numbers that JSON lacks are faults.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        use serde_json::Value;
        let Content::File(value) = &self.content else {
            return self.text().map(Value::String);
        };
        match &value.value {
            NodeValue::Text(_) => self.text().map(Value::String),
            NodeValue::Integer(number) => {
                if number.is_none() {
                    self.bad("expected a whole number of 64 bits");
                }
                number.map(Value::from)
            }
            NodeValue::Float(number) => {
                let number = serde_json::Number::from_f64(*number);
                if number.is_none() {
                    self.bad("expected a finite number");
                }
                number.map(Value::Number)
            }
            NodeValue::Boolean(flag) => Some(Value::Bool(*flag)),
            NodeValue::Datetime => self.wrong_type("a value that JSON has"),
            NodeValue::List(_) => self.list(Self::json).map(Value::Array),
            NodeValue::Table(_) => {
                let entries = self.table("a claim")?.entries();
                let members = entries
                    .into_iter()
                    .filter_map(|(name, item)| Some((name.text.to_owned(), item.json()?)));
                Some(Value::Object(members.collect()))
            }
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        match &self.content {
            Content::File(value) => Some(value.span.clone()),
            Content::Variable(_) => None,
        }
    }

    fn written(&self) -> Option<&'r str> {
        self.written_if_text().or_else(|| self.wrong_type("a string"))
    }

    fn written_if_text(&self) -> Option<&'r str> {
        match &self.content {
            Content::Variable(text) => Some(text),
            Content::File(value) => value.as_text(),
        }
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match &self.content {
            Content::Variable(_) => "a string",
            Content::File(value) => value.kind(),
        };
        self.bad(format!("expected {expected}, found {found}"));
        None
    }
}

impl fmt::Debug for Item<'_> {
    /// Shows the name alone: the value may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Item").field("name", &self.name).finish_non_exhaustive()
    }
}
