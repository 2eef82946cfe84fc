//! `keys = [{ kid = "…", algorithm = "…", … }]`: the keys an operator brings.

use crate::config::{Algorithm, SecretFormat};
use crate::document::read_small;
use crate::document::{Expected, Item, Spot, Table};
use crate::secret::Secret;

/// One of the operator's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyConfig {
    /// `kid`.
    pub kid: String,
    /// The algorithm that it signs with.
    pub algorithm: Algorithm,
    /// The material.
    pub material: KeyUse,
    /// Encoding of the secret; default [`SecretFormat::Text`].
    pub secret_format: Option<SecretFormat>,
    /// Place of the key in the file.
    pub spot: Spot,
}

/// Key material, which decides whether a key signs or only verifies.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyUse {
    /// `secret`: signs and verifies (HMAC).
    Secret(Secret<Vec<u8>>),
    /// `private`: signs and verifies; PEM text.
    Private(Secret<String>),
    /// `public`: verifies; PEM text.
    Public(String),
}

impl KeyConfig {
    pub(crate) fn read(item: &Item<'_>) -> Option<Self> {
        let table = item.table("a key")?;
        let kid = table.required("kid", "a token names its key by `kid`");
        let kid = kid.and_then(|item| item.parse(kid_name));
        let algorithm = table
            .required("algorithm", "a key has one algorithm, such as HS256, RS256 or ES256")
            .and_then(|item| item.parse(str::parse::<Algorithm>));
        let secret_format =
            table.optional("secret_format", |item| item.choice(&SecretFormat::CHOICES));
        let material = material(&table, algorithm, secret_format);
        table.end();
        let spot = table.spot();
        Some(Self { kid: kid?, algorithm: algorithm?, material: material?, secret_format, spot })
    }
}

fn kid_name(text: &str) -> Result<String, Expected> {
    let is_name =
        (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Expected::new("expected 1 to 128 printable ASCII characters without spaces"))
    }
}

fn material(
    table: &Table<'_>,
    algorithm: Option<Algorithm>,
    secret_format: Option<SecretFormat>,
) -> Option<KeyUse> {
    // Asked for even where it is absent: an unknown key beside it may be a secret misnamed.
    let secret = table.secret_item("secret");
    let private = table.secret_item("private");
    let public = table.item("public");
    let hint = "a key has exactly one of `secret`, `private` and `public`";
    let (item, kind) = match (secret, private, public) {
        (Some(item), None, None) => (item, Kind::Secret),
        (None, Some(item), None) => (item, Kind::Private),
        (None, None, Some(item)) => (item, Kind::Public),
        (None, None, None) => {
            table.absence("a key without material", hint);
            return None;
        }
        _ => {
            table.fault("a key with several materials", hint);
            return None;
        }
    };
    let algorithm = algorithm?;
    if algorithm.is_symmetric() != matches!(kind, Kind::Secret) {
        let wants = if algorithm.is_symmetric() { "`secret`" } else { "`private` or `public`" };
        item.fault(
            format!("a key of the wrong kind for {algorithm}"),
            format!("{algorithm} takes {wants}"),
        );
        return None;
    }
    if secret_format.is_some() && !matches!(kind, Kind::Secret) {
        table.fault("`secret_format` without `secret`", "a PEM file says itself how it is written");
    }
    match kind {
        Kind::Secret => {
            let secret = match secret_format.unwrap_or(SecretFormat::Text) {
                SecretFormat::Raw => item.secret_bytes()?,
                format => {
                    let text = item.secret()?;
                    format.decode(text.expose()).map_err(|expected| item.bad(expected)).ok()?
                }
            };
            let secret = Secret::new(secret);
            check_secret(&item, algorithm, secret.expose());
            Some(KeyUse::Secret(secret))
        }
        Kind::Private => pem(&item, "PRIVATE KEY-----").map(Secret::new).map(KeyUse::Private),
        Kind::Public => pem(&item, "PUBLIC KEY-----").map(KeyUse::Public),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Secret,
    Private,
    Public,
}

/// Takes PEM text as it is, else reads the file that is named.
fn pem(item: &Item<'_>, label: &str) -> Option<String> {
    let text = item.text()?;
    let text = if text.contains("-----BEGIN ") {
        text
    } else {
        match read_small(&item.path()?) {
            Ok(text) => text,
            Err(expected) => {
                item.bad(expected);
                return None;
            }
        }
    };
    let names = |label: &str| {
        text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(label))
    };
    if names(label) {
        return Some(text);
    }
    item.bad(if names("PRIVATE KEY-----") {
        "this file holds a private key; name it as `private`".to_owned()
    } else {
        format!("expected a PEM file with -----BEGIN … {label}")
    });
    None
}

/// RFC 7518 §3.2 for the length; RFC 8725 §3.5 for what can be guessed.
fn check_secret(item: &Item<'_>, algorithm: Algorithm, secret: &[u8]) {
    let shortest = algorithm.shortest_secret();
    if secret.len() < shortest {
        item.fault(
            "the secret of a key is too short",
            format!(
                "{algorithm} needs at least {shortest} random bytes: openssl rand -hex {shortest}"
            ),
        );
    } else if is_guessable(secret) {
        item.fault(
            "the secret of a key can be guessed",
            format!("make one of random bytes: openssl rand -hex {shortest}"),
        );
    }
}

/// Placeholders from documentation, and texts that repeat a few bytes.
fn is_guessable(bytes: &[u8]) -> bool {
    let repeats = |period: usize| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b);
    let mut distinct = bytes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let letters: String = bytes
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    let counts = bytes.iter().zip(bytes.iter().skip(1)).all(|(a, b)| a.abs_diff(*b) == 1);
    distinct.len() < 8
        || (1..=bytes.len() / 2).any(repeats)
        || counts
        || PLACEHOLDERS.iter().any(|placeholder| letters.contains(placeholder))
}

const PLACEHOLDERS: [&str; 13] = [
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "placeholder",
    "yoursecret",
    "supersecret",
    "secretkey",
    "mysecret",
    "256bit",
    "atleast32",
    "0123456789abcdef0123456789",
    "abcdefghijklmnopqrstuvwxyz",
];

#[cfg(test)]
mod tests {
    use super::is_guessable;

    #[test]
    fn placeholders_and_patterns_are_guessable() {
        for secret in [
            "changemechangemechangemechangeme",
            "please-CHANGE-ME-before-production-use",
            "secretsecretsecretsecretsecretsecret",
            "00000000000000000000000000000000",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "your-256-bit-secret-your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "0123456789abcdef0123456789abcdef",
            "correcthorse1correcthorse1correcthorse1",
            "abababababababababababababababab",
        ] {
            assert!(is_guessable(secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn random_text_is_not_guessable() {
        for secret in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A",
        ] {
            assert!(!is_guessable(secret.as_bytes()), "{secret}");
        }
    }
}
