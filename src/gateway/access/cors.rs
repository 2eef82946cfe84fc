//! CORS for the configured origins of a site (Fetch §3.2).
//!
//! A site with origins speaks for itself alone: every one of its answers, refusals and forwarded
//! ones included, carries what the gateway says, and of what a backend said only which headers
//! pages may read. An origin is compared byte for byte with the configured ones, and the configured
//! one is what is answered.

use bytes::Bytes;
use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::config::{CorsConfig, Origin};
use crate::contract::Contract;
use crate::message::only;
use crate::operation::{ErrorCode, Rejection};

/// Longest list of header names that a preflight may ask for, in bytes.
const ASKED_BYTES: usize = 4096;

/// A site's CORS policy.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<Origin>,
    credentials: bool,
    /// The contract's own, and the configured ones.
    exposed: Option<HeaderValue>,
    /// Whether backends may expose more.
    asks_backends: bool,
    max_age: HeaderValue,
}

/// The CORS headers of one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks<'a> {
    cors: &'a Cors,
    origin: Option<&'a HeaderValue>,
}

/// A browser's question whether a page may send a request (Fetch §4.8).
#[derive(Debug)]
pub(crate) struct Preflight<'a> {
    /// The method that it asks about.
    pub(crate) method: Method,
    headers: Option<HeaderValue>,
    max_age: &'a HeaderValue,
}

impl Cors {
    /// Compiles a site's rules; `None` where no origin is configured.
    pub(crate) fn new(
        config: &CorsConfig,
        contract: &Contract,
        has_sessions: bool,
    ) -> Option<Self> {
        if config.origins.is_empty() {
            return None;
        }
        let own = contract.exposed_headers();
        let names: Vec<&str> = own.iter().chain(&config.expose).map(HeaderName::as_str).collect();
        Some(Self {
            origins: config.origins.clone(),
            credentials: config.credentials
                || has_sessions
                || contract.cookie_names().next().is_some(),
            exposed: name_list(&names),
            asks_backends: config.expose.is_empty(),
            max_age: HeaderValue::from(config.max_age.as_secs()),
        })
    }

    /// Whether an origin is one of the configured ones.
    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        self.find(origin).is_some()
    }

    /// The CORS headers for the answer to a request.
    pub(crate) fn marks(&self, headers: &HeaderMap) -> Marks<'_> {
        let origin = only(headers, &header::ORIGIN).and_then(|origin| self.find(origin));
        Marks { cors: self, origin }
    }

    /// Reads a preflight of a configured origin; every other `OPTIONS` is a request like any.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Preflight<'_>> {
        if method != Method::OPTIONS || !self.allows(only(headers, &header::ORIGIN)?) {
            return None;
        }
        let asked = only(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
        Some(Preflight {
            method: Method::from_bytes(asked.as_bytes()).ok()?,
            headers: only(headers, &header::ACCESS_CONTROL_REQUEST_HEADERS)
                .filter(|names| is_name_list(names.as_bytes()))
                .cloned(),
            max_age: &self.max_age,
        })
    }

    fn find(&self, origin: &HeaderValue) -> Option<&HeaderValue> {
        self.origins.iter().map(Origin::header_value).find(|known| *known == origin)
    }
}

impl Marks<'_> {
    /// Writes them on an answer. Every one has `Vary`, so that no cache gives one origin the answer
    /// for another (Fetch §3.2.5).
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let backends = headers
            .contains_key(header::ACCESS_CONTROL_EXPOSE_HEADERS)
            .then(|| self.exposed_by_backend(headers));
        if !varies_by_origin(headers) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.cors.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if let Some(exposed) = backends.unwrap_or_else(|| self.cors.exposed.clone()) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// Removes the backend's own value, and answers the names in it that may be exposed.
    fn exposed_by_backend(self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let said = match headers.entry(header::ACCESS_CONTROL_EXPOSE_HEADERS) {
            Entry::Occupied(said) => said.remove_entry_mult().1.collect(),
            Entry::Vacant(_) => Vec::new(),
        };
        let said: &[HeaderValue] = if self.cors.asks_backends { &said } else { &[] };
        let lines = self.cors.exposed.iter().chain(said);
        let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let names: Vec<HeaderName> =
            names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
        name_list(&names.iter().map(HeaderName::as_str).collect::<Vec<_>>())
    }
}

impl Preflight<'_> {
    /// The answer. A path that nothing serves is answered all the same: the page is to see its
    /// 404, not a failed connection.
    pub(crate) fn answer<T>(&self, served: Result<T, Rejection>) -> Response<Bytes> {
        let methods = match served {
            Err(refused) if refused.code == ErrorCode::MethodNotAllowed => refused.allow.join(", "),
            Ok(_) | Err(_) => self.method.to_string(),
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        if let Ok(methods) = HeaderValue::try_from(methods) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if let Some(names) = &self.headers {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        response
    }
}

/// Removes a backend's CORS headers, except the one that [`Marks::write`] reads.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_cors = |name: &&HeaderName| {
        name.as_str().starts_with("access-control-")
            && *name != header::ACCESS_CONTROL_EXPOSE_HEADERS
    };
    let to_remove: Vec<HeaderName> = headers.keys().filter(is_cors).cloned().collect();
    for name in to_remove {
        headers.remove(name);
    }
}

fn name_list(names: &[&str]) -> Option<HeaderValue> {
    HeaderValue::try_from(names.join(", ")).ok().filter(|names| !names.is_empty())
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::VARY).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"origin")
    })
}

/// `Access-Control-Request-Headers`: names and commas (Fetch §3.2.3), so that nothing else is
/// repeated in an answer.
fn is_name_list(names: &[u8]) -> bool {
    names.len() <= ASKED_BYTES
        && names
            .split(|byte| *byte == b',')
            .all(|name| HeaderName::from_bytes(name.trim_ascii()).is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::{Cors, strip};
    use crate::config::CorsConfig;
    use crate::contract::Contract;
    use crate::operation::{ErrorCode, Rejection};

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn headers(lines: Lines<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn cors() -> Cors {
        let config = CorsConfig {
            origins: vec!["https://app.example".parse().unwrap()],
            max_age: Duration::from_secs(60),
            ..CorsConfig::default()
        };
        Cors::new(&config, &Contract::built_in("standard").unwrap().unwrap(), false).unwrap()
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn without_an_origin_a_site_says_nothing() {
        let config = CorsConfig { credentials: true, ..CorsConfig::default() };
        let contract = Contract::built_in("standard").unwrap().unwrap();

        assert!(Cors::new(&config, &contract, false).is_none());
    }

    #[test]
    fn no_origin_but_an_equal_one_is_answered() {
        let cors = cors();
        let rows: [(&str, Lines<'_>, &[&str]); 12] = [
            ("none", &[], &["vary: Origin"]),
            ("null", &[("origin", "null")], &["vary: Origin"]),
            ("empty", &[("origin", "")], &["vary: Origin"]),
            ("suffix", &[("origin", "https://evil-app.example")], &["vary: Origin"]),
            ("prefix", &[("origin", "https://app.example.evil.example")], &["vary: Origin"]),
            ("below", &[("origin", "https://x.app.example")], &["vary: Origin"]),
            ("scheme", &[("origin", "http://app.example")], &["vary: Origin"]),
            ("port", &[("origin", "https://app.example:8443")], &["vary: Origin"]),
            ("case", &[("origin", "https://APP.example")], &["vary: Origin"]),
            ("slash", &[("origin", "https://app.example/")], &["vary: Origin"]),
            (
                "two",
                &[("origin", "https://app.example"), ("origin", "https://app.example")],
                &["vary: Origin"],
            ),
            (
                "equal",
                &[("origin", "https://app.example")],
                &["access-control-allow-origin: https://app.example", "vary: Origin"],
            ),
        ];
        for (name, lines, expected) in rows {
            let mut answer = HeaderMap::new();
            cors.marks(&headers(lines)).write(&mut answer);
            assert_eq!(shown(&answer), expected, "{name}");
        }
    }

    #[test]
    fn vary_keeps_what_it_said() {
        let cors = cors();
        let rows: [(Lines<'_>, &[&str]); 5] = [
            (&[], &["Origin"]),
            (&[("vary", "Accept-Encoding")], &["Accept-Encoding", "Origin"]),
            (&[("vary", "Accept, ORIGIN")], &["Accept, ORIGIN"]),
            (&[("vary", "*")], &["*"]),
            (&[("vary", "X-Origin"), ("vary", "Accept")], &["X-Origin", "Accept", "Origin"]),
        ];
        for (lines, expected) in rows {
            let mut answer = headers(lines);
            cors.marks(&HeaderMap::new()).write(&mut answer);
            let vary: Vec<&HeaderValue> = answer.get_all("vary").iter().collect();
            assert_eq!(vary, expected);
        }
    }

    #[test]
    fn what_a_backend_says_of_cors_goes() {
        let mut answer = headers(&[
            ("access-control-allow-origin", "*"),
            ("access-control-allow-origin", "https://evil.example"),
            ("access-control-max-age", "1"),
            ("access-control-something-new", "1"),
            ("vary", "Origin"),
            ("x-access-control-allow-origin", "kept"),
        ]);

        strip(&mut answer);

        assert_eq!(shown(&answer), ["vary: Origin", "x-access-control-allow-origin: kept"]);
    }

    #[test]
    fn pages_may_read_what_is_configured_or_else_what_the_backend_exposes() {
        let rows: [(&[&str], &[&str], Option<&str>); 6] = [
            (&[], &[], None),
            (&[], &["X-Total-Count", "Link,X-B"], Some("x-total-count, link, x-b")),
            (&[], &["X-A, b c, \"d\",, X-E"], Some("x-a, x-e")),
            (&[], &["a b"], None),
            (&["x-total-count"], &[], Some("x-total-count")),
            (&["x-total-count"], &["X-Secret"], Some("x-total-count")),
        ];
        for (expose, said, expected) in rows {
            let config = CorsConfig {
                origins: vec!["https://app.example".parse().unwrap()],
                expose: expose.iter().map(|name| name.parse().unwrap()).collect(),
                ..CorsConfig::default()
            };
            let contract = Contract::built_in("standard").unwrap().unwrap();
            let cors = Cors::new(&config, &contract, false).unwrap();
            for (origin, expected) in
                [("https://app.example", expected), ("https://b.example", None)]
            {
                let lines: Vec<_> = said.iter().map(|line| (NAME, *line)).collect();
                let mut answer = headers(&lines);
                strip(&mut answer);
                cors.marks(&headers(&[("origin", origin)])).write(&mut answer);
                let exposed = answer.get_all(NAME).iter().map(|line| line.to_str().unwrap());
                let expected: Vec<&str> = expected.into_iter().collect();
                assert_eq!(exposed.collect::<Vec<_>>(), expected, "{expose:?} {said:?}");
            }
        }
    }

    const NAME: &str = "access-control-expose-headers";

    const ORIGIN: (&str, &str) = ("origin", "https://app.example");
    const METHOD: (&str, &str) = ("access-control-request-method", "PUT");
    const NAMES: &str = "access-control-request-headers";

    #[test]
    fn only_a_browsers_question_is_a_preflight() {
        let cors = cors();
        let rows: [(&str, Method, Lines<'_>, bool); 8] = [
            ("whole", Method::OPTIONS, &[ORIGIN, METHOD], true),
            ("another method", Method::GET, &[ORIGIN, METHOD], false),
            ("no origin", Method::OPTIONS, &[METHOD], false),
            ("nothing asked", Method::OPTIONS, &[ORIGIN], false),
            ("asked twice", Method::OPTIONS, &[ORIGIN, METHOD, METHOD], false),
            ("two origins", Method::OPTIONS, &[ORIGIN, ORIGIN, METHOD], false),
            ("foreign", Method::OPTIONS, &[("origin", "https://evil.example"), METHOD], false),
            (
                "no method",
                Method::OPTIONS,
                &[ORIGIN, ("access-control-request-method", "P T")],
                false,
            ),
        ];
        for (name, method, lines, expected) in rows {
            assert_eq!(cors.preflight(&method, &headers(lines)).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn a_preflight_tells_which_methods_are_served() {
        let cors = cors();
        let refused = |code, allow: &[&str]| {
            let allow = allow.iter().map(|name| (*name).to_owned()).collect();
            Err(Rejection { allow, ..Rejection::new(code, "") })
        };
        let rows = [
            ("served", Ok(()), "PUT"),
            ("not", refused(ErrorCode::MethodNotAllowed, &["GET", "POST"]), "GET, POST"),
            ("nothing there", refused(ErrorCode::NotFound, &[]), "PUT"),
        ];
        for (name, served, expected) in rows {
            let preflight = cors.preflight(&Method::OPTIONS, &headers(&[ORIGIN, METHOD])).unwrap();
            let answer = preflight.answer(served);
            assert_eq!(answer.status(), 204, "{name}");
            let expected = [
                format!("access-control-allow-methods: {expected}"),
                "access-control-max-age: 60".into(),
            ];
            assert_eq!(shown(answer.headers()), expected, "{name}");
        }
    }

    #[test]
    fn only_a_list_of_names_is_repeated() {
        let cors = cors();
        let long = vec!["x-a"; 2000].join(",");
        let rows = [
            ("authorization", true),
            ("authorization,content-type, X-A", true),
            ("", false),
            ("a,,b", false),
            ("a b", false),
            ("a: b", false),
            ("<script>", false),
            (long.as_str(), false),
        ];
        for (names, is_repeated) in rows {
            let asked = headers(&[ORIGIN, METHOD, (NAMES, names)]);
            let answer = cors.preflight(&Method::OPTIONS, &asked).unwrap().answer(Ok(()));
            let repeated = answer.headers().get("access-control-allow-headers");
            let expected = is_repeated.then_some(names);
            assert_eq!(repeated.map(|value| value.to_str().unwrap()), expected, "{names}");
        }
    }
}
