//! Authentication: the one Bearer token of a request (RFC 6750 §2.1), and its status.

use http::{HeaderMap, HeaderValue, header};

use crate::auth::access_token::{AccessTokenCheck, TokenStatus};
use crate::clock::Now;
use crate::config::RouteAuth;
use crate::operation::{ErrorCode, Rejection};

/// Authenticates without asking the store; `None` if no token was presented, and none is needed.
///
/// If a token is optional, credentials of another scheme are left to the backend.
///
/// # Errors
/// 400 for two `Authorization` lines; 401 for no token, or an invalid one; 503 while
/// revocation is unread or stale.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    auth: RouteAuth,
    bare_tokens: bool,
    token_check: &AccessTokenCheck<'_>,
    now: Now,
) -> Result<Option<TokenStatus>, Rejection> {
    if auth == RouteAuth::None {
        return Ok(None);
    }
    if auth == RouteAuth::Optional && !presents_token(headers, bare_tokens) {
        return Ok(None);
    }
    match presented(headers, bare_tokens)? {
        Some(token) => token_check.check(token, now).map(Some),
        None if auth == RouteAuth::Required => {
            Err(Rejection::new(ErrorCode::MissingToken, "no token"))
        }
        None => Ok(None),
    }
}

/// Whether a request's `Authorization` tries the Bearer scheme, however badly written: what a lax
/// backend might take for a token counts as well.
pub(crate) fn presents_token(headers: &HeaderMap, bare_tokens: bool) -> bool {
    let is_bearer = |credentials: &[u8]| {
        let mut words = credentials.trim_ascii_start().split(|byte| !byte.is_ascii_alphanumeric());
        words.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    };
    headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).any(|line| {
        (bare_tokens && !line.contains(&b' ')) || line.split(|byte| *byte == b',').any(is_bearer)
    })
}

/// The one token that a request presents (RFC 6750 §2.1); none where `Authorization` is absent.
///
/// # Errors
/// 400 for more than one line: gateway and backend might choose differently. 401 for what is no
/// single Bearer token.
pub(crate) fn presented(headers: &HeaderMap, bare_tokens: bool) -> Result<Option<&str>, Rejection> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Rejection::new(ErrorCode::BadRequest, "two Authorization lines"));
    }
    let malformed = || Rejection::invalid_token("Authorization holds no token");
    let text = std::str::from_utf8(line.as_bytes())
        .map_err(|error| Rejection::invalid_token(format!("Authorization: {error}")))?;
    let token = match text.split_at_checked("bearer ".len()) {
        // RFC 9110 §11.4: one space or more.
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => {
            token.trim_start_matches(' ')
        }
        _ if bare_tokens && !text.is_empty() && !text.contains(' ') => text,
        _ if text.eq_ignore_ascii_case("bearer") => return Err(malformed()),
        // With another scheme the challenge has no error (RFC 6750 §3.1).
        _ => {
            let reason = "Authorization is not of the Bearer scheme";
            return Err(Rejection::new(ErrorCode::MissingToken, reason));
        }
    };
    // Text with other characters than a token has (RFC 9110 §11.2) never verifies.
    if token.is_empty() { Err(malformed()) } else { Ok(Some(token)) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{presented, presents_token};
    use crate::operation::ErrorCode;

    type Taken<'a> = Result<Option<&'a str>, ErrorCode>;

    fn headers(lines: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("authorization", HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let missing = Err(ErrorCode::MissingToken);
        let invalid = Err(ErrorCode::InvalidToken);
        let rows: [(&[&'static [u8]], Taken<'_>); 19] = [
            (&[], Ok(None)),
            (&[b"Bearer a.b.c"], Ok(Some("a.b.c"))),
            (&[b"bEARER a-b_c~+/=="], Ok(Some("a-b_c~+/=="))),
            (&[b""], missing),
            (&[b"Basic dTpw"], missing),
            (&[b"Token a.b.c"], missing),
            (&[b"BearerX a.b.c"], missing),
            (&[b"a.b.c"], missing),
            (&[b"Bearer"], invalid),
            (&[b"Bearer:a.b.c"], missing),
            (&[b"Bearer\ta.b.c"], missing),
            (&[b"Bearer  a.b.c"], Ok(Some("a.b.c"))),
            (&[b"Bearer  "], invalid),
            // The whole text, which never verifies.
            (&[b"Bearer a.b.c, Bearer d.e.f"], Ok(Some("a.b.c, Bearer d.e.f"))),
            (&[b"Bearer a.b.\xc3\xa9"], Ok(Some("a.b.\u{e9}"))),
            (&[b"Bearer a.b.\xff"], invalid),
            (&[b"Bearer a.b.c", b"Bearer a.b.c"], Err(ErrorCode::BadRequest)),
            (&[b"Basic dTpw", b"Bearer a.b.c"], Err(ErrorCode::BadRequest)),
            (&[b"Bearer a.b.c", b""], Err(ErrorCode::BadRequest)),
        ];
        for (lines, expected) in rows {
            let headers = headers(lines);
            let token = presented(&headers, false).map_err(|rejection| rejection.code);
            assert_eq!(token, expected, "{lines:?}");
        }
    }

    #[test]
    fn whatever_may_be_read_as_bearer_is_told_from_other_schemes() {
        let rows: [(&[&'static [u8]], bool, bool); 14] = [
            (&[], false, false),
            (&[b""], false, true),
            (&[b"Bearer a.b.c"], true, true),
            (&[b"bEARER"], true, true),
            (&[b"Bearer\ta.b.c"], true, true),
            (&[b"Bearer:a.b.c"], true, true),
            (&[b"  Bearer a.b.c"], true, true),
            (&[b"Basic dTpw,Bearer a.b.c"], true, true),
            (&[b"Basic dTpw", b"bearer a"], true, true),
            (&[b"BearerX a.b.c"], false, false),
            (&[b"Basic dTpw"], false, false),
            (&[b"Digest username=\"bearer\", realm=\"r\""], false, false),
            (&[b"\xff a"], false, false),
            (&[b"a.b.c"], false, true),
        ];
        for (lines, bearer, bearer_or_bare) in rows {
            let headers = headers(lines);
            assert_eq!(presents_token(&headers, false), bearer, "{lines:?}");
            assert_eq!(presents_token(&headers, true), bearer_or_bare, "{lines:?}, bare");
        }
    }

    #[test]
    fn a_bare_token_counts_where_the_contract_takes_it() {
        let rows: [(&[u8], Taken<'_>); 4] = [
            (b"a.b.c", Ok(Some("a.b.c"))),
            (b"Bearer a.b.c", Ok(Some("a.b.c"))),
            (b"Basic dTpw", Err(ErrorCode::MissingToken)),
            (b"", Err(ErrorCode::MissingToken)),
        ];
        for (line, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_bytes(line).unwrap());
            let token = presented(&headers, true).map_err(|rejection| rejection.code);
            assert_eq!(token, expected, "{line:?}");
        }
    }
}
