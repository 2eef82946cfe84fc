//! `X-Forwarded-*`, `X-Real-IP` and `X-Request-Id` for the backend.
//!
//! Such fields of an untrusted peer are removed; the chain of a trusted proxy is continued.
//! `Forwarded` is removed even then, because it is not continued, and a proxy that does not know it
//! passes on what its client made up; so do the names that other gateways use for the user.

use http::{HeaderName, HeaderValue};

use crate::gateway::headers::head::RequestHead;
use crate::gateway::request::client_address::Client;

/// The values of the forwarded fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForwardedFields<'a> {
    /// The client.
    pub(crate) client: Client,
    /// The authority that the client asked for.
    pub(crate) authority: &'a HeaderValue,
    /// The prefix cut from the path.
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

/// Says whether a client's header of this name is dropped before ours are written.
pub(crate) fn is_client_assertion(name: &str, trusted_peer: bool) -> bool {
    let is_forwarded = || name.starts_with("x-forwarded-") || ADDRESS_CLAIMS.contains(&name);
    CLAIMS.contains(&name) || (!trusted_peer && is_forwarded())
}

/// The fields of a trusted proxy, which are continued.
#[derive(Debug, Default)]
pub(crate) struct Outer<'h> {
    /// `X-Forwarded-For`
    chain: Vec<&'h HeaderValue>,
    has_proto: bool,
    has_host: bool,
    prefix: Option<&'h str>,
}

impl<'h> Outer<'h> {
    /// Notes a trusted proxy's field; says whether it is rewritten, and not passed on.
    pub(crate) fn note(
        &mut self,
        name: &HeaderName,
        value: &'h HeaderValue,
        fields: &ForwardedFields<'_>,
    ) -> bool {
        match name.as_str() {
            "x-forwarded-for" => {
                let says_something = value.to_str().is_ok_and(|text| !text.is_empty());
                self.chain.extend(says_something.then_some(value));
                true
            }
            "x-forwarded-prefix" => {
                self.prefix = self.prefix.or_else(|| value.to_str().ok());
                fields.prefix.is_some()
            }
            "x-forwarded-proto" => {
                self.has_proto = true;
                false
            }
            "x-forwarded-host" => {
                self.has_host = true;
                false
            }
            _ => false,
        }
    }
}

/// Writes the fields, but for names that are set otherwise.
pub(crate) fn write(
    head: &mut RequestHead,
    outer: &Outer<'_>,
    fields: &ForwardedFields<'_>,
    is_set: impl Fn(&HeaderName) -> bool,
) {
    let client = &fields.client;
    if !is_set(&REAL_IP) {
        head.addresses(&REAL_IP, &[], client.address);
    }
    if !is_set(&FORWARDED_FOR) {
        // The connection's peer follows the addresses that a trusted proxy named.
        let last = if client.through_trusted { client.peer } else { client.address };
        head.addresses(&FORWARDED_FOR, &outer.chain, last);
    }
    let mut write = |name: HeaderName, value: &HeaderValue| {
        if !is_set(&name) {
            head.field(&name, value);
        }
    };
    write(REQUEST_ID, fields.request_id);
    if !outer.has_proto {
        write(FORWARDED_PROTO, &HeaderValue::from_static("https"));
    }
    if !outer.has_host {
        write(FORWARDED_HOST, fields.authority);
    }
    if let Some(prefix) = fields.prefix {
        // A trusted proxy has cut its own prefix off before.
        let outer = outer.prefix.filter(|outer| outer.starts_with('/')).unwrap_or_default();
        let whole = format!("{}{prefix}", outer.trim_end_matches('/'));
        if let Ok(whole) = HeaderValue::try_from(whole) {
            write(FORWARDED_PREFIX, &whole);
        }
    }
}

/// The names of the fields that may be written.
pub(crate) const NAMES: [HeaderName; 6] =
    [REAL_IP, FORWARDED_FOR, REQUEST_ID, FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_PREFIX];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The name under which a request is known to client, backend and log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use http::{HeaderName, HeaderValue, Method};

    use super::{ForwardedFields, Outer, is_client_assertion, write};
    use crate::gateway::headers::head::RequestHead;
    use crate::gateway::request::client_address::Client;

    fn stated(lines: &[(&'static str, &'static str)], trusted_peer: bool) -> Vec<(String, String)> {
        let authority = HeaderValue::from_static("api.example.com");
        let fields = ForwardedFields {
            client: Client {
                address: [192, 0, 2, 7].into(),
                peer: [10, 0, 0, 1].into(),
                through_trusted: trusted_peer,
            },
            authority: &authority,
            prefix: trusted_peer.then_some("/shop"),
            request_id: &HeaderValue::from_static("req-1"),
        };
        let passed = lines.iter().filter(|line| !is_client_assertion(line.0, trusted_peer));
        let passed: Vec<_> = passed
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let mut head = RequestHead::new(&Method::GET, &PathAndQuery::from_static("/"));
        let mut outer = Outer::default();
        for (name, value) in &passed {
            if !outer.note(name, value, &fields) {
                head.field(name, value);
            }
        }
        write(&mut head, &outer, &fields, |_| false);
        let text = String::from_utf8(head.end().to_vec()).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        let mut lines: Vec<_> =
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
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
