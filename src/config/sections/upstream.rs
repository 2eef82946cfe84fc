//! `[upstream.NAME]`: where requests are forwarded to, and how long that may take.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::config::HostPort;
use crate::document::parse_duration;
use crate::document::{Expected, Item, Table};

/// `[upstream.NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// URLs of its servers: one (several come with balancing). A reload applies it.
    pub targets: Vec<UpstreamUrl>,
    /// To a connection; default 2 s, then 504. A reload applies it.
    pub connect_timeout: Duration,
    /// To the response head; default 30 s, then 504. A reload applies it.
    pub response_timeout: Duration,
    /// No byte either way, streams too; default 60 s. A reload applies it.
    pub idle_timeout: Duration,
    /// Longest idle time of a connection that is used again; default 4 s less than the backend
    /// says in `Keep-Alive`, else 55 s; zero: none is. A reload applies it.
    pub keep_alive: Option<Duration>,
    /// Header lines of an answer; default 256, beyond it 502. A reload applies it.
    pub header_count: usize,
    /// Requests at once; default 1024, beyond it `queue_timeout`, then 503. A reload applies it.
    pub max_inflight: usize,
    /// WebSockets open at once; default 10,000, beyond it 503. A reload applies it.
    pub max_streams: usize,
    /// Longest wait of a request for a place; default 2 s, zero: not at all. A reload applies it.
    pub queue_timeout: Duration,
    /// CA file to trust besides the machine's own (`tls = { ca = "" }`); default none. A reload
    /// applies it.
    pub ca: Option<PathBuf>,
}

/// `http://host:port` or `https://host:port`: no path, no query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamUrl {
    /// TLS or not.
    pub tls: bool,
    /// Host and port.
    pub address: HostPort,
}

/// The upstream of a route: by name, or by URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamRef {
    /// `[upstream.NAME]`, which exists.
    Named(String),
    /// An address of its own, with the defaults of `[upstream.NAME]`.
    Url(UpstreamUrl),
}

impl UpstreamConfig {
    /// The settings of an upstream of which only the address is known.
    #[must_use]
    pub fn at(url: UpstreamUrl) -> Self {
        Self { targets: vec![url], ..Self::without_target() }
    }

    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::without_target();
        let hint = "an upstream is somewhere: targets = [\"http://127.0.0.1:3000\"]";
        let config = Self {
            targets: table
                .required("targets", hint)
                .and_then(|item| targets(&item))
                .unwrap_or_default(),
            connect_timeout: table.duration("connect_timeout", default.connect_timeout),
            response_timeout: table.duration("response_timeout", default.response_timeout),
            idle_timeout: table.duration("idle_timeout", default.idle_timeout),
            keep_alive: table.optional("keep_alive", |item| item.parse(parse_duration)),
            header_count: table.integer("header_count", default.header_count, 1..=10_000),
            max_inflight: table.integer("max_inflight", default.max_inflight, 1..=1_000_000),
            max_streams: table.integer("max_streams", default.max_streams, 1..=1_000_000),
            queue_timeout: table.duration_or_zero("queue_timeout", default.queue_timeout),
            ca: table.table("tls", "[upstream] tls").and_then(|tls| {
                let ca = tls.optional("ca", Item::path);
                tls.end();
                ca
            }),
        };
        table.end();
        config
    }

    const fn without_target() -> Self {
        Self {
            targets: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            keep_alive: None,
            header_count: 256,
            max_inflight: 1024,
            max_streams: 10_000,
            queue_timeout: Duration::from_secs(2),
            ca: None,
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(Expected::new(EXPECTED)),
        };
        // RFC 9110 §4.2.3: an empty path and "/" are the same.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(Expected::new("an upstream has no path: the route's path is forwarded"));
        }
        if authority.contains('@') {
            return Err(Expected::new("an upstream's URL holds no user and password"));
        }
        let address = HostPort::parse(authority, if tls { 443 } else { 80 });
        address.map(|address| Self { tls, address }).ok_or_else(|| Expected::new(EXPECTED))
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

impl fmt::Display for UpstreamRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => formatter.write_str(name),
            Self::Url(url) => url.fmt(formatter),
        }
    }
}

/// Checks that a name of `[upstream.NAME]` cannot be taken for a URL.
pub(crate) fn check_name(name: &str) -> Result<String, Expected> {
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name {
        Ok(name.to_owned())
    } else {
        Err(Expected::new("expected letters, digits, `-`, `_` and `.`, at most 64"))
    }
}

fn targets(item: &Item<'_>) -> Option<Vec<UpstreamUrl>> {
    let items = item.items()?;
    match items.as_slice() {
        [] => item.bad(EXPECTED),
        [_] => {}
        [_, second, ..] => {
            second.fault("more than one target", "several targets come with balancing; name one")
        }
    }
    item.list(|item| item.parse(str::parse))
}

const EXPECTED: &str = "expected a URL such as http://127.0.0.1:3000 or https://orders.internal";

#[cfg(test)]
mod tests {
    use super::UpstreamUrl;

    #[test]
    fn urls_are_read_and_written_whole() {
        for (text, written) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://Orders", "http://orders:80"),
            ("https://a.example/", "https://a.example:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("https://[0::1]", "https://[::1]:443"),
        ] {
            let url: UpstreamUrl = text.parse().expect(text);

            assert_eq!(url.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for text in [
            "",
            "orders",
            "http://",
            "ftp://a",
            "http://a:0",
            "http://a:99999",
            "http://a:b",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://[::1",
            "http://a b",
            "HTTP://a",
            "http://::1",
            "http://a:",
            "https://1270.0.1:3000",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
    }
}
