//! A table being read: its keys are asked for by name, and the rest are faults.
//!
//! Every reading method notes a fault and answers the default where it cannot read. A key is
//! known because it was asked for; [`Table::end`] refuses the others.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use crate::document::tree::{Member, Node, NodeValue};
use crate::document::{Expected, Item, Reader, Spot, nearest, redact};
use crate::secret::Secret;

/// A table, or the place where one is missing.
pub(crate) struct Table<'r> {
    reader: &'r Reader<'r>,
    node: Option<&'r Node>,
    label: Cow<'static, str>,
    section: Option<&'static str>,
    asked: RefCell<BTreeSet<&'static str>>,
    holds_secrets: Cell<bool>,
}

/// A key that is a name of the operator's own.
#[derive(Clone, Debug)]
pub(crate) struct Name<'r> {
    reader: &'r Reader<'r>,
    /// The key.
    pub(crate) text: &'r str,
    /// Its place.
    pub(crate) span: Range<usize>,
}

impl<'r> Table<'r> {
    pub(crate) fn new(
        reader: &'r Reader<'r>,
        node: Option<&'r Node>,
        label: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            reader,
            node,
            label: label.into(),
            section: None,
            asked: RefCell::default(),
            holds_secrets: Cell::new(false),
        }
    }

    /// Its place.
    pub(crate) fn spot(&self) -> Spot {
        self.reader.spot(self.span())
    }

    /// The value of a key, if it is set.
    pub(crate) fn item(&self, key: &'static str) -> Option<Item<'r>> {
        self.asked.borrow_mut().insert(key);
        let found = self.node.and_then(|node| node.member(key));
        self.reader.note(&self.label, key, found.is_some());
        let overridden =
            self.section.and_then(|section| self.reader.overrides().find(section, key));
        match (overridden, found) {
            (Some(overridden), _) => Some(Item::from_variable(self.reader, overridden)),
            (None, Some((_, value))) => Some(Item::from_file(self.reader, key, value)),
            (None, None) => None,
        }
    }

    /// The value of a key that has to be set.
    pub(crate) fn required(&self, key: &'static str, hint: &str) -> Option<Item<'r>> {
        let item = self.item(key);
        if item.is_none() {
            let title = format!("{} has no `{key}`", self.label);
            self.reader.absence(Some(self.span()), title, hint.to_owned());
        }
        item
    }

    /// Reads a value, or answers the default.
    pub(crate) fn read<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'r>) -> Option<T>,
    ) -> T {
        self.item(key).and_then(|item| read(&item)).unwrap_or(default)
    }

    /// Reads a value that `""` leaves unset.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Item<'r>) -> Option<T>,
    ) -> Option<T> {
        self.item(key).filter(|item| !item.is_empty_text()).and_then(|item| read(&item))
    }

    /// Reads a duration longer than zero.
    pub(crate) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.read(key, default, Item::duration)
    }

    /// Reads a duration that may be zero.
    pub(crate) fn duration_or_zero(&self, key: &'static str, default: Duration) -> Duration {
        self.read(key, default, Item::duration_or_zero)
    }

    /// Reads a whole number within a range.
    pub(crate) fn integer<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<i64>,
    ) -> T {
        self.read(key, default, |item| item.integer(range))
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str, default: bool) -> bool {
        self.read(key, default, Item::flag)
    }

    /// Reads a string.
    pub(crate) fn text(&self, key: &'static str, default: &str) -> String {
        self.item(key).and_then(|item| item.text()).unwrap_or_else(|| default.to_owned())
    }

    /// Reads a string into a type of its own.
    pub(crate) fn parse<T>(
        &self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> T {
        self.read(key, default, |item| item.parse(parse))
    }

    /// Reads one of some names.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.read(key, default, |item| item.choice(choices))
    }

    /// Reads a list of strings.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        self.read(key, Vec::new(), |item| item.list(Item::text))
    }

    /// Reads a secret; empty where it is not set. The table is taken to hold secrets from then.
    pub(crate) fn secret(&self, key: &'static str) -> Secret<String> {
        let item = self.secret_item(key);
        item.and_then(|item| item.secret()).unwrap_or_else(|| Secret::from(""))
    }

    /// The value of a key that holds a secret; it is kept out of everything that is drawn.
    pub(crate) fn secret_item(&self, key: &'static str) -> Option<Item<'r>> {
        self.holds_secrets.set(true);
        let item = self.item(key);
        item.iter().for_each(Item::conceal_unless_reference);
        item
    }

    /// Resolves a relative path: it starts from the file's folder.
    pub(crate) fn resolve_path(&self, path: &str) -> PathBuf {
        self.reader.resolve_path(path)
    }

    /// The table under a key, if it is set.
    pub(crate) fn table(
        &self,
        key: &'static str,
        label: impl Into<Cow<'static, str>>,
    ) -> Option<Self> {
        self.item(key)?.table(label)
    }

    /// The fixed table under a key, set or not, with its overrides from the environment.
    pub(crate) fn section(&self, key: &'static str) -> Self {
        let label = format!("[{key}]");
        let table = self.table(key, label.clone());
        let table = table.unwrap_or_else(|| Self::new(self.reader, None, label));
        Self { section: Some(key), ..table }
    }

    /// All keys with their values, in the order of the file; none of them is unknown.
    pub(crate) fn entries(&self) -> Vec<(Name<'r>, Item<'r>)> {
        let members = match self.node.map(|node| &node.value) {
            Some(NodeValue::Table(members)) => members.as_slice(),
            _ => &[],
        };
        let entry = |(key, value): &'r Member| {
            let (text, span) = (key.name.as_str(), key.span.clone());
            let name = Name { reader: self.reader, text, span };
            (name, Item::from_file(self.reader, text, value))
        };
        members.iter().map(entry).collect()
    }

    /// Notes a fault of the table as a whole.
    pub(crate) fn fault(&self, title: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(Some(self.span()), title.into(), hint.into());
    }

    /// Notes that the table lacks something, unless the syntax may be why.
    pub(crate) fn absence(&self, title: impl Into<String>, hint: impl Into<String>) {
        self.reader.absence(Some(self.span()), title.into(), hint.into());
    }

    /// Refuses every key that was not asked for.
    pub(crate) fn end(&self) {
        let asked = self.asked.borrow();
        for (name, item) in self.entries() {
            if asked.contains(name.text) {
                continue;
            }
            let near = nearest(name.text, asked.iter().copied());
            if self.holds_secrets.get() && near.is_none_or(redact::is_secret_name) {
                item.conceal();
            }
            let mut hint = format!("not a setting of {}", self.label);
            if let Some(near) = near {
                hint.push_str(&format!("; did you mean `{near}`?"));
            }
            name.fault(format!("unknown key `{}`", name.text), hint);
        }
    }

    fn span(&self) -> Range<usize> {
        self.node.map(|node| node.span.clone()).unwrap_or_default()
    }
}

impl Name<'_> {
    /// Notes a fault of the name itself.
    pub(crate) fn fault(&self, title: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(Some(self.span.clone()), title.into(), hint.into());
    }

    /// Its place.
    pub(crate) fn spot(&self) -> Spot {
        self.reader.spot(self.span.clone())
    }

    /// Reads the name into a type of its own.
    pub(crate) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        match parse(self.text) {
            Ok(parsed) => Some(parsed),
            Err(expected) => {
                self.fault(format!("bad name `{}`", self.text), expected.to_string());
                None
            }
        }
    }
}
