//! A call of a command or script, and how it is sent on a connection.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value};

use crate::store::redis::connection::script::{Invocation, is_unknown_script};

/// The content of a call.
#[derive(Clone, Copy)]
pub(in crate::store::redis) enum Question<'a> {
    /// A command, whose first argument is its key, if it has one.
    Command(&'a Cmd),
    /// A script: EVALSHA, and SCRIPT LOAD where the server does not know it yet.
    Script(&'a Invocation<'a>),
}

/// A call, and how it is sent.
#[derive(Clone, Copy)]
pub(in crate::store::redis) struct Call<'a> {
    question: Question<'a>,
    /// The slot is being moved to this server, which needs ASKING before the command.
    is_redirected: bool,
    /// The replicas that must have its writes before it returns.
    wait: Option<Wait>,
}

/// The number of replicas that must have a write, and the longest wait for them.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::redis) struct Wait {
    pub(in crate::store::redis) replicas: usize,
    pub(in crate::store::redis) patience: Duration,
}

impl<'a> Call<'a> {
    pub(in crate::store::redis) const fn command(command: &'a Cmd) -> Self {
        Self { question: Question::Command(command), is_redirected: false, wait: None }
    }

    pub(in crate::store::redis) const fn script(script: &'a Invocation<'a>) -> Self {
        Self { question: Question::Script(script), is_redirected: false, wait: None }
    }

    /// The same, which returns only once enough replicas have its writes.
    pub(in crate::store::redis) const fn with_wait(self, wait: Wait) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// The same, for the server that a slot is being moved to.
    pub(in crate::store::redis) const fn redirected(self) -> Self {
        Self { is_redirected: true, ..self }
    }

    /// The key that decides the slot.
    pub(in crate::store::redis) fn key(&self) -> Option<&'a [u8]> {
        match self.question {
            Question::Command(command) => match command.args_iter().nth(1) {
                Some(redis::Arg::Simple(key)) => Some(key),
                _ => None,
            },
            Question::Script(script) => script.keys().next(),
        }
    }

    /// All keys of the call.
    pub(in crate::store::redis) fn keys(&self) -> Vec<&'a [u8]> {
        match self.question {
            Question::Command(_) => self.key().into_iter().collect(),
            Question::Script(script) => script.keys().collect(),
        }
    }

    /// Sends the call on a connection.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<T, RedisError> {
        let answer = match self.question {
            Question::Command(command) if self.is_redirected => {
                ask_redirected(command, connection).await?
            }
            Question::Command(command) => command.query_async(connection).await?,
            Question::Script(script) if self.is_redirected => {
                let command = script.command();
                match ask_redirected(&command, connection).await {
                    Err(error) if is_unknown_script(&error) => {
                        script.load().query_async::<()>(connection).await?;
                        ask_redirected(&command, connection).await?
                    }
                    answer => answer?,
                }
            }
            Question::Script(script) => script.invoke(connection).await?,
        };
        if let Some(wait) = self.wait {
            wait.on(connection).await?;
        }
        Ok(answer)
    }
}

impl Wait {
    /// Waits for replicas to have the writes of this connection, which are all that WAIT counts.
    async fn on(self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.replicas).arg(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        let reached: usize = wait.query_async(connection).await?;
        if reached < self.replicas {
            let counts = format!("{reached} of {}", self.replicas);
            return Err((ErrorKind::Client, "too few replicas have it in time", counts).into());
        }
        Ok(())
    }
}

/// Sends ASKING and the command in one pipeline.
async fn ask_redirected<T: FromRedisValue>(
    command: &Cmd,
    connection: &mut MultiplexedConnection,
) -> Result<T, RedisError> {
    let mut both = redis::pipe();
    both.cmd("ASKING").ignore().add_command(command.clone());
    match both.query_async::<Vec<Value>>(connection).await {
        Ok(answers) => {
            let answer = answers.into_iter().next().unwrap_or(Value::Nil);
            Ok(T::from_redis_value(answer)?)
        }
        // The server's own error, as without a pipeline: it may name another server.
        Err(error) => match error.clone().into_server_errors() {
            Some(errors) => Err(errors.first().map_or(error, |(_, own)| own.clone().into())),
            None => Err(error),
        },
    }
}
