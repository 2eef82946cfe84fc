//! What the tests of the Redis store ask of a server: a store on it, and its own answers.

use std::sync::Arc;
use std::time::Duration;

use munjigi::store::{Deadlines, RedisOptions, RedisStore, Store};

use crate::link::Link;
use crate::redis_server::RedisServer;

/// Deadlines that a busy machine keeps.
pub(crate) const PATIENT: Deadlines =
    Deadlines { command: Duration::from_secs(20), lookup: Duration::from_secs(20) };

/// The commands that an ACL user needs, as `docs/redis.md` says.
pub(crate) const RULES: &str = "-@all +@read +@write +@scripting +@connection +time +info +wait";

/// And in a cluster.
pub(crate) const CLUSTER_RULES: &str = "+cluster|slots +cluster|info";

impl Link {
    /// One that leads to a server.
    pub(crate) async fn before(server: &RedisServer) -> Self {
        Self::to(server.port(), 7).await
    }

    /// As a store needs it.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::new(format!("redis://127.0.0.1:{}", self.port()), PATIENT)
    }
}

impl RedisServer {
    pub(crate) fn options(&self, deadlines: Deadlines) -> RedisOptions {
        RedisOptions::new(self.url(), deadlines)
    }

    pub(crate) async fn store(&self, deadlines: Deadlines) -> Arc<dyn Store> {
        Arc::new(RedisStore::connect(self.options(deadlines)).await.expect("a store"))
    }
}
