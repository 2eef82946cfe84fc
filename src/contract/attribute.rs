//! `[attributes]`: a contract's fields of a user besides email, name and password.

use toml::Spanned;

use crate::config::ByteSize;
use crate::contract::answer::slot::USER_FIELDS;
use crate::document::{NodeTable, Report, suggestion};
use crate::operation::{Input, Operation};

/// A value of the user's own, with its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Its name in the file, in the store and in slots (`{user.NAME}`).
    pub(super) name: String,
    /// Its type and limit.
    pub(super) kind: AttributeKind,
}

/// `type = "…"` and its `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeKind {
    /// Text of so many characters.
    Text { max: usize },
    /// Base64 of so many bytes.
    Base64 { max: usize },
}

impl Attribute {
    /// Whether it holds text.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.kind, AttributeKind::Text { .. })
    }

    /// Reads the section.
    pub(super) fn read_all(section: Option<NodeTable<'_>>, report: &mut Report) -> Vec<Self> {
        let Some(section) = section else { return Vec::new() };
        let mut attributes = Vec::new();
        for (key, node) in section.rest() {
            if is_taken(&key.name) {
                let title = format!("`{}` is no attribute's name", key.name);
                report.fault(&key.span, title, "every account has that one already");
            }
            let kind = NodeTable::of(node, report).and_then(|own| read_kind(own, report));
            attributes.extend(kind.map(|kind| Self { name: key.name.clone(), kind }));
        }
        attributes
    }
}

fn read_kind(mut section: NodeTable<'_>, report: &mut Report) -> Option<AttributeKind> {
    let name = section.needed_text("type", report)?;
    if section.find("max").is_none() {
        let hint = "the most characters of a text, or bytes of base64, that it may have";
        report.fault(&section.span, "an attribute without `max`", hint);
    }
    let kind = match name.get_ref().as_str() {
        "text" => {
            let max = section.count("max", report).map(Spanned::into_inner);
            max.map(|max| AttributeKind::Text { max })
        }
        "base64" => {
            let max = section.text("max", report).and_then(|text| read_size(&text, report));
            max.map(|max| AttributeKind::Base64 { max })
        }
        other => {
            let title = format!("unknown attribute type `{other}`");
            report.fault(&name.span(), title, suggestion(other, ["text", "base64"]));
            return None;
        }
    };
    section.finish(report);
    kind
}

fn read_size(text: &Spanned<String>, report: &mut Report) -> Option<usize> {
    let size = text.get_ref().parse::<ByteSize>();
    let size = size.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
    let told = size.map_err(|expected| {
        report.fault(
            &text.span(),
            format!("`{}` is no size", text.get_ref()),
            expected.to_string(),
        );
    });
    told.ok()
}

fn is_taken(name: &str) -> bool {
    let input = |input: &(Input, _)| input.0.name() == name;
    USER_FIELDS.contains(&name) || Operation::ALL.iter().any(|op| op.inputs().iter().any(input))
}
