//! A script, and an invocation of it, whose keys decide which server is asked.

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, ToRedisArgs};

/// A script with its hash.
#[derive(Debug)]
pub(in crate::store::redis) struct Script {
    code: &'static str,
    known_as: redis::Script,
}

/// A script with its keys, which share a slot, and arguments.
#[derive(Debug)]
pub(in crate::store::redis) struct Invocation<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Script {
    pub(in crate::store::redis) fn new(code: &'static str) -> Self {
        Self { code, known_as: redis::Script::new(code) }
    }

    pub(in crate::store::redis) const fn prepare_invoke(&self) -> Invocation<'_> {
        Invocation { script: self, keys: Vec::new(), arguments: Vec::new() }
    }
}

impl Invocation<'_> {
    pub(in crate::store::redis) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    pub(in crate::store::redis) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        argument.write_redis_args(&mut self.arguments);
        self
    }

    /// The keys, which share a slot.
    pub(in crate::store::redis) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Vec::as_slice)
    }

    /// The command, for a server that knows the script.
    pub(in crate::store::redis) fn command(&self) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(self.script.known_as.get_hash()).arg(self.keys.len());
        call.arg(&self.keys).arg(&self.arguments);
        call
    }

    /// The command that loads the script.
    pub(in crate::store::redis) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.script.code);
        load
    }

    /// Runs the script on a connection; loads it first where the server does not know it yet.
    pub(in crate::store::redis) async fn invoke<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> Result<T, RedisError> {
        let call = self.command();
        match call.query_async(connection).await {
            Err(error) if is_unknown_script(&error) => {
                self.load().query_async::<()>(connection).await?;
                call.query_async(connection).await
            }
            answer => answer,
        }
    }
}

/// Whether the server has to load the script first.
pub(in crate::store::redis) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
