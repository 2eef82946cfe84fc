//! The kinds of hashes that are imported, and the limits on each.

use std::num::NonZero;

use argon2::password_hash::phc::Output;
use argon2::{Params, PasswordHash};
use aws_lc_rs::pbkdf2;

use crate::auth::passwords::cost::{SHORTEST_OUTPUT, check_cost};

/// The parts of a hash that a password is checked against.
#[derive(Clone, PartialEq)]
pub(super) enum Scheme {
    Argon2(Box<PasswordHash>),
    Bcrypt { text: String, over: BcryptOver },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, output: Vec<u8> },
    Pbkdf2 { digest: Pbkdf2Digest, rounds: NonZero<u32>, salt: Vec<u8>, output: Vec<u8> },
}

/// The input of a bcrypt hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BcryptOver {
    Password,
    /// The lower-case hex SHA-256 of the password (Django's `bcrypt_sha256`).
    HexSha256,
}

/// The HMAC's hash of PBKDF2 (RFC 8018 §5.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pbkdf2Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// Reasons for which a hash is not taken.
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

const MOST_BCRYPT_COST: u8 = 16;
const MOST_PBKDF2_ROUNDS: u32 = 10_000_000;
const MOST_SCRYPT_BYTES: u64 = 1 << 30;
const MOST_SCRYPT_LANES: u32 = 16;

/// Longer output costs more rounds and makes nothing safer.
const LONGEST_OUTPUT: usize = 64;

impl Scheme {
    /// Refuses a hash that would cost too much to check at every login, or is too short.
    pub(super) fn check(&self) -> Result<(), HashFault> {
        match self {
            Self::Argon2(hash) => {
                let params =
                    Params::try_from(&**hash).or(Err(HashFault::Malformed("a hash of Argon2")))?;
                if !params.keyid().is_empty() || !params.data().is_empty() {
                    return Err(HashFault::Malformed("a hash of Argon2 without keyid and data"));
                }
                check_cost(&params).map_err(HashFault::Cost)?;
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
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    pub(super) const fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}
