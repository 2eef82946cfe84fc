//! Password hashes that were made elsewhere, kept as they are until the next plain login.
//!
//! They are over the password itself, ours are over its SHA-256. Since an imported Argon2 hash
//! looks like one of ours, a marker precedes each in the store. A hash that would cost absurdly
//! much to check is neither taken nor computed.

mod notation;
mod scheme;

use std::fmt;

use argon2::{Argon2, PasswordVerifier};
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

use crate::auth::passwords::digest::Digest;

use scheme::{BcryptOver, Scheme};

pub(crate) use scheme::HashFault;

/// A hash that was made elsewhere.
#[derive(Clone, PartialEq)]
pub(crate) struct ImportedHash(Scheme);

/// Precedes an imported hash in the store.
const MARKER: &str = "imported:";

impl ImportedHash {
    /// Reads a hash in one of the notations of its origins.
    pub(crate) fn read(text: &str) -> Result<Self, HashFault> {
        let scheme = notation::read(text)?;
        scheme.check()?;
        Ok(Self(scheme))
    }

    /// Reads what is stored; `None` where it is no imported hash.
    pub(crate) fn from_stored(stored: &str) -> Option<Result<Self, HashFault>> {
        stored.strip_prefix(MARKER).map(Self::read)
    }

    /// The text that is stored.
    pub(crate) fn stored(&self) -> String {
        format!("{MARKER}{self}")
    }

    /// Whether it was made from a password.
    pub(crate) fn accepts(&self, password: &str) -> bool {
        let bytes = password.as_bytes();
        match &self.0 {
            Scheme::Argon2(hash) => Argon2::default().verify_password(bytes, &**hash).is_ok(),
            Scheme::Bcrypt { text, over: BcryptOver::Password } => {
                bcrypt::verify(hashed_by_origin(bytes, text), text).unwrap_or(false)
            }
            Scheme::Bcrypt { text, over: BcryptOver::HexSha256 } => {
                bcrypt::verify(Digest::of(password).as_bytes(), text).unwrap_or(false)
            }
            Scheme::Scrypt { params, salt, output } => {
                let mut derived = vec![0; output.len()];
                let computed = scrypt::scrypt(bytes, salt, params, &mut derived);
                computed.is_ok() && bool::from(derived.ct_eq(output))
            }
            Scheme::Pbkdf2 { digest, rounds, salt, output } => {
                pbkdf2::verify(digest.algorithm(), *rounds, salt, bytes, output).is_ok()
            }
        }
    }
}

/// The part of a password that the hash's origin looked at: crypt's `$2y$` took C strings, which
/// end at a NUL; the others took or refused the whole. All looked at 72 bytes, as the bcrypt crate
/// does.
fn hashed_by_origin<'a>(password: &'a [u8], text: &str) -> &'a [u8] {
    if !text.starts_with("$2y$") {
        return password;
    }
    password.split(|byte| *byte == 0).next().unwrap_or(password)
}

impl fmt::Display for ImportedHash {
    /// Writes the notation that it is stored in, which is one of those that are read.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        match &self.0 {
            Scheme::Argon2(hash) => write!(formatter, "{hash}"),
            Scheme::Bcrypt { text, over: BcryptOver::Password } => formatter.write_str(text),
            Scheme::Bcrypt { text, over: BcryptOver::HexSha256 } => {
                write!(formatter, "bcrypt_sha256${text}")
            }
            Scheme::Scrypt { params, salt, output } => {
                let (log_n, r, p) = (params.log_n(), params.r(), params.p());
                let (salt, output) = (base64(salt), base64(output));
                write!(formatter, "$scrypt$ln={log_n},r={r},p={p}${salt}${output}")
            }
            Scheme::Pbkdf2 { digest, rounds, salt, output } => {
                let (name, length) = (digest.name(), output.len());
                let (salt, output) = (base64(salt), base64(output));
                write!(formatter, "$pbkdf2-{name}$i={rounds},l={length}${salt}${output}")
            }
        }
    }
}

impl fmt::Debug for ImportedHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ImportedHash(…)")
    }
}

#[cfg(test)]
mod tests;
