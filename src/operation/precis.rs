//! Folds and checks names and passwords by PRECIS (RFC 8264, RFC 8265).
//!
//! Usernames follow `UsernameCaseMapped` (RFC 8265 §3.3): wide and narrow forms, then case, then
//! NFC, then what the `IdentifierClass` (RFC 8264 §4.2) allows. Passwords are mapped as
//! `OpaqueString` says (§4.2); no character is refused there, since they are never displayed.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{
    BidiClass, BinaryProperty, CanonicalCombiningClass, DefaultIgnorableCodePoint, EastAsianWidth,
    EnumeratedProperty, GeneralCategory, HangulSyllableType, NoncharacterCodePoint, Script,
};
use zeroize::Zeroizing;

use crate::secret::Secret;

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();
const NFD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfd();

/// Maps a name's width and case, and composes it (RFC 8265 §3.3.2, rules 1 to 3).
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut mapped = String::with_capacity(text.len());
    for c in text.chars() {
        match EastAsianWidth::for_char(c) {
            EastAsianWidth::Fullwidth | EastAsianWidth::Halfwidth => mapped.push_str(&compat(c)),
            _ => mapped.push(c),
        }
    }
    NFC.normalize(&mapped.to_lowercase()).into_owned()
}

/// Decomposes a name (NFD), as file systems and keyboards of some systems write it.
pub(super) fn decompose(text: &str) -> Cow<'_, str> {
    NFD.normalize(text)
}

/// Maps a password (RFC 8265 §4.2.2): other blanks than U+0020 become one, then NFC.
pub(crate) fn opaque(text: &str) -> Secret<String> {
    let is_blank = |c| GeneralCategory::for_char(c) == GeneralCategory::SpaceSeparator;
    // With room for all of it from the start, no copy of a part is left behind.
    let mut mapped = Zeroizing::new(String::with_capacity(text.len()));
    mapped.extend(text.chars().map(|c| if is_blank(c) { ' ' } else { c }));
    let mut composed = String::with_capacity(3 * mapped.len());
    // Writing to a String does not fail.
    NFC.normalize_to(&mapped, &mut composed).unwrap_or_default();
    Secret::new(composed)
}

/// Whether a folded text is of the `IdentifierClass` (RFC 8264 §4.2), and one that reads from right
/// to left keeps the Bidi Rule (RFC 5893 §2).
pub(super) fn is_identifier(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return !text.is_empty();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut before = None;
    for (at, c) in chars.iter().enumerate() {
        let after = chars.get(at + 1).copied();
        if !is_valid(*c) && !is_valid_in_context(*c, before, after, &chars) {
            return false;
        }
        before = Some(*c);
    }
    // A mark without a base is drawn on the character before the name.
    !chars.first().is_some_and(|c| is_mark(*c)) && keeps_bidi_rule(&chars)
}

/// Whether a character is valid in any context (RFC 8264 §8).
fn is_valid(c: char) -> bool {
    use GeneralCategory as Category;
    match c {
        '!'..='~' => return true,
        // The exceptions of RFC 5892 §2.6.
        'ß' | 'ς' | '\u{6FD}' | '\u{6FE}' | '\u{F0B}' | '〇' => return true,
        '\u{640}' | '\u{7FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => {
            return false;
        }
        _ if CONTEXTUAL.contains(&c) || is_arabic_digit(c) => return false,
        _ => {}
    }
    let is_old_jamo = matches!(
        HangulSyllableType::for_char(c),
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    );
    let is_letter_or_digit = matches!(
        Category::for_char(c),
        Category::LowercaseLetter
            | Category::UppercaseLetter
            | Category::OtherLetter
            | Category::ModifierLetter
            | Category::DecimalNumber
            | Category::NonspacingMark
            | Category::SpacingMark
    );
    is_letter_or_digit
        && !is_old_jamo
        && !DefaultIgnorableCodePoint::for_char(c)
        && !NoncharacterCodePoint::for_char(c)
        && compat(c).chars().eq([c])
}

/// Characters that are valid only in context (RFC 5892 appendix A), except the digits.
const CONTEXTUAL: [char; 7] =
    ['\u{200C}', '\u{200D}', '·', '\u{375}', '\u{5F3}', '\u{5F4}', '\u{30FB}'];

/// The rules of RFC 5892 appendix A; a joiner is taken after a virama alone.
fn is_valid_in_context(c: char, before: Option<char>, after: Option<char>, all: &[char]) -> bool {
    let script = |c: Option<char>| c.map(Script::for_char);
    match c {
        '\u{200C}' | '\u{200D}' => before.is_some_and(|c| {
            CanonicalCombiningClass::for_char(c) == CanonicalCombiningClass::Virama
        }),
        '·' => before == Some('l') && after == Some('l'),
        '\u{375}' => script(after) == Some(Script::Greek),
        '\u{5F3}' | '\u{5F4}' => script(before) == Some(Script::Hebrew),
        '\u{30FB}' => all.iter().any(|c| {
            matches!(Script::for_char(*c), Script::Hiragana | Script::Katakana | Script::Han)
        }),
        '\u{660}'..='\u{669}' => !all.iter().any(|c| matches!(c, '\u{6F0}'..='\u{6F9}')),
        '\u{6F0}'..='\u{6F9}' => !all.iter().any(|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

fn is_arabic_digit(c: char) -> bool {
    matches!(c, '\u{660}'..='\u{669}' | '\u{6F0}'..='\u{6F9}')
}

fn is_mark(c: char) -> bool {
    use GeneralCategory as Category;
    matches!(Category::for_char(c), Category::NonspacingMark | Category::SpacingMark)
}

/// The Bidi Rule (RFC 5893 §2), for a text with anything that reads from right to left.
fn keeps_bidi_rule(chars: &[char]) -> bool {
    use BidiClass as Class;
    let classes: Vec<Class> = chars.iter().map(|c| Class::for_char(*c)).collect();
    let has = |class: Class| classes.contains(&class);
    if !has(Class::RightToLeft) && !has(Class::ArabicLetter) && !has(Class::ArabicNumber) {
        return true;
    }
    let first = classes.first().copied();
    let last = classes.iter().rev().find(|class| **class != Class::NonspacingMark).copied();
    let neutral = [
        Class::EuropeanNumber,
        Class::EuropeanSeparator,
        Class::CommonSeparator,
        Class::EuropeanTerminator,
        Class::OtherNeutral,
        Class::BoundaryNeutral,
        Class::NonspacingMark,
    ];
    let rightward = [Class::RightToLeft, Class::ArabicLetter];
    let is_rightward = first.is_some_and(|class| rightward.contains(&class));
    let ends = [Class::EuropeanNumber, Class::ArabicNumber];
    is_rightward
        && classes.iter().all(|class| {
            rightward.contains(class) || neutral.contains(class) || *class == Class::ArabicNumber
        })
        && last.is_some_and(|class| rightward.contains(&class) || ends.contains(&class))
        && !(has(Class::EuropeanNumber) && has(Class::ArabicNumber))
}

/// The compatibility composition of one character.
fn compat(c: char) -> String {
    NFKC.normalize(c.encode_utf8(&mut [0; 4])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{fold, is_identifier, opaque};

    #[test]
    fn the_examples_of_rfc_8265_are_judged_as_it_says() {
        // §3.5: tables 1 and 2; `@` and blanks are the name's own business.
        for (text, folded, fits) in [
            ("juliet@example.com", "juliet@example.com", true),
            ("fussball", "fussball", true),
            ("fußball", "fußball", true),
            ("π", "π", true),
            ("Σ", "σ", true),
            ("σ", "σ", true),
            ("ς", "ς", true),
            ("henryⅣ", "henryⅳ", false),
            ("♚", "♚", false),
            ("foo bar", "foo bar", false),
            ("", "", false),
        ] {
            assert_eq!(fold(text), folded);
            assert_eq!(is_identifier(folded), fits, "{text}");
        }
    }

    #[test]
    fn wide_narrow_and_decomposed_forms_are_one_and_what_is_invisible_is_refused() {
        for (text, folded) in [
            ("ＢＯＢ１", "bob1"),
            ("ｶﾞ", "ガ"),
            ("\u{1112}\u{1161}\u{11AB}글", "한글"),
            ("e\u{301}", "é"),
            ("İ", "i\u{307}"),
        ] {
            assert_eq!(fold(text), folded);
            assert!(is_identifier(folded), "{folded}");
        }
        for c in "\u{200B}\u{200D}\u{FEFF}\u{202E}\u{2066}\u{AD}\u{0}\u{9B}\u{1B}\u{FE0F}\u{115F}\u{3164}\u{E000}\u{FFFF}".chars() {
            assert!(!is_identifier(&fold(&format!("a{c}b"))), "{c:?}");
        }
        // Marks at the beginning, joiners after a virama, digits of two scripts, mixed directions.
        for (text, fits) in [
            ("\u{301}a", false),
            ("क\u{94D}\u{200D}ष", true),
            ("\u{661}\u{6F1}", false),
            ("אבג", true),
            ("אבa", false),
            ("aאב", false),
            ("l·l", true),
            ("a·b", false),
            ("コ・ト", true),
        ] {
            assert_eq!(is_identifier(text), fits, "{text:?}");
        }
    }

    #[test]
    fn the_examples_of_rfc_8265_for_passwords_are_mapped_as_it_says() {
        for (typed, mapped) in [
            ("correct horse battery staple", "correct horse battery staple"),
            ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
            ("πßå", "πßå"),
            ("Jack of ♦s", "Jack of ♦s"),
            ("foo\u{1680}bar", "foo bar"),
            ("a\u{30A}", "å"),
            ("\u{1112}\u{1161}\u{11AB}", "한"),
            ("❤\u{FE0F}", "❤\u{FE0F}"),
        ] {
            assert_eq!(opaque(typed).expose(), mapped);
        }
    }
}
