//! Members of a line's JSON object, a piece before each value.

use std::io::Write;

use crate::gateway::text::{all_bytes, write_number};

/// Members of an object, as they are written: `,"site":"*","route":"/*"`.
#[derive(Debug)]
pub(crate) struct Members(pub(super) Box<[u8]>);

/// The name of an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamName {
    text: String,
    pub(super) members: Members,
}

impl Members {
    /// Writes members, by name and value.
    pub(crate) fn new(members: &[(&str, &str)]) -> Self {
        let mut line = Vec::new();
        for (name, value) in members {
            text(&mut line, format!(",\"{name}\":\"").as_bytes(), value);
            line.push(b'"');
        }
        Self(line.into())
    }
}

impl UpstreamName {
    /// A name.
    pub(crate) fn new(name: &str) -> Self {
        Self { text: name.to_owned(), members: Members::new(&[("upstream", name)]) }
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Appends a piece, and a text that needs no escape.
pub(super) fn plain(line: &mut Vec<u8>, before: &[u8], text: &str) {
    line.extend_from_slice(before);
    line.extend_from_slice(text.as_bytes());
}

/// Appends a piece, a text that needs no escape, and a quote.
pub(super) fn word(line: &mut Vec<u8>, before: &[u8], text: &str) {
    plain(line, before, text);
    line.push(b'"');
}

pub(super) fn number(line: &mut Vec<u8>, before: &[u8], number: u64) {
    line.extend_from_slice(before);
    write_number(line, number, 1);
}

/// Appends a piece that ends with a quote, and a text, escaped.
pub(super) fn text(line: &mut Vec<u8>, before: &[u8], text: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if all_bytes(text, is_plain) {
        plain(line, before, text);
        return;
    }
    // The quote comes with the string.
    line.extend_from_slice(before);
    line.pop();
    let start = line.len();
    // A Vec takes everything, and every str is a JSON string.
    drop(serde_json::to_writer(&mut *line, text));
    if text.bytes().any(|byte| byte >= 0x7f) {
        let written = line.split_off(start);
        escape(line, &String::from_utf8_lossy(&written));
    }
    line.pop();
}

/// JSON escapes C0 alone; a path may hold C1, whose CSI a terminal obeys as it does ESC `[`.
fn escape(line: &mut Vec<u8>, written: &str) {
    for c in written.chars() {
        if moves_a_terminal(c) {
            drop(write!(line, "\\u{:04x}", u32::from(c)));
        } else {
            drop(write!(line, "{c}"));
        }
    }
}

/// DEL and C1, line and paragraph separators, and what turns the direction of text; all of them
/// are in the basic plane, so that four digits name one.
const fn moves_a_terminal(c: char) -> bool {
    matches!(
        c,
        '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}
