//! The URL of a Redis: `redis://…` and its kin for Sentinel and Cluster.

use std::str::FromStr;

use crate::config::HostPort;
use crate::document::Expected;

/// The address of a Redis, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// `rediss…`: TLS to every server, sentinels included.
    pub tls: bool,
    /// Standalone, Sentinel or Cluster.
    pub way: RedisWay,
}

/// The topology of a Redis, with its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisWay {
    /// One server: `redis://HOST:PORT/DATABASE`, the whole of it.
    Standalone(String),
    /// A master that sentinels watch: `redis+sentinel://HOST:PORT,HOST:PORT/NAME`.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<HostPort>,
        /// The sentinels' name of the master.
        master: String,
    },
    /// Nodes that share the keys: `redis+cluster://HOST:PORT,HOST:PORT`.
    Cluster(Vec<HostPort>),
}

impl RedisUrl {
    /// The schemes of such URLs.
    pub(crate) const SCHEMES: [&str; 6] = [
        "redis://",
        "rediss://",
        "redis+sentinel://",
        "rediss+sentinel://",
        "redis+cluster://",
        "rediss+cluster://",
    ];
}

impl FromStr for RedisUrl {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Expected::new("expected redis://HOST:PORT"));
        };
        let (kind, way) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match kind {
            "redis" => false,
            "rediss" => true,
            _ => return Err(unknown_scheme()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (servers, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let way = match way {
            "" => standalone(text, scheme, servers, tail)?,
            "sentinel" => RedisWay::Sentinel {
                sentinels: addresses(scheme, servers, SENTINEL_PORT)?,
                master: master(scheme, tail)?,
            },
            "cluster" if tail.is_empty() || tail == "/" => {
                RedisWay::Cluster(addresses(scheme, servers, PORT)?)
            }
            "cluster" => {
                return Err(Expected::new(format!(
                    "a cluster has no databases: expected {scheme}://HOST:PORT,HOST:PORT alone"
                )));
            }
            _ => return Err(unknown_scheme()),
        };
        Ok(Self { tls, way })
    }
}

fn standalone(text: &str, scheme: &str, server: &str, tail: &str) -> Result<RedisWay, Expected> {
    if server.contains(',') {
        return Err(Expected::new(format!(
            "expected one server; several are {scheme}+sentinel://… or {scheme}+cluster://…"
        )));
    }
    let database = tail.split('?').next().unwrap_or_default().trim_start_matches('/');
    let is_number = database.bytes().all(|byte| byte.is_ascii_digit());
    // redis-rs reads `#insecure` as leave to skip the check of the certificate.
    if HostPort::parse(server, PORT).is_none() || !is_number || tail.contains('#') {
        return Err(Expected::new(format!("expected {scheme}://HOST:PORT, then /DATABASE if any")));
    }
    Ok(RedisWay::Standalone(text.to_owned()))
}

fn addresses(scheme: &str, servers: &str, default_port: u16) -> Result<Vec<HostPort>, Expected> {
    let read = |server| {
        HostPort::parse(server, default_port)
            .ok_or_else(|| Expected::new(format!("expected {scheme}://HOST:PORT,HOST:PORT")))
    };
    servers.split(',').map(read).collect()
}

/// Sentinel's own rule for names.
fn master(scheme: &str, tail: &str) -> Result<String, Expected> {
    let name = tail.trim_start_matches('/');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Expected::new(format!(
            "expected {scheme}://HOST:PORT,HOST:PORT/NAME with the sentinels' name of the master"
        )));
    }
    Ok(name.to_owned())
}

fn unknown_scheme() -> Expected {
    Expected::new("expected redis://, redis+sentinel:// or redis+cluster://; rediss… for TLS")
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

#[cfg(test)]
mod tests {
    use super::{RedisUrl, RedisWay};
    use crate::config::HostPort;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn each_way_is_read() {
        let sentinel = RedisWay::Sentinel {
            sentinels: vec![at("a", 1), at("b", 26379), at("::1", 3)],
            master: "gate.1".to_owned(),
        };
        for (text, tls, way) in [
            ("redis://h", false, RedisWay::Standalone("redis://h".to_owned())),
            ("rediss://h:1/2", true, RedisWay::Standalone("rediss://h:1/2".to_owned())),
            ("redis+sentinel://a:1,b,[::1]:3/gate.1", false, sentinel.clone()),
            ("rediss+sentinel://a:1,b,[::1]:3/gate.1", true, sentinel),
            ("redis+cluster://a,b:2", false, RedisWay::Cluster(vec![at("a", 6379), at("b", 2)])),
            ("rediss+cluster://a/", true, RedisWay::Cluster(vec![at("a", 6379)])),
        ] {
            assert_eq!(text.parse::<RedisUrl>().ok(), Some(RedisUrl { tls, way }), "{text}");
        }
    }

    #[test]
    fn what_is_no_redis_is_refused_with_what_was_expected() {
        for (text, told) in [
            ("redis:", "redis://HOST:PORT"),
            ("http://h", "rediss…"),
            ("redis+other://h", "rediss…"),
            ("redis://", "HOST:PORT"),
            ("redis://h:0", "HOST:PORT"),
            ("redis://h/name", "/DATABASE"),
            ("rediss://h#insecure", "/DATABASE"),
            ("redis://a,b", "redis+sentinel://"),
            ("redis+sentinel://a", "/NAME"),
            ("redis+sentinel://a/", "/NAME"),
            ("redis+sentinel://a/b/c", "/NAME"),
            ("redis+sentinel://a,,b/n", "HOST:PORT,HOST:PORT"),
            ("redis+cluster://a/1", "no databases"),
            ("redis+cluster://a:x", "HOST:PORT,HOST:PORT"),
        ] {
            let refused = text.parse::<RedisUrl>().map_err(|expected| expected.to_string());

            assert!(refused.as_ref().is_err_and(|hint| hint.contains(told)), "{text}: {refused:?}");
        }
    }
}
