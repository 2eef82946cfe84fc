//! Makes and checks password verifiers: Argon2id over the lower-case hex SHA-256 of a password.
//!
//! The SHA-256 comes first so that one stored value serves contracts whose clients send the
//! password and contracts whose clients send its hash. What was imported is checked as it is, with
//! the password itself. All of this blocks for tens of milliseconds;
//! [`crate::auth::passwords::pool::PasswordPool`] runs it where that does no harm.

use std::time::Instant;

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use aws_lc_rs::{digest, rand};

use crate::auth::passwords::imported::ImportedHash;
use crate::auth::passwords::pool::PasswordError;
use crate::config::PasswordConfig;
use crate::operation::{Password, precis};
use crate::secret::Secret;
use crate::telemetry::metric;

/// Makes and checks verifiers under the configured parameters.
#[derive(Debug)]
pub(in crate::auth) struct Verifiers {
    params: Params,
    pepper: Secret<String>,
    /// Checked where there is nothing to check, so that both take the same time.
    decoy: PasswordHash,
}

/// The lower-case hex SHA-256 of a password.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Digest(Secret<String>);

/// Above these, a verifier in the store is taken for damage or an attack, and not computed.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_ITERATIONS: u32 = 50;
const MOST_LANES: u32 = 64;

/// Shorter output makes a guess too likely to match.
pub(in crate::auth) const SHORTEST_OUTPUT: usize = 16;

impl Verifiers {
    /// Takes the configured parameters.
    pub(in crate::auth) fn new(config: &PasswordConfig) -> Result<Self, PasswordError> {
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
    pub(in crate::auth) fn make(&self, digest: &Digest) -> Result<String, PasswordError> {
        let salt = random_salt()?;
        timed(|| self.argon()?.hash_password_with_salt(digest.as_bytes(), &salt))
            .map(|hash| hash.to_string())
            .map_err(PasswordError::Verifier)
    }

    /// Returns what a password stands for if a verifier was made from it; `None` costs the same
    /// where there is no verifier, or one that cannot be used.
    pub(in crate::auth) fn prove(
        &self,
        password: &Password,
        verifier: Option<&str>,
    ) -> Option<Digest> {
        if let Some(Some(Ok(imported))) = verifier.map(ImportedHash::from_stored) {
            // A hash that stands for a password cannot be checked against another hash of it.
            let forms = forms(password);
            let right = forms.iter().find(|form| timed(|| imported.accepts(form.expose())));
            return right.map(|form| Digest::of(form.expose()));
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
    pub(in crate::auth) fn is_outdated(&self, verifier: &str) -> bool {
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

impl Digest {
    /// What a password may stand for, the likelier first.
    fn candidates(password: &Password) -> Vec<Self> {
        let hashed = password.may_be_hashed.then(|| Self::read(password.text.expose())).flatten();
        let plain = forms(password).into_iter().map(|form| Self::of(form.expose()));
        hashed.into_iter().chain(plain).collect()
    }

    /// What a new password stands for.
    pub(in crate::auth) fn of_new(password: &Password) -> Self {
        let text = password.text.expose();
        let hashed = password.may_be_hashed.then(|| Self::read(text)).flatten();
        hashed.unwrap_or_else(|| Self::of(precis::opaque(text).expose()))
    }

    /// Whether a password arrived as 64 hex digits where the contract allows that.
    pub(in crate::auth) fn is_hashed(password: &Password) -> bool {
        password.may_be_hashed && Self::read(password.text.expose()).is_some()
    }

    fn read(text: &str) -> Option<Self> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(Secret::new(text.to_ascii_lowercase())))
    }

    pub(in crate::auth) fn of(text: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        // With room for all of it from the start, no copy of a part is left behind.
        let mut hex = String::with_capacity(64);
        let digits = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        hex.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
        Self(Secret::new(hex))
    }

    pub(in crate::auth) fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// Reads a stored verifier; the error says why it is not to be computed.
pub(in crate::auth) fn usable(verifier: &str) -> Result<PasswordHash, &'static str> {
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

pub(in crate::auth) fn check_cost(params: &Params) -> Result<(), &'static str> {
    let affordable = params.m_cost() <= MOST_MEMORY_KIB
        && params.t_cost() <= MOST_ITERATIONS
        && params.p_cost() <= MOST_LANES;
    if affordable { Ok(()) } else { Err("it costs over 1 GiB, 50 iterations or 64 lanes") }
}

/// A password as it is taken (RFC 8265 §4.2), and as it was typed where that differs: clients that
/// hash it, and verifiers of before, know no other. The number depends on nothing that is stored.
fn forms(password: &Password) -> Vec<Secret<String>> {
    let typed = password.text.expose();
    let mapped = precis::opaque(typed);
    let as_typed = (mapped.expose() != typed).then(|| password.text.clone());
    [mapped].into_iter().chain(as_typed).collect()
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
