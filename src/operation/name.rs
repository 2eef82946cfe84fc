//! Email addresses and user names: folded first and parsed after, so that whatever is accepted reads
//! back the same.
//!
//! A store may hold names that were accepted under older rules. They are read as they are, and are
//! found by whoever types them as before; [`Email::spellings`] says under which an account may lie.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

use crate::operation::precis;

/// An email address: lower case, NFC, its domain as A-labels (UTS 46).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(Name);

/// A user name by RFC 8265 (`UsernameCaseMapped`); it holds no `@`, so that it is never taken for an
/// [`Email`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(Name);

/// Why a text is no email address or user name.
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
struct Name {
    text: String,
    /// Lower-cased: so names were kept before they were folded.
    typed: Option<String>,
}

impl Email {
    /// The domain of addresses that stand for social accounts without one; under `.local`, which
    /// no mail server of the Internet serves (RFC 6762 §3).
    pub const STAND_IN_DOMAIN: &str = "social.local";

    /// The address as it is kept and compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Reads what somebody logs in with, who may have an address that no account gets any more.
    ///
    /// # Errors
    /// [`IdentityError::Email`] for what neither is one nor ever was taken for one.
    pub fn of_login(text: &str) -> Result<Self, IdentityError> {
        text.parse().or_else(|error| former(text).map(Self::stored).ok_or(error))
    }

    /// An address as a store holds it, whatever rule it was accepted under.
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(Name::from(text.into()))
    }

    /// The spellings under which an account may have the address, the likeliest first.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings = self.0.spellings();
        if let Some((local, domain)) = self.as_str().rsplit_once('@')
            && domain.split('.').any(|label| label.starts_with("xn--"))
        {
            let (domain, _) =
                Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow);
            spellings.push(format!("{local}@{domain}"));
        }
        spellings
    }

    /// Whether it only stands for a social account without an address: nobody signs up with it,
    /// no provider vouches for it, and nothing is mailed to it.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.as_str().rsplit_once('@').is_some_and(|(_, domain)| domain == Self::STAND_IN_DOMAIN)
    }
}

impl Username {
    /// The name as it is kept and compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Reads what somebody logs in with, who may have a name that no account gets any more.
    ///
    /// # Errors
    /// [`IdentityError::Username`] for what neither is one nor ever was taken for one.
    pub fn of_login(text: &str) -> Result<Self, IdentityError> {
        text.parse().or_else(|error| former(text).map(Self::stored).ok_or(error))
    }

    /// A name as a store holds it, whatever rule it was accepted under.
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(Name::from(text.into()))
    }

    /// The spellings under which an account may have the name, the likeliest first.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        self.0.spellings()
    }
}

impl FromStr for Email {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Name::parse(text, canonical_email).map(Self).ok_or(IdentityError::Email)
    }
}

impl FromStr for Username {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Name::parse(text, canonical_username).map(Self).ok_or(IdentityError::Username)
    }
}

impl Name {
    /// Reads what was typed; what does not survive its own round trip is no name.
    fn parse(text: &str, canonical: fn(&str) -> Option<String>) -> Option<Self> {
        let text = trim_blanks(text);
        if text.len() > LONGEST_TYPED {
            return None;
        }
        let name = canonical(text)?;
        if !name.is_ascii() && canonical(&name).as_ref() != Some(&name) {
            return None;
        }
        let typed = Some(text.to_lowercase()).filter(|typed| *typed != name);
        Some(Self { text: name, typed })
    }

    /// As it was typed, as it is kept, and decomposed.
    fn spellings(&self) -> Vec<String> {
        let mut spellings: Vec<String> = self.typed.iter().cloned().collect();
        spellings.push(self.text.clone());
        if !self.text.is_ascii() {
            let decomposed = precis::decompose(&self.text);
            if !spellings.iter().any(|spelling| *spelling == decomposed) {
                spellings.push(decomposed.into_owned());
            }
        }
        spellings
    }
}

/// A name as a store may hold it that no account gets any more: beyond ASCII, rules were laxer.
fn former(text: &str) -> Option<String> {
    let text = trim_blanks(text);
    let fits = !text.is_ascii() && text.len() <= 254 && !text.contains(char::is_control);
    fits.then(|| text.to_lowercase())
}

/// Takes off the blanks that a keyboard or the clipboard left around; a line end is none.
pub(crate) fn trim_blanks(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\t' || c.is_whitespace() && !c.is_control())
}

/// Nothing longer is looked at: a letter takes at most four bytes, and three more to be composed of.
const LONGEST_TYPED: usize = 1024;

/// `local@domain`, each after its own rule.
fn canonical_email(text: &str) -> Option<String> {
    let text = precis::fold(text);
    let (local, domain) = text.rsplit_once('@')?;
    let is_dotted = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    let is_local = local.chars().all(is_local_char) && precis::is_identifier(local);
    if local.len() > 64 || is_dotted || !is_local {
        return None;
    }
    let domain = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    let email = format!("{local}@{domain}");
    (domain.contains('.') && email.len() <= 254).then_some(email)
}

/// Parts that are each of the `IdentifierClass`, with one blank between them (RFC 8265 §3.1).
fn canonical_username(text: &str) -> Option<String> {
    let name = precis::fold(text);
    let fits = name.chars().count() <= 64
        && !name.contains('@')
        && name.split(' ').all(precis::is_identifier);
    fits.then_some(name)
}

/// RFC 5322 `atext` and the dot; what lies beyond ASCII (RFC 6531 §3.3) is judged with the whole.
fn is_local_char(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c)
}

// What was typed leads to an account, and makes no other one.
impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self { text, typed: None }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.text
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

impl fmt::Display for Username {
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
