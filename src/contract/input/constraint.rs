//! The limits of an input's text: length, choices, base64.

use toml::Spanned;

use crate::document::{NodeTable, Report};
use crate::operation::ProblemKind;

/// Limits of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraint {
    /// Least number of characters.
    min: Option<usize>,
    /// Most characters.
    pub(crate) max: Option<usize>,
    /// Base64 (RFC 4648 §4) of so many bytes at most.
    pub(crate) base64_max: Option<usize>,
    /// The accepted texts; empty: any.
    pub(crate) one_of: Vec<String>,
}

impl Constraint {
    /// Reads `min`, `max` and `one_of`.
    pub(crate) fn read(section: &mut NodeTable<'_>, report: &mut Report) -> Self {
        let min = section.count("min", report);
        let max = section.count("max", report);
        if let (Some(min), Some(max)) = (&min, &max)
            && min.get_ref() > max.get_ref()
        {
            report.fault(&min.span(), "`min` above `max`", "no text has such a length");
        }
        let one_of = section.texts("one_of", report);
        Self {
            min: min.map(Spanned::into_inner),
            max: max.map(Spanned::into_inner),
            base64_max: None,
            one_of: one_of.into_iter().map(Spanned::into_inner).collect(),
        }
    }

    /// Checks a text.
    pub(crate) fn check(&self, text: &str) -> Result<(), ProblemKind> {
        let within = |length: usize| {
            self.min.is_none_or(|min| length >= min) && self.max.is_none_or(|max| length <= max)
        };
        if (self.min.is_some() || self.max.is_some()) && !within(text.chars().count()) {
            return Err(ProblemKind::Length);
        }
        if let Some(max) = self.base64_max
            && decoded_length(text).ok_or(ProblemKind::Malformed)? > max
        {
            return Err(ProblemKind::Length);
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|own| own == text) {
            return Err(ProblemKind::Malformed);
        }
        Ok(())
    }

    /// An accepted text: the proposed one, made to fit.
    pub(crate) fn sample(&self, proposed: &str) -> String {
        if let Some(first) = self.one_of.first() {
            let known = self.one_of.iter().find(|own| *own == proposed);
            return known.unwrap_or(first).clone();
        }
        let length = proposed.chars().count();
        let length = length.max(self.min.unwrap_or(0)).min(self.max.unwrap_or(usize::MAX));
        proposed.chars().cycle().take(length).collect()
    }
}

/// The number of bytes that base64 stands for; nothing is decoded for it.
///
/// Padding may be left out, as some encoders do. Line breaks (RFC 2045 §6.8) and the beginning of a
/// `data:` URL (RFC 2397), as a browser's `FileReader` makes it, stand for nothing; the URL
/// alphabet is not base64.
fn decoded_length(text: &str) -> Option<usize> {
    let data = match text.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").filter(|(kind, _)| is_media_type(kind))?.1,
        None => text,
    };
    let (mut digits, mut padding) = (0_usize, 0_usize);
    for byte in data.bytes() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => padding += 1,
            _ if padding > 0 => return None,
            b'+' | b'/' => digits += 1,
            _ if byte.is_ascii_alphanumeric() => digits += 1,
            _ => return None,
        }
    }
    let is_whole = padding == 0 || (padding <= 2 && (digits + padding) % 4 == 0);
    let rest = digits % 4;
    (is_whole && rest != 1).then_some(digits / 4 * 3 + rest.saturating_sub(1))
}

/// The media type of a `data:` URL; it is answered as it came.
fn is_media_type(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._;=".contains(&byte);
    text.len() <= 128 && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::{Constraint, decoded_length};
    use crate::operation::ProblemKind;

    #[test]
    fn base64_is_measured_without_decoding_it() {
        let rows = [
            ("AA==", Some(1)),
            ("AA", Some(1)),
            ("AAA=", Some(2)),
            ("AAA", Some(2)),
            ("AAAA", Some(3)),
            ("+/az09AZ", Some(6)),
            ("A", None),
            ("AAAAA", None),
            ("AA=", None),
            ("AAA==", None),
            ("AAAA=", None),
            ("AAAA==", None),
            ("A===", None),
            ("====", None),
            ("=AAA", None),
            ("AA==AAAA", None),
            ("AAAA\nAAAA", Some(6)),
            ("AAAA\r\nAA\r\n==\r\n", Some(4)),
            ("AA=\nA", None),
            ("AAA ", None),
            ("-_AA", None),
            ("data:image/png;base64,AAAA", Some(3)),
            ("data:image/svg+xml;charset=utf-8;base64,AAA=", Some(2)),
            ("data:image/png,AAAA", None),
            ("data:\"><script>;base64,AAAA", None),
            ("data:image/png;base64,data:image/png;base64,AAAA", None),
            ("가가", None),
        ];
        for (text, expected) in rows {
            assert_eq!(decoded_length(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_limit_of_base64_is_of_its_bytes() {
        let constraint = Constraint { base64_max: Some(5), ..Constraint::default() };

        assert_eq!(constraint.check("AAAAAAA="), Ok(()));
        assert_eq!(constraint.check("AAAAAAA"), Ok(()));
        assert_eq!(constraint.check("AAAAAAAA"), Err(ProblemKind::Length));
        assert_eq!(constraint.check("AAAAAAA!"), Err(ProblemKind::Malformed));
    }
}
