//! Mailed codes: those of an address are one hash. A code is stored together with its mail, by
//! [`super::mail`].

use crate::clock::Timestamp;
use crate::encoding::{decode_hex, hex};
use crate::store::NewCode;

/// The record of a code: guesses left, expiry, hash.
pub(super) fn code_text(code: &NewCode) -> String {
    format!("{}:{}:{}", code.guesses, code.expires_at.as_millis(), hex(&code.hash))
}

/// Reads guesses left, expiry and hash of a record.
pub(super) fn parse_code(text: &str) -> Option<(u32, Timestamp, [u8; 32])> {
    let (guesses, rest) = text.split_once(':')?;
    let (expires_at, hash) = rest.split_once(':')?;
    let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
    Some((guesses.parse().ok()?, expires_at, decode_hex(hash)?.try_into().ok()?))
}
