//! Hop-by-hop header fields (RFC 9110 §7.6.1), in both directions.
//!
//! A peer may name fields of its own in `Connection`, but not those that carry meaning past the
//! hop: naming `Host`, `Authorization` or `Content-Length` there takes nothing away.

use http::{HeaderName, HeaderValue};

/// The fields that `Connection` names, none of which is forwarded.
pub(crate) fn named<'v>(connection: impl IntoIterator<Item = &'v HeaderValue>) -> Vec<HeaderName> {
    let names = options(connection).filter(|option| !is_option(option));
    let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.filter(|name| !is_end_to_end(name.as_str())).collect()
}

/// Says whether `Connection` holds an option.
pub(crate) fn says<'v>(
    connection: impl IntoIterator<Item = &'v HeaderValue>,
    option: &str,
) -> bool {
    options(connection).any(|said| said.eq_ignore_ascii_case(option.as_bytes()))
}

fn options<'v>(
    connection: impl IntoIterator<Item = &'v HeaderValue>,
) -> impl Iterator<Item = &'v [u8]> {
    let parts =
        connection.into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    parts.map(<[u8]>::trim_ascii)
}

/// The commonest options, which name no header worth a look-up.
fn is_option(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close")
}

/// Says whether a field is hop-by-hop even without `Connection`.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_end_to_end(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "cookie"
            | "host"
            | "set-cookie"
            | "www-authenticate"
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_hop_by_hop, named, says};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        type Lines = &'static [(&'static str, &'static str)];
        let rows: &[(&str, Lines, &[&str])] = &[
            ("nothing", &[("accept", "a")], &["accept"]),
            ("fixed", &[("te", "trailers"), ("trailer", "x"), ("upgrade", "h2c")], &[]),
            ("settings", &[("http2-settings", "x"), ("proxy-connection", "y")], &[]),
            ("coding", &[("transfer-encoding", "chunked"), ("accept", "a")], &["accept"]),
            (
                "named",
                &[("connection", "x-a, X-B"), ("x-a", ""), ("x-b", ""), ("x-c", "")],
                &["x-c"],
            ),
            ("named twice", &[("connection", "x-a"), ("connection", "x-b"), ("x-b", "")], &[]),
            ("option", &[("connection", "keep-alive"), ("keep-alive", "timeout=5")], &[]),
            (
                "meaning stays",
                &[
                    ("connection", "host, authorization, content-length"),
                    ("host", "a"),
                    ("authorization", "b"),
                ],
                &["authorization", "host"],
            ),
            ("no names", &[("connection", "a b,,@"), ("accept", "a")], &["accept"]),
        ];

        for (row, lines, expected) in rows {
            let map = headers(lines);
            let named = named(map.get_all("connection"));
            let stays = |name: &&HeaderName| !is_hop_by_hop(name.as_str()) && !named.contains(name);
            let mut left: Vec<&str> = map.keys().filter(stays).map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(&left, expected, "{row}");
        }
    }

    #[test]
    fn a_token_is_found_whatever_its_case_and_line() {
        let map = headers(&[("connection", "keep-alive"), ("connection", "x, Upgrade")]);

        assert!(says(map.get_all("connection"), "upgrade"));
        assert!(!says(map.get_all("connection"), "close"));
    }
}
