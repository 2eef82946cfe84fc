//! Keys of a site: made here and kept in the store, or brought by the operator.
//!
//! A key has one algorithm for good. Verification picks the key first, by `kid`, and then holds
//! the token to that key's algorithm; `alg` chooses only among the keys that a token without a
//! `kid` may be of, each of which verifies by its own algorithm alone (RFC 8725 §3.1).

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::config::{Algorithm, KeyConfig, KeyUse};
use crate::operation::Rejection;
use crate::secret::Secret;
use crate::token::TokenError;
use crate::token::material::{Material, MaterialError};

/// The keys of one site, chosen by `kid`; each has one algorithm for good.
#[derive(Debug)]
pub struct KeyRing {
    /// In the order in which they are asked to sign.
    pub(super) keys: Vec<Arc<Key>>,
    pub(super) origin: Origin,
    /// Names of those that are revoked.
    revoked: Vec<String>,
}

/// Whose keys they are: what a token may leave out depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Made by the gateway: every token under them is its own.
    Stored,
    /// Brought by the operator: others sign with them as well.
    Configured,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) material: Material,
}

/// A site's signing key as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// `kid`.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// HMAC: the secret's bytes; else PKCS #8 (DER).
    pub material: Secret<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The material does not read as a key of its algorithm.
    #[error("key `{kid}` is no {algorithm} key: {problem}")]
    Unreadable {
        /// `kid`.
        kid: String,
        /// The algorithm.
        algorithm: Algorithm,
        /// What is wrong.
        problem: String,
    },
    /// Two keys have one `kid`.
    #[error("two keys are named `{0}`")]
    Duplicate(String),
    /// No key can sign with the site's algorithm.
    #[error("no key can sign {0}")]
    NoSigner(Algorithm),
    /// Signing, or the self-test, failed.
    #[error("signing failed: {0}")]
    Signing(String),
    /// It would be refused wherever it is shown.
    #[error(
        "an access token with these roles and permissions is {size} bytes long, and \
         [limits] token_bytes is {limit}"
    )]
    TooLong {
        /// Its length in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

impl From<KeyError> for Rejection {
    fn from(error: KeyError) -> Self {
        Self::internal(error.to_string())
    }
}

impl StoredKey {
    /// Makes a new key with a random `kid`.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate(algorithm: Algorithm, now: Timestamp) -> Result<Self, KeyError> {
        let material = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => random::<64>()?.to_vec(),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => generate_rsa()?,
            Algorithm::Es256 => generate_ec(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            Algorithm::Es384 => generate_ec(&ECDSA_P384_SHA384_FIXED_SIGNING)?,
            Algorithm::EdDsa => generate_ed25519()?,
        };
        let mut kid = URL_SAFE_NO_PAD.encode(random::<12>()?);
        // An operator types it: it must not look like an option.
        while kid.starts_with('-') {
            kid = URL_SAFE_NO_PAD.encode(random::<12>()?);
        }
        Ok(Self { kid, algorithm, material: Secret::new(material), created_at: now })
    }
}

impl KeyRing {
    /// Takes the keys that the store holds; the newest of an algorithm signs.
    ///
    /// # Errors
    /// When a key does not read.
    pub fn from_stored(keys: &[StoredKey]) -> Result<Self, KeyError> {
        let mut newest_first: Vec<&StoredKey> = keys.iter().collect();
        newest_first.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        let read = newest_first.into_iter().map(|key| {
            let material = if key.algorithm.is_symmetric() {
                Material::from_secret(key.algorithm, key.material.expose())
            } else {
                Material::from_pkcs8(key.algorithm, key.material.expose())
            };
            Key::new(&key.kid, key.algorithm, material)
        });
        Self::collect(read, Origin::Stored)
    }

    /// Takes the keys that the operator brought; the first able to signs.
    ///
    /// # Errors
    /// When a key does not read, is too short, or shares its `kid`.
    pub fn from_configured(keys: &[KeyConfig]) -> Result<Self, KeyError> {
        let read = keys.iter().map(|key| {
            let material = match &key.material {
                KeyUse::Secret(secret) => Material::from_secret(key.algorithm, secret.expose()),
                KeyUse::Private(pem) => Material::from_private_pem(key.algorithm, pem.expose()),
                KeyUse::Public(pem) => Material::from_public_pem(key.algorithm, pem),
            };
            Key::new(&key.kid, key.algorithm, material)
        });
        Self::collect(read, Origin::Configured)
    }

    /// The names of the keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// Marks keys as revoked: they are not published, and sign only where no other can.
    ///
    /// What they signed is refused by the list of revocations, where it is looked up.
    #[must_use]
    pub fn with_revoked(self, kids: Vec<String>) -> Self {
        Self { revoked: kids, ..self }
    }

    /// The name of the key that signs with `algorithm` and is not revoked.
    #[must_use]
    pub fn living_signer(&self, algorithm: Algorithm) -> Option<&str> {
        let signer = self.signer(algorithm)?;
        (!self.is_revoked(signer)).then_some(signer.kid.as_str())
    }

    /// Whether a key was revoked when the ring was made.
    pub(super) fn is_revoked(&self, key: &Key) -> bool {
        self.revoked.contains(&key.kid)
    }

    /// The key that signs with `algorithm`; a revoked one only where no other can.
    pub(super) fn signer(&self, algorithm: Algorithm) -> Option<&Arc<Key>> {
        let able = || {
            let fits = |key: &&Arc<Key>| key.algorithm == algorithm;
            self.keys.iter().filter(fits).filter(|key| key.material.signing.is_some())
        };
        able().find(|key| !self.is_revoked(key)).or_else(|| able().next())
    }

    /// The key that a token names; without a `kid`, the first [`MOST_TRIED`] of its algorithm.
    ///
    /// # Errors
    /// When there is none, or the token's algorithm is not that of the key it names.
    pub(super) fn candidates<'r, 't>(
        &'r self,
        kid: Option<&'t str>,
        algorithm: &'t str,
    ) -> Result<impl Iterator<Item = &'r Key> + use<'r, 't>, TokenError> {
        let is_candidate = move |key: &&'r Key| match kid {
            Some(kid) => key.kid == kid,
            None => key.algorithm.name() == algorithm && !self.is_revoked(key),
        };
        let keys = self.keys.iter().map(Arc::as_ref);
        let mut candidates = keys.filter(is_candidate).take(MOST_TRIED).peekable();
        match candidates.peek() {
            None => Err(TokenError::UnknownKey),
            Some(key) if key.algorithm.name() != algorithm => Err(TokenError::Algorithm),
            Some(_) => Ok(candidates),
        }
    }

    fn collect(
        keys: impl Iterator<Item = Result<Key, KeyError>>,
        origin: Origin,
    ) -> Result<Self, KeyError> {
        let mut ring = Self { keys: Vec::new(), origin, revoked: Vec::new() };
        for key in keys {
            let key = key?;
            if ring.keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeyError::Duplicate(key.kid));
            }
            ring.keys.push(Arc::new(key));
        }
        Ok(ring)
    }
}

impl Key {
    fn new(
        kid: &str,
        algorithm: Algorithm,
        material: Result<Material, MaterialError>,
    ) -> Result<Self, KeyError> {
        let kid = kid.to_owned();
        match material {
            Ok(material) => Ok(Self { kid, algorithm, material }),
            Err(error) => Err(KeyError::Unreadable { kid, algorithm, problem: error.to_string() }),
        }
    }
}

/// Keys that are tried for a token without a `kid`: anyone can send such a token.
pub(super) const MOST_TRIED: usize = 8;

/// Random bytes from the system's generator.
pub(super) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(KeyError::Random),
    }
}

fn generate_rsa() -> Result<Vec<u8>, KeyError> {
    let made = rsa::KeyPair::generate(rsa::KeySize::Rsa2048)
        .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair));
    made.map(|der| der.as_ref().to_vec()).ok().ok_or(KeyError::Random)
}

fn generate_ec(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Vec<u8>, KeyError> {
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
    made.map(|document| document.as_ref().to_vec()).ok().ok_or(KeyError::Random)
}

fn generate_ed25519() -> Result<Vec<u8>, KeyError> {
    let made = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
    made.map(|document| document.as_ref().to_vec()).ok().ok_or(KeyError::Random)
}
