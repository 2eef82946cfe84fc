//! Signing keys of sites, shared by all gateways.

use async_trait::async_trait;

use crate::store::StoreError;
use crate::token::StoredKey;

/// The signing keys of a store.
#[async_trait]
pub trait SigningKeys {
    /// The signing keys of a site, oldest first.
    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a first signing key for the algorithm, unless another node was quicker; returns all
    /// keys of the site, so that every node has the same.
    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError>;
}
