//! A scan for keys by their prefix, over every server.

use std::sync::Arc;

use crate::store::redis::connection::call::Call;
use crate::store::redis::connection::link::Link;
use crate::store::{RedisStore, StoreError};

/// The approximate number of keys that one step looks at.
const STEP: usize = 1000;

/// A scan over all keys of a kind; a key may come twice.
pub(in crate::store::redis) struct Scan<'a> {
    store: &'a RedisStore,
    pattern: String,
    /// Servers that are still to be asked; the last one is asked now.
    servers: Vec<Arc<Link>>,
    cursor: String,
}

impl RedisStore {
    /// Begins a scan for the keys that begin with the prefix and `begin`.
    pub(in crate::store::redis) async fn scan(&self, begin: &str) -> Result<Scan<'_>, StoreError> {
        let work = async { Ok(self.route.masters().await?) };
        Ok(Scan {
            store: self,
            pattern: format!("{}*", self.keys.beginning(begin)),
            servers: self.in_time(work).await?,
            cursor: "0".to_owned(),
        })
    }
}

impl Scan<'_> {
    /// The next keys, perhaps none; `None` at the end.
    pub(in crate::store::redis) async fn next(
        &mut self,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let Some(server) = self.servers.last() else { return Ok(None) };
        let mut step = redis::cmd("SCAN");
        step.arg(&self.cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(STEP);
        let work = async { Ok(server.ask(Call::command(&step)).await?) };
        let (next, keys): (String, Vec<String>) = self.store.in_time(work).await?;
        if next == "0" {
            self.servers.pop();
        }
        self.cursor = next;
        Ok(Some(keys))
    }
}
