//! States to the backend who asked and how: `X-Forwarded-*`, `X-Real-IP`, `X-Request-Id`.
//!
//! Whatever an untrusted peer says of that kind goes; of a trusted proxy, the chain is continued.
//! `Forwarded` goes even then, because it is not continued, and a proxy that does not know it
//! passes on what its client made up; so do the names by which other gateways say who asks.

use std::fmt::Write;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::gateway::text::write_address;

/// What is stated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The address that the request is from.
    pub(crate) client: IpAddr,
    /// The address of the connection's other end.
    pub(crate) peer: IpAddr,
    /// Whether the peer is a proxy whose word is taken.
    pub(crate) trusted_peer: bool,
    /// The authority that the client asked for.
    pub(crate) authority: &'a HeaderValue,
    /// What was cut from the path.
    pub(crate) prefix: Option<&'a str>,
    /// The request's id.
    pub(crate) request_id: &'a HeaderValue,
}

/// Headers besides `X-Forwarded-…` in which proxies of others name the client's address: backends
/// and their libraries look for them before they look at ours.
pub(crate) const ADDRESS_CLAIMS: [&str; 19] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "forwarded-for",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-remote-addr",
    "x-remote-ip",
];

/// Headers that are not even taken of a trusted proxy.
pub(crate) const CLAIMS: [&str; 10] = [
    "forwarded",
    "x-forwarded-access-token",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// Says whether a client's header of this name is dropped before ours are stated.
pub(crate) fn is_claim(name: &str, trusted_peer: bool) -> bool {
    let is_forwarded = || name.starts_with("x-forwarded-") || ADDRESS_CLAIMS.contains(&name);
    CLAIMS.contains(&name) || (!trusted_peer && is_forwarded())
}

/// States the facts, once [`is_claim`] has been applied.
pub(crate) fn state(headers: &mut HeaderMap, facts: &Facts<'_>) {
    let client = address_value(facts.client);
    let chain = if facts.trusted_peer { continued(headers, facts.peer) } else { client.clone() };
    headers.insert(FORWARDED_FOR, chain);
    headers.insert(REAL_IP, client);
    if !facts.trusted_peer || !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    }
    if !facts.trusted_peer || !headers.contains_key(FORWARDED_HOST) {
        headers.insert(FORWARDED_HOST, facts.authority.clone());
    }
    if let Some(prefix) = facts.prefix {
        // A trusted proxy cut its own part off before.
        let outer = headers.get(FORWARDED_PREFIX).and_then(|outer| outer.to_str().ok());
        let outer = outer.filter(|outer| outer.starts_with('/')).unwrap_or_default();
        let whole = format!("{}{prefix}", outer.trim_end_matches('/'));
        if let Ok(whole) = HeaderValue::try_from(whole) {
            headers.insert(FORWARDED_PREFIX, whole);
        }
    }
    headers.insert(REQUEST_ID, facts.request_id.clone());
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The name under which a request is known to client, backend and log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An IPv6 address in full, in bytes.
const LONGEST_ADDRESS: usize = 39;

fn address_value(address: IpAddr) -> HeaderValue {
    // An address in text is always a header value; the other arm only keeps this free of panics.
    let mut text = Vec::with_capacity(LONGEST_ADDRESS);
    write_address(&mut text, address);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

fn continued(headers: &HeaderMap, peer: IpAddr) -> HeaderValue {
    let mut chain = String::new();
    for value in headers.get_all(FORWARDED_FOR) {
        if let Ok(text) = value.to_str()
            && !text.is_empty()
        {
            chain.push_str(text);
            chain.push_str(", ");
        }
    }
    match write!(chain, "{peer}").map(|()| HeaderValue::try_from(chain)) {
        Ok(Ok(value)) => value,
        _ => address_value(peer),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Facts, is_claim, state};

    fn stated(lines: &[(&'static str, &'static str)], trusted_peer: bool) -> Vec<(String, String)> {
        let authority = HeaderValue::from_static("api.example.com");
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter(|line| !is_claim(line.0, trusted_peer)) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        state(
            &mut headers,
            &Facts {
                client: [192, 0, 2, 7].into(),
                peer: [10, 0, 0, 1].into(),
                trusted_peer,
                authority: &authority,
                prefix: trusted_peer.then_some("/shop"),
                request_id: &HeaderValue::from_static("req-1"),
            },
        );
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
        };
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    fn expected(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        lines.iter().map(|line| (line.0.to_owned(), line.1.to_owned())).collect()
    }

    const CLAIMS: &[(&str, &str)] = &[
        ("cf-connecting-ip", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "front.example.com"),
        ("x-forwarded-prefix", "/admin"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-user", "root"),
        ("x-original-url", "/admin"),
        ("x-real-ip", "1.1.1.1"),
        ("x-request-id", "mine"),
    ];

    #[test]
    fn an_untrusted_peer_states_nothing() {
        assert_eq!(
            stated(CLAIMS, false),
            expected(&[
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-host", "api.example.com"),
                ("x-forwarded-proto", "https"),
                ("x-real-ip", "192.0.2.7"),
                ("x-request-id", "req-1"),
            ])
        );
    }

    #[test]
    fn a_trusted_peers_chain_is_continued() {
        assert_eq!(
            stated(CLAIMS, true),
            expected(&[
                ("cf-connecting-ip", "1.1.1.1"),
                ("x-forwarded-for", "1.1.1.1, 10.0.0.1"),
                ("x-forwarded-host", "front.example.com"),
                ("x-forwarded-prefix", "/admin/shop"),
                ("x-forwarded-proto", "http"),
                ("x-real-ip", "192.0.2.7"),
                ("x-request-id", "req-1"),
            ])
        );
    }
}
