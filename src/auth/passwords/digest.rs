//! The SHA-256 of a password, over which verifiers are made.
//!
//! One stored value thus serves contracts whose clients send the password and contracts whose
//! clients send its hash.

use aws_lc_rs::digest;

use crate::operation::{Password, precis};
use crate::secret::Secret;

/// The lower-case hex SHA-256 of a password.
#[derive(Clone, Debug)]
pub(super) struct Digest(Secret<String>);

impl Digest {
    /// The digests that a password may stand for, the likelier first.
    pub(super) fn candidates(password: &Password) -> Vec<Self> {
        let hashed = password.may_be_hashed.then(|| Self::read(password.text.expose())).flatten();
        let plain = spellings(password).into_iter().map(|text| Self::of(text.expose()));
        hashed.into_iter().chain(plain).collect()
    }

    /// The digest of a new password.
    pub(super) fn of_new(password: &Password) -> Self {
        let text = password.text.expose();
        let hashed = password.may_be_hashed.then(|| Self::read(text)).flatten();
        hashed.unwrap_or_else(|| Self::of(precis::opaque(text).expose()))
    }

    /// Whether a password arrived as 64 hex digits where the contract allows that.
    pub(super) fn is_hashed(password: &Password) -> bool {
        password.may_be_hashed && Self::read(password.text.expose()).is_some()
    }

    fn read(text: &str) -> Option<Self> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(Secret::new(text.to_ascii_lowercase())))
    }

    pub(super) fn of(text: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        // With room for all of it from the start, no copy of a part is left behind.
        let mut hex = String::with_capacity(64);
        let digits = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        hex.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
        Self(Secret::new(hex))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// Spellings of a password to try: mapped (RFC 8265 §4.2), and as it was typed where that differs,
/// for clients that hash it and verifiers that are older than the mapping. Their number depends on
/// nothing that is stored.
pub(super) fn spellings(password: &Password) -> Vec<Secret<String>> {
    let typed = password.text.expose();
    let mapped = precis::opaque(typed);
    let as_typed = (mapped.expose() != typed).then(|| password.text.clone());
    [mapped].into_iter().chain(as_typed).collect()
}
