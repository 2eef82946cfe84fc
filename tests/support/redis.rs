//! A real `redis-server` of one test: on a free port, in memory, gone with the test.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server`, or it does not answer in time.
    pub(crate) async fn start() -> Self {
        // Another process may take the port between the question and the server's bind.
        for _ in 0..5 {
            let mut server = Self::spawn(free_port());
            if server.answers_before(Duration::from_secs(20)).await {
                return server;
            }
        }
        panic!("redis-server did not start on five ports");
    }

    /// Its address, as `[store] url` takes it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Stops the process without ending it: connections stay open and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "no signal {name} to {pid}");
    }

    fn spawn(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("install redis-server: {error}"));
        Self { child, port }
    }

    async fn answers_before(&mut self, deadline: Duration) -> bool {
        let answered = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return false;
                }
                if ping(self.port).await.is_ok_and(|answer| answer == *b"+PONG") {
                    return true;
                }
            }
        };
        tokio::time::timeout(deadline, answered).await.unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A server that has ended by itself needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port: {error}"))
        .port()
}

async fn ping(port: u16) -> std::io::Result<[u8; 5]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
