//! A real `redis-server` of one test: on a free port, in memory, gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Longest wait for what takes no time on an idle machine.
pub(crate) const IN_TIME: Duration = Duration::from_mins(1);

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    scheme: &'static str,
    port: u16,
    arguments: Vec<String>,
    /// Its folder: replicas write what they are sent to disk.
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// When there is no `redis-server`, or it does not start in time.
    pub(crate) async fn start() -> Self {
        Self::start_with("redis", &[]).await
    }

    /// Starts one with more arguments; `rediss` as scheme makes its only port a TLS one.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub(crate) async fn start_with(scheme: &'static str, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&text| text.to_owned()).collect();
        // Another process may take the port between the question and the server's bind.
        for _ in 0..5 {
            let (port, folder) = (free_port(), new_folder());
            let child = spawn(scheme, port, &arguments, &folder);
            let mut server = Self { child, scheme, port, arguments: arguments.clone(), folder };
            if server.listens().await {
                return server;
            }
        }
        panic!("redis-server did not start on five ports");
    }

    /// Starts a sentinel on a port, by the configuration that it keeps in a file.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub(crate) async fn start_sentinel(port: u16, file: &Path) -> Self {
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let folder = new_folder();
        let child = spawn("redis", port, &arguments, &folder);
        let mut server = Self { child, scheme: "redis", port, arguments, folder };
        assert!(server.listens().await, "a sentinel did not start on port {port}");
        server
    }

    /// Its address, as `[store] url` takes it.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/0", self.scheme, self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Runs one command, written with spaces between its words.
    ///
    /// # Panics
    /// When the server refuses it.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        self.try_ask(command).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// As [`RedisServer::ask`], where a refusal is an answer as well.
    pub(crate) async fn try_ask<T: FromRedisValue>(&self, command: &str) -> redis::RedisResult<T> {
        let mut connection = self.connection().await?;
        in_words(command).query_async(&mut connection).await
    }

    /// Runs commands one after the other on one connection; answers the last.
    ///
    /// # Panics
    /// When the server refuses one.
    pub(crate) async fn ask_in_turn<T: FromRedisValue>(&self, commands: &[&str]) -> T {
        let asked = async {
            let mut connection = self.connection().await?;
            let mut answer = redis::Value::Nil;
            for command in commands {
                answer = in_words(command).query_async(&mut connection).await?;
            }
            Ok::<_, redis::RedisError>(T::from_redis_value(answer)?)
        };
        asked.await.unwrap_or_else(|error| panic!("{commands:?}: {error}"))
    }

    /// Cuts a replica off from its master, and keeps it so: it goes on with what it has.
    pub(crate) async fn lags(&self) {
        self.ask::<()>("CONFIG SET masteruser nobody").await;
        self.ask::<()>("CONFIG SET masterauth nothing").await;
        self.ask::<usize>("CLIENT KILL TYPE master").await;
        until("the replica is cut off", async || {
            self.ask::<String>("INFO replication").await.contains("master_link_status:down")
        })
        .await;
    }

    /// Empties it, and waits until so many replicas have done so as well.
    pub(crate) async fn is_followed_by(&self, replicas: usize) {
        // What came the first time may have come with the whole, some time before the replica is
        // sent what comes after it.
        for _ in 0..2 {
            until("the replicas follow", async || {
                self.is_emptied_by(replicas).await.is_ok_and(|it| it == replicas)
            })
            .await;
        }
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the process without ending it: connections stay open and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Ends the process at once; connections are refused from then on.
    pub(crate) fn kill(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(ended.is_ok(), "redis-server does not end: {ended:?}");
    }

    /// Starts a killed server again on its port, with nothing in it but what it has kept on disk.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.scheme, self.port, &self.arguments, &self.folder);
        assert!(self.listens().await, "redis-server did not start again");
    }

    async fn is_emptied_by(&self, replicas: usize) -> redis::RedisResult<usize> {
        let mut connection = self.connection().await?;
        // A write of this very connection, or WAIT counts replicas that have nothing of it.
        let mut both = redis::pipe();
        both.cmd("FLUSHALL").ignore().cmd("WAIT").arg(replicas).arg(200);
        let (reached,) = both.query_async(&mut connection).await?;
        Ok(reached)
    }

    /// With a patience that a busy machine needs: redis-rs's own is half a second.
    async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(IN_TIME))
            .set_response_timeout(Some(IN_TIME));
        let client = redis::Client::open(self.url())?;
        client.get_multiplexed_async_connection_with_config(&patient).await
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "no signal {name} to {pid}");
    }

    /// Whether it takes connections before its patience ends; a server that ended by itself, as
    /// one whose port was taken, does not.
    async fn listens(&mut self) -> bool {
        let listening = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return false;
                }
                // Another process's server may have bound the port first, and answer there.
                let log = std::fs::read_to_string(log_of(&self.folder)).unwrap_or_default();
                let is_ready = READY.iter().any(|line| log.contains(line));
                if is_ready && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                    return true;
                }
            }
        };
        tokio::time::timeout(IN_TIME, listening).await.unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A server that has ended by itself needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until a condition holds, and says which one did not.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if holds().await {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(IN_TIME, waited).await;
    assert!(waited.is_ok(), "not in time: {what}");
}

/// A command, written with spaces between its words.
fn in_words(command: &str) -> redis::Cmd {
    let mut words = command.split(' ');
    let mut question = redis::cmd(words.next().unwrap_or_default());
    question.arg(words.collect::<Vec<_>>());
    question
}

/// The log line of a server, and of a sentinel, that has its port.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

fn log_of(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

fn spawn(scheme: &str, port: u16, arguments: &[String], folder: &TempDir) -> Child {
    // The log of the process before it does not count.
    drop(std::fs::remove_file(log_of(folder)));
    let port = port.to_string();
    let ports = match scheme {
        "rediss" => ["--port", "0", "--tls-port", &port],
        _ => ["--port", &port, "--tls-port", "0"],
    };
    // A configuration file comes first.
    let (file, arguments) = match arguments.split_first() {
        Some((file, rest)) if !file.starts_with('-') => (Some(file), rest),
        _ => (None, arguments),
    };
    Command::new("redis-server")
        .args(file)
        .args(ports)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .arg("--logfile")
        .arg(log_of(folder))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("install redis-server: {error}"))
}

fn new_folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"))
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port: {error}"))
        .port()
}
