//! Argon2id in a bounded pool with its own queue.
//!
//! At most `concurrency` hashes run at once and at most `queue` logins wait for a permit. A login
//! beyond that, or past `LONGEST_WAIT`, is 503. A permit is held until the hash is done, even if the
//! client leaves: else clients that leave could start any number of hashes.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::passwords::digest::Digest;
use crate::auth::passwords::imported::ImportedHash;
use crate::auth::passwords::verifier;
use crate::auth::passwords::verifier::{PasswordError, Verifiers};
use crate::config::PasswordConfig;
use crate::operation::precis::opaque;
use crate::operation::{Input, Password, Problem, ProblemKind, Rejection};
use crate::telemetry::metric;

/// The pool.
#[derive(Debug)]
pub struct PasswordPool {
    verifiers: Arc<Verifiers>,
    /// A permit for each hash that runs.
    pub(in crate::auth) running: Arc<Semaphore>,
    /// A slot for each hash that runs or waits.
    pub(in crate::auth) slots: Arc<Semaphore>,
    min_length: usize,
    max_length: usize,
}

/// The proof that a verifier has accepted a password; a better verifier can be made of it.
#[derive(Debug)]
pub struct Proof(Digest);

/// The reason for which a login would not compute a verifier, if there is one.
pub(crate) fn fault_of_verifier(verifier: &str) -> Option<String> {
    match ImportedHash::from_stored(verifier) {
        Some(read) => read.err().map(|fault| fault.to_string()),
        None => verifier::usable(verifier).err().map(ToOwned::to_owned),
    }
}

/// The longest that a login waits for a permit.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl PasswordPool {
    /// Makes a pool.
    ///
    /// # Errors
    /// When the parameters are none of Argon2id or too high, or there are no random bytes.
    pub fn new(config: &PasswordConfig) -> Result<Self, PasswordError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let running = if config.concurrency == 0 { cores } else { config.concurrency };
        let slots = running.saturating_add(config.queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            verifiers: Arc::new(Verifiers::new(config)?),
            running: Arc::new(Semaphore::new(running.min(Semaphore::MAX_PERMITS))),
            slots: Arc::new(Semaphore::new(slots)),
            min_length: config.min_length,
            max_length: config.max_length,
        })
    }

    /// Makes a verifier (PHC string) for a new password that arrived as `input`.
    ///
    /// # Errors
    /// Too short or too long is invalid input; a full queue is 503.
    pub async fn hash(&self, password: &Password, input: Input) -> Result<String, Rejection> {
        self.check_new(password, input)?;
        self.make(Digest::of_new(password)).await
    }

    /// Checks the length of a new password, before anything is computed.
    ///
    /// # Errors
    /// Invalid input, where it is too short (in characters) or too long (in bytes).
    pub fn check_new(&self, password: &Password, input: Input) -> Result<(), Rejection> {
        let short = opaque(password.text.expose()).expose().chars().count() < self.min_length;
        let is_wrong = self.is_too_long(password) || (short && !Digest::is_hashed(password));
        if is_wrong { Err(wrong_length(input)) } else { Ok(()) }
    }

    /// The fewest characters that a new password may have.
    #[must_use]
    pub const fn min_length(&self) -> usize {
        self.min_length
    }

    /// Proves that a password is the one of `verifier`; with `None` (no such user) it costs the same
    /// and proves nothing.
    ///
    /// # Errors
    /// A password over `max_length` is invalid input; a full queue is 503.
    pub async fn verify(
        &self,
        password: &Password,
        verifier: Option<&str>,
    ) -> Result<Option<Proof>, Rejection> {
        if self.is_too_long(password) {
            return Err(wrong_length(Input::Password));
        }
        let (password, verifier) = (password.clone(), verifier.map(str::to_owned));
        self.run(move |verifiers| verifiers.prove(&password, verifier.as_deref()).map(Proof)).await
    }

    /// Whether a verifier was imported, or made under other parameters than are configured now.
    #[must_use]
    pub fn is_outdated(&self, verifier: &str) -> bool {
        self.verifiers.is_outdated(verifier)
    }

    /// Makes a new verifier under the present parameters, for a password just proven.
    ///
    /// # Errors
    /// A full queue is 503.
    pub async fn renew(&self, proof: Proof) -> Result<String, Rejection> {
        self.make(proof.0).await
    }

    fn is_too_long(&self, password: &Password) -> bool {
        password.text.expose().len() > self.max_length
    }

    async fn make(&self, digest: Digest) -> Result<String, Rejection> {
        self.run(move |verifiers| verifiers.make(&digest))
            .await?
            .map_err(|error| Rejection::internal(error.to_string()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Verifiers) -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err(Rejection::unavailable("the password queue is full"));
        };
        let waiting = GaugeGuard::new(metric::PASSWORD_WAITING);
        let permit = Arc::clone(&self.running).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(LONGEST_WAIT, permit).await else {
            return Err(Rejection::unavailable("the password pool was not free in time"));
        };
        drop(waiting);
        let verifiers = Arc::clone(&self.verifiers);
        let task = tokio::task::spawn_blocking(move || {
            let running = GaugeGuard::new(metric::PASSWORD_RUNNING);
            let result = work(&verifiers);
            drop((running, permit, slot));
            result
        });
        task.await
            .map_err(|error| Rejection::internal(format!("a password hash did not end: {error}")))
    }
}

/// Raises a gauge while it lives.
struct GaugeGuard(&'static str);

impl GaugeGuard {
    fn new(gauge: &'static str) -> Self {
        metrics::gauge!(gauge).increment(1.0);
        Self(gauge)
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1.0);
    }
}

fn wrong_length(input: Input) -> Rejection {
    Rejection::invalid_input(Problem {
        field: input.name().to_owned(),
        kind: ProblemKind::Length,
        message: None,
    })
}
