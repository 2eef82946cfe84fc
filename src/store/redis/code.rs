//! Mailed codes: those of an address are one hash. One is kept together with its mail: see
//! [`super::mail`].

use std::sync::LazyLock;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::redis::connection::script::Script;
use crate::store::redis::keyspace::{hex, parse_hex};
use crate::store::{CodePurpose, NewCode, RedisStore, StoreError};

static GUESS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/guess_code.lua")));

impl RedisStore {
    /// Counts a guess at each code of the address, then judges it.
    ///
    /// A guess whose answer was lost counts twice, and where it was right the codes are used up: the
    /// user has to ask for another.
    pub(super) async fn guess_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut script = GUESS.prepare_invoke();
        script.key(self.keys.codes(purpose, realm, email));
        script.arg(hex(hash)).arg(now.as_millis());
        self.script(&script).await
    }
}

/// A code as its record holds it: guesses left, end, hash.
pub(super) fn code_text(code: &NewCode) -> String {
    format!("{}:{}:{}", code.guesses, code.expires_at.as_millis(), hex(&code.hash))
}

/// Guesses left, end and hash of a record.
pub(super) fn parse_code(text: &str) -> Option<(u32, Timestamp, [u8; 32])> {
    let (guesses, rest) = text.split_once(':')?;
    let (expires_at, hash) = rest.split_once(':')?;
    let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
    Some((guesses.parse().ok()?, expires_at, parse_hex(hash)?))
}
