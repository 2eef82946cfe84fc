//! The connection that all commands share, made anew whenever it is in doubt.
//!
//! Not redis-rs's connection manager: that hands a failed command's error on and reconnects behind
//! it, and knows nothing of a server that is stopped or unreachable without a word (redis-rs#392,
//! #1223, #1442). Here a connection that failed is dropped at once, and one that is silent past an
//! operation's deadline as well; the next command connects afresh, and those that wait share one
//! attempt.

use std::fmt;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::future::Shared;
use redis::AsyncConnectionConfig;
use redis::Client;
use redis::Cmd;
use redis::FromRedisValue;
use redis::IntoConnectionInfo;
use redis::RedisError;
use redis::ScriptInvocation;
use redis::ServerErrorKind;
use redis::TlsCertificates;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;

use crate::store::RedisOptions;
use crate::store::StoreError;
use crate::store::redis::fault::Fault;

type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

/// The shared connection to one server.
pub(super) struct Link {
    client: Client,
    /// How long a connection may be silent while an answer is due.
    silence: Duration,
    /// Guards which attempt is current; held over no wait.
    slot: Mutex<Slot>,
}

struct Slot {
    /// Counts attempts, so that only the connection that failed is dropped.
    epoch: u64,
    current: Option<Current>,
}

struct Current {
    attempt: Attempt,
    /// When it was begun, or the latest answer came.
    heard: Instant,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the password.
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

/// A connection as one command borrows it.
struct Lease {
    connection: MultiplexedConnection,
    epoch: u64,
    /// It was made for an earlier command, and may have died unnoticed since.
    used: bool,
}

/// What is asked of the server.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// One command.
    Command(&'a Cmd),
    /// One script: EVALSHA, and SCRIPT LOAD where the server does not know it yet.
    Script(&'a ScriptInvocation<'a>),
}

impl Link {
    /// Prepares to connect; nothing is sent yet.
    pub(super) fn new(options: &RedisOptions) -> Result<Self, StoreError> {
        let slot = Mutex::new(Slot { epoch: 0, current: None });
        Ok(Self { client: client(options)?, silence: options.deadlines.command, slot })
    }

    /// Makes a connection of its own for a caller that blocks on it.
    pub(super) fn connect(&self) -> BoxFuture<'static, Result<MultiplexedConnection, RedisError>> {
        let client = self.client.clone();
        async move { client.get_multiplexed_async_connection_with_config(&config()).await }.boxed()
    }

    /// Asks, and asks once more where a connection from before turns out to be dead.
    ///
    /// The second time is safe although the first may have happened: a step that is repeated leaves
    /// the same behind (the scripts say how), but for a number that nobody gets, and a guess at a
    /// code that counts twice.
    pub(super) async fn ask<T: FromRedisValue>(&self, call: Call<'_>) -> Result<T, RedisError> {
        let lease = self.lease().await?;
        let used = lease.used;
        match self.ask_on(lease, call).await {
            Err(error) if used && is_broken(&error) => self.ask_on(self.lease().await?, call).await,
            answer => answer,
        }
    }

    /// Lets go of a connection that an operation's deadline ran out on, if it was silent for long.
    ///
    /// One that is slow stays, or slow answers would cost a new connection each. What others still
    /// await goes on, under their own deadlines.
    pub(super) fn doubt(&self) {
        let mut slot = self.slot();
        if slot.current.as_ref().is_some_and(|current| current.heard.elapsed() >= self.silence) {
            slot.current = None;
        }
    }

    fn note_answer(&self, epoch: u64) {
        let mut slot = self.slot();
        if slot.epoch == epoch
            && let Some(current) = &mut slot.current
        {
            current.heard = Instant::now();
        }
    }

    fn drop_connection(&self, epoch: u64) {
        let mut slot = self.slot();
        if slot.epoch == epoch {
            slot.current = None;
        }
    }

    async fn ask_on<T: FromRedisValue>(
        &self,
        mut lease: Lease,
        call: Call<'_>,
    ) -> Result<T, RedisError> {
        let answer = match call {
            Call::Command(command) => command.query_async(&mut lease.connection).await,
            Call::Script(script) => script.invoke_async(&mut lease.connection).await,
        };
        // READONLY: this server was demoted, and its name may lead to another one by now.
        let demoted = redis::ErrorKind::Server(ServerErrorKind::ReadOnly);
        match &answer {
            Err(error) if is_broken(error) || error.kind() == demoted => {
                self.drop_connection(lease.epoch);
            }
            _ => self.note_answer(lease.epoch),
        }
        answer
    }

    async fn lease(&self) -> Result<Lease, RedisError> {
        let (attempt, epoch, used) = self.current_attempt();
        match attempt.await {
            Ok(connection) => Ok(Lease { connection, epoch, used }),
            Err(error) => {
                self.drop_connection(epoch);
                Err(error)
            }
        }
    }

    fn current_attempt(&self) -> (Attempt, u64, bool) {
        let mut slot = self.slot();
        if let Some(Current { attempt, heard }) = &slot.current {
            let used = attempt.peek().is_some();
            // An attempt that all who waited for it have left does not go on by itself.
            if used || heard.elapsed() < self.silence {
                return (attempt.clone(), slot.epoch, used);
            }
        }
        let attempt = self.connect().shared();
        slot.epoch += 1;
        slot.current = Some(Current { attempt: attempt.clone(), heard: Instant::now() });
        (attempt, slot.epoch, false)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No deadline in redis-rs: each operation has one over all its steps, connecting included.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn client(options: &RedisOptions) -> Result<Client, StoreError> {
    // redis-rs reads `#insecure` as leave to skip the check of the certificate.
    if options.url.contains('#') {
        return Err(Fault::Url("a fragment").into());
    }
    let info = options.url.as_str().into_connection_info()?;
    if info.redis_settings().password().is_some() {
        return Err(Fault::Url("a password: it belongs in `password`").into());
    }
    let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
    if !options.username.is_empty() {
        settings = settings.set_username(&options.username);
    }
    if !options.password.expose().is_empty() {
        settings = settings.set_password(options.password.expose());
    }
    let info = info
        .set_redis_settings(settings)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    Ok(match &options.ca {
        Some(path) => {
            let own = std::fs::read(path)
                .map_err(|source| Fault::Ca { path: path.display().to_string(), source })?;
            let root_cert = Some([machine_roots(), own].concat());
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })?
        }
        None => Client::open(info)?,
    })
}

/// The machine's own CA certificates as PEM: a CA file given to redis-rs would replace them.
fn machine_roots() -> Vec<u8> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that rustls cannot read must not spoil the others.
        if rustls::RootCertStore::empty().add(certificate.clone()).is_ok() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            pem.push_str(&STANDARD.encode(&certificate));
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
    pem.into_bytes()
}
