//! Reads the keys that the store keeps, and makes those that are missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::error::AssembleError;
use crate::clock::Timestamp;
use crate::config::{Algorithm, Config, ContractName, SiteConfig};
use crate::gateway::snapshot::SiteParts;
use crate::operation::{Revocation, RevocationKey, Revoked};
use crate::own_keys;
use crate::own_keys::{OwnKeys, OwnKeysError};
use crate::store::{Store, StoreError};
use crate::telemetry::audit;
use crate::telemetry::audit::{Entry, Event};
use crate::token::{KeyRing, SiteTokens, StoredKey, TokenPolicy};

/// The gateway's own keys; the store's first node makes their secret.
///
/// # Errors
/// When the store cannot be asked.
pub async fn own_keys(store: &dyn Store, now: Timestamp) -> Result<Arc<OwnKeys>, AssembleError> {
    let bad_key = |source| AssembleError::Keys { site: own_keys::ISSUER.to_owned(), source };
    let bad_store = |source| AssembleError::Store { store: store.describe(), source };
    let read = || store.signing_keys(own_keys::ISSUER);
    let mut keys = patiently(read).await.map_err(bad_store)?;
    if keys.is_empty() {
        let made = StoredKey::generate(Algorithm::Hs512, now).map_err(bad_key)?;
        let add = || store.add_signing_key(own_keys::ISSUER, made.clone());
        keys = patiently(add).await.map_err(bad_store)?;
    }
    let first = keys.first().ok_or(OwnKeysError::Unusable)?;
    Ok(Arc::new(OwnKeys::new(&first.material)?))
}

/// The signing keys of a site: the operator's own, or the store's; makes one where none can sign.
///
/// A key that is revoked signs no more: the site gets a new one in its place. An operator's own is
/// theirs to replace.
///
/// # Errors
/// When the store cannot be asked, or a key does not work.
pub async fn key_ring(
    site: &SiteConfig,
    policy: &TokenPolicy,
    store: &dyn Store,
    now: Timestamp,
) -> Result<KeyRing, AssembleError> {
    let bad_key = |source| AssembleError::Keys { site: site.host.to_string(), source };
    let bad_store = |source| AssembleError::Store { store: store.describe(), source };
    let issuer = &policy.issuer;
    if !site.tokens.keys.is_empty() {
        let ring = KeyRing::from_configured(&site.tokens.keys).map_err(bad_key)?;
        let revoked = revoked(ring.kids(), issuer, store, now).await.map_err(bad_store)?;
        return Ok(ring.with_revoked(revoked));
    }
    let mut keys = patiently(|| store.signing_keys(issuer)).await.map_err(bad_store)?;
    let kids = keys.iter().map(|key| key.kid.as_str());
    let revoked = revoked(kids, issuer, store, now).await.map_err(bad_store)?;
    if !revoked.is_empty() {
        // Its revocation was cut short, or a node that missed it put it back.
        let again: Vec<_> = revoked.iter().map(|kid| revocation(issuer, kid)).collect();
        keys.retain(|key| !revoked.contains(&key.kid));
        match patiently(|| store.revoke(&again)).await {
            Err(error) if !error.is_outage() => return Err(bad_store(error)),
            Ok(()) | Err(_) => {}
        }
    }
    if !keys.iter().any(|key| key.algorithm == policy.algorithm) {
        let made = StoredKey::generate(policy.algorithm, now).map_err(bad_key)?;
        let add = || store.add_signing_key(issuer, made.clone());
        keys = patiently(add).await.map_err(bad_store)?;
        if keys.iter().any(|key| key.kid == made.kid) {
            audit::record(Entry {
                site: Some(site.host.to_string()),
                kind: Some(made.algorithm.name().into()),
                name: Some(made.kid),
                ..Entry::of(Event::KeyMade)
            });
        }
    }
    Ok(KeyRing::from_stored(&keys).map_err(bad_key)?.with_revoked(revoked))
}

/// Reads the sites' keys again, and makes those that are missing; all else stays as it is.
///
/// `settle` says how tokens under these keys follow those of before.
pub(super) async fn with_keys_renewed(
    config: &Config,
    mut parts: Vec<SiteParts>,
    store: &dyn Store,
    now: Timestamp,
    mut settle: impl FnMut(&SiteTokens, SiteTokens) -> SiteTokens,
) -> Result<Vec<SiteParts>, AssembleError> {
    for (site, parts) in config.sites.iter().zip(&mut parts) {
        let policy = parts.auth.tokens.policy().clone();
        let renewed = site_tokens(site, policy, store, now).await?;
        parts.auth.tokens = Arc::new(settle(&parts.auth.tokens, renewed));
    }
    Ok(parts)
}

/// A site's tokens, with the keys that it has now.
pub(super) async fn site_tokens(
    site: &SiteConfig,
    policy: TokenPolicy,
    store: &dyn Store,
    now: Timestamp,
) -> Result<SiteTokens, AssembleError> {
    let keys = key_ring(site, &policy, store, now).await?;
    // A site without endpoints issues nothing: keys that only verify are enough.
    let tokens = match site.contract {
        ContractName::None => SiteTokens::verifying_only(policy, keys),
        ContractName::BuiltIn(_) | ContractName::File(_) => SiteTokens::new(policy, keys),
    };
    let bad_key = |source| AssembleError::Keys { site: site.host.to_string(), source };
    tokens.map_err(bad_key)
}

/// The revocation of everything that a key signed, and will ever sign.
#[must_use]
pub fn revocation(issuer: &str, kid: &str) -> Revocation {
    let revoked = Revoked::Key { issuer: issuer.to_owned(), key: kid.to_owned() };
    Revocation { revoked, expires_at: Revocation::NEVER_ENDS }
}

/// Which of these keys are revoked.
///
/// A store that is away does not stop a start that the node's own file allows: the list refuses
/// what a revoked key signed, and nothing is signed with one that the list has.
async fn revoked<'a>(
    kids: impl Iterator<Item = &'a str>,
    issuer: &str,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut revoked = Vec::new();
    for kid in kids {
        match store.find_revocation(RevocationKey::of_key(issuer, kid), now).await {
            Ok(None) => {}
            Ok(Some(_)) => revoked.push(kid.to_owned()),
            Err(error) if error.is_outage() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(revoked)
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

/// Longest time of retrying a slow store at a start.
const PATIENCE: Duration = Duration::from_secs(10);
