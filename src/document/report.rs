//! The faults of one document, gathered so that all of them are shown at once.

use std::ops::Range;

use crate::document::{Fault, Faults, Source};

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    span: Option<Range<usize>>,
    title: String,
    hint: String,
}

impl Report {
    /// Adds a fault; one that is there already is not added again.
    pub(crate) fn fault(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (span, title, hint) = (Some(span.clone()), title.into(), hint.into());
        if !self.found.iter().any(|found| found.span == span && found.title == title) {
            self.found.push(Found { span, title, hint });
        }
    }

    /// Adds a fault that is in no file.
    pub(crate) fn fault_without_place(&mut self, title: String, hint: String) {
        self.found.push(Found { span: None, title, hint });
    }

    /// The faults in the order of the file; those without a place are the last.
    pub(crate) fn into_faults(mut self, source: &Source) -> Vec<Fault> {
        self.found.sort_by_key(|found| found.span.as_ref().map_or(usize::MAX, |span| span.start));
        let found = self.found.into_iter();
        found
            .map(|Found { span, title, hint }| Fault {
                source: span.is_some().then(|| source.clone()),
                span: span.unwrap_or_default(),
                title,
                hint,
            })
            .collect()
    }

    /// The value, where there is no fault.
    pub(crate) fn finish<T>(self, value: Option<T>, source: &Source) -> Result<T, Faults> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(Faults(self.into_faults(source))),
        }
    }
}
