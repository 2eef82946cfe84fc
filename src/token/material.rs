//! Key material, which is refused if it does not fit its algorithm.
//!
//! PEM: PKCS #8, PKCS #1 (RSA), SEC 1 (EC) for private keys, SPKI and PKCS #1 for public ones.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::Algorithm;

/// A key in the forms that signing, verifying and publishing need.
#[derive(Debug)]
pub(super) struct Material {
    /// Absent from a public key.
    pub(super) signing: Option<EncodingKey>,
    pub(super) verifying: DecodingKey,
    /// The public half; absent from a secret.
    pub(super) public: Option<AlgorithmParameters>,
}

/// Reasons for which material is no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaterialError {
    /// A secret for an asymmetric algorithm, or a key pair for a symmetric one.
    #[error("{0}")]
    Kind(&'static str),
    /// Too short for the algorithm (RFC 7518 §3.2).
    #[error("the secret is shorter than {0} bytes")]
    Short(usize),
    /// All zeroes, or the like.
    #[error("the secret is one byte over and over")]
    Repeated,
    /// Too small to be safe, or too large to be verified.
    #[error("an RSA key has 2048 to 8192 bits, this one {0}")]
    RsaSize(usize),
    /// No block of the right label.
    #[error("there is no {0} key in it (PEM)")]
    Pem(&'static str),
    /// Of another type or curve, or damaged.
    #[error("its type does not fit, or it is damaged")]
    Damaged,
}

impl Material {
    /// Takes an HMAC secret.
    pub(super) fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, MaterialError> {
        if !algorithm.is_symmetric() {
            return Err(MaterialError::Kind("it needs a key pair, and this is a secret"));
        }
        if secret.len() < algorithm.shortest_secret() {
            return Err(MaterialError::Short(algorithm.shortest_secret()));
        }
        if secret.iter().all(|byte| Some(byte) == secret.first()) {
            return Err(MaterialError::Repeated);
        }
        let signing = EncodingKey::from_secret(secret).ok().ok_or(MaterialError::Damaged)?;
        let verifying = DecodingKey::from_secret(secret).ok().ok_or(MaterialError::Damaged)?;
        Ok(Self { signing: Some(signing), verifying, public: None })
    }

    /// Takes a private key as PEM.
    pub(super) fn from_private_pem(algorithm: Algorithm, pem: &str) -> Result<Self, MaterialError> {
        let read = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok();
        let key = read.ok_or(MaterialError::Pem("private"))?;
        match (family(algorithm), &key) {
            (AlgorithmFamily::Rsa, PrivateKeyDer::Pkcs1(der)) => {
                let signing = EncodingKey::from_rsa_der(der.secret_pkcs1_der());
                Self::from_signing(algorithm, signing)
            }
            (AlgorithmFamily::Ec, PrivateKeyDer::Sec1(_)) | (_, PrivateKeyDer::Pkcs8(_)) => {
                Self::from_pkcs8(algorithm, key.secret_der())
            }
            _ => Err(MaterialError::Damaged),
        }
    }

    /// Takes a private key in PKCS #8 (DER); an EC key may be in SEC 1 as well.
    pub(super) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, MaterialError> {
        let signing = match family(algorithm) {
            AlgorithmFamily::Hmac => {
                return Err(MaterialError::Kind("it needs a secret, and this is a key pair"));
            }
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem(der).as_bytes()).ok(),
            AlgorithmFamily::Ec => {
                let curve = signing_curve(algorithm).ok_or(MaterialError::Damaged)?;
                let pair = EcdsaKeyPair::from_private_key_der(curve, der).ok();
                let document = pair.and_then(|pair| pair.to_pkcs8v1().ok());
                document.map(|document| EncodingKey::from_ec_der(document.as_ref()))
            }
            AlgorithmFamily::Ed => {
                let pair = Ed25519KeyPair::from_pkcs8(der).ok();
                let document = pair.and_then(|pair| pair.to_pkcs8v1().ok());
                document.map(|document| EncodingKey::from_ed_der(document.as_ref()))
            }
        };
        Self::from_signing(algorithm, signing.ok_or(MaterialError::Damaged)?)
    }

    /// Takes a public key as PEM.
    pub(super) fn from_public_pem(algorithm: Algorithm, pem: &str) -> Result<Self, MaterialError> {
        // The library takes a certificate or a private RSA key for a public one.
        if !pem.contains("-----BEGIN PUBLIC KEY-----")
            && !pem.contains("-----BEGIN RSA PUBLIC KEY-----")
        {
            return Err(MaterialError::Pem("public"));
        }
        let read = match family(algorithm) {
            AlgorithmFamily::Hmac => {
                return Err(MaterialError::Kind("it needs a secret, and this is a public key"));
            }
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem.as_bytes()),
        };
        let key = read.ok().ok_or(MaterialError::Damaged)?;
        let point = match algorithm {
            Algorithm::Es256 => {
                Some(&ECDSA_P256_SHA256_FIXED as &'static dyn VerificationAlgorithm)
            }
            Algorithm::Es384 => Some(&ECDSA_P384_SHA384_FIXED as _),
            Algorithm::EdDsa => Some(&ED25519 as _),
            _ => None,
        };
        if let Some(curve) = point {
            let bytes = key.try_get_as_bytes().ok().ok_or(MaterialError::Damaged)?;
            ParsedPublicKey::new(curve, bytes).ok().ok_or(MaterialError::Damaged)?;
        }
        let jwk = Jwk::from_decoding_key(&key, Some(library_algorithm(algorithm))).ok();
        Self::from_jwk(None, jwk.ok_or(MaterialError::Damaged)?)
    }

    fn from_signing(algorithm: Algorithm, signing: EncodingKey) -> Result<Self, MaterialError> {
        let jwk = Jwk::from_encoding_key(&signing, library_algorithm(algorithm)).ok();
        Self::from_jwk(Some(signing), jwk.ok_or(MaterialError::Damaged)?)
    }

    fn from_jwk(signing: Option<EncodingKey>, jwk: Jwk) -> Result<Self, MaterialError> {
        if let AlgorithmParameters::RSA(parameters) = &jwk.algorithm {
            let bits = modulus_bits(&parameters.n).ok_or(MaterialError::Damaged)?;
            if !(2048..=8192).contains(&bits) {
                return Err(MaterialError::RsaSize(bits));
            }
        }
        let verifying = DecodingKey::from_jwk(&jwk).ok().ok_or(MaterialError::Damaged)?;
        Ok(Self { signing, verifying, public: Some(jwk.algorithm) })
    }
}

/// The library's name of an algorithm.
pub(super) const fn library_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

const fn family(algorithm: Algorithm) -> AlgorithmFamily {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => AlgorithmFamily::Hmac,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => AlgorithmFamily::Rsa,
        Algorithm::Es256 | Algorithm::Es384 => AlgorithmFamily::Ec,
        Algorithm::EdDsa => AlgorithmFamily::Ed,
    }
}

const fn signing_curve(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::Es256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => None,
    }
}

/// PKCS #8 as PEM, the only form in which the library reads it for RSA.
fn pem(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    Zeroizing::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        body.as_str()
    ))
}

fn modulus_bits(n: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(n).ok()?;
    let mut significant = bytes.iter().skip_while(|byte| **byte == 0);
    let first = significant.next()?;
    let zeros = usize::try_from(first.leading_zeros()).ok()?;
    Some((significant.count() + 1) * 8 - zeros)
}
