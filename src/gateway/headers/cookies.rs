//! Removes the gateway's own cookies from the `Cookie` of a backend's request.
//!
//! Session cookies, and those of a contract, hold tokens: they are between the browser and the
//! gateway. One site's may come to another: a domain's cookies go to all hosts below it. What else
//! stands in `Cookie` goes out byte for byte and in its order (RFC 6265 §5.4 splits at `;` alone).

use std::borrow::Cow;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::gateway::headers::session_cookies::{self, pairs};

/// The `Cookie` line without session cookies and those of these names; `None` if nothing is left.
///
/// It is one line: HTTP/2 may split `Cookie` into crumbs, HTTP/1.1 may not (RFC 9113 §8.2.3).
pub(crate) fn foreign<'h>(headers: &'h HeaderMap, own: &[String]) -> Option<Cow<'h, HeaderValue>> {
    let mut lines = headers.get_all(COOKIE).iter();
    let (first, second) = (lines.next()?, lines.next());
    if second.is_none() && !pairs(first.as_bytes()).any(|pair| is_own(pair, own)) {
        return Some(Cow::Borrowed(first));
    }
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let left: Vec<Vec<u8>> = lines.filter_map(|line| without(line, own)).collect();
    // The rest is the client's own bytes; if it were ever refused, none of it goes out.
    let cookie = HeaderValue::from_bytes(&left.join(&b"; "[..])).ok();
    cookie.filter(|_| !left.is_empty()).map(Cow::Owned)
}

/// A line without some cookies; `None` if nothing is left.
fn without(line: &[u8], own: &[String]) -> Option<Vec<u8>> {
    let mut left = Vec::with_capacity(line.len());
    let mut whole = true;
    for pair in pairs(line) {
        if is_own(pair, own) {
            whole = false;
            continue;
        }
        if !left.is_empty() {
            left.push(b';');
        }
        left.extend_from_slice(pair);
    }
    if whole {
        return Some(line.to_vec());
    }
    let left = left.trim_ascii();
    (!left.is_empty()).then(|| left.to_vec())
}

fn is_own(pair: &[u8], own: &[String]) -> bool {
    session_cookies::is_own(pair) || own.iter().any(|name| has_name(pair, name))
}

fn has_name(pair: &[u8], name: &str) -> bool {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    let is_named = parts.next().is_some_and(|given| given.trim_ascii() == name.as_bytes());
    is_named && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::foreign;

    fn kept(lines: &[&str], own: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cookie", HeaderValue::try_from(*line).unwrap());
        }
        let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        let left = foreign(&headers, &own);
        left.iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn only_the_contracts_own_cookies_go() {
        let rows: [(&str, &[&str], &[&str]); 20] = [
            ("a session's", &["__Host-mj_at=t; a=1; __Secure-mj_rt=u"], &["a=1"]),
            ("a session's alone", &["__Host-mj_flow=t"], &[]),
            ("none", &[], &[]),
            ("alone", &["refresh=t"], &[]),
            ("alone, open end", &["refresh=t; "], &[]),
            ("first", &["refresh=t; a=1"], &["a=1"]),
            ("last", &["a=1; refresh=t"], &["a=1"]),
            ("between", &["a=1; refresh=t; b=2"], &["a=1; b=2"]),
            ("twice", &["refresh=t; a=1; refresh=u"], &["a=1"]),
            ("no spaces", &["a=1;refresh=t;b=2"], &["a=1;b=2"]),
            ("spaces", &["a=1;\trefresh \t= t ;  b=2"], &["a=1;  b=2"]),
            ("empty value", &["refresh=; a=1"], &["a=1"]),
            ("equals signs", &["a=b=refresh=c; refresh=x=y"], &["a=b=refresh=c"]),
            (
                "another case",
                &["Refresh=t; refresh2=t; xrefresh=t"],
                &["Refresh=t; refresh2=t; xrefresh=t"],
            ),
            ("as a value", &["a=refresh; refresh; =refresh"], &["a=refresh; refresh; =refresh"]),
            ("odd bytes", &["a=\"x, y\";;b ; =c;refresh=t"], &["a=\"x, y\";;b ; =c"]),
            ("none of ours", &["a=1; b=2;"], &["a=1; b=2;"]),
            ("crumbs", &["a=1", "refresh=t", "b=2"], &["a=1; b=2"]),
            ("crumbs of ours", &["refresh=t", "refresh=u"], &[]),
            ("lines", &["a=1; refresh=t", "refresh=t; b=2", "c=3"], &["a=1; b=2; c=3"]),
        ];
        for (name, lines, expected) in rows {
            assert_eq!(kept(lines, &["refresh"]), expected, "{name}");
        }
    }

    #[test]
    fn a_contract_without_cookies_passes_all_but_a_sessions_on() {
        assert_eq!(kept(&["__Host-mj_at=t;a=1 ;"], &[]), ["a=1 ;"]);
        assert_eq!(kept(&["refresh=t;a=1 ;"], &[]), ["refresh=t;a=1 ;"]);
        assert_eq!(kept(&["refresh=t", "a=1"], &[]), ["refresh=t; a=1"]);
        assert_eq!(kept(&["session=t; a=1; refresh=t"], &["refresh", "session"]), ["a=1"]);
    }

    #[test]
    fn bytes_beyond_ascii_stay_as_they_are() {
        let mut headers = HeaderMap::new();
        let line = HeaderValue::from_bytes(b"name=\xed\x95\x9c; refresh=t; b=\xff").unwrap();
        headers.append("cookie", line);

        let left = foreign(&headers, &["refresh".to_owned()]).unwrap();

        assert_eq!(left.as_bytes(), b"name=\xed\x95\x9c; b=\xff");
    }

    /// A piece of a `Cookie` line: names of ours, look-alikes, separators, and any byte.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let pieces = ["refresh", "Refresh", "a", "=", ";", "; ", " ", "\t", "\"", ","];
        prop_oneof![
            6 => prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ]
    }

    proptest! {
        #[test]
        fn all_cookies_but_the_contracts_own_pass_in_their_order(
            lines in prop::collection::vec(prop::collection::vec(piece(), 0..12), 0..4),
        ) {
            let lines: Vec<HeaderValue> =
                lines.iter().filter_map(|line| HeaderValue::from_bytes(&line.concat()).ok()).collect();
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append("cookie", line.clone());
            }
            let pairs = |line: &HeaderValue| {
                let pairs = line.as_bytes().split(|byte| *byte == b';');
                let pairs = pairs.map(|pair| pair.trim_ascii().to_vec());
                pairs.filter(|pair| !pair.is_empty()).collect::<Vec<_>>()
            };
            let is_own = |pair: &Vec<u8>| {
                let name = pair.strip_prefix(b"refresh").map(<[u8]>::trim_ascii_start);
                name.is_some_and(|rest| rest.starts_with(b"="))
            };
            let expected: Vec<_> =
                lines.iter().flat_map(pairs).filter(|pair| !is_own(pair)).collect();

            let left = foreign(&headers, &["refresh".to_owned()]);

            prop_assert_eq!(left.iter().flat_map(|line| pairs(line)).collect::<Vec<_>>(), expected);
        }
    }
}
