//! The places besides `Authorization` where a request may carry its token (`token_from`).
//!
//! A script in a browser can set no header of a WebSocket, but its subprotocols; a page, an image
//! or a form carries cookies alone; an address can carry a ticket.

use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::TokenSources;
use crate::encoding::percent_decode;
use crate::gateway::headers::session_cookies::{PresentedSession, SessionCookies};
use crate::operation::{ErrorCode, Rejection};

/// The subprotocol that a token follows: `new WebSocket(url, ["bearer", token])`.
pub(crate) const BEARER: HeaderValue = HeaderValue::from_static("bearer");

/// Tokens of a request outside `Authorization`.
#[derive(Debug, Default)]
pub(crate) struct OtherTokens<'r> {
    /// Offered as a subprotocol.
    pub(crate) subprotocol: Option<&'r str>,
    /// A ticket in the query.
    pub(crate) ticket: Option<&'r str>,
    /// Of a browser's session.
    pub(crate) session: PresentedSession<'r>,
}

impl<'r> OtherTokens<'r> {
    /// Finds them; `None` if there are none.
    ///
    /// # Errors
    /// 400 where one place has two.
    pub(crate) fn find(
        sources: &TokenSources,
        cookies: &SessionCookies,
        headers: &'r HeaderMap,
        query: Option<&'r str>,
    ) -> Result<Option<Self>, Rejection> {
        let mut found = Self::default();
        if sources.cookie {
            found.session = cookies.presented(headers).map_err(|_ambiguous| two_tokens())?;
        }
        if sources.subprotocol && headers.contains_key(header::UPGRADE) {
            found.subprotocol = offered_token(headers)?;
        }
        if let (Some(name), Some(query)) = (&sources.query, query) {
            found.ticket = only_parameter(query, name)?;
        }
        let is_empty = found.subprotocol.is_none()
            && found.ticket.is_none()
            && found.session == PresentedSession::default();
        Ok(Some(found).filter(|_| !is_empty))
    }
}

/// The refusal of a request with two tokens: gateway and client might mean different ones.
pub(crate) fn two_tokens() -> Rejection {
    Rejection::new(ErrorCode::BadRequest, "two different tokens in one request")
}

/// The token that follows `bearer` among the subprotocols of a WebSocket (RFC 6455 §11.3.4).
fn offered_token(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut offered = subprotocols(headers);
    let mut token = None;
    while let Some(name) = offered.next() {
        if !is_bearer(name) {
            continue;
        }
        let following = offered.next();
        if token.is_some() && token != following {
            return Err(two_tokens());
        }
        token = following;
    }
    Ok(token)
}

/// Whether a WebSocket offers a token, which is not for the backend.
pub(crate) fn offers_token(sources: &TokenSources, headers: &HeaderMap) -> bool {
    sources.subprotocol && subprotocols(headers).any(is_bearer)
}

/// The subprotocols that are left for the backend, in their order; `None` if none is.
pub(crate) fn without_token(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut offered = subprotocols(headers);
    let mut left: Vec<&str> = Vec::new();
    while let Some(name) = offered.next() {
        if is_bearer(name) {
            offered.next();
        } else {
            left.push(name);
        }
    }
    HeaderValue::try_from(left.join(", ")).ok().filter(|_| !left.is_empty())
}

/// The header of subprotocols.
pub(crate) const SUBPROTOCOL: HeaderName = header::SEC_WEBSOCKET_PROTOCOL;

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SUBPROTOCOL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn is_bearer(name: &str) -> bool {
    name.eq_ignore_ascii_case("bearer")
}

/// The value of a query's parameter.
fn only_parameter<'q>(query: &'q str, name: &str) -> Result<Option<&'q str>, Rejection> {
    let mut values = query.split('&').filter_map(|pair| value_of(pair, name));
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(two_tokens()),
        (value, _) => Ok(value),
    }
}

/// Whether a target's query has a parameter.
pub(crate) fn has_parameter(target: &PathAndQuery, name: &str) -> bool {
    let query = target.query().unwrap_or_default();
    query.split('&').any(|pair| value_of(pair, name).is_some())
}

/// A target without a parameter of its query.
///
/// # Errors
/// When the rest is no target, which does not happen: all of it was.
pub(crate) fn without_parameter(
    target: PathAndQuery,
    name: &str,
) -> Result<PathAndQuery, InvalidUri> {
    let is_it = |pair: &&str| value_of(pair, name).is_some();
    let Some(query) = target.query().filter(|_| has_parameter(&target, name)) else {
        return Ok(target);
    };
    let left: Vec<&str> = query.split('&').filter(|pair| !is_it(pair)).collect();
    match left.as_slice() {
        [] => target.path().try_into(),
        left => format!("{}?{}", target.path(), left.join("&")).try_into(),
    }
}

/// The value of a pair of a query, if it has this name in any spelling.
fn value_of<'q>(pair: &'q str, name: &str) -> Option<&'q str> {
    let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
    let decoded = || percent_decode(given).is_some_and(|given| given == name.as_bytes());
    (given == name || (given.contains('%') && decoded())).then_some(value)
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use http::{HeaderMap, HeaderValue};

    use super::{OtherTokens, without_parameter, without_token};
    use crate::config::{SameSite, TokenSources};
    use crate::gateway::headers::session_cookies::SessionCookies;
    use crate::operation::ErrorCode;

    fn everywhere() -> TokenSources {
        let query = Some("ticket".to_owned());
        TokenSources { bearer: true, cookie: true, subprotocol: true, query }
    }

    fn websocket(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        for line in lines {
            headers.append("sec-websocket-protocol", HeaderValue::try_from(*line).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_follows_bearer_among_the_subprotocols() {
        let cookies = SessionCookies::new(None, SameSite::Lax);
        type Row<'a> = (&'a [&'a str], Result<Option<&'a str>, ErrorCode>, Option<&'a str>);
        let rows: [Row<'_>; 11] = [
            (&[], Ok(None), None),
            (&["chat"], Ok(None), Some("chat")),
            (&["bearer, a.b.c"], Ok(Some("a.b.c")), None),
            (&["Bearer,a.b.c,chat"], Ok(Some("a.b.c")), Some("chat")),
            (&["chat, bearer, a.b.c, v2"], Ok(Some("a.b.c")), Some("chat, v2")),
            (&["bearer", "a.b.c", "chat"], Ok(Some("a.b.c")), Some("chat")),
            (&["bearer"], Ok(None), None),
            (&["chat, bearer"], Ok(None), Some("chat")),
            (&["bearer, a, bearer, a"], Ok(Some("a")), None),
            (&["bearer, a, bearer, b"], Err(ErrorCode::BadRequest), None),
            (&["bearer, bearer"], Ok(Some("bearer")), None),
        ];
        for (lines, expected, left) in rows {
            let headers = websocket(lines);
            let found = OtherTokens::find(&everywhere(), &cookies, &headers, None);
            let found = found.map(|found| found.and_then(|found| found.subprotocol));
            assert_eq!(found.map_err(|rejection| rejection.code), expected, "{lines:?}");
            let rest = without_token(&headers);
            assert_eq!(rest.as_ref().map(|rest| rest.to_str().unwrap()), left, "{lines:?}");
        }
    }

    #[test]
    fn a_ticket_stands_once_in_the_query_and_goes_from_it() {
        let cookies = SessionCookies::new(None, SameSite::Lax);
        type Row = (&'static str, Result<Option<&'static str>, ErrorCode>, &'static str);
        let rows: [Row; 8] = [
            ("/a", Ok(None), "/a"),
            ("/a?b=1&tickets=2", Ok(None), "/a?b=1&tickets=2"),
            ("/a?ticket=t", Ok(Some("t")), "/a"),
            ("/a?b=1&ticket=t&c=%20", Ok(Some("t")), "/a?b=1&c=%20"),
            ("/a?%74icket=t&b", Ok(Some("t")), "/a?b"),
            ("/a?ticket", Ok(Some("")), "/a"),
            ("/a?ticket=t&ticket=t", Err(ErrorCode::BadRequest), "/a"),
            ("/a?ticket=t&%74icket=u", Err(ErrorCode::BadRequest), "/a"),
        ];
        for (target, expected, left) in rows {
            let target: PathAndQuery = target.parse().unwrap();
            let headers = HeaderMap::new();
            let found = OtherTokens::find(&everywhere(), &cookies, &headers, target.query());
            let found = found.map(|found| found.and_then(|found| found.ticket));
            assert_eq!(found.map_err(|rejection| rejection.code), expected, "{target}");
            assert_eq!(without_parameter(target, "ticket").unwrap(), left);
        }
    }

    #[test]
    fn no_place_is_looked_at_that_is_not_named() {
        let cookies = SessionCookies::new(None, SameSite::Lax);
        let mut headers = websocket(&["bearer, a.b.c"]);
        headers.insert("cookie", HeaderValue::from_static("__Host-mj_at=a; __Host-mj_at=b"));

        let found =
            OtherTokens::find(&TokenSources::default(), &cookies, &headers, Some("ticket=t"));

        assert!(found.unwrap().is_none());
    }
}
