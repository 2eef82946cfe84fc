//! The client's address: the socket's, or the one that trusted proxies report.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// The other end of the connection: the client, or the proxy that it came by.
    pub(crate) peer: IpAddr,
    /// Whether the connection comes from one of `[server] trusted_proxies`.
    pub(crate) through_trusted: bool,
}

impl Client {
    /// Finds the client: `X-Forwarded-For` counts only from a trusted peer, and is read from the
    /// right, up to the first address that is no trusted proxy. What is left of it is hearsay.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        if !is_trusted(&peer) {
            return Self { address: peer, peer, through_trusted: false };
        }
        let mut address = peer;
        'lines: for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            for item in line.as_bytes().rsplit(|byte| *byte == b',') {
                let Some(reported) = std::str::from_utf8(item).ok().and_then(parse) else {
                    break 'lines;
                };
                address = reported;
                if !is_trusted(&address) {
                    break 'lines;
                }
            }
        }
        Self { address, peer, through_trusted: true }
    }
}

/// Reads an address, in brackets or not, with a port or without.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderValue};
    use ipnet::IpNet;

    use super::Client;

    #[test]
    fn the_client_is_the_last_address_that_a_trusted_proxy_saw() {
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let rows: [(&str, &str, &[&str], &str); 12] = [
            ("untrusted peer", "1.1.1.1", &["9.9.9.9"], "1.1.1.1"),
            ("no header", "10.0.0.1", &[], "10.0.0.1"),
            ("one proxy", "10.0.0.1", &["2.2.2.2"], "2.2.2.2"),
            ("spoofed left part", "10.0.0.1", &["9.9.9.9, 2.2.2.2"], "2.2.2.2"),
            ("two proxies", "10.0.0.1", &["2.2.2.2, 10.0.0.7"], "2.2.2.2"),
            ("two lines", "10.0.0.1", &["9.9.9.9", "2.2.2.2,10.0.0.7"], "2.2.2.2"),
            ("all trusted", "10.0.0.1", &["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
            ("junk ends the walk", "10.0.0.1", &["2.2.2.2, what, 10.0.0.7"], "10.0.0.7"),
            ("port", "10.0.0.1", &["2.2.2.2:80"], "2.2.2.2"),
            ("brackets", "::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("mapped peer", "::ffff:10.0.0.1", &["2.2.2.2"], "2.2.2.2"),
            ("mapped report", "::1", &["2.2.2.2, ::ffff:10.0.0.2"], "2.2.2.2"),
        ];
        for (name, peer, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let client = Client::of(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(client.address, expected.parse::<IpAddr>().unwrap(), "{name}");
            assert_eq!(client.through_trusted, name != "untrusted peer", "{name}");
        }
    }
}
