//! Makes and checks password verifiers: Argon2id over the lower-case hex SHA-256 of a password.
//!
//! An imported hash is checked as it is, with the password itself. All of this blocks for tens of
//! milliseconds.

use std::time::Instant;

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use aws_lc_rs::rand;

use crate::auth::passwords::cost::{SHORTEST_OUTPUT, check_cost};
use crate::auth::passwords::digest::{Digest, spellings};
use crate::auth::passwords::imported::ImportedHash;
use crate::config::PasswordConfig;
use crate::operation::Password;
use crate::secret::Secret;
use crate::telemetry::metric;

/// Makes and checks verifiers under the configured parameters.
#[derive(Debug)]
pub(super) struct Verifiers {
    params: Params,
    pepper: Secret<String>,
    /// Checked where there is nothing to check, so that both take the same time.
    decoy: PasswordHash,
}

/// Reasons for which no verifier can be made.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The configured parameters are none of Argon2id (RFC 9106 §3.1).
    #[error("memory, iterations and parallelism do not go together: {0}")]
    Parameters(#[source] argon2::Error),
    /// The configured parameters are above what a stored verifier may cost.
    #[error("the parameters are too high: {0}")]
    Cost(&'static str),
    /// A verifier could not be made.
    #[error("no verifier could be made: {0}")]
    Verifier(#[source] argon2::password_hash::Error),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

impl Verifiers {
    /// Takes the configured parameters.
    pub(super) fn new(config: &PasswordConfig) -> Result<Self, PasswordError> {
        let memory = u32::try_from(config.memory.0 / 1024).unwrap_or(u32::MAX);
        let params = Params::new(memory, config.iterations, config.parallelism, None)
            .map_err(PasswordError::Parameters)?;
        check_cost(&params).map_err(PasswordError::Cost)?;
        let decoy = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(PasswordError::Verifier)?,
            salt: Some(random_salt()?),
            hash: Some(random_output()?),
        };
        Ok(Self { params, pepper: config.pepper.clone(), decoy })
    }

    /// Makes a verifier (PHC string).
    pub(super) fn make(&self, digest: &Digest) -> Result<String, PasswordError> {
        let salt = random_salt()?;
        timed(|| self.argon()?.hash_password_with_salt(digest.as_bytes(), &salt))
            .map(|hash| hash.to_string())
            .map_err(PasswordError::Verifier)
    }

    /// The digest of a password, if the verifier was made from it. Without a verifier, or with one
    /// that cannot be used, it costs the same and is `None`.
    pub(super) fn prove(&self, password: &Password, verifier: Option<&str>) -> Option<Digest> {
        if let Some(Some(Ok(imported))) = verifier.map(ImportedHash::from_stored) {
            // A hash that stands for a password cannot be checked against another hash of it.
            let spellings = spellings(password);
            let right = spellings.iter().find(|text| timed(|| imported.accepts(text.expose())));
            return right.map(|text| Digest::of(text.expose()));
        }
        Digest::candidates(password).into_iter().find(|digest| self.accepts(digest, verifier))
    }

    /// Whether a verifier was made from `digest`; without a verifier, or with one that cannot be
    /// used, it costs the same and is `false`.
    fn accepts(&self, digest: &Digest, verifier: Option<&str>) -> bool {
        let usable = verifier.and_then(|text| match usable(text) {
            Ok(hash) => Some(hash),
            Err(problem) => {
                tracing::error!(problem, "a stored password verifier is not used");
                None
            }
        });
        let hash = usable.as_ref().unwrap_or(&self.decoy);
        let checked = timed(|| self.argon()?.verify_password(digest.as_bytes(), hash));
        match checked {
            Ok(()) => usable.is_some(),
            Err(argon2::password_hash::Error::PasswordInvalid) => false,
            Err(error) => {
                tracing::error!(%error, "a password could not be checked");
                false
            }
        }
    }

    /// Whether a verifier was imported, or made under other parameters than are configured now.
    pub(super) fn is_outdated(&self, verifier: &str) -> bool {
        if let Some(imported) = ImportedHash::from_stored(verifier) {
            return imported.is_ok();
        }
        usable(verifier).is_ok_and(|hash| hash.params != self.decoy.params)
    }

    fn argon(&self) -> Result<Argon2<'_>, argon2::password_hash::Error> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let pepper = self.pepper.expose();
        if pepper.is_empty() {
            return Ok(Argon2::new(algorithm, version, self.params.clone()));
        }
        Ok(Argon2::new_with_secret(pepper.as_bytes(), algorithm, version, self.params.clone())?)
    }
}

/// Reads a stored verifier; the error says why it is not to be computed.
pub(super) fn usable(verifier: &str) -> Result<PasswordHash, &'static str> {
    if ImportedHash::from_stored(verifier).is_some() {
        return Err("it was imported, and is not to be computed");
    }
    let hash = PasswordHash::new(verifier).or(Err("it is no PHC string"))?;
    if hash.algorithm != Algorithm::Argon2id.ident() {
        return Err("it is not Argon2id");
    }
    let params = Params::try_from(&hash).or(Err("its parameters do not read"))?;
    check_cost(&params)?;
    let output = hash.hash.as_ref().map_or(0, Output::len);
    if output < SHORTEST_OUTPUT || hash.salt.is_none() {
        return Err("it has no salt, or its hash is too short");
    }
    Ok(hash)
}

fn timed<T>(work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    metrics::histogram!(metric::PASSWORD_SECONDS).record(started.elapsed().as_secs_f64());
    result
}

fn random_salt() -> Result<Salt, PasswordError> {
    let bytes: [u8; 16] = random()?;
    Salt::new(&bytes).map_err(|error| PasswordError::Verifier(error.into()))
}

fn random_output() -> Result<Output, PasswordError> {
    let bytes: [u8; 32] = random()?;
    Output::new(&bytes).map_err(|error| PasswordError::Verifier(error.into()))
}

fn random<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).or(Err(PasswordError::Random))?;
    Ok(bytes)
}
