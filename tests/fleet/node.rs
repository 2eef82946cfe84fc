//! One gateway of the fleet: the real binary with its own file, behind its own link to Redis.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::backend::Backend;
use crate::harness::{Client, Process, Version, trust};
use crate::link::Link;

/// What differs between the rigs of different tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// `[revocation] max_staleness`
    pub max_staleness: Duration,
    /// `[store] timeout`
    pub timeout: Duration,
    /// `[server] max_connections`
    pub max_connections: u32,
    /// `[site.X.tokens] access_ttl`
    pub access_ttl: Duration,
    /// `[password] memory`
    pub hash_memory: &'static str,
}

/// A gateway, running or not.
pub(crate) struct Node {
    /// Its name in the history.
    pub name: &'static str,
    /// Its way to the store.
    pub link: Link,
    /// A library for the process to load first.
    pub preload: Option<PathBuf>,
    folder: TempDir,
    running: Option<Running>,
}

struct Running {
    process: Process,
    client: Client,
}

impl Terms {
    /// What a busy machine keeps.
    pub(crate) const USUAL: Self = Self {
        max_staleness: Duration::from_secs(2),
        timeout: Duration::from_millis(500),
        max_connections: 1000,
        access_ttl: Duration::from_hours(2),
        hash_memory: "64KiB",
    };
}

impl Node {
    /// Prepares a gateway; it does not run yet.
    pub(crate) fn prepare(name: &'static str, link: Link, terms: Terms, backend: &Backend) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = backend.url();
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nmax_connections = {}\n\
             [store]\nurl = \"redis://127.0.0.1:{}/0\"\ntimeout = \"{}ms\"\nlookup_timeout = \"2s\"\n\
             [revocation]\nmax_staleness = \"{}ms\"\n\
             [password]\nmemory = \"{}\"\niterations = 1\nconcurrency = 2\n\
             [login]\nrate_limit = \"off\"\nlock_after = 0\n\
             [log]\naccess = false\nformat = \"json\"\n\
             [site.\"localhost\"]\ncontract = \"standard\"\n\
             routes = [{{ path = \"/*\", upstream = \"{url}\" }},\n\
             {{ path = \"/accept/*\", upstream = \"{url}\", when_stale = \"accept\" }}]\n\
             [site.\"localhost\".tokens]\naccess_ttl = \"{}s\"\nrefresh_grace = \"60s\"\n",
            terms.max_connections,
            link.port(),
            terms.timeout.as_millis(),
            terms.max_staleness.as_millis(),
            terms.hash_memory,
            terms.access_ttl.as_secs(),
        );
        std::fs::write(folder.path().join("munjigi.toml"), text).expect("a configuration");
        Self { name, link, preload: None, folder, running: None }
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&mut self) {
        let process = Process::listening(self.command(), Some(self.log())).await;
        let trust = trust(&self.folder.path().join("certs/dev/ca.pem"));
        let client = Client::connect(process.address, &trust, Version::H2).await;
        self.running = Some(Running { process, client });
    }

    /// Kills it as a power cut would.
    pub(crate) async fn kill(&mut self) {
        self.running.take().expect("a running gateway").process.kill().await;
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, name: &str) {
        self.process().signal(name).await;
    }

    /// A client on a connection of its own, which answers one request at a time.
    pub(crate) async fn connect(&self) -> Client {
        let trust = trust(&self.folder.path().join("certs/dev/ca.pem"));
        Client::connect(self.process().address, &trust, Version::H1).await
    }

    /// A client of its own on the gateway's connection.
    pub(crate) fn client(&self) -> Client {
        self.running.as_ref().expect("a running gateway").client.sibling()
    }

    /// The running process.
    pub(crate) fn process(&self) -> &Process {
        &self.running.as_ref().expect("a running gateway").process
    }

    /// The configuration.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("munjigi.toml")
    }

    /// The gateway's own file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("munjigi.journal")
    }

    /// Keeps the folder, log and all, for who looks into a failure; says where.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    fn log(&self) -> std::fs::File {
        let path = self.folder.path().join("log");
        OpenOptions::new().create(true).append(true).open(path).expect("a log")
    }

    /// A full disk is told by an error, not by a signal, as under a service manager.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" --config \"$1\" run"]);
        command.arg(env!("CARGO_BIN_EXE_munjigi")).arg(self.file());
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command
    }
}
