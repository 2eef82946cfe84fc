//! Escapes foreign text for terminals.

use std::borrow::Cow;

use icu_properties::props::{EnumeratedProperty, GeneralCategory};

/// Escapes the characters that a terminal would obey, hide or reorder: control and format
/// characters (bidi among them), line ends, and characters without a glyph.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_shown(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    Cow::Owned(shown)
}

/// Escapes a text of several lines, and keeps its line ends.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

fn is_shown(c: char) -> bool {
    use GeneralCategory as Category;
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !matches!(
        Category::for_char(c),
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::PrivateUse
            | Category::Unassigned
    )
}

#[cfg(test)]
mod tests {
    use super::{escaped, escaped_lines};

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, shown) in [
            ("Ann Lee, 한글 ✓ → …", "Ann Lee, 한글 ✓ → …"),
            ("a\u{1b}[2J\r\n\u{9b}31m", "a\\u{1b}[2J\\r\\n\\u{9b}31m"),
            ("\u{202e}gpj\u{2066}\u{200b}\u{feff}", "\\u{202e}gpj\\u{2066}\\u{200b}\\u{feff}"),
            ("\u{2028}\u{e000}\u{7f}", "\\u{2028}\\u{e000}\\u{7f}"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(escaped_lines("a\tb\nc\u{9b}"), "a\\tb\nc\\u{9b}");
    }
}
