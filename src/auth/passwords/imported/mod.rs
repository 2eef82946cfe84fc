//! Password hashes that were made elsewhere, kept as they are until the next plain login.
//!
//! They are over the password itself, ours are over its SHA-256: what is stored of them begins
//! with a marker, because an imported Argon2 hash looks like one of ours. A hash that would cost
//! absurdly much to check is neither taken nor computed.

mod notation;

use std::fmt;
use std::num::NonZero;

use argon2::password_hash::phc::Output;
use argon2::{Argon2, Params, PasswordHash, PasswordVerifier};
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

use crate::auth::passwords::verifier;
use crate::auth::passwords::verifier::{Digest, SHORTEST_OUTPUT};

/// A hash that was made elsewhere.
#[derive(Clone, PartialEq)]
pub(crate) struct ImportedHash(Form);

/// What it takes to check a password against a hash.
#[derive(Clone, PartialEq)]
enum Form {
    Argon2(Box<PasswordHash>),
    Bcrypt { text: String, over: BcryptOver },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, output: Vec<u8> },
    Pbkdf2 { digest: Pbkdf2Digest, rounds: NonZero<u32>, salt: Vec<u8>, output: Vec<u8> },
}

/// What a bcrypt hash is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BcryptOver {
    Password,
    /// The lower-case hex SHA-256 of the password (Django's `bcrypt_sha256`).
    HexSha256,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pbkdf2Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// Why a hash is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashFault {
    /// Nothing that is known begins like this.
    #[error(
        "unknown kind of hash; known are Argon2, bcrypt ($2a $2b $2y), scrypt and PBKDF2, also as \
         Django and Spring write them"
    )]
    Unknown,
    /// Plain text, or a hash that is guessed as fast.
    #[error(
        "plain text and fast hashes (MD5, SHA, {{noop}}) are not taken; leave it empty and let the \
         password be reset"
    )]
    Weak,
    /// It begins as a known kind, and does not go on as one.
    #[error("it does not read as {0}")]
    Malformed(&'static str),
    /// It would cost too much to check.
    #[error("it costs too much to check: {0}")]
    Cost(&'static str),
    /// A guess would be too likely to match.
    #[error("its hash is too short, or it has no salt")]
    Short,
}

/// What everything stored begins with that was imported.
const MARKER: &str = "imported:";

const MOST_BCRYPT_COST: u8 = 16;
const MOST_PBKDF2_ROUNDS: u32 = 10_000_000;
const MOST_SCRYPT_BYTES: u64 = 1 << 30;
const MOST_SCRYPT_LANES: u32 = 16;

/// Longer output costs more rounds and makes nothing safer.
const LONGEST_OUTPUT: usize = 64;

impl ImportedHash {
    /// Reads a hash in one of the notations of its origins.
    pub(crate) fn read(text: &str) -> Result<Self, HashFault> {
        let form = notation::read(text)?;
        form.check()?;
        Ok(Self(form))
    }

    /// Reads what is stored; `None` where it is no imported hash.
    pub(crate) fn from_stored(stored: &str) -> Option<Result<Self, HashFault>> {
        stored.strip_prefix(MARKER).map(Self::read)
    }

    /// What is stored of it.
    pub(crate) fn stored(&self) -> String {
        format!("{MARKER}{self}")
    }

    /// Whether it was made from a password.
    pub(crate) fn accepts(&self, password: &str) -> bool {
        let bytes = password.as_bytes();
        match &self.0 {
            Form::Argon2(hash) => Argon2::default().verify_password(bytes, &**hash).is_ok(),
            Form::Bcrypt { text, over: BcryptOver::Password } => {
                bcrypt::verify(as_bcrypt_origin_had(bytes, text), text).unwrap_or(false)
            }
            Form::Bcrypt { text, over: BcryptOver::HexSha256 } => {
                bcrypt::verify(Digest::of(password).as_bytes(), text).unwrap_or(false)
            }
            Form::Scrypt { params, salt, output } => {
                let mut derived = vec![0; output.len()];
                let computed = scrypt::scrypt(bytes, salt, params, &mut derived);
                computed.is_ok() && bool::from(derived.ct_eq(output))
            }
            Form::Pbkdf2 { digest, rounds, salt, output } => {
                pbkdf2::verify(digest.algorithm(), *rounds, salt, bytes, output).is_ok()
            }
        }
    }
}

/// Crypt's `$2y$` took C strings, which end at a NUL; the others took or refused the whole. All of
/// them looked at 72 bytes, as the bcrypt crate does.
fn as_bcrypt_origin_had<'a>(password: &'a [u8], text: &str) -> &'a [u8] {
    if !text.starts_with("$2y$") {
        return password;
    }
    password.split(|byte| *byte == 0).next().unwrap_or(password)
}

impl Form {
    /// Refuses what nobody would compute at every login.
    fn check(&self) -> Result<(), HashFault> {
        match self {
            Self::Argon2(hash) => {
                let params =
                    Params::try_from(&**hash).or(Err(HashFault::Malformed("a hash of Argon2")))?;
                if !params.keyid().is_empty() || !params.data().is_empty() {
                    return Err(HashFault::Malformed("a hash of Argon2 without keyid and data"));
                }
                verifier::check_cost(&params).map_err(HashFault::Cost)?;
                let has_salt = hash.salt.is_some();
                check_lengths(usize::from(has_salt), hash.hash.as_ref().map_or(0, Output::len))
            }
            Self::Bcrypt { text, .. } => {
                let cost = text.get(4..6).and_then(|cost| cost.parse::<u8>().ok());
                match cost {
                    Some(4..=MOST_BCRYPT_COST) => Ok(()),
                    _ => Err(HashFault::Cost("bcrypt's cost is from 4 to 16")),
                }
            }
            Self::Scrypt { params, salt, output } => {
                let bytes = params.n().saturating_mul(u64::from(params.r())).saturating_mul(128);
                if bytes > MOST_SCRYPT_BYTES || params.p() > MOST_SCRYPT_LANES {
                    return Err(HashFault::Cost("scrypt takes up to 1 GiB, and p up to 16"));
                }
                check_lengths(salt.len(), output.len())
            }
            Self::Pbkdf2 { rounds, salt, output, .. } => {
                if rounds.get() > MOST_PBKDF2_ROUNDS {
                    return Err(HashFault::Cost("PBKDF2 takes up to 10,000,000 rounds"));
                }
                check_lengths(salt.len(), output.len())
            }
        }
    }
}

const fn check_lengths(salt: usize, output: usize) -> Result<(), HashFault> {
    if salt == 0 || output < SHORTEST_OUTPUT {
        return Err(HashFault::Short);
    }
    if output > LONGEST_OUTPUT {
        return Err(HashFault::Cost("a hash has up to 64 bytes"));
    }
    Ok(())
}

impl Pbkdf2Digest {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl fmt::Display for ImportedHash {
    /// Writes the notation that it is stored in, which is one of those that are read.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        match &self.0 {
            Form::Argon2(hash) => write!(formatter, "{hash}"),
            Form::Bcrypt { text, over: BcryptOver::Password } => formatter.write_str(text),
            Form::Bcrypt { text, over: BcryptOver::HexSha256 } => {
                write!(formatter, "bcrypt_sha256${text}")
            }
            Form::Scrypt { params, salt, output } => {
                let (log_n, r, p) = (params.log_n(), params.r(), params.p());
                let (salt, output) = (base64(salt), base64(output));
                write!(formatter, "$scrypt$ln={log_n},r={r},p={p}${salt}${output}")
            }
            Form::Pbkdf2 { digest, rounds, salt, output } => {
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
