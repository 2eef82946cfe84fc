//! What the tests of the Redis store ask of a server: a store on it, and its own answers.

use std::sync::Arc;
use std::time::Duration;

use munjigi::secret::Secret;
use munjigi::store::Deadlines;
use munjigi::store::RedisOptions;
use munjigi::store::RedisStore;
use munjigi::store::Store;
use redis::FromRedisValue;

use crate::redis_server::RedisServer;

/// Deadlines that a busy machine keeps.
pub(crate) const PATIENT: Deadlines =
    Deadlines { command: Duration::from_secs(20), lookup: Duration::from_secs(20) };

impl RedisServer {
    pub(crate) fn options(&self, deadlines: Deadlines) -> RedisOptions {
        RedisOptions {
            url: self.url(),
            username: String::new(),
            password: Secret::from(""),
            ca: None,
            prefix: "munjigi:".to_owned(),
            deadlines,
        }
    }

    pub(crate) async fn store(&self, deadlines: Deadlines) -> Arc<dyn Store> {
        Arc::new(RedisStore::connect(self.options(deadlines)).await.expect("a store"))
    }

    /// Runs one command, written with spaces between its words.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let mut words = command.split(' ');
        let mut question = redis::cmd(words.next().expect("a command"));
        question.arg(words.collect::<Vec<_>>());
        question.query_async(&mut connection).await.expect(command)
    }
}
