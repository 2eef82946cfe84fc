//! A real `redis-server` of one test: on a free port, in memory, gone with the test.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    scheme: &'static str,
    port: u16,
    arguments: Vec<String>,
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
            let port = free_port();
            let child = spawn(scheme, port, &arguments);
            let mut server = Self { child, scheme, port, arguments: arguments.clone() };
            if server.listens().await {
                return server;
            }
        }
        panic!("redis-server did not start on five ports");
    }

    /// Its address, as `[store] url` takes it.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/0", self.scheme, self.port)
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

    /// Starts a killed server again on its port, with nothing in it.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.scheme, self.port, &self.arguments);
        assert!(self.listens().await, "redis-server did not start again");
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
                if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                    return true;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listening).await.unwrap_or(false)
    }
}

impl Drop for RedisServer {
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
