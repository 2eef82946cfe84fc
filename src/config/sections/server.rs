//! `[server]`: where the gateway listens and how it stops.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::document::{Expected, Item, Table};
use crate::secret::Secret;

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// HTTPS listeners; default `["127.0.0.1:8443"]`. A change needs a restart.
    pub listen: Vec<SocketAddr>,
    /// Admin listener; default `127.0.0.1:9901`, `None` (written `""`): off. A change needs a
    /// restart.
    pub admin: Option<SocketAddr>,
    /// Secret that opens accounts to backends on the admin listener (`/munjigi/users/ID`); default
    /// `None` (written `""`): they are not there. A reload applies it.
    pub backend_secret: Option<Secret<String>>,
    /// Threads that serve connections; default 0 = one per core. A change needs a restart.
    pub workers: usize,
    /// Networks whose `X-Forwarded-*` are trusted; default none. A reload applies it.
    pub trusted_proxies: Vec<IpNet>,
    /// Longest wait of a stop for requests in flight; default 30 s. A reload applies it.
    pub shutdown_grace: Duration,
    /// Connections at once, over all listeners; default 10 000. A change needs a restart.
    pub max_connections: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8443))],
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9901))),
            backend_secret: None,
            workers: 0,
            trusted_proxies: Vec::new(),
            shutdown_grace: Duration::from_secs(30),
            max_connections: 10_000,
        }
    }
}

impl ServerConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            listen: table.read("listen", default.listen, |item| {
                let addresses = item.list(|item| item.parse(address));
                if item.items().is_some_and(|items| items.is_empty()) {
                    item.bad("expected at least one address such as 127.0.0.1:8443");
                }
                addresses
            }),
            admin: table.read("admin", default.admin, |item| {
                if item.is_empty_text() { Some(None) } else { item.parse(address).map(Some) }
            }),
            backend_secret: backend_secret(table),
            workers: table.integer("workers", default.workers, 0..=1024),
            trusted_proxies: table.read("trusted_proxies", default.trusted_proxies, |item| {
                item.list(|item| item.parse(network))
            }),
            shutdown_grace: table.duration_or_zero("shutdown_grace", default.shutdown_grace),
            max_connections: table.integer(
                "max_connections",
                default.max_connections,
                1..=10_000_000,
            ),
        };
        if let Some(item) = table.item("listen") {
            config.check_addresses(&item);
        }
        table.end();
        config
    }

    /// Whether every listener is reachable from this machine alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.iter().all(|address| address.ip().is_loopback())
    }

    fn check_addresses(&self, listen: &Item<'_>) {
        for (index, address) in self.listen.iter().enumerate() {
            let is_fixed = address.port() != 0;
            if is_fixed && self.listen.iter().take(index).any(|other| other == address) {
                listen.bad(format!("{address} stands here twice"));
            }
            if is_fixed && self.admin.as_ref() == Some(address) {
                listen.bad(format!("{address} is the admin listener's address"));
            }
        }
    }
}

fn backend_secret(table: &Table<'_>) -> Option<Secret<String>> {
    let item = table.secret_item("backend_secret").filter(|item| !item.is_empty_text())?;
    let token = item.secret()?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.expose().len() < SHORTEST_TOKEN || !token.expose().bytes().all(is_token) {
        item.bad(format!("expected at least {SHORTEST_TOKEN} letters, digits or -._~+/="));
    }
    Some(token)
}

/// 128 bits in hex.
const SHORTEST_TOKEN: usize = 32;

fn address(text: &str) -> Result<SocketAddr, Expected> {
    text.parse()
        .or(Err("expected an address and a port such as 127.0.0.1:8443 or [::]:8443"))
        .map_err(Expected::new)
}

fn network(text: &str) -> Result<IpNet, Expected> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .or(Err("expected a network such as 10.0.0.0/8, or an address"))
        .map_err(Expected::new)
}
