//! A real `redis-server` that a test can stop, kill, start again and ask.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use munjigi::secret::Secret;
use munjigi::store::Deadlines;
use munjigi::store::RedisOptions;
use munjigi::store::RedisStore;
use munjigi::store::Store;
use redis::FromRedisValue;

/// Deadlines that a busy machine keeps.
pub(crate) const PATIENT: Deadlines =
    Deadlines { command: Duration::from_secs(20), lookup: Duration::from_secs(20) };

/// A server on a port of its own; it is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    scheme: &'static str,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with("redis", &[]).await
    }

    /// Starts one with more arguments; `rediss` as scheme makes its only port a TLS one.
    pub(crate) async fn start_with(scheme: &'static str, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&text| text.to_owned()).collect();
        // Another process may take the port between the question and the server's bind.
        for _ in 0..5 {
            let port = free_port();
            let child = spawn(scheme, port, &arguments);
            let mut server = Self { child, port, arguments: arguments.clone(), scheme };
            if server.listens().await {
                return server;
            }
        }
        panic!("redis-server did not start on five ports");
    }

    pub(crate) fn options(&self, deadlines: Deadlines) -> RedisOptions {
        RedisOptions {
            url: format!("{}://127.0.0.1:{}/0", self.scheme, self.port),
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
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port));
        let client = client.expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let mut words = command.split(' ');
        let mut question = redis::cmd(words.next().expect("a command"));
        question.arg(words.collect::<Vec<_>>());
        question.query_async(&mut connection).await.expect(command)
    }

    /// Stops the process: it keeps its connections and says nothing.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn wake(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a running server");
        self.child.wait().expect("an ended server");
    }

    /// Starts it again on its port, with nothing in it.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.scheme, self.port, &self.arguments);
        assert!(self.listens().await, "redis-server did not start again");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    async fn listens(&mut self) -> bool {
        let listening = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return false;
                }
                if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                    return true;
                }
            }
        };
        tokio::time::timeout(PATIENT.command, listening).await.unwrap_or(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended by itself needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(scheme: &str, port: u16, arguments: &[String]) -> Child {
    let port = port.to_string();
    let ports = match scheme {
        "rediss" => ["--port", "0", "--tls-port", &port],
        _ => ["--port", &port, "--tls-port", "0"],
    };
    Command::new("redis-server")
        .args(ports)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("install redis-server: {error}"))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port: {error}"))
        .port()
}
