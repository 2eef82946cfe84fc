//! Mailed codes. One is kept together with its mail: see [`super::mail`].

use std::sync::LazyLock;

use crate::clock::Timestamp;
use crate::operation::Email;
use crate::store::CodePurpose;
use crate::store::RedisStore;
use crate::store::StoreError;
use crate::store::redis::script::Script;

static GUESS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/guess_code.lua")));

impl RedisStore {
    /// Counts a guess, then judges it.
    ///
    /// A guess whose answer was lost counts twice, and a code that it hit is used up: the user has
    /// to ask for another.
    pub(super) async fn guess_code(
        &self,
        purpose: CodePurpose,
        realm: &str,
        email: &Email,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut script = GUESS.prepare_invoke();
        script.key(self.keys.code(purpose, realm, email));
        script.arg(hash.as_slice()).arg(now.as_millis());
        self.script(&script).await
    }
}
