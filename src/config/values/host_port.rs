//! A host and a port: `mail.example:587`, `[::1]:6379`.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use crate::config::values::host::is_host_name;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name in lower case, or an IP address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, default_port),
        };
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
            None => Some(host.to_ascii_lowercase()).filter(|host| is_host_name(host))?,
        };
        (port != 0).then_some(Self { host, port })
    }

    /// The host as a URL has it (RFC 3986 §3.2.2).
    #[must_use]
    pub fn url_host(&self) -> Cow<'_, str> {
        match self.host.contains(':') {
            true => Cow::Owned(format!("[{}]", self.host)),
            false => Cow::Borrowed(&self.host),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.url_host(), self.port)
    }
}
