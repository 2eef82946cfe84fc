//! Codes as people and keyboards type them.

/// The digits of a code as it was mailed or shown: without separators; wide digits are digits.
pub(crate) fn code_as_meant(text: &str) -> String {
    text.chars().filter_map(digit_of_code).collect()
}

/// A character of a code; none for what only groups its digits.
fn digit_of_code(c: char) -> Option<char> {
    match c {
        '０'..='９' => char::from_digit(u32::from(c) - u32::from('０'), 10),
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '－' | '.' | '\u{B7}' => None,
        _ if c.is_whitespace() => None,
        _ => Some(c),
    }
}
