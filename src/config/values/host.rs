//! The hosts a site is for, and what a host name may look like.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::document::Expected;

/// The hosts of a site; lower case, no port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `api.example.com`, `127.0.0.1`, `[::1]`
    Exact(String),
    /// `*.example.com`: any one or more labels before `.example.com` (kept without the star).
    Wildcard(String),
    /// `*`
    Any,
}

impl FromStr for HostPattern {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let host = text.to_ascii_lowercase();
        if host == "*" {
            return Ok(Self::Any);
        }
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match address.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Exact(format!("[{address}]"))),
                Err(_) => Err(Expected::new("expected an IPv6 address in brackets such as [::1]")),
            };
        }
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(Expected::new(format!("write an IPv6 address in brackets: [{host}]")));
        }
        if !host.is_ascii() {
            return Err(Expected::new("write an international name in its xn-- form"));
        }
        if host.contains("://") {
            return Err(Expected::new("a site is named by its host alone, without https://"));
        }
        if host.contains(':') {
            return Err(Expected::new("a site's host has no port; it answers on every listener"));
        }
        match host.strip_prefix("*.") {
            Some(domain) if is_host_name(domain) => Ok(Self::Wildcard(domain.to_owned())),
            None if is_host_name(&host) => Ok(Self::Exact(host)),
            _ => Err(Expected::new(
                "expected a host such as api.example.com, *.example.com, [::1] or *",
            )),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => formatter.write_str(host),
            Self::Wildcard(domain) => write!(formatter, "*.{domain}"),
            Self::Any => formatter.write_str("*"),
        }
    }
}

/// Whether this is a DNS name or an IPv4 address, without a trailing dot.
///
/// No name ends in a number (RFC 1123 §2.1): `1270.0.1` is a slip.
pub(crate) fn is_host_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253
        && (!is_numeric || host.parse::<Ipv4Addr>().is_ok())
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn hosts_are_read_in_lower_case() {
        for (text, host) in [
            ("API.Example.com", HostPattern::Exact("api.example.com".into())),
            ("127.0.0.1", HostPattern::Exact("127.0.0.1".into())),
            ("[0:0::1]", HostPattern::Exact("[::1]".into())),
            ("*.Example.com", HostPattern::Wildcard("example.com".into())),
            ("*", HostPattern::Any),
        ] {
            assert_eq!(text.parse(), Ok(host), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "a..b",
            "a.",
            "-a.example",
            "*.",
            "**",
            "a.*.b",
            "*a.example",
            "api.example.com:443",
            "::1",
            "[::1",
            "한국.example",
            "a b",
            "http://a",
            "1270.0.1",
            "127.0.0.256",
            "a.1",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
