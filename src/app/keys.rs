//! Reads the keys that the store keeps, and makes those that are missing.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::app::assemble::AssembleError;
use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::config::SiteConfig;
use crate::store::Store;
use crate::store::StoreError;
use crate::token::KeyRing;
use crate::token::StoredKey;
use crate::token::TokenPolicy;
use crate::vault::Vault;
use crate::vault::VaultError;

/// The gateway's own keys; the store's first node makes their secret.
///
/// # Errors
/// When the store cannot be asked.
pub async fn vault(store: &dyn Store, now: Timestamp) -> Result<Arc<Vault>, AssembleError> {
    let bad_key = |source| AssembleError::Keys { site: VAULT.to_owned(), source };
    let bad_store = |source| AssembleError::Store { store: store.describe(), source };
    let read = || store.signing_keys(VAULT);
    let mut keys = patiently(read).await.map_err(bad_store)?;
    if keys.is_empty() {
        let made = StoredKey::generate(Algorithm::Hs512, now).map_err(bad_key)?;
        let add = || store.add_signing_key(VAULT, made.clone());
        keys = patiently(add).await.map_err(bad_store)?;
    }
    let first = keys.first().ok_or(VaultError::Unusable)?;
    Ok(Arc::new(Vault::new(&first.material)?))
}

/// The signing keys of a site: the operator's own, or the store's.
pub(super) async fn key_ring(
    site: &SiteConfig,
    policy: &TokenPolicy,
    store: &dyn Store,
    now: Timestamp,
) -> Result<KeyRing, AssembleError> {
    let bad_key = |source| AssembleError::Keys { site: site.host.to_string(), source };
    let bad_store = |source| AssembleError::Store { store: store.describe(), source };
    if !site.tokens.keys.is_empty() {
        return KeyRing::from_configured(&site.tokens.keys).map_err(bad_key);
    }
    let read = || store.signing_keys(&policy.issuer);
    let mut keys = patiently(read).await.map_err(bad_store)?;
    if !keys.iter().any(|key| key.algorithm == policy.algorithm) {
        let made = StoredKey::generate(policy.algorithm, now).map_err(bad_key)?;
        let add = || store.add_signing_key(&policy.issuer, made.clone());
        keys = patiently(add).await.map_err(bad_store)?;
    }
    KeyRing::from_stored(&keys).map_err(bad_key)
}

/// Asks again while the store is only slow: the deadline of one command is meant for requests, and
/// a start on a busy disk is no reason not to start. Only for what may be done twice.
async fn patiently<T, Answer>(ask: impl Fn() -> Answer) -> Result<T, StoreError>
where
    Answer: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(StoreError::TimedOut(_)) if begun.elapsed() < PATIENCE => {}
            answer => return answer,
        }
    }
}

/// How long a slow store is asked at a start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name under which the store keeps the vault's secret among the keys; no site's `iss`.
const VAULT: &str = "urn:munjigi:vault";
