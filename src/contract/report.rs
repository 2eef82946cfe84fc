//! Gathers the faults of one contract file, so that all of them are told at once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::document::{Fault, Faults, Source, nearest};

/// The faults found so far, and the file they stand in.
#[derive(Debug)]
pub(super) struct Report {
    source: Source,
    faults: Vec<Fault>,
}

impl Report {
    /// Starts a report on a file.
    pub(super) fn new(text: &str, path: &Path) -> Self {
        let source = Source { path: path.to_owned(), text: Arc::from(text) };
        Self { source, faults: Vec::new() }
    }

    /// Adds a fault; one that is already told is not told again.
    pub(super) fn fault(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (title, hint) = (title.into(), hint.into());
        let told = |fault: &Fault| fault.span == *span && fault.title == title;
        if !self.faults.iter().any(told) {
            let source = Some(self.source.clone());
            self.faults.push(Fault { source, span: span.clone(), title, hint });
        }
    }

    /// The value, where there is no fault.
    pub(super) fn settle<T>(mut self, value: Option<T>) -> Result<T, Faults> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => {
                self.faults.sort_by_key(|fault| fault.span.start);
                Err(Faults(self.faults))
            }
        }
    }
}

/// Proposes the nearest of the known names, or lists them.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}
