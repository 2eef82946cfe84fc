//! What a contract demands of an input's text.

use toml::Spanned;

use crate::contract::report::Report;
use crate::contract::section::Section;
use crate::operation::ProblemKind;

/// Limits of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Constraint {
    /// Characters at least.
    min: Option<usize>,
    /// Characters at most.
    pub(super) max: Option<usize>,
    /// The only texts that are taken; empty: any.
    pub(super) one_of: Vec<String>,
}

impl Constraint {
    /// Reads `min`, `max` and `one_of`.
    pub(super) fn read(section: &mut Section<'_>, report: &mut Report) -> Self {
        let min = section.count("min", report);
        let max = section.count("max", report);
        if let (Some(min), Some(max)) = (&min, &max)
            && min.get_ref() > max.get_ref()
        {
            report.fault(&min.span(), "`min` above `max`", "no text has such a length");
        }
        let one_of = section.texts("one_of", report);
        Self {
            min: min.map(Spanned::into_inner),
            max: max.map(Spanned::into_inner),
            one_of: one_of.into_iter().map(Spanned::into_inner).collect(),
        }
    }

    /// Checks a text.
    pub(super) fn check(&self, text: &str) -> Result<(), ProblemKind> {
        let within = |length: usize| {
            self.min.is_none_or(|min| length >= min) && self.max.is_none_or(|max| length <= max)
        };
        if (self.min.is_some() || self.max.is_some()) && !within(text.chars().count()) {
            return Err(ProblemKind::Length);
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|own| own == text) {
            return Err(ProblemKind::Malformed);
        }
        Ok(())
    }
}
