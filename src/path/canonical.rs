//! Gives a path its one canonical form, which is matched *and* forwarded (RFC 3986 §6.2.2).
//!
//! Percent-encoded unreserved characters are decoded, hex is written in upper case, dot segments
//! are resolved. What an upstream might read in another way than a route does is refused, some of
//! it unless the route says that its backend means it ([`PathForms`]). A canonical path is
//! borrowed, not copied.

use std::borrow::Cow;

use http::uri::{InvalidUri, PathAndQuery};

use crate::encoding::hex_pair;
use crate::operation::{ErrorCode, Rejection};

/// A path that has one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canonical<'a> {
    text: Cow<'a, str>,
    forms: PathForms,
}

/// The ambiguous forms that a path has, or that a route keeps (`encoded_slash = "keep"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathForms {
    /// `%2F`
    pub encoded_slash: bool,
    /// `%25` before two hex digits.
    pub encoded_percent: bool,
    /// `//`
    pub empty_segments: bool,
    /// Encoded bytes that are no UTF-8.
    pub non_utf8: bool,
}

/// The reason why a path has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// `//` where the route does not keep it.
    #[error("the path has an empty segment, and no empty_segments = \"keep\" on its route")]
    EmptySegment,
    /// `\` or `%5C`
    #[error("the path has a backslash")]
    Backslash,
    /// A control character, raw or encoded; a raw space, `#` or `?`.
    #[error("the path has a control character")]
    Control,
    /// A raw byte from 0x80.
    #[error("the path has a raw byte beyond ASCII")]
    NotAscii,
    /// `%` without two hex digits.
    #[error("the path has a `%` without two hex digits")]
    Percent,
    /// `%25` before two hex digits where the route does not keep it.
    #[error("the path is percent-encoded twice, and no encoded_percent = \"keep\" on its route")]
    DoubleEncoding,
    /// More layers of encoding than anybody needs, on a route that keeps one.
    #[error("the path is percent-encoded more than three times")]
    DeepEncoding,
    /// Encoded bytes that are no UTF-8 where the route does not keep them.
    #[error("the path is not UTF-8, and no non_utf8 = \"keep\" on its route")]
    Utf8,
    /// `%EF%BC%8F`
    #[error("the path has a full-width slash")]
    FullWidthSlash,
    /// A segment that is a dot segment once its parameter is taken off: `..;x`.
    #[error("the path has a dot segment with a parameter")]
    DotParameter,
    /// A segment of dots and blanks that a backend may take for a dot segment: `..%20`, `...`.
    #[error("the path has a segment that may be taken for a dot segment")]
    DotAlike,
    /// A dot segment that ends or begins at `%2F`.
    #[error("the path has a dot segment beside an encoded slash")]
    EncodedDots,
    /// `%2F` where the route does not keep it.
    #[error("the path has an encoded slash, and no encoded_slash = \"keep\" on its route")]
    EncodedSlash,
    /// A form that the route keeps leads elsewhere at a backend that decodes twice or merges
    /// slashes.
    #[error("decoded again and with its slashes merged, the path is another route's")]
    OtherRoute,
}

impl<'a> Canonical<'a> {
    /// Finds the canonical form of a path. What only some routes take is kept, for
    /// [`Canonical::check`] to refuse.
    ///
    /// The `*` of `OPTIONS *` stays: it is no path, and no route matches it.
    pub(crate) fn parse(path: &'a str) -> Result<Self, PathError> {
        if path != "*" && !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if is_plain(path) {
            return Ok(Self { text: Cow::Borrowed(path), forms: PathForms::default() });
        }
        let raw = Survey::of(path)?;
        if !raw.encoded && !raw.dots {
            return Ok(Self { text: Cow::Borrowed(path), forms: raw.forms });
        }
        let mut text = decode_unreserved(path);
        // Decoding may reveal what is refused: `%25%32%65` is `%252e`.
        let mut survey = Survey::of(&text)?;
        if survey.dots {
            text = resolve_dots(&text);
            survey = Survey::of(&text)?;
        }
        Ok(Self { text: Cow::Owned(text), forms: survey.forms })
    }

    /// The canonical text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path is as it was sent.
    pub(crate) const fn is_as_sent(&self) -> bool {
        matches!(self.text, Cow::Borrowed(_))
    }

    /// Refuses what a route does not keep.
    pub(crate) const fn check(&self, kept: PathForms) -> Result<(), PathError> {
        let has = self.forms;
        if has.encoded_slash && !kept.encoded_slash {
            Err(PathError::EncodedSlash)
        } else if has.encoded_percent && !kept.encoded_percent {
            Err(PathError::DoubleEncoding)
        } else if has.empty_segments && !kept.empty_segments {
            Err(PathError::EmptySegment)
        } else if has.non_utf8 && !kept.non_utf8 {
            Err(PathError::Utf8)
        } else {
            Ok(())
        }
    }

    /// The path as a backend reads it that decodes it again and merges slashes, where that is
    /// another one; it has to lead to the same route.
    ///
    /// # Errors
    /// The case of a reading without a canonical form, or with dot segments: none outlives its
    /// layers.
    pub(crate) fn laxest_reading(&self) -> Result<Option<String>, PathError> {
        if !self.forms.encoded_percent && !self.forms.empty_segments {
            return Ok(None);
        }
        let mut text = self.text.as_ref().to_owned();
        for _ in 0..DEEPEST_ENCODING {
            let survey = Survey::of(&text)?;
            if survey.dots {
                return Err(PathError::EncodedDots);
            }
            if !survey.forms.encoded_percent {
                if self.forms.encoded_percent {
                    text = text.replace("%2F", "/");
                }
                while text.contains("//") {
                    text = text.replace("//", "/");
                }
                return Ok(Some(text));
            }
            text = decode_unreserved(&take_layer(&text));
        }
        Err(PathError::DeepEncoding)
    }

    /// The path without `prefix`, which ends at a segment border; whole where it does not match.
    fn without_prefix(&self, prefix: &str) -> &str {
        match self.text.strip_prefix(prefix.trim_end_matches('/')) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => &self.text,
        }
    }
}

impl Canonical<'_> {
    /// The target to forward: this path, without `prefix`, and the query of `sent` byte for byte.
    ///
    /// # Errors
    /// When the result is no request target, which a canonical path and a query always are.
    pub(crate) fn target(
        &self,
        sent: &PathAndQuery,
        prefix: Option<&str>,
    ) -> Result<PathAndQuery, InvalidUri> {
        if self.is_as_sent() && prefix.is_none() && sent.as_str().starts_with('/') {
            return Ok(sent.clone());
        }
        let path = prefix.map_or_else(|| self.as_str(), |prefix| self.without_prefix(prefix));
        match sent.query() {
            Some(query) => format!("{path}?{query}").try_into(),
            None => path.try_into(),
        }
    }
}

/// Whether a path is canonical at a glance, as most are: unreserved characters alone, no segment
/// that begins with a dot, and none that is empty.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let begins = std::mem::replace(&mut before, byte) == b'/';
        match byte {
            b'/' | b'.' => !begins,
            _ => is_unreserved(byte),
        }
    })
}

impl From<PathError> for Rejection {
    fn from(error: PathError) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

/// The parts of a path that are not canonical yet, or ambiguous.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    /// An encoded unreserved character, or lower-case hex.
    encoded: bool,
    /// A dot segment.
    dots: bool,
    /// The ambiguous forms, which only some routes keep.
    forms: PathForms,
}

impl Survey {
    fn of(path: &str) -> Result<Self, PathError> {
        let mut survey = Self::default();
        let mut rest = path.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = match byte {
                b'/' => {
                    survey.forms.empty_segments |= after.first() == Some(&b'/');
                    survey.look_at_segment(after, false)?;
                    after
                }
                b'%' => {
                    let next = survey.look_at_encoded(rest)?;
                    let read = rest.get(..rest.len() - next.len()).unwrap_or_default();
                    survey.encoded |= read.iter().any(u8::is_ascii_lowercase);
                    next
                }
                b'\\' => return Err(PathError::Backslash),
                0..=0x20 | 0x7F | b'#' | b'?' => return Err(PathError::Control),
                0x80.. => return Err(PathError::NotAscii),
                _ => after,
            };
        }
        Ok(survey)
    }

    /// Looks for what is or may be taken for a dot segment; `encoded` after a `%2F`.
    fn look_at_segment(&mut self, segment: &[u8], encoded: bool) -> Result<(), PathError> {
        let (mut dots, mut is_plain, mut rest) = (0, true, segment);
        while let Some((char, after)) = lax_char(rest).filter(|_| !rest.starts_with(b"/")) {
            match char {
                '.' => {
                    dots += 1;
                    is_plain &= any_byte(rest).is_some_and(|(byte, _)| byte == b'.');
                }
                _ if is_dot_alike(char) => (dots, is_plain) = (dots + 1, false),
                _ if char.is_whitespace() || char == '\u{FEFF}' => is_plain = false,
                ';' if dots > 0 => return Err(PathError::DotParameter),
                '/' | '\\' if dots > 0 => return Err(PathError::EncodedDots),
                _ => return Ok(()),
            }
            rest = after;
        }
        match dots {
            0 => {}
            1 | 2 if is_plain && encoded => return Err(PathError::EncodedDots),
            1 | 2 if is_plain => self.dots = true,
            _ => return Err(PathError::DotAlike),
        }
        Ok(())
    }

    /// Looks at what begins with a `%`, and answers what follows the encoded character.
    fn look_at_encoded<'b>(&mut self, sent: &'b [u8]) -> Result<&'b [u8], PathError> {
        let [_, high, low, after @ ..] = sent else {
            return Err(PathError::Percent);
        };
        let value = hex_pair(*high, *low).ok_or(PathError::Percent)?;
        match value {
            0..=0x1F | 0x7F => return Err(PathError::Control),
            b'\\' => return Err(PathError::Backslash),
            b'%' => {
                self.forms.encoded_percent |=
                    matches!(after, [high, low, ..] if is_hex(*high) && is_hex(*low));
            }
            b'/' => {
                self.forms.encoded_slash = true;
                self.look_at_segment(after, true)?;
            }
            0x80.. => match utf8_char(value, after) {
                Some(('\u{FF0F}', _)) => return Err(PathError::FullWidthSlash),
                Some(('\u{FF3C}', _)) => return Err(PathError::Backslash),
                Some((_, after)) => return Ok(after),
                None => {
                    self.forms.non_utf8 = true;
                    // `%C0%AF` is a slash to a lax decoder, and half of EUC-KR's file names.
                    if let Some(('/' | '\\', after)) = lax_char(sent) {
                        self.look_at_segment(after, true)?;
                    }
                }
            },
            _ => self.encoded |= is_unreserved(value),
        }
        Ok(after)
    }
}

/// Reads one byte, raw or encoded.
fn any_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let encoded = match text {
        [b'%', high, low, after @ ..] => hex_pair(*high, *low).map(|value| (value, after)),
        _ => None,
    };
    encoded.or_else(|| text.split_first().map(|(byte, after)| (*byte, after)))
}

/// Reads the rest of an encoded UTF-8 character (RFC 3629 §4) whose first byte is `lead`.
fn utf8_char(lead: u8, mut rest: &[u8]) -> Option<(char, &[u8])> {
    let length = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let mut bytes = [lead, 0, 0, 0];
    for byte in bytes.iter_mut().take(length).skip(1) {
        (*byte, rest) = any_byte(rest)?;
    }
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    Some((text.chars().next()?, rest))
}

/// Reads one character as the laxest decoder does: overlong forms count for what they stand for
/// (`%C0%AE` is a dot), and what is no UTF-8 for itself.
fn lax_char(text: &[u8]) -> Option<(char, &[u8])> {
    let (lead, after) = any_byte(text)?;
    let (more, bits) = match lead {
        0xC0..=0xDF => (1, lead & 0x1F),
        0xE0..=0xEF => (2, lead & 0x0F),
        0xF0..=0xF7 => (3, lead & 0x07),
        _ => return Some((char::from(lead), after)),
    };
    let (mut code, mut rest) = (u32::from(bits), after);
    for _ in 0..more {
        let Some((byte @ 0x80..=0xBF, after_byte)) = any_byte(rest) else {
            return Some((char::from(lead), after));
        };
        (code, rest) = ((code << 6) | u32::from(byte & 0x3F), after_byte);
    }
    Some((char::from_u32(code).unwrap_or_default(), rest))
}

/// Dots, or rows of them, that become `.` where text is normalised (Unicode NFKC).
const fn is_dot_alike(c: char) -> bool {
    matches!(c, '\u{2024}'..='\u{2026}' | '\u{FE19}' | '\u{FE30}' | '\u{FE52}' | '\u{FF0E}')
}

/// Takes off one layer of what is encoded twice: `%2541` is `%41`.
fn take_layer(path: &str) -> String {
    let mut parts = path.split("%25");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_layer = matches!(part.as_bytes(), [h, l, ..] if is_hex(*h) && is_hex(*l));
        text.push_str(if is_layer { "%" } else { "%25" });
        text.push_str(part);
    }
    text
}

/// Decodes encoded unreserved characters and raises hex to upper case, in a surveyed path.
fn decode_unreserved(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let high = chars.next().unwrap_or_default().to_ascii_uppercase();
        let low = chars.next().unwrap_or_default().to_ascii_uppercase();
        let value = u8::try_from(high)
            .ok()
            .zip(u8::try_from(low).ok())
            .and_then(|(high, low)| hex_pair(high, low));
        match value {
            Some(value) if is_unreserved(value) => text.push(char::from(value)),
            _ => text.extend(['%', high, low]),
        }
    }
    text
}

/// Removes `.` and `..` (RFC 3986 §5.2.4); `..` at the root stays at the root.
fn resolve_dots(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => text.truncate(text.rfind('/').unwrap_or(0)),
            _ => {
                text.push('/');
                text.push_str(segment);
            }
        }
    }
    if ends_in_dots || text.is_empty() {
        text.push('/');
    }
    text
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Decodes a segment of a canonical path; what is encoded there is valid UTF-8, as no endpoint
/// keeps anything else.
pub(crate) fn decode_segment(segment: &str) -> String {
    let mut rest = segment.as_bytes();
    let bytes = std::iter::from_fn(|| {
        let (byte, after) = any_byte(rest)?;
        rest = after;
        Some(byte)
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

/// Layers of encoding that are decoded.
const DEEPEST_ENCODING: usize = 4;

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
