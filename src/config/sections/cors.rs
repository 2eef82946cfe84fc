//! `cors = { … }` of a site, and `cookie_same_site`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::HostPattern;
use crate::config::values::header::header_name;
use crate::config::values::host::is_host_name;
use crate::document::{Expected, Table};

/// `cors = { … }`: who may read the site's answers in a browser. A reload applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    /// Front ends on other origins; default none, and then the site says nothing of CORS.
    pub origins: Vec<Origin>,
    /// Whether they may send cookies; default `false`, on by itself where the contract sets some.
    pub credentials: bool,
    /// Headers that pages may read; default those that the backend itself exposes.
    pub expose: Vec<HeaderName>,
    /// Time that a browser remembers a preflight, in whole seconds; default 10 min.
    pub max_age: Duration,
}

/// An origin as browsers write it (RFC 6454 §6.2): `https://app.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// `cookie_same_site = "…"` (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests of the same site, and when a link is followed.
    #[default]
    Lax,
    /// Sent with requests of the same site only.
    Strict,
    /// Sent with every request; browsers want `Secure` with it.
    None,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            expose: Vec::new(),
            max_age: Duration::from_secs(10 * 60),
        }
    }
}

impl CorsConfig {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            origins: table
                .read("origins", default.origins, |item| item.list(|item| item.parse(str::parse))),
            credentials: table.flag("credentials", default.credentials),
            expose: table
                .read("expose", default.expose, |item| item.list(|item| item.parse(header_name))),
            max_age: table.duration_or_zero("max_age", default.max_age),
        };
        table.end();
        config
    }
}

impl Origin {
    /// The value of `Origin` that it is compared with, byte for byte.
    #[must_use]
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// Whether its pages come by https.
    pub(super) fn is_https(&self) -> bool {
        self.authority_of("https").is_some()
    }

    /// Whether its pages come by http from the browser's own machine.
    pub(super) fn is_http_on_loopback(&self) -> bool {
        let Some(authority) = self.authority_of("http") else { return false };
        let (host, _) = split_port(authority);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Host and port, where it has this scheme.
    fn authority_of(&self, scheme: &str) -> Option<&str> {
        self.0.to_str().ok()?.strip_prefix(scheme)?.strip_prefix("://")
    }

    /// Whether browsers take its pages and a host of ours, by https, for one site (RFC 6265bis
    /// §5.2). Without the public suffix list two hosts count as one site where their last two
    /// labels are equal, so that some that are not (`a.co.kr`, `b.co.kr`) count as well.
    #[must_use]
    pub fn is_same_site(&self, host: &HostPattern) -> bool {
        let Some(authority) = self.authority_of("https") else { return false };
        let (own, _) = split_port(authority);
        match host {
            HostPattern::Any => true,
            HostPattern::Exact(host) | HostPattern::Wildcard(host) => {
                let is_address = own.starts_with('[') || own.parse::<Ipv4Addr>().is_ok();
                own == host
                    || (!is_address && last_two(own).is_some_and(|own| last_two(host) == Some(own)))
            }
        }
    }
}

/// The host, and the port with its colon.
fn split_port(authority: &str) -> (&str, &str) {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(authority.len(), |end| end + 2),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.split_at_checked(end).unwrap_or((authority, ""))
}

/// The last two labels of a host.
fn last_two(host: &str) -> Option<&str> {
    let (before, _) = host.rsplit_once('.')?;
    let start = before.rfind('.').map_or(0, |at| at + 1);
    host.get(start..)
}

impl FromStr for Origin {
    type Err = Expected;

    /// Takes the one form that a browser sends: another would never be equal to it.
    fn from_str(text: &str) -> Result<Self, Expected> {
        if text == "*" {
            return Err(Expected::new("name each origin: `*` would let every page in"));
        }
        if text == "null" {
            return Err(Expected::new("`null` is the origin of every sandboxed page and file"));
        }
        let Some((scheme, authority)) = text.split_once("://") else {
            return Err(Expected::new("expected an origin such as https://app.example.com"));
        };
        if authority.contains('*') {
            return Err(Expected::new("name each origin: there are no patterns"));
        }
        if authority.contains(['/', '?', '#', '@']) {
            return Err(Expected::new("an origin ends with its host or port: no path, no `/`"));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(Expected::new("write it in lower case, as browsers do"));
        }
        check_scheme(scheme)?;
        check_authority(scheme, authority)?;
        let value = HeaderValue::try_from(text)
            .or(Err("expected an origin such as https://app.example.com"));
        value.map(Self).map_err(Expected::new)
    }
}

impl SameSite {
    /// Every policy with its name in a configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("lax", Self::Lax), ("strict", Self::Strict), ("none", Self::None)];

    /// The attribute's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// RFC 3986 §3.1; not only the web's own: apps built with web views have schemes of theirs.
fn check_scheme(scheme: &str) -> Result<(), Expected> {
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if is_scheme {
        Ok(())
    } else {
        Err(Expected::new("expected an origin such as https://a.example"))
    }
}

fn check_authority(scheme: &str, authority: &str) -> Result<(), Expected> {
    let (host, port) = split_port(authority);
    check_host(host)?;
    let Some(digits) = port.strip_prefix(':') else {
        return match port {
            "" => Ok(()),
            _ => Err(Expected::new("expected `:PORT` behind the host, or nothing")),
        };
    };
    let port = digits.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == digits);
    let Some(port) = port else {
        return Err(Expected::new("expected a port from 1 to 65535"));
    };
    if matches!((scheme, port), ("https", 443) | ("http", 80)) {
        return Err(Expected::new("leave the scheme's own port out, as browsers do"));
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), Expected> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let read = address.parse::<Ipv6Addr>().ok();
        return match read.filter(|read| read.to_string() == address) {
            Some(_) => Ok(()),
            None => Err(Expected::new("expected an IPv6 address in its shortest form: [::1]")),
        };
    }
    if !host.is_ascii() {
        return Err(Expected::new("write an international name in its xn-- form"));
    }
    if is_host_name(host) { Ok(()) } else { Err(Expected::new("expected a host behind `://`")) }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn an_origin_is_taken_as_browsers_write_it() {
        for text in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:5173",
            "http://127.0.0.1",
            "https://[::1]:8443",
            "https://xn--bj0bj06e.example",
            "https://example.com:80",
            "http://example.com:443",
            "capacitor://localhost",
        ] {
            let origin: Origin =
                text.parse().unwrap_or_else(|expected| panic!("{text}: {expected}"));

            assert_eq!(origin.header_value(), text);
        }
    }

    #[test]
    fn a_site_is_a_scheme_and_a_registrable_domain() {
        for (origin, host, expected) in [
            ("https://app.example.com", "api.example.com", true),
            ("https://example.com:8443", "api.example.com", true),
            ("https://example.com", "*.example.com", true),
            ("https://localhost:5173", "localhost", true),
            ("https://app.example.com", "*", true),
            ("https://[::1]:5173", "[::1]", true),
            ("http://app.example.com", "api.example.com", false),
            ("http://localhost:5173", "localhost", false),
            ("http://localhost:5173", "*", false),
            ("https://app.example.org", "api.example.com", false),
            ("https://localhost", "api.localhost", false),
            ("https://10.0.0.1", "10.1.0.1", false),
            ("capacitor://localhost", "localhost", false),
        ] {
            let parsed: Origin = origin.parse().unwrap();
            assert_eq!(parsed.is_same_site(&host.parse().unwrap()), expected, "{origin} {host}");
        }
    }

    #[test]
    fn every_other_form_is_refused_with_what_to_write() {
        for (text, hint) in [
            ("", "such as"),
            ("*", "every page"),
            ("null", "sandboxed"),
            ("app.example.com", "such as"),
            ("//app.example.com", "such as"),
            ("://app.example.com", "such as"),
            ("1https://app.example.com", "such as"),
            ("https://*.example.com", "patterns"),
            ("https://app.example.com/", "no path"),
            ("https://app.example.com/shop", "no path"),
            ("https://app.example.com?x", "no path"),
            ("https://you@app.example.com", "no path"),
            ("https://App.example.com", "lower case"),
            ("HTTPS://app.example.com", "lower case"),
            ("https://app.example.com:443", "own port"),
            ("http://app.example.com:80", "own port"),
            ("https://app.example.com:", "65535"),
            ("https://app.example.com:0", "65535"),
            ("https://app.example.com:08443", "65535"),
            ("https://app.example.com:+80", "65535"),
            ("https://app.example.com:65536", "65535"),
            ("https://", "a host"),
            ("https://app.example.com.", "a host"),
            ("https://a b", "a host"),
            ("https://a,https", "a host"),
            ("https://한국.example", "xn--"),
            ("https://[::1", "a host"),
            ("https://[0:0::1]", "shortest"),
            ("https://[::1]8443", "behind the host"),
            ("https://::1", "a host"),
            ("file://", "a host"),
        ] {
            let expected = text.parse::<Origin>().expect_err(text).to_string();

            assert!(expected.contains(hint), "{text}: {expected}");
        }
    }
}
