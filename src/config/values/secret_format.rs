//! `secret_format`: how the secret of an HMAC key is written.
//!
//! Systems that share one secret differ in this: jjwt and Spring decode base64, others take the
//! text itself, and some write hex or the bare bytes.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use zeroize::Zeroizing;

use crate::document::Expected;
use crate::encoding::decode_hex;

/// The encoding of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFormat {
    /// The bytes of the text itself.
    Text,
    /// RFC 4648 §4, with padding or without.
    Base64,
    /// RFC 4648 §5, with padding or without.
    Base64url,
    /// RFC 4648 §8, in either case.
    Hex,
    /// The bytes of a file, all of them.
    Raw,
}

impl SecretFormat {
    /// Every format by its name in the configuration.
    pub(crate) const CHOICES: [(&str, Self); 5] = [
        ("text", Self::Text),
        ("base64", Self::Base64),
        ("base64url", Self::Base64url),
        ("hex", Self::Hex),
        ("raw", Self::Raw),
    ];

    /// The bytes that a text stands for; white space counts in [`SecretFormat::Text`] alone.
    pub(crate) fn decode(self, text: &str) -> Result<Vec<u8>, Expected> {
        let digits = || Zeroizing::new(text.split_ascii_whitespace().collect::<String>());
        let (decoded, expected) = match self {
            Self::Text | Self::Raw => return Ok(text.as_bytes().to_vec()),
            Self::Base64 => (BASE64.decode(digits().as_bytes()).ok(), "expected base64"),
            Self::Base64url => (BASE64URL.decode(digits().as_bytes()).ok(), "expected base64url"),
            Self::Hex => (decode_hex(&digits()), "expected pairs of hex digits"),
        };
        decoded.ok_or_else(|| Expected::new(expected))
    }
}

/// Whether a secret that is taken as text is more likely the base64 of another system's key: it
/// decodes, and has a character that a made-up or hex secret lacks.
#[must_use]
pub fn looks_like_base64(secret: &[u8]) -> bool {
    secret.iter().any(|byte| b"+/=".contains(byte)) && BASE64.decode(secret).is_ok()
}

const EITHER: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER);

#[cfg(test)]
mod tests {
    use super::{SecretFormat, looks_like_base64};

    #[test]
    fn each_format_reads_what_other_systems_write() {
        let rows: [(SecretFormat, &str, Option<&[u8]>); 13] = [
            (SecretFormat::Text, " a+/= ", Some(b" a+/= ")),
            (SecretFormat::Base64, "-_8", None),
            (SecretFormat::Base64, "+/8=", Some(b"\xfb\xff")),
            (SecretFormat::Base64, "+/8", Some(b"\xfb\xff")),
            (SecretFormat::Base64, "+/\n8=\n", Some(b"\xfb\xff")),
            (SecretFormat::Base64, "+/9=", None),
            (SecretFormat::Base64url, "-_8=", Some(b"\xfb\xff")),
            (SecretFormat::Base64url, "-_8", Some(b"\xfb\xff")),
            (SecretFormat::Base64url, "+/8", None),
            (SecretFormat::Hex, "0aFf", Some(b"\x0a\xff")),
            (SecretFormat::Hex, "0aF", None),
            (SecretFormat::Hex, "+aFf", None),
            (SecretFormat::Hex, "zz", None),
        ];
        for (format, text, expected) in rows {
            let decoded = format.decode(text).ok();
            assert_eq!(decoded.as_deref(), expected, "{format:?} {text}");
        }
    }

    #[test]
    fn base64_is_told_from_text_and_hex() {
        for secret in ["q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", "a/b+"] {
            assert!(looks_like_base64(secret.as_bytes()), "{secret}");
        }
        for secret in [
            "q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "a long / sentence = secret",
        ] {
            assert!(!looks_like_base64(secret.as_bytes()), "{secret}");
        }
    }
}
