//! Refuses foreign origins where a cookie is the only proof (CSRF; RFC 9700 §4.7).
//!
//! A browser adds the cookie to whatever any page sends (CSRF), and says whose page it was:
//! `Origin`, which every POST has, or else `Sec-Fetch-Site` (Fetch Metadata §2.3). A client that
//! sends neither is no browser, and has no cookie that its user did not give it.

use http::{HeaderMap, HeaderValue, Method, header};

use crate::gateway::access::cors::Cors;
use crate::message::only;
use crate::operation::{ErrorCode, Rejection};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Accepts a request that rests on a session cookie. One that may change something, and a stream
/// whose other end a page reads, must come from a known page, and say so.
///
/// # Errors
/// 403 for a foreign page, and for a change whose page is unknown.
pub(crate) fn check_session(
    method: &Method,
    headers: &HeaderMap,
    authority: &str,
    cors: Option<&Cors>,
) -> Result<(), Rejection> {
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if changes || headers.contains_key(header::UPGRADE) {
        if !is_browser(headers) {
            let reason = "the cookie needs an Origin, which the request does not say";
            return Err(Rejection::new(ErrorCode::Forbidden, reason));
        }
        return check(headers, authority, cors);
    }
    if asks_for_events(headers) { check(headers, authority, cors) } else { Ok(()) }
}

/// Whether a request says whose page it is of, as those of browsers do.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key(SEC_FETCH_SITE)
}

/// Whether a request is an `EventSource`'s (HTML §9.2).
fn asks_for_events(headers: &HeaderMap) -> bool {
    let is_events = |line: &HeaderValue| {
        let types = line.as_bytes().split(|byte| *byte == b',');
        types.map(<[u8]>::trim_ascii).any(|kind| kind.starts_with(b"text/event-stream"))
    };
    headers.get_all(header::ACCEPT).iter().any(is_events)
}

/// Accepts a request that is authenticated by a cookie, unless a foreign page sent it. The site's
/// own pages are at home, and those of configured origins.
///
/// # Errors
/// 403 for a foreign page.
pub(crate) fn check(
    headers: &HeaderMap,
    authority: &str,
    cors: Option<&Cors>,
) -> Result<(), Rejection> {
    let foreign = |reason| Err(Rejection::new(ErrorCode::Forbidden, reason));
    if headers.contains_key(header::ORIGIN) {
        let known = only(headers, &header::ORIGIN).is_some_and(|origin| {
            is_own(origin, authority) || cors.is_some_and(|cors| cors.allows(origin))
        });
        return if known { Ok(()) } else { foreign("the cookie is not for a page of that origin") };
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    // `none`: the user typed the address or used a bookmark.
    if sites.all(|site| site == "same-origin" || site == "none") {
        Ok(())
    } else {
        foreign("the cookie is not for a page of another origin")
    }
}

/// Whether an origin is the one that the request was sent to; it is always `https`.
fn is_own(origin: &HeaderValue, authority: &str) -> bool {
    let own = authority.strip_suffix(":443").unwrap_or(authority);
    let host = origin.as_bytes().strip_prefix(b"https://");
    !own.is_empty() && host.is_some_and(|host| host.eq_ignore_ascii_case(own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, Method};

    use super::{check, check_session};
    use crate::config::CorsConfig;
    use crate::contract::Contract;
    use crate::gateway::access::cors::Cors;

    #[test]
    fn a_page_is_foreign_unless_it_is_known() {
        let config = CorsConfig {
            origins: vec!["http://app.example:5173".parse().unwrap()],
            ..CorsConfig::default()
        };
        let contract = Contract::built_in("standard").unwrap().unwrap();
        let cors = Cors::new(&config, &contract, false).unwrap();
        type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], bool);
        let rows: [Row; 22] = [
            ("no browser", "a.example", &[], true),
            ("own", "a.example", &[("origin", "https://a.example")], true),
            ("own port", "a.example:8443", &[("origin", "https://a.example:8443")], true),
            ("own, 443", "a.example:443", &[("origin", "https://a.example")], true),
            ("own, upper case", "A.example", &[("origin", "https://a.example")], true),
            ("configured", "a.example", &[("origin", "http://app.example:5173")], true),
            ("plain", "a.example", &[("origin", "http://a.example")], false),
            ("another port", "a.example:8443", &[("origin", "https://a.example")], false),
            ("another", "a.example", &[("origin", "https://b.example")], false),
            ("prefix", "a.example", &[("origin", "https://a.example.evil.example")], false),
            ("suffix", "a.example", &[("origin", "https://evil-a.example")], false),
            ("null", "a.example", &[("origin", "null")], false),
            ("empty", "a.example", &[("origin", "")], false),
            ("no host", "", &[("origin", "https://")], false),
            (
                "two",
                "a.example",
                &[("origin", "https://a.example"), ("origin", "https://a.example")],
                false,
            ),
            ("same origin", "a.example", &[("sec-fetch-site", "same-origin")], true),
            ("user", "a.example", &[("sec-fetch-site", "none")], true),
            ("same site", "a.example", &[("sec-fetch-site", "same-site")], false),
            ("cross site", "a.example", &[("sec-fetch-site", "cross-site")], false),
            ("unknown", "a.example", &[("sec-fetch-site", "")], false),
            (
                "the origin decides",
                "a.example",
                &[("origin", "https://b.example"), ("sec-fetch-site", "same-origin")],
                false,
            ),
            (
                "configured, another site",
                "a.example",
                &[("origin", "http://app.example:5173"), ("sec-fetch-site", "cross-site")],
                true,
            ),
        ];
        for (name, authority, lines, passes) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(check(&headers, authority, Some(&cors)).is_ok(), passes, "{name}");
        }
    }

    #[test]
    fn a_session_cookie_needs_a_known_page_for_a_change_or_a_stream() {
        let own = ("origin", "https://a.example");
        let foreign = ("origin", "https://b.example");
        let same = ("sec-fetch-site", "same-origin");
        let events = ("accept", "text/html, text/event-stream");
        type Row<'a> = (&'a str, Method, &'a [(&'static str, &'static str)], bool);
        let rows: [Row<'_>; 14] = [
            ("a page", Method::GET, &[], true),
            ("a page from elsewhere", Method::GET, &[("sec-fetch-site", "cross-site")], true),
            ("HEAD", Method::HEAD, &[foreign], true),
            ("no page", Method::POST, &[], false),
            ("own page", Method::POST, &[own], true),
            ("own page by site", Method::DELETE, &[same], true),
            ("foreign page", Method::POST, &[foreign], false),
            ("any other method", Method::OPTIONS, &[], false),
            ("socket", Method::GET, &[("upgrade", "websocket")], false),
            ("own socket", Method::GET, &[("upgrade", "websocket"), own], true),
            ("foreign socket", Method::GET, &[("upgrade", "websocket"), foreign], false),
            ("events", Method::GET, &[events], true),
            ("own events", Method::GET, &[events, same], true),
            ("foreign events", Method::GET, &[events, foreign], false),
        ];
        for (name, method, lines, passes) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let checked = check_session(&method, &headers, "a.example", None);
            assert_eq!(checked.is_ok(), passes, "{name}");
        }
    }

    #[test]
    fn without_configured_origins_only_the_own_one_is_known() {
        let mut headers = HeaderMap::new();
        headers.insert("origin", "http://app.example:5173".parse().unwrap());
        assert!(check(&headers, "a.example", None).is_err());

        headers.insert("origin", "https://a.example".parse().unwrap());
        assert!(check(&headers, "a.example", None).is_ok());
    }
}
