//! Identifiers of users, sessions and tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operation::{Email, IdentityError, Username};

/// A user's number within this gateway's store; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// A session's id (`sid`): one login and all refreshes that follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

/// A token's id (`jti`, RFC 7519 §4.1.7); foreign issuers choose its form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub String);

/// SHA-256 of a refresh token: the store holds nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshHash(pub [u8; 32]);

/// The key of an account's look-up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// By number.
    Id(UserId),
    /// By email address.
    Email(Email),
    /// By user name.
    Username(Username),
}

impl FromStr for Identifier {
    type Err = IdentityError;

    /// Reads an email address where there is an `@`, a user name otherwise.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.contains(['@', '＠']) {
            Email::of_login(text).map(Self::Email)
        } else {
            Username::of_login(text).map(Self::Username)
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

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Email(email) => email.fmt(formatter),
            Self::Username(name) => name.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Identifier;

    #[test]
    fn an_identifier_with_an_at_sign_is_an_email() {
        assert!(matches!("a@b.co".parse(), Ok(Identifier::Email(_))));
        assert!(matches!("a＠b.co".parse(), Ok(Identifier::Email(_))));
        assert!(
            matches!("Root".parse(), Ok(Identifier::Username(name)) if name.as_str() == "root")
        );
        assert!("a@b@".parse::<Identifier>().is_err());
    }

    #[test]
    fn a_name_of_older_rules_is_looked_for_and_nonsense_is_not() {
        let older = "A\u{200B}b".parse::<Identifier>().unwrap();
        assert_eq!(older.to_string(), "a\u{200B}b");
        let older = format!("{}@a.b", "İ".repeat(22)).parse::<Identifier>().unwrap();
        assert_eq!(older.to_string(), format!("{}@a.b", "i\u{307}".repeat(22)));
        for text in ["", "a  b", "<a@b.c>", "한\u{1B}", &"한".repeat(100)] {
            assert!(text.parse::<Identifier>().is_err(), "{text:?} passed");
        }
    }
}
