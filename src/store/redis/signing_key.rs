//! Signing keys of sites, shared by all gateways.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::secret::Secret;
use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::connection::script::Script;
use crate::store::{RedisStore, SigningKeys, StoreError};
use crate::token::StoredKey;

static ADD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/add_key.lua")));

/// The value of a key's field `ALGORITHM:KID`.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    material: String,
    created_at: Timestamp,
}

#[async_trait]
impl SigningKeys for RedisStore {
    async fn signing_keys(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        self.in_time(self.keys_of_site(issuer)).await
    }

    async fn add_signing_key(
        &self,
        issuer: &str,
        key: StoredKey,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let mut script = ADD.prepare_invoke();
        script.key(self.keys.signing_keys(issuer));
        script.arg(key.algorithm.name()).arg(&key.kid).arg(write_key(&key)?);
        self.in_time(async {
            self.script::<()>(&script).await?;
            self.keys_of_site(issuer).await
        })
        .await
    }
}

impl RedisStore {
    pub(super) async fn keys_of_site(&self, issuer: &str) -> Result<Vec<StoredKey>, StoreError> {
        let key = self.keys.signing_keys(issuer);
        let records: HashMap<String, String> = self.command(redis::cmd("HGETALL").arg(key)).await?;
        let mut keys = records
            .iter()
            .map(|(field, text)| read_key(field, text).ok_or_else(|| corrupt("signing key", field)))
            .collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|one, other| (one.created_at, &one.kid).cmp(&(other.created_at, &other.kid)));
        Ok(keys)
    }

    /// Adds a key to any others, unless one has its `kid`.
    pub(super) async fn put_key_of_site(
        &self,
        issuer: &str,
        key: &StoredKey,
    ) -> Result<(), StoreError> {
        let mut put = redis::cmd("HSETNX");
        put.arg(self.keys.signing_keys(issuer));
        put.arg(format!("{}:{}", key.algorithm.name(), key.kid)).arg(write_key(key)?);
        self.command(&put).await
    }

    /// Removes a key of a site, whatever its algorithm, if it exists.
    pub(super) async fn remove_key_of_site(
        &self,
        issuer: &str,
        kid: &str,
    ) -> Result<(), StoreError> {
        let mut remove = redis::cmd("HDEL");
        remove.arg(self.keys.signing_keys(issuer));
        for algorithm in Algorithm::ALL {
            remove.arg(format!("{}:{kid}", algorithm.name()));
        }
        self.command(&remove).await
    }
}

fn write_key(key: &StoredKey) -> Result<String, StoreError> {
    let material = STANDARD.encode(key.material.expose());
    serde_json::to_string(&KeyRecord { material, created_at: key.created_at })
        .map_err(|error| StoreError::Corrupt(format!("signing key: {error}")))
}

fn read_key(field: &str, text: &str) -> Option<StoredKey> {
    let (algorithm, kid) = field.split_once(':')?;
    let record: KeyRecord = serde_json::from_str(text).ok()?;
    Some(StoredKey {
        kid: kid.to_owned(),
        algorithm: Algorithm::from_name(algorithm)?,
        material: Secret::new(STANDARD.decode(record.material).ok()?),
        created_at: record.created_at,
    })
}
