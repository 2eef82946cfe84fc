//! What a look at a store found, for `munjigi check --deep` and the log of a start.

use serde::Serialize;

/// What a store is, and what of the promise its settings leave open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetupReport {
    /// What was found, in the order in which it is worth reading.
    pub facts: Vec<Fact>,
    /// What the operator should know or change; each once.
    pub warnings: Vec<String>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about: a server, a file, a measure.
    pub about: String,
    /// What was found.
    pub found: String,
}

impl SetupReport {
    pub(crate) fn fact(&mut self, about: impl Into<String>, found: impl Into<String>) {
        self.facts.push(Fact { about: about.into(), found: found.into() });
    }

    /// Several servers of one store mostly have the same to say.
    pub(crate) fn warn(&mut self, words: impl Into<String>) {
        let words = words.into();
        if !self.warnings.contains(&words) {
            self.warnings.push(words);
        }
    }
}
