//! Refresh tokens: their three forms, the hash that the store keeps, and the sealed successor.
//!
//! Within the grace the parent of the newest refresh token gets the newest again. The store has it
//! sealed under a key derived from the parent, which the store does not know either: a dump of the
//! store reveals no token.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid, Variant};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::operation::RefreshHash;
use crate::secret::Secret;
use crate::token::key::random;
use crate::token::{KeyError, TokenError, header};

/// The form of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFormat {
    /// 256 random bits in base64url.
    Opaque,
    /// A version 4 UUID.
    Uuid,
    /// A JWT with `token_use = "refresh"`.
    Jwt,
}

/// A refresh token just made.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The token, for the client.
    pub text: Secret<String>,
    /// Its hash, for the store.
    pub hash: RefreshHash,
    /// Its expiry.
    pub expires_at: Timestamp,
}

impl RefreshHash {
    /// Hashes a refresh token as presented.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl RefreshToken {
    /// Seals this token under a key derived from `parent`, so that only its holder can open it.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn seal(&self, parent: &Secret<String>) -> Result<Vec<u8>, KeyError> {
        let failed = || KeyError::Signing("a refresh token could not be sealed".to_owned());
        let key = sealing_key(parent).ok_or_else(failed)?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Zeroizing::new(self.text.expose().as_bytes().to_vec());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce_used, Aad::empty(), &mut *sealed)
            .ok()
            .ok_or_else(failed)?;
        Ok([nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens a sealed token; `None` when `parent` is not the token that it was sealed under, or the
    /// bytes were changed.
    #[must_use]
    pub fn unseal(sealed: &[u8], parent: &Secret<String>) -> Option<Secret<String>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = sealing_key(parent)?.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
        std::str::from_utf8(text).ok().map(Secret::from)
    }

    /// A token of random bits alone.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn opaque(expires_at: Timestamp) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(random::<32>()?);
        Ok(Self::new(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)), expires_at))
    }

    /// A version 4 UUID.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn uuid(expires_at: Timestamp) -> Result<Self, KeyError> {
        let id = Builder::from_random_bytes(random()?).into_uuid();
        Ok(Self::new(Secret::new(id.to_string()), expires_at))
    }

    /// A token whose text is made.
    pub(super) fn new(text: Secret<String>, expires_at: Timestamp) -> Self {
        let hash = RefreshHash::of(text.expose());
        Self { text, hash, expires_at }
    }
}

/// Checks that a text has the form of [`RefreshFormat::Opaque`].
///
/// # Errors
/// When it has not.
pub(super) fn check_opaque(text: &str) -> Result<(), TokenError> {
    match header::decode(text)?.len() {
        32 => Ok(()),
        _ => Err(TokenError::Malformed("it is not 256 bits")),
    }
}

/// Checks that a text has the form of [`RefreshFormat::Uuid`].
///
/// # Errors
/// When it has not.
pub(super) fn check_uuid(text: &str) -> Result<(), TokenError> {
    match Uuid::try_parse(text) {
        Ok(id)
            if text.len() == 36
                && id.get_version_num() == 4
                && id.get_variant() == Variant::RFC4122 =>
        {
            Ok(())
        }
        _ => Err(TokenError::Malformed("it is no version 4 UUID")),
    }
}

/// HKDF (RFC 5869) over the parent's text, which holds at least 122 random bits or a signature.
fn sealing_key(parent: &Secret<String>) -> Option<LessSafeKey> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"munjigi refresh token");
    let extracted = salt.extract(parent.expose().as_bytes());
    let expanded = extracted.expand(&[b"successor sealed with AES-256-GCM"], &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(expanded)))
}

#[cfg(test)]
mod tests {
    use super::{RefreshToken, check_opaque, check_uuid};
    use crate::clock::Timestamp;
    use crate::operation::RefreshHash;
    use crate::secret::Secret;

    fn token() -> RefreshToken {
        RefreshToken::opaque(Timestamp::from_seconds(9)).unwrap()
    }

    #[test]
    fn a_sealed_token_opens_with_its_parent_alone() {
        let parent = token().text;
        let successor = token();

        let sealed = successor.seal(&parent).unwrap();

        assert_eq!(RefreshToken::unseal(&sealed, &parent), Some(successor.text.clone()));
        assert_eq!(RefreshToken::unseal(&sealed, &successor.text), None);
        assert_eq!(RefreshToken::unseal(&sealed, &Secret::from("")), None);
        assert!(
            !sealed.windows(8).any(|part| successor.text.expose().as_bytes().starts_with(part))
        );
        assert_ne!(sealed, successor.seal(&parent).unwrap(), "a nonce was used twice");
    }

    #[test]
    fn sealed_bytes_that_were_changed_do_not_open() {
        let parent = token().text;
        let sealed = token().seal(&parent).unwrap();

        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(RefreshToken::unseal(&changed, &parent), None, "byte {at}");
            assert_eq!(RefreshToken::unseal(&sealed[..at], &parent), None, "cut at {at}");
        }
    }

    #[test]
    fn the_hash_is_sha_256_of_the_text() {
        let hash = RefreshHash::of("abc");

        assert_eq!(
            crate::encoding::hex(&hash.0),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_refresh_token_has_the_form_of_its_format_only() {
        let opaque = token().text;
        let uuid = RefreshToken::uuid(Timestamp::from_seconds(9)).unwrap().text;

        assert_eq!(check_opaque(opaque.expose()), Ok(()));
        assert_eq!(check_uuid(uuid.expose()), Ok(()));
        assert!(check_opaque(uuid.expose()).is_err());
        for text in ["", "a", "%00", &opaque.expose()[1..], &format!("{}A", opaque.expose())] {
            assert!(check_opaque(text).is_err(), "{text:?} passed as opaque");
        }
        let simple = uuid.expose().replace('-', "");
        let braced = format!("{{{}}}", uuid.expose());
        let v1 = "c232ab00-9414-11ec-b3c8-9f6bdeced846";
        for text in ["", &simple, &braced, v1, opaque.expose()] {
            assert!(check_uuid(text).is_err(), "{text:?} passed as a UUID");
        }
    }
}
