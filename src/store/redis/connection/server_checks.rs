//! Checks that servers can give the guarantees of this store.

use std::collections::HashMap;
use std::time::Instant;

use redis::RedisError;

use crate::store::redis::connection::call::Wait;
use crate::store::redis::connection::fault::RedisFault;
use crate::store::redis::connection::topology::{Route, Server};
use crate::store::{RedisStore, SetupReport, StoreError};

/// The layout of the keys; a higher one found is of a newer version.
pub(in crate::store::redis) const SCHEMA: i64 = 1;

/// The fields of INFO, by name.
type InfoFields<'a> = HashMap<&'a str, &'a str>;

impl RedisStore {
    /// Checks the servers; reports what they are, and guarantees that they do not give.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn check_setup(&self) -> Result<SetupReport, StoreError> {
        self.in_time(self.look_at_servers()).await
    }

    /// Refuses servers that would lose what is acknowledged, and warns where they might.
    pub(in crate::store::redis) async fn check_servers(&self) -> Result<(), StoreError> {
        let found = self.look_at_servers().await?;
        for warning in found.warnings {
            tracing::warn!(store = %self.address, "{warning}");
        }
        self.check_schema().await
    }

    async fn look_at_servers(&self) -> Result<SetupReport, StoreError> {
        let mut found = SetupReport::default();
        let begun = Instant::now();
        let servers = self.route.servers().await?;
        found.fact("Redis", self.route.describe(&servers).await);
        for Server { name, info } in &servers.masters {
            match info {
                Ok(text) => self.judge(name, text, &mut found)?,
                Err(error) if is_forbidden(error) => found.warn(
                    "its user may not run INFO, so that nothing could be checked: be sure that \
                     maxmemory-policy is noeviction and that it keeps an append-only file",
                ),
                Err(error) => return Err(error.clone().into()),
            }
        }
        if servers.orphans > 0 {
            return Err(RedisFault::Orphans(servers.orphans).into());
        }
        found.fact("answers", format!("within {:.1?}", begun.elapsed()));
        Ok(found)
    }

    /// INFO, not CONFIG GET: managed servers forbid CONFIG, and INFO says the same.
    fn judge(&self, name: &str, info: &str, found: &mut SetupReport) -> Result<(), StoreError> {
        let facts: InfoFields<'_> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let fact = |name: &str| facts.get(name).copied();
        match (fact("redis_mode"), &self.route) {
            (Some("cluster"), Route::Standalone(_) | Route::Sentinel(..)) => {
                return Err(RedisFault::Cluster.into());
            }
            (Some("sentinel"), _) => return Err(RedisFault::Sentinel.into()),
            _ => {}
        }
        if let Some(version) = fact("redis_version").filter(|version| is_old(version)) {
            return Err(RedisFault::Old(version.to_owned()).into());
        }
        if fact("role") == Some("slave") {
            return Err(RedisFault::Replica.into());
        }
        match fact("maxmemory_policy") {
            Some("noeviction") => {}
            Some(policy) => return Err(RedisFault::Evicts(policy.to_owned()).into()),
            None => found.warn(
                "it does not tell its maxmemory-policy, which could not be checked: be sure that \
                 it is noeviction",
            ),
        }
        if fact("aof_enabled") == Some("0") {
            found.warn(
                "it keeps no append-only file (appendonly no): what it holds, accounts included, \
                 is only as durable as its memory and its last snapshot",
            );
        }
        self.judge_replicas(&facts, found);
        found.fact(name, in_words(&facts));
        Ok(())
    }

    fn judge_replicas(&self, facts: &InfoFields<'_>, found: &mut SetupReport) {
        let number = |name| facts.get(name).and_then(|text: &&str| text.parse::<usize>().ok());
        let Some(replicas) = number("connected_slaves") else { return };
        let wanted = self.waiting.as_ref().map_or(0, |(_, Wait { replicas, .. })| *replicas);
        if replicas < wanted {
            found.warn(format!(
                "wait_replicas is {wanted}, but a master has {replicas}: with fewer, revocations \
                 are not acknowledged (503)"
            ));
        }
        if replicas == 0 && !matches!(self.route, Route::Standalone(_)) {
            found.warn("a master has no replica: when it is lost, nothing takes its place");
        }
        // Only present where it is above zero.
        if replicas > 0 && !facts.contains_key("min_slaves_good_slaves") {
            found.warn(
                "min-replicas-to-write is 0: a master that is cut off from its replicas goes on \
                 acknowledging what a fail-over then loses; set it to 1 or more",
            );
        }
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

/// Whether it knows no `ZADD … GT` (before 6.2).
fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    // An unreadable version is not known to be old.
    numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or(0)) < (6, 2))
}

/// A description of a server, in a line.
fn in_words(facts: &InfoFields<'_>) -> String {
    let fact = |name: &str| facts.get(name).copied();
    let mut words = Vec::new();
    match (fact("valkey_version"), fact("redis_version")) {
        (Some(version), _) => words.push(format!("Valkey {version}")),
        (None, Some(version)) => words.push(format!("Redis {version}")),
        (None, None) => {}
    }
    words.extend(fact("role").map(str::to_owned));
    words.extend(fact("connected_slaves").map(|count| match count {
        "1" => "1 replica".to_owned(),
        count => format!("{count} replicas"),
    }));
    words.extend(fact("maxmemory_policy").map(|policy| format!("maxmemory-policy {policy}")));
    words.extend(
        fact("aof_enabled")
            .map(|enabled| format!("appendonly {}", if enabled == "0" { "no" } else { "yes" })),
    );
    words.join(", ")
}

fn is_forbidden(error: &RedisError) -> bool {
    // Servers that rename the command away call it unknown.
    error.code() == Some("NOPERM") || error.to_string().contains("unknown command")
}

#[cfg(test)]
mod tests {
    use super::is_old;

    #[test]
    fn a_server_before_6_2_is_old() {
        for (version, expected) in [
            ("5.0.14", true),
            ("6.0.20", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("255.255.255", false),
            ("unstable", false),
        ] {
            assert_eq!(is_old(version), expected, "{version}");
        }
    }
}
