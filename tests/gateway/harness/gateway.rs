//! A gateway in this process, on free ports, with a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use munjigi::app::App;
use munjigi::config;
use munjigi::drain::Drained;
use rustls::RootCertStore;
use tempfile::TempDir;

pub(crate) use super::client::trust;
use super::{Client, DEADLINE, Upstream, Version};

/// The store of a gateway.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    /// `munjigi.db` in the gateway's folder.
    Sqlite,
    /// A Redis, by URL.
    Redis(String),
}

/// The settings of a test's gateway.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// `contract = "…"`.
    pub contract: String,
    /// Items of `routes`, TOML; `{upstream}` stands for the upstream's URL.
    pub routes: String,
    /// More keys of the site's table.
    pub site: String,
    /// More tables, after the site's.
    pub tables: String,
    /// The store.
    pub backing: Backing,
}

impl Default for Setup {
    /// `standard`, everything behind a token but `/public/*`, on SQLite.
    fn default() -> Self {
        Self {
            contract: "standard".to_owned(),
            routes: "{ path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                     { path = \"/maybe/*\", upstream = \"{upstream}\", auth = \"optional\" },\n\
                     { path = \"/*\", upstream = \"{upstream}\" },"
                .to_owned(),
            site: String::new(),
            tables: String::new(),
            backing: Backing::Sqlite,
        }
    }
}

impl Setup {
    /// Another contract.
    pub(crate) fn contract(name: &str) -> Self {
        Self { contract: name.to_owned(), ..Self::default() }
    }

    /// The configuration's text.
    pub(crate) fn text(&self, upstream: &Upstream) -> String {
        let routes = self.routes.replace("{upstream}", &upstream.url());
        let url = match &self.backing {
            Backing::Sqlite => "sqlite:munjigi.db".to_owned(),
            Backing::Redis(url) => url.clone(),
        };
        // Passwords are hashed for real, with parameters that a test suite can afford.
        let password = "[password]\nmemory = \"64KiB\"\niterations = 1\n";
        let own = |table: &str| self.tables.contains(table);
        let password = if own("[password]") { "" } else { password };
        // Tests try often, and from one address.
        let login = "[login]\nrate_limit = \"off\"\nlock_after = 0\n";
        let login = if own("[login]") { "" } else { login };
        let tables = self.tables.replace("{upstream}", &upstream.url());
        let server = if own("[server]") {
            String::new()
        } else {
            "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n".to_owned()
        };
        // A busy machine may take longer than a store of one's own should.
        let store = format!("[store]\nurl = \"{url}\"\ntimeout = \"10s\"\n");
        let store = if own("[store]") { "" } else { &store };
        format!(
            "{server}\n{store}\n{password}\n{login}\n[site.\"localhost\"]\ncontract = \"{}\"\n{}\n\
             routes = [\n{routes}\n]\n\n{tables}\n",
            self.contract, self.site
        )
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    app: Option<App>,
    /// Its folder: configuration, store, certificates.
    pub folder: Arc<TempDir>,
    /// Its upstream.
    pub upstream: Upstream,
}

impl Gateway {
    /// Starts a gateway with an upstream of its own, and waits until it is ready.
    pub(crate) async fn start(setup: Setup) -> Self {
        let upstream = Upstream::start().await;
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::start_in(folder, &setup.text(&upstream), upstream).await
    }

    /// Starts a gateway in a folder, with the configuration's whole text.
    pub(crate) async fn start_in(folder: Arc<TempDir>, text: &str, upstream: Upstream) -> Self {
        let file = folder.path().join("munjigi.toml");
        std::fs::write(&file, text).unwrap();
        let config = config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
        let app = App::start(config, None).await.unwrap();
        tokio::time::timeout(DEADLINE, app.ready()).await.expect("the gateway is ready in time");
        Self { app: Some(app), folder, upstream }
    }

    /// The running gateway's insides.
    pub(crate) fn app(&self) -> &App {
        self.app.as_ref().expect("the gateway runs")
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("munjigi.toml")
    }

    /// The HTTPS address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.app().listening()[0]
    }

    /// A client on a connection of its own.
    pub(crate) async fn client(&self, version: Version) -> Client {
        Client::connect(self.address(), &self.trust(), version).await
    }

    /// Trust in the certificate authority that the gateway made.
    pub(crate) fn trust(&self) -> RootCertStore {
        trust(&self.folder.path().join("certs/dev/ca.pem"))
    }

    /// Runs a verb of the real binary on this gateway's configuration; gives its output.
    pub(crate) async fn munjigi(&self, arguments: &[&str]) -> std::process::Output {
        super::process::munjigi(&self.file(), arguments, "").await
    }

    /// Makes an account with the real binary.
    pub(crate) async fn add_user(&self, arguments: &[&str], password: &str) {
        let verb = [&["user", "add", "--password-stdin"], arguments].concat();
        let output = super::process::munjigi(&self.file(), &verb, password).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Stops the gateway as SIGTERM does.
    pub(crate) async fn stop(mut self) -> Drained {
        self.app.take().expect("the gateway runs").stop().await
    }
}
