//! Names of people and sessions: parsed and lower-cased once, trusted from then on.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

/// A user's number within this gateway's store; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// A session's name (`sid`): one login and all refreshes that follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

/// A token's own name (`jti`, RFC 7519 §4.1.7); foreign issuers choose its shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub String);

/// SHA-256 of a refresh token: all that the store knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshHash(pub [u8; 32]);

/// An email address, lower-cased.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

/// A user name, lower-cased; it holds no `@`, so that it is never taken for an [`Email`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

/// What an account is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// By number.
    Id(UserId),
    /// By email address.
    Email(Email),
    /// By user name.
    Username(Username),
}

/// Why a text is no email address or user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not of the form `local@domain`, or over 254 bytes (RFC 5321 §4.5.3.1).
    #[error("not an email address")]
    Email,
    /// Empty, over 64 characters, or with an `@`, white space or control character.
    #[error("not a user name")]
    Username,
}

impl Email {
    /// The address, lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    /// The domain of addresses that stand for social accounts without one; under `.local`, which
    /// no mail server of the Internet serves (RFC 6762 §3).
    pub const STAND_IN_DOMAIN: &str = "social.local";

    /// Whether it only stands for a social account without an address: nobody signs up with it,
    /// no provider vouches for it, and nothing is mailed to it.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.0.rsplit_once('@').is_some_and(|(_, domain)| domain == Self::STAND_IN_DOMAIN)
    }
}

impl Username {
    /// The name, lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (local, domain) = text.rsplit_once('@').ok_or(IdentityError::Email)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(is_local_char);
        let domain_ok = domain.split('.').count() >= 2 && domain.split('.').all(is_domain_label);
        if !local_ok || !domain_ok || text.len() > 254 {
            return Err(IdentityError::Email);
        }
        Ok(Self(text.to_lowercase()))
    }
}

impl FromStr for Username {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bad = |c: char| c == '@' || c.is_whitespace() || c.is_control();
        if text.is_empty() || text.chars().count() > 64 || text.chars().any(bad) {
            return Err(IdentityError::Username);
        }
        Ok(Self(text.to_lowercase()))
    }
}

impl FromStr for Identifier {
    type Err = IdentityError;

    /// Reads an email address where there is an `@`, a user name otherwise.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.contains('@') {
            text.parse().map(Self::Email)
        } else {
            text.parse().map(Self::Username)
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Email(email) => email.fmt(formatter),
            Self::Username(name) => name.fmt(formatter),
        }
    }
}

/// RFC 5322 `atext` and the dot, and everything beyond ASCII that prints (RFC 6531 §3.3).
fn is_local_char(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        _ if c.is_ascii() => ".!#$%&'*+/=?^_`{|}~-".contains(c),
        _ => !c.is_control() && !c.is_whitespace(),
    }
}

fn is_domain_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| {
            c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::Email;
    use super::Identifier;
    use super::Username;

    #[test]
    fn an_email_is_lower_cased_once() {
        assert_eq!("You@Example.COM".parse::<Email>().unwrap().as_str(), "you@example.com");
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.d",
            "a@b..c",
            "a@-b.c",
            "a..b@c.d",
            ".a@b.c",
            "a@b.c\r\nBcc: d@e.f",
            "a\0@b.c",
            "a@b@c.d",
            "<a@b.c>",
            long.as_str(),
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn an_identifier_with_an_at_sign_is_an_email() {
        assert!(matches!("a@b.co".parse(), Ok(Identifier::Email(_))));
        assert!(
            matches!("Root".parse(), Ok(Identifier::Username(name)) if name.as_str() == "root")
        );
        assert!("a@b@".parse::<Identifier>().is_err());
        assert!("a b".parse::<Username>().is_err());
    }
}
