//! `[store]`: where users, sessions, keys and revocations are kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Expected;
use crate::config::Item;
use crate::config::Table;
use crate::config::host::is_host_name;
use crate::config::path::percent_decode;
use crate::secret::Secret;

/// `[store]`
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Which store; default `sqlite:munjigi.db`. A change needs a restart (R).
    pub url: StoreUrl,
    /// What every key begins with (Redis); default `munjigi:`. A change needs a restart (R).
    pub prefix: String,
    /// SQLite: `full` (default; `fsync` before an answer) or `normal`. A change needs a restart (R).
    pub full_durability: bool,
    /// Longest time for one command; default 250 ms, past it the request is 503. A change needs a restart (R).
    pub timeout: Duration,
    /// Longest time for the user look-up of a login; default 5 s. A change needs a restart (R).
    pub lookup_timeout: Duration,
    /// Redis: ACL user; default empty: none. A change needs a restart (R).
    pub username: String,
    /// Redis: password; default empty: none. A change needs a restart (R).
    pub password: Secret<String>,
    /// Redis: CA file to trust beside the machine's own; default none. A change needs a restart (R).
    pub ca: Option<PathBuf>,
}

/// `[store] url`
#[derive(Clone, Debug, PartialEq)]
pub enum StoreUrl {
    /// `sqlite:FILE`, already relative to the configuration's folder.
    Sqlite(PathBuf),
    /// `sqlite::memory:`: goes with the process.
    Memory,
    /// `redis://…` or `rediss://…`, without credentials.
    Redis(String),
}

/// A URL with the credentials that stood in it.
struct Address {
    url: StoreUrl,
    username: String,
    password: String,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: StoreUrl::Sqlite(PathBuf::from(DEFAULT_FILE)),
            prefix: "munjigi:".to_owned(),
            full_durability: true,
            timeout: Duration::from_millis(250),
            lookup_timeout: Duration::from_secs(5),
            username: String::new(),
            password: Secret::from(""),
            ca: None,
        }
    }
}

impl StoreConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let url = table.resolve_path(DEFAULT_FILE);
        let address =
            table.read("url", Address::without_credentials(StoreUrl::Sqlite(url)), |item| {
                item.parse(|text| Address::parse(text, |path| table.resolve_path(path)))
            });
        let config = Self {
            url: address.url,
            prefix: table.parse("prefix", default.prefix, prefix),
            full_durability: table.choice(
                "durability",
                default.full_durability,
                &[("full", true), ("normal", false)],
            ),
            timeout: table.duration("timeout", default.timeout),
            lookup_timeout: table.duration("lookup_timeout", default.lookup_timeout),
            username: Some(table.text("username", ""))
                .filter(|username| !username.is_empty())
                .unwrap_or(address.username),
            password: Some(table.secret("password"))
                .filter(|password| !password.expose().is_empty())
                .unwrap_or_else(|| Secret::new(address.password)),
            ca: table.optional("ca", Item::path),
        };
        table.end();
        config
    }
}

impl Address {
    const fn without_credentials(url: StoreUrl) -> Self {
        Self { url, username: String::new(), password: String::new() }
    }

    fn parse(text: &str, resolve: impl Fn(&str) -> PathBuf) -> Result<Self, Expected> {
        if text == "sqlite::memory:" {
            return Ok(Self::without_credentials(StoreUrl::Memory));
        }
        if let Some(file) = text.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
            return Ok(Self::without_credentials(StoreUrl::Sqlite(resolve(file))));
        }
        for scheme in ["redis://", "rediss://"] {
            if let Some(rest) = text.strip_prefix(scheme) {
                return Self::redis(scheme, rest);
            }
        }
        Err(Expected::new("expected sqlite:FILE, redis://HOST:PORT or rediss://HOST:PORT"))
    }

    fn redis(scheme: &str, rest: &str) -> Result<Self, Expected> {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if tail.contains('@') {
            return Err(Expected::new(
                "percent-encode `/`, `?` and `#` in a password, or set `password`",
            ));
        }
        let (credentials, server) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let database = tail.split('?').next().unwrap_or_default().trim_start_matches('/');
        if !is_server(server) || !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Expected::new(format!(
                "expected {scheme}HOST:PORT, then /DATABASE if any"
            )));
        }
        Ok(Self {
            url: StoreUrl::Redis(format!("{scheme}{server}{tail}")),
            username: credential(username)?,
            password: credential(password)?,
        })
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`
fn is_server(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

fn credential(text: &str) -> Result<String, Expected> {
    percent_decode(text)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or("the user or the password in this URL is not percent-encoded UTF-8")
        .map_err(Expected::new)
}

/// Braces would move keys to another slot of a Redis Cluster.
fn prefix(text: &str) -> Result<String, Expected> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}*?[]\\".contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err(Expected::new(
            "expected letters, digits and marks other than `{}`, `[]`, `*`, `?`, `\\`",
        ))
    }
}

const DEFAULT_FILE: &str = "munjigi.db";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Address;
    use super::StoreUrl;

    fn parse(text: &str) -> Option<(StoreUrl, String, String)> {
        let address = Address::parse(text, |path| PathBuf::from("/folder").join(path)).ok()?;
        Some((address.url, address.username, address.password))
    }

    #[test]
    fn credentials_leave_the_url() {
        for (text, url, username, password) in [
            ("redis://h", "redis://h", "", ""),
            ("redis://u:p%40w@h:6379/0", "redis://h:6379/0", "u", "p@w"),
            (
                "rediss://:p@w@[::1]:6379/2?protocol=resp3",
                "rediss://[::1]:6379/2?protocol=resp3",
                "",
                "p@w",
            ),
            ("redis://u@h", "redis://h", "u", ""),
        ] {
            let found = parse(text);

            let redis = StoreUrl::Redis(url.to_owned());
            assert_eq!(found, Some((redis, username.to_owned(), password.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_file_is_relative_to_the_folder() {
        let url = |text| parse(text).map(|(url, _, _)| url);

        assert_eq!(url("sqlite:a.db"), Some(StoreUrl::Sqlite("/folder/a.db".into())));
        assert_eq!(url("sqlite:/var/a.db"), Some(StoreUrl::Sqlite("/var/a.db".into())));
        assert_eq!(url("sqlite::memory:"), Some(StoreUrl::Memory));
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for text in [
            "",
            "munjigi.db",
            "sqlite:",
            "redis:",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h/name",
            "redis://u:p/w@h",
            "redis://u:%zz@h",
            "redis+cluster://h",
            "REDIS://h",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
