//! The report on a store's setup, for `munjigi check --deep` and the log of a start.

use serde::Serialize;

/// Facts about a store, and warnings about guarantees that its settings do not give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetupReport {
    /// The facts, the most important first.
    pub facts: Vec<Fact>,
    /// Things that the operator should know or change; each once.
    pub warnings: Vec<String>,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Its subject: a server, a file, a measure.
    pub about: String,
    /// The finding.
    pub found: String,
}

impl SetupReport {
    pub(crate) fn fact(&mut self, about: impl Into<String>, found: impl Into<String>) {
        self.facts.push(Fact { about: about.into(), found: found.into() });
    }

    /// Adds a warning, unless another server gave the same.
    pub(crate) fn warn(&mut self, words: impl Into<String>) {
        let words = words.into();
        if !self.warnings.contains(&words) {
            self.warnings.push(words);
        }
    }
}
