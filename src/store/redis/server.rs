//! Checks that a server can keep what this store promises.

use std::collections::HashMap;

use redis::RedisError;
use uuid::Uuid;

use crate::store::RedisStore;
use crate::store::StoreError;
use crate::store::redis::connection::Call;
use crate::store::redis::fault::Fault;

/// The layout of the keys; a higher one found is of a newer version.
const SCHEMA: i64 = 1;

impl RedisStore {
    /// Refuses a server that would lose what is acknowledged, and warns where it might.
    pub(super) async fn check_server(&self) -> Result<(), StoreError> {
        self.command::<()>(&redis::cmd("PING")).await?;
        // INFO, not CONFIG GET: managed servers forbid CONFIG, and INFO says the same.
        match self.link.ask::<String>(Call::Command(&redis::cmd("INFO"))).await {
            Ok(text) => self.judge(&text)?,
            Err(error) if is_forbidden(&error) => tracing::warn!(
                store = %self.address,
                "this Redis does not let its user run INFO: be sure that maxmemory-policy is \
                 noeviction and that it keeps an append-only file"
            ),
            Err(error) => return Err(error.into()),
        }
        self.check_schema().await
    }

    fn judge(&self, info: &str) -> Result<(), StoreError> {
        let facts: HashMap<_, _> = info.lines().filter_map(|line| line.split_once(':')).collect();
        if facts.get("redis_mode") == Some(&"cluster") {
            return Err(Fault::Cluster.into());
        }
        match facts.get("maxmemory_policy") {
            Some(&"noeviction") => {}
            Some(policy) => return Err(Fault::Evicts((*policy).to_owned()).into()),
            None => tracing::warn!(
                store = %self.address,
                "this Redis does not tell its maxmemory-policy: be sure that it is noeviction"
            ),
        }
        if facts.get("aof_enabled") == Some(&"0") {
            tracing::warn!(
                store = %self.address,
                "this Redis keeps no append-only file (appendonly no): what it holds, accounts \
                 included, is only as durable as its memory and its last snapshot"
            );
        }
        Ok(())
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        let key = self.keys.schema();
        let mut mark = redis::cmd("SET");
        mark.arg(&key).arg(SCHEMA).arg("NX");
        self.command::<()>(&mark).await?;
        let found: i64 = self.command(redis::cmd("GET").arg(&key)).await?;
        if found > SCHEMA {
            return Err(StoreError::Newer { found, known: SCHEMA });
        }
        Ok(())
    }
}

/// Names what a server holds: its data by `generation`, itself by `INFO replication`.
///
/// A process that was started anew, and a replica that was promoted, has another replication id:
/// it may lack the newest of what was acknowledged. Where INFO is not allowed, no two names are the
/// same.
pub(super) fn lineage_of(generation: &str, info: Option<&str>) -> String {
    let process = info.and_then(|info| {
        info.lines().find_map(|line| line.trim_end().strip_prefix("master_replid:"))
    });
    let process = process.map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned);
    format!("{generation}/{process}")
}

/// Whether the server does not let its user ask that.
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    // Servers that rename the command away call it unknown.
    error.code() == Some("NOPERM") || error.to_string().contains("unknown command")
}
