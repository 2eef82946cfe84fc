//! Gives a path its one canonical form, which is matched *and* forwarded (RFC 3986 §6.2.2).
//!
//! Percent-encoded unreserved characters are decoded, hex is written in upper case, dot segments
//! are resolved. What an upstream might read in another way than a route does is refused:
//! `security.md` 1.3 in tests. A canonical path is borrowed, not copied.

use std::borrow::Cow;

use http::uri::InvalidUri;
use http::uri::PathAndQuery;

use crate::operation::ErrorCode;
use crate::operation::Rejection;

/// A path that has one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canonical<'a> {
    text: Cow<'a, str>,
    encoded_slash: bool,
}

/// Why a path has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// `//`
    #[error("the path has an empty segment")]
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
    /// `%25` before two hex digits.
    #[error("the path is percent-encoded twice")]
    DoubleEncoding,
    /// Encoded bytes that are no UTF-8.
    #[error("the path is not UTF-8")]
    Utf8,
    /// `%EF%BC%8F`
    #[error("the path has a full-width slash")]
    FullWidthSlash,
    /// A segment that begins with `.;` or `..;`.
    #[error("the path has a dot segment with a parameter")]
    DotParameter,
    /// A dot segment that ends or begins at `%2F`.
    #[error("the path has a dot segment beside an encoded slash")]
    EncodedDots,
    /// `%2F` where the route does not keep it.
    #[error("the path has an encoded slash")]
    EncodedSlash,
}

impl<'a> Canonical<'a> {
    /// Finds the canonical form of a path; `%2F` is kept, see [`Canonical::has_encoded_slash`].
    ///
    /// The `*` of `OPTIONS *` stays: it is no path, and no route matches it.
    pub(crate) fn parse(path: &'a str) -> Result<Self, PathError> {
        if path != "*" && !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let raw = Survey::of(path)?;
        if !raw.encoded && !raw.dots {
            return Ok(Self { text: Cow::Borrowed(path), encoded_slash: raw.slash });
        }
        let decoded = decode_unreserved(path);
        // Decoding may reveal what is refused: `%25%32%65` is `%252e`.
        let survey = Survey::of(&decoded)?;
        let text = if survey.dots { resolve_dots(&decoded) } else { decoded };
        let encoded_slash = text.contains("%2F");
        Ok(Self { text: Cow::Owned(text), encoded_slash })
    }

    /// The canonical text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path is as it was sent.
    pub(crate) const fn is_as_sent(&self) -> bool {
        matches!(self.text, Cow::Borrowed(_))
    }

    /// Whether the path holds `%2F`, which only a route with `encoded_slash = "keep"` takes.
    pub(crate) const fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
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
    /// What is forwarded: this path, without `prefix`, and the query of `sent` byte for byte.
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

impl From<PathError> for Rejection {
    fn from(error: PathError) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

/// What stands in the way of a path's being canonical already.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    /// An encoded unreserved character, or lower-case hex.
    encoded: bool,
    /// A dot segment.
    dots: bool,
    /// `%2F`
    slash: bool,
}

impl Survey {
    fn of(path: &str) -> Result<Self, PathError> {
        let mut survey = Self::default();
        let mut rest = path.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = match byte {
                b'/' if after.first() == Some(&b'/') => return Err(PathError::EmptySegment),
                b'/' => {
                    survey.look_at_segment(after, false)?;
                    after
                }
                b'%' => survey.look_at_encoded(after)?,
                b'\\' => return Err(PathError::Backslash),
                0..=0x20 | 0x7F | b'#' | b'?' => return Err(PathError::Control),
                0x80.. => return Err(PathError::NotAscii),
                _ => after,
            };
        }
        Ok(survey)
    }

    /// Looks at how a segment begins; `encoded` when a `%2F` stands before it.
    fn look_at_segment(&mut self, segment: &[u8], encoded: bool) -> Result<(), PathError> {
        let (dots, after) = leading_dots(segment);
        if dots == 0 || dots > 2 {
            return Ok(());
        }
        let before_encoded = starts_with_encoded(after, b"2F");
        match after.first() {
            Some(b';') => return Err(PathError::DotParameter),
            _ if starts_with_encoded(after, b"3B") => return Err(PathError::DotParameter),
            None | Some(b'/') if !encoded => self.dots = true,
            None | Some(b'/') => return Err(PathError::EncodedDots),
            _ if before_encoded => return Err(PathError::EncodedDots),
            _ => {}
        }
        Ok(())
    }

    /// Looks at what follows a `%`, and answers what follows the encoded character.
    fn look_at_encoded<'b>(&mut self, after_percent: &'b [u8]) -> Result<&'b [u8], PathError> {
        let (value, after) = self.encoded_byte(after_percent)?;
        match value {
            0..=0x1F | 0x7F => Err(PathError::Control),
            b'\\' => Err(PathError::Backslash),
            b'%' if matches!(after, [high, low, ..] if is_hex(*high) && is_hex(*low)) => {
                Err(PathError::DoubleEncoding)
            }
            b'/' => {
                self.slash = true;
                self.look_at_segment(after, true)?;
                Ok(after)
            }
            0x80.. => self.look_at_encoded_char(value, after),
            _ => {
                self.encoded |= is_unreserved(value);
                Ok(after)
            }
        }
    }

    /// Reads the rest of a UTF-8 character whose first byte is `lead`.
    fn look_at_encoded_char<'b>(
        &mut self,
        lead: u8,
        mut rest: &'b [u8],
    ) -> Result<&'b [u8], PathError> {
        let length = match lead {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(PathError::Utf8),
        };
        let mut bytes = [lead, 0, 0, 0];
        for byte in bytes.iter_mut().take(length).skip(1) {
            let after_percent = rest.strip_prefix(b"%").ok_or(PathError::Utf8)?;
            (*byte, rest) = self.encoded_byte(after_percent)?;
        }
        let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
        match text {
            None => Err(PathError::Utf8),
            Some("\u{FF0F}") => Err(PathError::FullWidthSlash),
            Some(_) => Ok(rest),
        }
    }

    fn encoded_byte<'b>(&mut self, after_percent: &'b [u8]) -> Result<(u8, &'b [u8]), PathError> {
        let [high, low, after @ ..] = after_percent else {
            return Err(PathError::Percent);
        };
        let value = hex_pair(*high, *low).ok_or(PathError::Percent)?;
        self.encoded |= high.is_ascii_lowercase() || low.is_ascii_lowercase();
        Ok((value, after))
    }
}

/// Counts the dots, raw or encoded, that a segment begins with; answers what follows them.
fn leading_dots(segment: &[u8]) -> (usize, &[u8]) {
    let mut dots = 0;
    let mut rest = segment;
    loop {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => return (dots, rest),
        };
        dots += 1;
    }
}

fn starts_with_encoded(text: &[u8], hex: &[u8; 2]) -> bool {
    matches!(text, [b'%', digits @ ..] if digits.get(..2).is_some_and(|d| d.eq_ignore_ascii_case(hex)))
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

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Decodes a segment of a canonical path; what is encoded there is valid UTF-8.
pub(crate) fn decode_segment(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let encoded = match after {
            [high, low, ..] if *byte == b'%' => hex_pair(*high, *low),
            _ => None,
        };
        bytes.push(encoded.unwrap_or(*byte));
        rest = if encoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
