//! `[store]`: where users, sessions, keys and revocations are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::RedisUrl;
use crate::document::{Expected, Item, Table};
use crate::encoding::percent_decode;
use crate::secret::Secret;

/// `[store]`
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// The store; default `sqlite:munjigi.db`. A change needs a restart.
    pub url: StoreUrl,
    /// Prefix of every key (Redis); default `munjigi:`. A change needs a restart.
    pub prefix: String,
    /// SQLite: `full` (default; `fsync` before an answer) or `normal`. A change needs a restart.
    pub full_durability: bool,
    /// Longest time for one command; default 250 ms, past it the request is 503. A change needs a
    /// restart.
    pub timeout: Duration,
    /// Longest time for the user look-up of a login; default 5 s. A change needs a restart.
    pub lookup_timeout: Duration,
    /// Redis: ACL user; default empty: none. A change needs a restart.
    pub username: String,
    /// Redis: password; default empty: none. A change needs a restart.
    pub password: Secret<String>,
    /// Redis: CA file to trust besides the machine's own; default none. A change needs a restart.
    pub ca: Option<PathBuf>,
    /// Redis: this gateway's certificate, where the server asks for one; with `key`; default none.
    /// A change needs a restart.
    pub cert: Option<PathBuf>,
    /// Redis: the key of `cert`; default none. A change needs a restart.
    pub key: Option<PathBuf>,
    /// Redis: the sentinels' password; default empty: none. A change needs a restart.
    pub sentinel_password: Secret<String>,
    /// Redis: replicas that must have a revocation before it is acknowledged; default 0. A change
    /// needs a restart.
    pub wait_replicas: usize,
}

/// `[store] url`
#[derive(Clone, Debug, PartialEq)]
pub enum StoreUrl {
    /// `sqlite:FILE`, already relative to the configuration's folder.
    Sqlite(PathBuf),
    /// `sqlite::memory:`: goes with the process.
    Memory,
    /// `redis://…` and its kin ([`RedisUrl`]), without credentials.
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
            cert: None,
            key: None,
            sentinel_password: Secret::from(""),
            wait_replicas: 0,
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
        // A certificate that is never looked at must not seem to be.
        let is_plain = matches!(&address.url, StoreUrl::Redis(url) if !url.starts_with("rediss"));
        let of_tls = |key| {
            table.optional(key, |item: &Item<'_>| {
                if is_plain {
                    item.fault(format!("`{key}` without TLS"), "write rediss… in `url`");
                }
                item.path()
            })
        };
        let (ca, cert, key) = (of_tls("ca"), of_tls("cert"), of_tls("key"));
        if cert.is_some() != key.is_some() {
            table.absence("a client certificate is `cert` and `key`", "set both or neither");
        }
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
            ca,
            cert,
            key,
            sentinel_password: table.secret("sentinel_password"),
            wait_replicas: table.integer("wait_replicas", default.wait_replicas, 0..=100),
        };
        table.end();
        config
    }
}

impl StoreConfig {
    /// The store at an address as a command is given it: a file is relative to the working
    /// directory. What the address does not say is as here.
    ///
    /// # Errors
    /// The expected form.
    pub fn at(&self, address: &str) -> Result<Self, Expected> {
        let Address { url, username, password } =
            Address::parse(address, |path| Path::new(path).to_owned())?;
        let is_same = url == self.url;
        let is_given = !username.is_empty() || !password.is_empty();
        Ok(match (is_same, is_given) {
            (true, false) => self.clone(),
            (_, true) => Self { url, username, password: Secret::new(password), ..self.clone() },
            // Another server: it gets no password that is not its own.
            (false, false) => {
                Self { url, username: String::new(), password: Secret::from(""), ..self.clone() }
            }
        })
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
        match RedisUrl::SCHEMES.into_iter().find_map(|it| Some((it, text.strip_prefix(it)?))) {
            Some((scheme, rest)) => Self::redis(scheme, rest),
            None => Err(Expected::new(
                "expected sqlite:FILE, redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/NAME \
                 or redis+cluster://HOST:PORT,HOST:PORT; rediss… for TLS",
            )),
        }
    }

    fn redis(scheme: &str, rest: &str) -> Result<Self, Expected> {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if tail.contains('@') {
            return Err(Expected::new(
                "percent-encode `/`, `?` and `#` in a password, or set `password`",
            ));
        }
        let (credentials, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let url = format!("{scheme}{servers}{tail}");
        url.parse::<RedisUrl>()?;
        Ok(Self {
            url: StoreUrl::Redis(url),
            username: credential(username)?,
            password: credential(password)?,
        })
    }
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

    use super::{Address, StoreUrl};

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
            ("redis+sentinel://u:p@a:1,b/n", "redis+sentinel://a:1,b/n", "u", "p"),
            ("rediss+cluster://:p@a,b", "rediss+cluster://a,b", "", "p"),
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
            "redis+cluster://h/1",
            "redis+sentinel://h",
            "REDIS://h",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
