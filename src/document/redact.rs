//! Blanks what looks like a secret in the text that faults are drawn from.
//!
//! A fault shows its line, and another key of that line may be a secret. The text
//! keeps its length and its lines, so that places stay what they were. This works on the text
//! alone, because text with a syntax error has no tree to ask.

use std::ops::Range;

/// Blanks the values of keys named like secrets, and user and password in URLs.
pub(crate) fn redact(text: &str) -> String {
    let mut spans = credentials(text);
    for (at, _) in text.match_indices('=') {
        let key = key_before(text, at);
        if is_secret_name(key) {
            spans.extend(value_after(text, at + 1));
        }
    }
    blank(text, &spans)
}

/// Replaces the bytes of the spans by `*`, line ends excepted.
pub(crate) fn blank(text: &str, spans: &[Range<usize>]) -> String {
    let mut spans: Vec<&Range<usize>> = spans.iter().collect();
    spans.sort_unstable_by_key(|span| span.start);
    let (mut spans, mut hidden_to) = (spans.into_iter().peekable(), 0);
    let mut blanked = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        while let Some(span) = spans.next_if(|span| span.start <= at) {
            hidden_to = hidden_to.max(span.end);
        }
        if at < hidden_to && !matches!(character, '\n' | '\r') {
            blanked.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            blanked.push(character);
        }
    }
    blanked
}

/// Whether a key of this name, perhaps misspelt, holds a secret.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_ours = |name: &&str| strsim::damerau_levenshtein(&key, name) <= name.len() / 3;
    let is_short = key.len() <= 32;
    is_short && SECRETS.iter().any(|name| key.contains(name) || is_ours(name))
}

/// `${NAME}`, `file:PATH` and a key's file say where a secret is, and are worth showing.
pub(crate) fn is_reference(value: &str) -> bool {
    value.starts_with("file:")
        || (value.starts_with("${") && value.ends_with('}'))
        || [".pem", ".key"].iter().any(|ending| value.ends_with(ending))
}

fn key_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '\t']);
    let before = before.trim_end_matches(['"', '\'']);
    let start = before
        .rfind(|character: char| !(character.is_ascii_alphanumeric() || "_-".contains(character)))
        .map_or(0, |index| index + before.get(index..).map_or(1, first_width));
    before.get(start..).unwrap_or_default()
}

fn first_width(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

/// The text of the value that follows `=`, quotes left out.
fn value_after(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let start = at + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
    let rest = text.get(start..)?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote));
    let Some(quote) = quote else {
        let end = rest.find(['\n', ',', '}']).unwrap_or(rest.len());
        return Some(start..start + end);
    };
    let start = start + quote.len();
    let rest = text.get(start..)?;
    let limit = match quote.len() {
        1 => rest.find('\n').unwrap_or(rest.len()),
        _ => rest.len(),
    };
    let end = closing(rest, quote).unwrap_or(limit).min(limit);
    let is_shown = rest.get(..end).is_some_and(is_reference);
    (!is_shown).then_some(start..start + end)
}

fn closing(rest: &str, quote: &str) -> Option<usize> {
    let escapes = quote.starts_with('"');
    let is_escaped = |at: usize| {
        let slashes = rest.get(..at).unwrap_or_default().bytes().rev();
        escapes && slashes.take_while(|byte| *byte == b'\\').count() % 2 == 1
    };
    rest.match_indices(quote).map(|(at, _)| at).find(|at| !is_escaped(*at))
}

/// The credentials of URLs: between `://` and the last `@`.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = text.get(start..).unwrap_or_default();
        let scheme = |character: char| character.is_ascii_alphanumeric() || character == '+';
        let before = text.get(..at).unwrap_or_default().trim_end_matches(scheme);
        // A password that is not percent-encoded may hold a blank, or the quote that is not the
        // URL's.
        let end = match before.chars().next_back() {
            Some(quote @ ('"' | '\'')) => rest.find([quote, '\n']),
            _ => rest.find(['"', '\'', ' ', '\n']),
        };
        let end = end.unwrap_or(rest.len());
        if let Some(last) = rest.get(..end).unwrap_or_default().rfind('@') {
            spans.push(start..start + last);
        }
    }
    spans
}

const SECRETS: [&str; 5] = ["secret", "password", "passwd", "pepper", "private"];

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_are_blanked_in_place() {
        for (text, redacted) in [
            ("secret = \"canary\"", "secret = \"******\""),
            ("k = [{ secrt = 'canary', a = 1 }]", "k = [{ secrt = '******', a = 1 }]"),
            ("password=\"can\\\"ary\" # x", "password=\"********\" # x"),
            ("pepper = \"canary", "pepper = \"******"),
            ("\"password\" = canary, b = 2", "\"password\" = ******, b = 2"),
            ("secret = \"\"\"can\nary\"\"\"", "secret = \"\"\"***\n***\"\"\""),
            ("secret = '한'", "secret = '***'"),
            ("url = \"redis://me:c@n/ary@host/0\"", "url = \"redis://**********@host/0\""),
            ("url = \"smtp://a:b c'd@h\"", "url = \"smtp://*******@h\""),
        ] {
            assert_eq!(redact(text), redacted);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "secret = \"${SECRET}\"",
            "secret = \"file:keys/a\"",
            "access_ttl = \"15m\"",
            "targets = [\"http://a:80\"]",
            "[password]\nmemory = \"19MiB\"",
            "한 = 1",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
