//! `[attributes]`: what a user has under a contract beyond email, name and password.

use crate::contract::report::Report;
use crate::contract::report::suggestion;
use crate::contract::section::Section;
use crate::contract::slot::USER_FIELDS;
use crate::operation::Input;
use crate::operation::Operation;

/// A text of the user's own, with its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Its name in the file, in the store and in slots (`{user.NAME}`).
    pub(super) name: String,
    /// Characters at most.
    pub(super) max: usize,
}

impl Attribute {
    /// Reads the section.
    pub(super) fn read_all(section: Option<Section<'_>>, report: &mut Report) -> Vec<Self> {
        let Some(section) = section else { return Vec::new() };
        let mut attributes = Vec::new();
        for (key, node) in section.rest() {
            if is_taken(&key.name) {
                let title = format!("`{}` is no attribute's name", key.name);
                report.fault(&key.span, title, "every account has that one already");
            }
            let max = Section::of(node, report).and_then(|own| read_max(own, report));
            attributes.extend(max.map(|max| Self { name: key.name.clone(), max }));
        }
        attributes
    }
}

fn read_max(mut section: Section<'_>, report: &mut Report) -> Option<usize> {
    if let Some(kind) = section.needed_text("type", report)
        && kind.get_ref() != "text"
    {
        let title = format!("unknown attribute type `{}`", kind.get_ref());
        report.fault(&kind.span(), title, suggestion(kind.get_ref(), ["text"]));
    }
    let max = section.count("max", report);
    if max.is_none() {
        let hint = "the most characters that it may have";
        report.fault(&section.span, "an attribute without `max`", hint);
    }
    section.finish(report);
    max.map(toml::Spanned::into_inner)
}

fn is_taken(name: &str) -> bool {
    let input = |input: &(Input, _)| input.0.name() == name;
    USER_FIELDS.contains(&name) || Operation::ALL.iter().any(|op| op.inputs().iter().any(input))
}
