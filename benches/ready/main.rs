//! The time from the start of a gateway to its `/readyz`, with a million revocations.
//!
//! `cargo bench --bench ready`. The first start is fresh: everything is in a redis-server, nothing
//! in a file. The second is of the same gateway again, with its file, while that server is away.
//! Targets are noted, never asserted.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step ends the bench"
)]
#![expect(clippy::print_stdout, reason = "the times are the bench's answer")]

#[path = "../../tests/support/redis.rs"]
#[expect(dead_code, reason = "nothing is paused or lags here")]
mod redis;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use munjigi::clock::Now;
use munjigi::operation::{Revocation, Revoked, TokenId};
use munjigi::store::{Deadlines, RedisOptions, RedisStore, Revocations};

use redis::RedisServer;

/// Number of revocations.
const ENTRIES: usize = 1_000_000;

/// Past this a gateway counts as one that does not start.
const PATIENCE: Duration = Duration::from_mins(2);

/// When a gateway should be ready.
const TARGET: Duration = Duration::from_secs(2);

/// Starts of each kind; the median counts.
const STARTS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(bench());
}

async fn bench() {
    let mut server = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, admin) = configure(folder.path(), &server.url());
    // The first makes the keys.
    drop(Gateway::start(&file, admin));
    let begun = Instant::now();
    fill(&server).await;
    println!("{ENTRIES} revocations put into Redis in {:.1} s", begun.elapsed().as_secs_f64());

    let journal = folder.path().join("munjigi.journal");
    let fresh = || {
        std::fs::remove_file(&journal).unwrap();
        Gateway::start(&file, admin).ready_with(ENTRIES)
    };
    print("a fresh gateway, from Redis", (0..STARTS).map(|_| fresh()).collect());
    server.kill();
    let again = || Gateway::start(&file, admin).ready_with(ENTRIES);
    print("a restart from the journal, Redis away", (0..STARTS).map(|_| again()).collect());
}

/// Records as a gateway does.
async fn fill(server: &RedisServer) {
    let patience = Deadlines { command: PATIENCE, lookup: PATIENCE };
    let store = RedisStore::connect(RedisOptions::new(server.url(), patience)).await.unwrap();
    let now = Now::read().wall.plus(Duration::from_hours(1));
    let revocations: Vec<_> = (0..ENTRIES as u64)
        .map(|number| Revocation {
            revoked: Revoked::Token {
                issuer: "https://bench.example".to_owned(),
                token: TokenId(number.to_string()),
            },
            // As though they had been revoked within a quarter of an hour.
            expires_at: now.plus(Duration::from_millis(number * 900_000 / ENTRIES as u64)),
        })
        .collect();
    store.revoke(&revocations).await.unwrap();
}

fn configure(folder: &Path, url: &str) -> (PathBuf, SocketAddr) {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"{admin}\"\n[store]\nurl = \"{url}\"\n\
         [site.\"localhost\"]\ncontract = \"standard\"\n\
         routes = [{{ path = \"/*\", upstream = \"http://127.0.0.1:9\" }}]\n"
    );
    let file = folder.join("munjigi.toml");
    std::fs::write(&file, text).unwrap();
    (file, admin)
}

/// A gateway, and how long it took to be ready.
struct Gateway {
    child: Child,
    admin: SocketAddr,
    ready: Duration,
}

impl Gateway {
    fn start(file: &Path, admin: SocketAddr) -> Self {
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_munjigi"))
            .args(["--config".as_ref(), file.as_os_str(), "run".as_ref()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut gateway = Self { child, admin, ready: Duration::ZERO };
        gateway.wait("/readyz", |reply| reply.starts_with("HTTP/1.1 200"));
        gateway.ready = begun.elapsed();
        gateway
    }

    /// Ends it as a service manager does, once it says that it has so many entries.
    fn ready_with(mut self, entries: usize) -> Duration {
        self.wait("/metrics", |reply| {
            let mut lines = reply.lines();
            let held = lines.find_map(|line| line.strip_prefix("munjigi_revocation_entries "));
            held.and_then(|held| held.parse::<f64>().ok())
                .is_some_and(|held| held >= entries as f64)
        });
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "it did not end in order");
        self.ready
    }

    /// Asks the admin listener until it answers as wanted.
    fn wait(&mut self, path: &str, is_wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            if ask(self.admin, path).is_ok_and(|reply| is_wanted(&reply)) {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the gateway ended");
            assert!(begun.elapsed() < PATIENCE, "{path} never came true");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ask(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let note = if median <= TARGET { "PASS" } else { "OVER" };
    println!(
        "{what}: ready with {ENTRIES} after {:.2} s {note} of {times:.2?}",
        median.as_secs_f64()
    );
}
