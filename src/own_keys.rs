//! Keys of the gateway's own, derived from one secret that the store keeps.
//!
//! They hash or encrypt data that a dump of the store must not reveal: mailed codes, queued mails,
//! the names of social accounts without an address. The secret never changes, since such names must
//! stay the same.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The name under which the store keeps the secret among the signing keys; no site's `iss`.
pub const ISSUER: &str = "urn:munjigi:vault";

/// The derived keys.
pub struct OwnKeys {
    naming: hmac::Key,
    sealing: RandomizedNonceKey,
}

/// Reasons for which the keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnKeysError {
    /// The cryptography refused a key or gave no random bytes.
    #[error("the gateway's own keys cannot be used")]
    Unusable,
}

impl OwnKeys {
    /// Derives the keys from the store's secret (HKDF-SHA256, RFC 5869).
    ///
    /// # Errors
    /// When the cryptography refuses a key.
    pub fn new(root: &Secret<Vec<u8>>) -> Result<Self, OwnKeysError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"munjigi vault").extract(root.expose());
        let naming = derive(&root, b"names")?;
        let sealing = derive(&root, b"seals")?;
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &*sealing);
        Ok(Self {
            naming: hmac::Key::new(hmac::HMAC_SHA256, &*naming),
            sealing: sealing.or(Err(OwnKeysError::Unusable))?,
        })
    }

    /// A keyed hash (HMAC-SHA256) of `parts`, for one `purpose`; no two lists of parts read alike.
    #[must_use]
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.naming);
        for part in [purpose.as_bytes()].iter().chain(parts) {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        hash
    }

    /// Encrypts for one `purpose` (AES-256-GCM; the nonce precedes the ciphertext).
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, OwnKeysError> {
        let mut text = plain.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let nonce = self.sealing.seal_in_place_append_tag(aad, &mut text);
        let nonce = nonce.or(Err(OwnKeysError::Unusable))?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Decrypts a text that [`OwnKeys::seal`] encrypted for the same purpose; `None` for any other.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(purpose.as_bytes());
        let length = self.sealing.open_in_place(nonce, aad, &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    /// Encrypts content as text for an address, a cookie or a body (JSON, sealed, Base64 of RFC 4648
    /// §5).
    ///
    /// # Errors
    /// When there are no random bytes, or the content has no JSON form.
    pub fn seal_text(
        &self,
        purpose: &str,
        content: &impl Serialize,
    ) -> Result<Secret<String>, OwnKeysError> {
        let plain = serde_json::to_vec(content).or(Err(OwnKeysError::Unusable))?;
        let sealed = self.seal(purpose, &Zeroizing::new(plain))?;
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Reads the content of a text that [`OwnKeys::seal_text`] made for the same purpose; `None` for
    /// any other.
    #[must_use]
    pub fn open_text<T: DeserializeOwned>(&self, purpose: &str, text: &str) -> Option<T> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&self.open(purpose, &sealed)?).ok()
    }
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OwnKeys(…)")
    }
}

fn derive(root: &hkdf::Prk, purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, OwnKeysError> {
    let mut key = Zeroizing::new([0; 32]);
    let purpose = [purpose];
    let okm = root.expand(&purpose, hkdf::HKDF_SHA256).or(Err(OwnKeysError::Unusable))?;
    okm.fill(&mut *key).or(Err(OwnKeysError::Unusable))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::OwnKeys;
    use crate::secret::Secret;

    fn own_keys(root: &[u8]) -> OwnKeys {
        OwnKeys::new(&Secret::new(root.to_vec())).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_under_its_secret_alone() {
        let sealed = own_keys(b"a").seal("mail", b"the code is 123456").unwrap();

        assert_eq!(own_keys(b"a").open("mail", &sealed).unwrap().as_slice(), b"the code is 123456");
        assert!(own_keys(b"a").open("code", &sealed).is_none());
        assert!(own_keys(b"b").open("mail", &sealed).is_none());
        for index in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[index] ^= 1;
            assert!(own_keys(b"a").open("mail", &forged).is_none(), "byte {index}");
        }
        for length in 0..sealed.len() {
            assert!(own_keys(b"a").open("mail", &sealed[..length]).is_none(), "cut to {length}");
        }
    }

    #[test]
    fn content_reads_from_its_text_for_its_purpose_alone() {
        let text = own_keys(b"a").seal_text("ticket", &("a", 1)).unwrap();
        let open = |purpose, text: &str| own_keys(b"a").open_text::<(String, u8)>(purpose, text);

        assert_eq!(open("ticket", text.expose()), Some(("a".to_owned(), 1)));
        assert_eq!(open("flow", text.expose()), None);
        for other in ["", "x", "AAAA", &text.expose()[1..]] {
            assert_eq!(open("ticket", other), None, "{other}");
        }
        assert_eq!(own_keys(b"a").open_text::<u8>("ticket", text.expose()), None);
    }

    #[test]
    fn sealing_twice_shows_nothing_of_what_is_alike() {
        let own_keys = own_keys(b"a");

        let (one, two) =
            (own_keys.seal("mail", b"same").unwrap(), own_keys.seal("mail", b"same").unwrap());

        assert_ne!(one, two);
    }

    #[test]
    fn a_hash_depends_on_secret_purpose_and_where_the_parts_end() {
        let hash = own_keys(b"a").hash("code", &[b"ab", b"c"]);

        assert_eq!(hash, own_keys(b"a").hash("code", &[b"ab", b"c"]));
        for other in [
            own_keys(b"b").hash("code", &[b"ab", b"c"]),
            own_keys(b"a").hash("name", &[b"ab", b"c"]),
            own_keys(b"a").hash("code", &[b"a", b"bc"]),
            own_keys(b"a").hash("code", &[b"abc"]),
        ] {
            assert_ne!(hash, other);
        }
    }
}
