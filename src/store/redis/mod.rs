//! The shared store: one Redis for several gateways.
//!
//! An operation is a few steps, each atomic in its own slot ([`keyspace`]) by one command or one
//! script; none depends on two slots at once. The order of the steps makes a crash between them
//! safe, and is documented at each operation: revocations first, then the account; names and index
//! entries first, then their records, so that a left-over entry leads to nothing and has no effect.

mod accounts;
mod archive;
mod code;
mod connection;
mod events;
mod keyspace;
mod mail;
mod revocations;
mod sessions;
mod signing_key;
mod tries;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue};

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::store::redis::connection::call::{Call, Wait};
use crate::store::redis::connection::fault::is_wrong_type;
use crate::store::redis::connection::script::Invocation;
use crate::store::redis::connection::topology::{Route, SentinelWatch};
use crate::store::redis::connection::wrong_type::wrong_types;
use crate::store::redis::keyspace::Keyspace;
use crate::store::{Deadlines, Store, StoreError};

/// The settings of connections to a Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// As [`crate::config::RedisUrl`] reads it: without credentials.
    pub url: String,
    /// ACL user; empty for none.
    pub username: String,
    /// Password; empty for none.
    pub password: Secret<String>,
    /// The sentinels' password; empty for none.
    pub sentinel_password: Secret<String>,
    /// A file of CA certificates to trust in addition to the system's.
    pub ca: Option<PathBuf>,
    /// A file of this gateway's certificate, where servers ask for one; with `key`.
    pub cert: Option<PathBuf>,
    /// The file of its key.
    pub key: Option<PathBuf>,
    /// Replicas that must have a revocation before it is acknowledged.
    pub wait_replicas: usize,
    /// The prefix of every key.
    pub prefix: String,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl RedisOptions {
    /// A server, sentinels or a cluster without credentials, and the prefix `munjigi:`.
    #[must_use]
    pub fn new(url: impl Into<String>, deadlines: Deadlines) -> Self {
        Self {
            url: url.into(),
            username: String::new(),
            password: Secret::from(""),
            sentinel_password: Secret::from(""),
            ca: None,
            cert: None,
            key: None,
            wait_replicas: 0,
            prefix: "munjigi:".to_owned(),
            deadlines,
        }
    }
}

/// A store in a Redis: in one server, in the master that sentinels name, or in a cluster.
pub struct RedisStore {
    route: Route,
    /// Connections of their own for writes that replicas must have: WAIT holds up later commands.
    waiting: Option<(Route, Wait)>,
    keys: Keyspace,
    deadlines: Deadlines,
    address: String,
    /// Lives as long as the store.
    _watch: Option<SentinelWatch>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RedisStore").field(&self.address).finish()
    }
}

/// The most attempts of an operation whose account changes meanwhile.
const ATTEMPTS: usize = 64;

impl RedisStore {
    /// Connects and checks that the server can keep the promise.
    ///
    /// # Errors
    /// When the URL does not read, the server does not answer within the deadline, its
    /// `maxmemory-policy` would evict keys, or a newer version has written there.
    pub async fn connect(options: RedisOptions) -> Result<Self, StoreError> {
        let store = Self::prepare(&options)?;
        store.check().await?;
        Ok(store)
    }

    /// Prepares to connect with the first command; listens to sentinels from now on.
    ///
    /// # Errors
    /// When the URL or a certificate does not read.
    pub fn prepare(options: &RedisOptions) -> Result<Self, StoreError> {
        let route = Route::new(options)?;
        let waiting = (options.wait_replicas > 0).then(|| {
            let patience = options.deadlines.command * 3 / 4;
            (route.separate_connections(), Wait { replicas: options.wait_replicas, patience })
        });
        Ok(Self {
            _watch: route.watch(),
            route,
            waiting,
            keys: Keyspace::new(&options.prefix),
            deadlines: options.deadlines,
            address: without_credentials(&options.url),
        })
    }

    /// Checks that the servers can keep the promise.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.in_time(self.check_servers()).await
    }

    /// Runs an operation under its deadline; past it, silent connections are dropped.
    async fn within<T>(
        &self,
        deadline: Duration,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(deadline, operation).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                self.route.drop_if_silent();
                if let Some((waiting, _)) = &self.waiting {
                    waiting.drop_if_silent();
                }
                Err(StoreError::TimedOut(deadline))
            }
        }
    }

    /// Runs an operation under the deadline of a command.
    fn in_time<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.within(self.deadlines.command, operation)
    }

    /// Sends a call; an error names the keys of another type.
    async fn ask<T: FromRedisValue>(&self, route: &Route, call: Call<'_>) -> Result<T, StoreError> {
        match route.ask(call).await {
            Err(error) if is_wrong_type(&error) => {
                let named = Box::pin(wrong_types(route, &self.keys, call.keys())).await;
                Err(named.map_or_else(|| error.into(), StoreError::Corrupt))
            }
            answer => Ok(answer?),
        }
    }

    async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.ask(&self.route, Call::command(command)).await
    }

    async fn script<T: FromRedisValue>(&self, script: &Invocation<'_>) -> Result<T, StoreError> {
        self.ask(&self.route, Call::script(script)).await
    }

    /// Runs a script, and returns once as many replicas have its writes as the operator wants.
    async fn replicated_script<T: FromRedisValue>(
        &self,
        script: &Invocation<'_>,
    ) -> Result<T, StoreError> {
        match &self.waiting {
            Some((route, wait)) => self.ask(route, Call::script(script).with_wait(*wait)).await,
            None => self.script(script).await,
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn backup_mark(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut ask = redis::cmd("GET");
        ask.arg(self.keys.backup_mark());
        let saved_at: Option<i64> = self.in_time(self.command(&ask)).await?;
        Ok(saved_at.map(Timestamp::from_millis))
    }

    async fn mark_as_backup(&self, saved_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.in_time(self.set_saved_at(saved_at)).await
    }

    async fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        // Each batch has the deadline, not all of them, so that a backlog is purged at last.
        self.purge_revocations(now).await?;
        self.purge_mails(now).await?;
        self.purge_sessions(now).await
    }

    fn describe(&self) -> String {
        self.address.clone()
    }
}

fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            format!("{scheme}://{place}")
        }
        None => url.to_owned(),
    }
}
