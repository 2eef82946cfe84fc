//! The language of a page.

use std::cmp::Reverse;

use crate::operation::Language;

/// Chooses the language of a page: the one that the request asks for, that a cookie keeps, or that
/// the browser prefers, whichever is known first; else the site's `own`.
pub(crate) fn choose(
    asked: Option<&str>,
    kept: Option<&str>,
    accept_language: Option<&str>,
    own: Language,
) -> Language {
    asked
        .and_then(named)
        .or_else(|| kept.and_then(named))
        .or_else(|| preferred(accept_language?, own))
        .unwrap_or(own)
}

/// The language of a tag's primary subtag (RFC 5646 §2.1): `ko-KR` is Korean.
fn named(tag: &str) -> Option<Language> {
    let primary = tag.split_once('-').map_or(tag, |(primary, _)| primary);
    Language::from_tag(&primary.to_ascii_lowercase())
}

/// The known language with the greatest weight in `Accept-Language` (RFC 9110 §12.5.4); among equal
/// ones the one that stands first, and for `*` the site's own.
fn preferred(header: &str, own: Language) -> Option<Language> {
    let ranges: Vec<Range<'_>> = header.split(',').filter_map(Range::read).collect();
    let offer = |language| {
        let of = |is_meant: &dyn Fn(&Range<'_>) -> bool| {
            let meant = ranges.iter().enumerate().filter(|(_, range)| is_meant(range));
            meant.map(|(at, range)| (range.weight, Reverse(at))).max()
        };
        let weight = of(&|range| named(range.tag) == Some(language))
            .or_else(|| of(&|range| range.tag == "*"))?;
        (weight.0 > 0).then_some((weight, language == own, language))
    };
    let best = Language::ALL.into_iter().filter_map(offer).max()?;
    Some(best.2)
}

/// One language range with its weight.
struct Range<'h> {
    tag: &'h str,
    /// In thousandths.
    weight: u16,
}

impl<'h> Range<'h> {
    fn read(text: &'h str) -> Option<Self> {
        let (tag, weight) = match text.split_once(';') {
            Some((tag, weight)) => (tag, read_weight(weight.trim_matches(BLANKS))?),
            None => (text, 1000),
        };
        Some(Self { tag: tag.trim_matches(BLANKS), weight })
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Reads `q=0.8` (RFC 9110 §12.4.2).
fn read_weight(text: &str) -> Option<u16> {
    let value = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::choose;
    use crate::operation::Language::{self, English, Korean};

    fn accepted(header: &str, own: Language) -> Language {
        choose(None, None, Some(header), own)
    }

    #[test]
    fn the_first_that_names_a_known_language_wins() {
        for (asked, kept, accepted, expected) in [
            (Some("ko"), Some("en"), Some("en"), Korean),
            (Some("KO-kr"), None, None, Korean),
            (Some("de"), Some("ko"), Some("en"), Korean),
            (Some(""), Some("<script>"), Some("ko"), Korean),
            (None, Some("kok"), Some("de"), English),
            (None, None, None, English),
        ] {
            assert_eq!(choose(asked, kept, accepted, English), expected, "{asked:?} {kept:?}");
        }
        assert_eq!(choose(Some("korean"), None, None, Korean), Korean);
        assert_eq!(choose(Some("fr"), Some("fr"), Some("fr"), Korean), Korean);
    }

    #[test]
    fn a_browser_is_taken_at_its_weights() {
        for (header, expected) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Korean),
            ("en-US,en;q=0.9,ko;q=0.8", English),
            ("en-US, ko-KR", English),
            ("ko-KR, en-US", Korean),
            ("de-DE, ko;q=0.1", Korean),
            ("en;q=0.8, ko;q=0.9", Korean),
            ("en;q=0.899,ko;q=0.9", Korean),
            ("en;q=0.5, ko; q=0.51", Korean),
            ("en ; q=1.000 , ko ;\tQ=0.999", English),
            ("EN-gb;q=0.1,Ko-Kore-KR;q=1", Korean),
            ("kok, kor, k, enm;q=1, ko;q=0.001", Korean),
        ] {
            assert_eq!(accepted(header, English), expected, "{header}");
            assert_eq!(accepted(header, Korean), expected, "{header}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_given() {
        assert_eq!(accepted("ko;q=0, *", Korean), English);
        assert_eq!(accepted("*;q=0.5, en;q=0.0", English), Korean);
        assert_eq!(accepted("*, ko;q=0.000", Korean), English);
        assert_eq!(accepted("*", Korean), Korean);
        assert_eq!(accepted("*", English), English);
        assert_eq!(accepted("en;q=0.4, *;q=0.5", English), Korean);
    }

    #[test]
    fn what_does_not_read_counts_for_nothing() {
        for header in [
            "",
            ",,,;;",
            "de, fr;q=0.9",
            "en;q=1.1",
            "en;q=0.1234",
            "en;q=-1",
            "en;q=1.001",
            "en;q=0.٣",
            "en;q",
            "en;level=1",
            "en;q=0",
            "*;q=0",
            "en\u{a0}",
            "ｅｎ",
        ] {
            assert_eq!(accepted(header, Korean), Korean, "{header}");
        }
    }

    proptest! {
        #[test]
        fn another_language_than_the_sites_is_given_only_if_it_is_named(
            header in "[-,;=*. a-zA-Z0-9\\PC]{0,200}",
        ) {
            let named = header.contains('*') || header.to_ascii_lowercase().contains("en");
            prop_assert!(named || accepted(&header, Korean) == Korean);
        }
    }
}
