//! A configuration file being read: looks up what its strings refer to, and collects every fault.
//!
//! A [`Reader`] lends [`Table`]s; what they cannot read becomes a fault here and a default there,
//! so that one reading finds all faults. Text that does not parse is read as far as it goes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::overrides::Overrides;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::{Expected, Fault, Faults, Source, Spot, Table, redact};

/// One file being read.
pub(crate) struct Reader<'t> {
    text: &'t str,
    /// The first byte of each line.
    lines: Vec<usize>,
    path: &'t Path,
    environment: &'t BTreeMap<String, String>,
    overrides: Overrides<'t>,
    tree: Node,
    broken: Vec<Range<usize>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    report: Report,
    concealed: Vec<Range<usize>>,
    asked: BTreeMap<(String, &'static str), bool>,
}

impl<'t> Reader<'t> {
    /// Parses a text in which `${NAME}`, `file:PATH` and overrides are looked up.
    pub(crate) fn new(
        text: &'t str,
        path: &'t Path,
        environment: &'t BTreeMap<String, String>,
    ) -> Self {
        let (tree, errors) = Node::parse(text);
        let mut state = State::default();
        let mut broken = Vec::new();
        for error in errors {
            let end = text.trim_end().len();
            let span = error.span().unwrap_or(end..end);
            state.report.fault(&span, "syntax error", error.message());
            broken.push(lines_of(text, &span));
        }
        let overrides = Overrides::collect(environment);
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let state = RefCell::new(state);
        Self { text, lines, path, environment, overrides, tree, broken, state }
    }

    /// The whole file.
    pub(crate) fn root(&self) -> Table<'_> {
        Table::new(self, Some(&self.tree), "this file")
    }

    /// The place of a span.
    pub(crate) fn spot(&self, span: Range<usize>) -> Spot {
        let line = self.lines.partition_point(|first| *first <= span.start);
        Spot { span, line }
    }

    /// Resolves a relative path: it starts from the file's folder.
    pub(crate) fn resolve_path(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    /// The file's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Notes a fault at a place; without one, it is in no file.
    ///
    /// In a line that does not parse, and wherever something is only missing because a part of
    /// the file does not parse, nothing can be said.
    pub(crate) fn fault(&self, span: Option<Range<usize>>, title: String, hint: String) {
        let overlaps = |line: &Range<usize>, span: &Range<usize>| {
            span.start < line.end.max(line.start + 1) && line.start <= span.end
        };
        let is_moot =
            span.as_ref().is_some_and(|span| self.broken.iter().any(|line| overlaps(line, span)));
        let mut state = self.state.borrow_mut();
        match span {
            _ if is_moot => {}
            Some(span) => state.report.fault(&span, title, hint),
            None => state.report.fault_without_place(title, hint),
        }
    }

    /// Notes that something is absent, unless the syntax may be why.
    pub(crate) fn absence(&self, span: Option<Range<usize>>, title: String, hint: String) {
        if self.broken.is_empty() {
            self.fault(span, title, hint);
        }
    }

    /// Keeps a place out of everything that is drawn.
    pub(crate) fn conceal(&self, span: Range<usize>) {
        self.state.borrow_mut().concealed.push(span);
    }

    /// Looks up `${NAME}` and `file:PATH`, where this file has them.
    pub(crate) fn look_up(&self, value: &str) -> Result<String, Expected> {
        if let Some(name) = variable_name(value) {
            return match self.environment.get(name) {
                Some(found) => Ok(found.clone()),
                None => Err(Expected::new(format!("the environment variable `{name}` is not set"))),
            };
        }
        if value.contains("${") && value.contains('}') {
            return Err(Expected::new("`${NAME}` stands for a whole value, not for a part of one"));
        }
        match value.strip_prefix("file:") {
            Some(path) => read_small(&self.resolve_path(path)),
            None => Ok(value.to_owned()),
        }
    }

    /// The overrides of this file's settings.
    pub(crate) fn overrides(&self) -> &Overrides<'t> {
        &self.overrides
    }

    /// Notes that a key was asked for, and whether it was there.
    pub(crate) fn note(&self, table: &str, key: &'static str, is_present: bool) {
        let mut state = self.state.borrow_mut();
        *state.asked.entry((table.to_owned(), key)).or_default() |= is_present;
    }

    /// The keys that were asked for, and whether any table of that name had them.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> BTreeMap<(String, &'static str), bool> {
        self.state.borrow().asked.clone()
    }

    /// Reports the variables that override nothing; after the fixed tables were read.
    pub(crate) fn check_overrides(&self, sections: &[&'static str]) {
        let unknown = {
            let state = self.state.borrow();
            let settings: Vec<(&str, &str)> = state
                .asked
                .keys()
                .filter_map(|(table, key)| {
                    let section = table.strip_prefix('[')?.strip_suffix(']')?;
                    sections.contains(&section).then_some((section, *key))
                })
                .collect();
            self.overrides.unknown(&settings)
        };
        for (variable, hint) in unknown {
            let title = format!("unknown environment variable `{variable}`");
            self.state.borrow_mut().report.fault_without_place(title, hint);
        }
    }

    /// Ends the reading: what was built of it, or every fault in the order of the file.
    pub(crate) fn finish<T>(self, build: impl FnOnce(Source) -> T) -> Result<T, Faults> {
        let (built, faults) = self.finish_anyhow(build);
        if faults.is_empty() { Ok(built) } else { Err(Faults(faults)) }
    }

    /// Ends the reading: what was built of it, with defaults in place of what is at fault, and
    /// every fault in the order of the file.
    pub(crate) fn finish_anyhow<T>(self, build: impl FnOnce(Source) -> T) -> (T, Vec<Fault>) {
        let State { report, concealed, .. } = self.state.into_inner();
        let text = redact::redact(&redact::blank(self.text, &concealed));
        let source = Source { path: self.path.to_owned(), text: Arc::from(text) };
        let faults = report.into_faults(&source);
        (build(source), faults)
    }
}

impl fmt::Debug for Reader<'_> {
    /// Shows the path alone: the text may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads a file that a configuration names: at most 1 MiB.
pub(crate) fn read_small_bytes(path: &Path) -> Result<Vec<u8>, Expected> {
    let read = || {
        // Opening a pipe would wait for its other end.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
            return Err(std::io::Error::other("larger than 1 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(|error| Expected::new(format!("cannot read this file: {error}")))
}

/// Reads a text that a configuration names: UTF-8, at most 1 MiB, a trailing line end left out.
pub(crate) fn read_small(path: &Path) -> Result<String, Expected> {
    let text = String::from_utf8(read_small_bytes(path)?).ok();
    let mut text = text.ok_or_else(|| Expected::new("cannot read this file: it is no UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// `NAME` of `${NAME}`.
fn variable_name(value: &str) -> Option<&str> {
    let name = value.strip_prefix("${")?.strip_suffix('}')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then_some(name)
}

fn lines_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(span.end..).and_then(|after| after.find('\n'));
    start..end.map_or(text.len(), |at| span.end + at)
}

const LARGEST_FILE: u64 = 1 << 20;
