//! Email addresses and user names: folded before they are parsed, so that an accepted name reads
//! back the same.
//!
//! A store may hold names that older rules accepted. They are read as they are, and found when they
//! are typed as before; [`Email::spellings`] lists the spellings under which an account may be.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize};

use crate::operation::precis;

/// An email address: lower case, NFC, its domain as A-labels (UTS 46).
pub type Email = Name<EmailRule>;

/// A user name by RFC 8265 (`UsernameCaseMapped`); it holds no `@`, so that it is never taken for
/// an [`Email`].
pub type Username = Name<UsernameRule>;

/// Reasons for which a text is no email address or user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not of the form `local@domain`, or over 254 bytes (RFC 5321 §4.5.3.1).
    #[error("not an email address")]
    Email,
    /// Empty, over 64 characters, with an `@`, or with a character that RFC 8265 excludes.
    #[error("not a user name")]
    Username,
}

/// A name as it is kept and compared, and as it was typed where that differs.
#[derive(Clone, Debug, Serialize)]
#[serde(into = "String")]
pub struct Name<R: NameRule> {
    text: String,
    /// Lower-cased: so names were kept before they were folded.
    typed: Option<String>,
    rule: PhantomData<R>,
}

/// The form of one kind of names.
pub trait NameRule: Clone + fmt::Debug {
    /// The reason for which a text is no such name.
    const ERROR: IdentityError;

    /// The text as it is kept; `None` where it is no such name.
    fn canonical(text: &str) -> Option<String>;
}

/// The form of an [`Email`].
#[derive(Clone, Copy, Debug)]
pub struct EmailRule;

/// The form of a [`Username`].
#[derive(Clone, Copy, Debug)]
pub struct UsernameRule;

impl<R: NameRule> Name<R> {
    /// The name as it is kept and compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads a name at a login, which may be one that no new account can have.
    ///
    /// # Errors
    /// [`NameRule::ERROR`] for what was never such a name under any rule.
    pub fn of_login(text: &str) -> Result<Self, IdentityError> {
        text.parse().or_else(|error| former(text).map(Self::stored).ok_or(error))
    }

    /// A name as a store holds it, whatever rule it was accepted under.
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self { text: text.into(), typed: None, rule: PhantomData }
    }

    /// The name as it was typed, as it is kept, and decomposed.
    fn written_forms(&self) -> Vec<String> {
        let mut forms: Vec<String> = self.typed.iter().cloned().collect();
        forms.push(self.text.clone());
        if !self.text.is_ascii() {
            let decomposed = precis::decompose(&self.text);
            if !forms.iter().any(|form| *form == decomposed) {
                forms.push(decomposed.into_owned());
            }
        }
        forms
    }
}

impl Email {
    /// The domain of placeholders for social accounts without an address; under `.local`, which no
    /// mail server of the Internet serves (RFC 6762 §3).
    pub const STAND_IN_DOMAIN: &str = "social.local";

    /// The spellings under which an account may have the address, the likeliest first.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings = self.written_forms();
        if let Some((local, domain)) = self.as_str().rsplit_once('@')
            && domain.split('.').any(|label| label.starts_with("xn--"))
        {
            let (domain, _) =
                Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow);
            spellings.push(format!("{local}@{domain}"));
        }
        spellings
    }

    /// Whether it is a placeholder for a social account without an address: no sign-up and no
    /// provider may have it, and nothing is mailed to it.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.as_str().rsplit_once('@').is_some_and(|(_, domain)| domain == Self::STAND_IN_DOMAIN)
    }
}

impl Username {
    /// The spellings under which an account may have the name, the likeliest first.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        self.written_forms()
    }
}

impl<R: NameRule> FromStr for Name<R> {
    type Err = IdentityError;

    /// Reads what was typed; what does not survive its own round trip is no name.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let text = trim_blanks(text);
        let canonical =
            Some(text).filter(|text| text.len() <= LONGEST_TYPED).and_then(R::canonical);
        let name = canonical.ok_or(R::ERROR)?;
        if !name.is_ascii() && R::canonical(&name).as_ref() != Some(&name) {
            return Err(R::ERROR);
        }
        let typed = Some(text.to_lowercase()).filter(|typed| *typed != name);
        Ok(Self { text: name, typed, rule: PhantomData })
    }
}

/// A name beyond ASCII that older, laxer rules accepted: a store may still hold it.
fn former(text: &str) -> Option<String> {
    let text = trim_blanks(text);
    let fits = !text.is_ascii() && text.len() <= 254 && !text.contains(char::is_control);
    fits.then(|| text.to_lowercase())
}

/// Trims the blanks that a keyboard or the clipboard left around; a line end is none.
pub(crate) fn trim_blanks(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\t' || c.is_whitespace() && !c.is_control())
}

/// The longest text that is read: a letter takes at most four bytes, and three more to be composed
/// of.
const LONGEST_TYPED: usize = 1024;

impl NameRule for EmailRule {
    const ERROR: IdentityError = IdentityError::Email;

    /// `local@domain`, each after its own rule.
    fn canonical(text: &str) -> Option<String> {
        let text = precis::fold(text);
        let (local, domain) = text.rsplit_once('@')?;
        let is_dotted = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        let is_local = local.chars().all(is_local_char) && precis::is_identifier(local);
        if local.len() > 64 || is_dotted || !is_local {
            return None;
        }
        let (domain, hyphens) = (domain.as_bytes(), Hyphens::CheckFirstLast);
        let domain =
            Uts46::new().to_ascii(domain, AsciiDenyList::STD3, hyphens, DnsLength::Verify).ok()?;
        let email = format!("{local}@{domain}");
        (domain.contains('.') && email.len() <= 254).then_some(email)
    }
}

impl NameRule for UsernameRule {
    const ERROR: IdentityError = IdentityError::Username;

    /// Parts that are each of the `IdentifierClass`, with one blank between them (RFC 8265 §3.1).
    fn canonical(text: &str) -> Option<String> {
        let name = precis::fold(text);
        let fits = name.chars().count() <= 64
            && !name.contains('@')
            && name.split(' ').all(precis::is_identifier);
        fits.then_some(name)
    }
}

/// RFC 5322 `atext` and the dot; what lies beyond ASCII (RFC 6531 §3.3) is judged with the whole.
fn is_local_char(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c)
}

// What was typed leads to an account, and makes no other one.
impl<R: NameRule> PartialEq for Name<R> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<R: NameRule> Eq for Name<R> {}

impl<R: NameRule> Hash for Name<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

// Not by `From<String>`: clap would take that before `FromStr`, and no argument would be checked.
impl<'de, R: NameRule> Deserialize<'de> for Name<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::stored)
    }
}

impl<R: NameRule> From<Name<R>> for String {
    fn from(name: Name<R>) -> Self {
        name.text
    }
}

impl<R: NameRule> fmt::Display for Name<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Email, Username};

    proptest! {
        #[test]
        fn whatever_is_accepted_reads_back_equal(
            name in "\\PC{1,40}|[İȺßΣςＡ-Ｚｶﾞ가-힣\u{1100}-\u{11FF}e\u{301}\u{200D}א-ת ]{1,70}",
            local in "[a-zA-Z.İȺß가-힣\u{1100}-\u{11FF}]{1,64}",
            domain in "[a-zA-Z0-9.İȺß가-힣\u{1100}-\u{11FF}-]{1,64}\\.(com|한국|İ)",
        ) {
            if let Ok(name) = name.parse::<Username>() {
                prop_assert_eq!(&name.as_str().parse::<Username>().unwrap(), &name);
                prop_assert_eq!(&Username::stored(name.as_str()), &name);
                prop_assert!(name.as_str().chars().count() <= 64);
            }
            for text in [format!("{local}@{domain}"), name] {
                if let Ok(email) = text.parse::<Email>() {
                    prop_assert_eq!(&email.as_str().parse::<Email>().unwrap(), &email);
                    prop_assert!(email.as_str().len() <= 254);
                    let (_, domain) = email.as_str().rsplit_once('@').unwrap();
                    prop_assert!(domain.is_ascii());
                    // What a page shows of it leads back to it.
                    for spelling in email.spellings() {
                        prop_assert_eq!(&spelling.parse::<Email>().unwrap(), &email);
                    }
                }
            }
        }
    }

    #[test]
    fn an_address_is_folded_whole_and_its_domain_is_ascii() {
        for (typed, kept) in [
            ("You@Example.COM", "you@example.com"),
            (" ann@example.com\t", "ann@example.com"),
            ("ann＠example．com", "ann@example.com"),
            ("user@도메인.한국", "user@xn--hq1bm8jm9l.xn--3e0b707e"),
            ("user@XN--HQ1BM8JM9L.xn--3e0b707e", "user@xn--hq1bm8jm9l.xn--3e0b707e"),
            ("user@İstanbul.com", "user@xn--istanbul-o0e.com"),
            ("\u{1112}\u{1161}\u{11AB}@a.kr", "한@a.kr"),
        ] {
            assert_eq!(typed.parse::<Email>().map(|it| it.to_string()), Ok(kept.to_owned()));
        }
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        let grows = format!("{}@example.com", "İ".repeat(22));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.d",
            "a@b..c",
            "a@b.c.",
            "a@-b.c",
            "a@b_c.d",
            "a..b@c.d",
            ".a@b.c",
            "a@b.c\r\nBcc: d@e.f",
            "a\0@b.c",
            "a@b@c.d",
            "<a@b.c>",
            "a\u{200B}b@c.d",
            "a\u{202E}@c.d",
            "a@b\u{202E}.c",
            "a@xn--zzzzzz99999999.com",
            long.as_str(),
            grows.as_str(),
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn a_user_name_may_have_blanks_inside_and_nothing_invisible() {
        for (typed, kept) in [
            ("Root", "root"),
            (" Ann  ", "ann"),
            ("Ann Lee", "ann lee"),
            ("\u{1112}\u{1161}\u{11AB}글", "한글"),
            ("ＢＯＢ", "bob"),
        ] {
            assert_eq!(typed.parse::<Username>().map(|it| it.to_string()), Ok(kept.to_owned()));
        }
        let grows = "İ".repeat(40);
        for text in ["", " ", "a  b", "a\tb", "a@b", "a\u{200B}b", "\u{FEFF}a", "a\u{9B}b", &grows]
        {
            assert!(text.parse::<Username>().is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn an_account_is_looked_for_as_it_was_typed_first() {
        let address: Email = "Ann@도메인.한국".parse().unwrap();
        let plain: Email = "Ann@example.com".parse().unwrap();
        let name: Username = "한".parse().unwrap();

        let [typed, kept, shown] = address.spellings().try_into().unwrap();
        assert_eq!(typed, "ann@도메인.한국");
        assert_eq!(kept, "ann@xn--hq1bm8jm9l.xn--3e0b707e");
        assert_eq!(shown, typed);
        assert_eq!(plain.spellings(), ["ann@example.com"]);
        assert_eq!(name.spellings(), ["한", "\u{1112}\u{1161}\u{11AB}"]);
    }
}
