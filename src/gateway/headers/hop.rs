//! Takes away what belongs to one connection only (RFC 9110 §7.6.1), in both directions.
//!
//! A peer may name headers of its own in `Connection`, but not those that carry meaning past the
//! hop: naming `Host`, `Authorization` or `Content-Length` there takes nothing away.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// Removes the hop-by-hop headers and every header that `Connection` names.
pub(crate) fn strip(headers: &mut HeaderMap) {
    strip_and(headers, |_| false);
}

/// As [`strip`], and every other header that is not to go on, in one pass.
pub(crate) fn strip_and(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    let mut doomed: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let named = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for name in named.filter(|name| !is_option(name)) {
            if let Ok(name) = HeaderName::from_bytes(name)
                && !is_end_to_end(name.as_str())
            {
                doomed.push(name);
            }
        }
    }
    let goes = |name: &&HeaderName| is_hop_by_hop(name.as_str()) || also(name);
    doomed.extend(headers.keys().filter(goes).cloned());
    for name in doomed {
        headers.remove(name);
    }
}

/// Says whether `Connection` holds a token.
pub(crate) fn connection_says(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The commonest options, which name no header worth a look-up.
fn is_option(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close")
}

fn is_hop_by_hop(name: &str) -> bool {
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

    use super::{connection_says, strip};

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
            let mut map = headers(lines);
            strip(&mut map);
            let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(&left, expected, "{row}");
        }
    }

    #[test]
    fn a_token_is_found_whatever_its_case_and_line() {
        let map = headers(&[("connection", "keep-alive"), ("connection", "x, Upgrade")]);

        assert!(connection_says(&map, "upgrade"));
        assert!(!connection_says(&map, "close"));
    }
}
