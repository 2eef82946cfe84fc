//! A fault with its place, and how all of them are shown.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use crate::document::tree::Node;
use crate::telemetry::causes;

/// A file that was read: its name as shown, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as given.
    pub path: PathBuf,
    /// The text; of a configuration, with every secret blanked.
    pub text: Arc<str>,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Line, from 1; 0 where there is no place.
    pub line: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file that it is in; `None` where there is none (an environment variable).
    pub source: Option<Source>,
    /// The place.
    pub span: Range<usize>,
    /// The headline: ``unknown key `access_tl` ``.
    pub title: String,
    /// The text under the caret: ``did you mean `access_ttl`?``.
    pub hint: String,
}

/// Every fault of one reading; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Source {
    /// The place of a span.
    #[must_use]
    pub fn spot(&self, span: Range<usize>) -> Spot {
        let before = self.text.bytes().take(span.start);
        let line = 1 + before.filter(|byte| *byte == b'\n').count();
        Spot { span, line }
    }
}

impl Fault {
    /// A fault that is in no file.
    #[must_use]
    pub fn without_place(title: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { source: None, span: 0..0, title: title.into(), hint: hint.into() }
    }

    /// A fault that only the use of a value brought to light.
    #[must_use]
    pub fn caused(source: &Source, span: Range<usize>, error: &dyn Error, hint: &str) -> Self {
        let source = Some(source.clone());
        Self { source, span, title: causes(error), hint: hint.to_owned() }
    }

    /// Its line, from 1; 0 if it is in no file.
    #[must_use]
    pub fn line(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.spot(self.span.clone()).line)
    }

    fn render(&self, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&self.title));
        let hint = normalize_untrusted_str(&self.hint);
        let Some(source) = &self.source else {
            let group: Group<'_> = title.element(Level::HELP.message(hint));
            return renderer.render(&[group]);
        };
        let path = source.path.display().to_string();
        let annotation = AnnotationKind::Primary.span(self.drawn(&source.text)).label(hint);
        let snippet = Snippet::source(&*source.text).path(path).annotation(annotation);
        renderer.render(&[title.element(snippet)])
    }

    /// The span cut to its first line, and to what the text really has.
    fn drawn(&self, text: &str) -> Range<usize> {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let first_line = text.get(start..end).and_then(|part| part.lines().next());
        start..first_line.map_or(end, |line| start + line.len())
    }
}

impl Faults {
    /// Blames a setting for what could not be made of it, at the place of its key, or else of the
    /// innermost table around it in the file.
    #[must_use]
    pub fn of_setting(source: &Source, keys: &[&str], error: &dyn Error) -> Self {
        let hint = "this setting cannot be used";
        Self(vec![match place(&source.text, keys) {
            Some(span) => Fault::caused(source, span, error, hint),
            None => Fault::without_place(causes(error), hint),
        }])
    }

    /// Draws all faults as cargo does, with colour where `colour`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let drawn: Vec<String> = self.0.iter().map(|fault| fault.render(&renderer)).collect();
        drawn.join("\n\n")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl Error for Faults {}

/// The place of the last of nested keys that the file has.
fn place(text: &str, keys: &[&str]) -> Option<Range<usize>> {
    let (tree, _) = Node::parse(text);
    let (mut node, mut span) = (&tree, None);
    for key in keys {
        let Some((name, value)) = node.member(key) else { break };
        (node, span) = (value, Some(name.span.clone()));
    }
    span
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Fault, Faults, Source};

    #[test]
    fn a_setting_is_blamed_where_it_stands() {
        let text = "[a]\nx = 1\n[a.\"b.c\"]\ny = { z = \"\" }\n";
        let source = Source { path: PathBuf::from("m.toml"), text: text.into() };
        for (keys, line) in [
            (&["a", "x"][..], 2),
            (&["a", "b.c", "y", "z"], 4),
            (&["a", "b.c", "none"], 3),
            (&["none", "x"], 0),
        ] {
            let faults = Faults::of_setting(&source, keys, &std::fmt::Error);
            assert_eq!(faults.0[0].line(), line, "{keys:?}");
        }
    }

    #[test]
    fn any_span_of_any_text_is_drawn() {
        for text in ["", "한", "a = 1\n\nb = 2", "a\r\nb\r\n", "\t\u{1b}[31mx\u{202e}"] {
            for start in 0..text.len() + 3 {
                for end in 0..text.len() + 3 {
                    let source = Source { path: PathBuf::from("m.toml"), text: text.into() };
                    let fault = Fault {
                        source: Some(source),
                        span: start..end,
                        title: "\u{1b}[31mtitle".into(),
                        hint: "hint\u{1b}".into(),
                    };

                    let drawn = Faults(vec![fault]).render(false);

                    assert!(drawn.contains("title") && drawn.contains("m.toml"), "{drawn}");
                    assert!(!drawn.contains('\u{1b}'), "{drawn}");
                }
            }
        }
    }
}
