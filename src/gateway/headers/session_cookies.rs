//! The two cookies of a browser's session: the access token and the refresh token.
//!
//! Their names begin with `__Host-` or, where sites of several sub-domains share them, `__Secure-`
//! (RFC 6265bis §4.1.3): no other host, and no page without TLS, can set them.

use http::{HeaderMap, HeaderValue, header};

use crate::clock::Timestamp;
use crate::config::SameSite;
use crate::operation::TokenSet;
use crate::secret::Secret;

/// The beginnings of the names of all cookies of the gateway's own.
const PREFIXES: [&[u8]; 2] = [b"__Host-mj_", b"__Secure-mj_"];

/// Marks the refresh token of a session that outlives the browser's: a browser does not tell
/// whether a cookie has `Max-Age`. No refresh token begins so.
const KEEP: &str = "keep.";

/// The session cookies of a site.
#[derive(Debug)]
pub struct SessionCookies {
    access: String,
    refresh: String,
    attributes: String,
}

/// The session cookies of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PresentedSession<'h> {
    /// The access token.
    pub(crate) access: Option<&'h str>,
    /// The refresh token.
    pub(crate) refresh: Option<&'h str>,
    /// Whether the session outlives the browser's.
    pub(crate) keep: bool,
}

/// A change of a browser's session cookies that an answer makes.
#[derive(Clone, Debug)]
pub(crate) enum SessionChange {
    /// The cookies of new tokens.
    Set {
        /// The tokens.
        tokens: TokenSet,
        /// Whether they outlive the browser's session.
        keep: bool,
    },
    /// The session ended.
    Clear,
}

/// Two different values of one cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

impl SessionCookies {
    /// The longest token that browsers keep: 4,096 bytes with the name (RFC 6265 §6.1).
    pub const MOST_BYTES: usize = 4096 - "__Secure-mj_at=".len() - KEEP.len();

    /// The cookies of a site, or of all sites under a domain.
    pub(crate) fn new(domain: Option<&str>, same_site: SameSite) -> Self {
        let (prefix, domain) = match domain {
            None => ("__Host-", String::new()),
            Some(domain) => ("__Secure-", format!("; Domain={domain}")),
        };
        Self {
            access: format!("{prefix}mj_at"),
            refresh: format!("{prefix}mj_rt"),
            attributes: format!(
                "; Path=/{domain}; Secure; HttpOnly; SameSite={}",
                same_site.name()
            ),
        }
    }

    /// Reads a request's session cookies. A value that is no text is none: it was not set here.
    ///
    /// # Errors
    /// When one of them has two values.
    pub(crate) fn presented<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<PresentedSession<'h>, Ambiguous> {
        let mut presented = PresentedSession::default();
        for line in headers.get_all(header::COOKIE) {
            for pair in pairs(line.as_bytes()) {
                let Some((name, value)) = own_pair(pair) else { continue };
                let slot = match name {
                    name if name == self.access.as_bytes() => &mut presented.access,
                    name if name == self.refresh.as_bytes() => &mut presented.refresh,
                    _ => continue,
                };
                let value = std::str::from_utf8(value).ok().filter(|value| !value.is_empty());
                if slot.is_some() && value.is_some() && *slot != value {
                    return Err(Ambiguous);
                }
                *slot = slot.or(value);
            }
        }
        if let Some(token) = presented.refresh.and_then(|text| text.strip_prefix(KEEP)) {
            (presented.refresh, presented.keep) = (Some(token), true);
        }
        Ok(presented)
    }

    /// Writes a change on an answer, which is then for this browser alone.
    pub(crate) fn write(&self, change: &SessionChange, now: Timestamp, headers: &mut HeaderMap) {
        let lines = match change {
            SessionChange::Clear => [self.cleared(&self.access), self.cleared(&self.refresh)],
            SessionChange::Set { tokens, keep } => {
                let ends_at = tokens.refresh_expires_at.unwrap_or(tokens.access_expires_at);
                let max_age = keep.then(|| ends_at.since(now).as_secs());
                let access = tokens.access_token.expose();
                let refresh = tokens.refresh_token.as_ref().map(Secret::expose);
                let mark = if *keep { KEEP } else { "" };
                [
                    self.set(&self.access, "", access, max_age),
                    match refresh {
                        Some(refresh) => self.set(&self.refresh, mark, refresh, max_age),
                        None => self.cleared(&self.refresh),
                    },
                ]
            }
        };
        for mut line in lines.into_iter().flat_map(HeaderValue::try_from) {
            line.set_sensitive(true);
            headers.append(header::SET_COOKIE, line);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }

    fn set(&self, name: &str, mark: &str, value: &str, max_age: Option<u64>) -> String {
        let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        format!("{name}={mark}{value}{max_age}{}", self.attributes)
    }

    fn cleared(&self, name: &str) -> String {
        format!("{name}=; Max-Age=0{}", self.attributes)
    }
}

/// The value of a cookie of the gateway's own; the first one, if it came twice.
pub(crate) fn own_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let value = lines.flat_map(|line| pairs(line.as_bytes())).find_map(|pair| {
        let (own, value) = own_pair(pair)?;
        (own == name.as_bytes()).then_some(value)
    });
    std::str::from_utf8(value?).ok().filter(|value| !value.is_empty())
}

/// The pairs of a `Cookie` line, whose values may be long.
pub(crate) fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b';', text);
        rest = end.and_then(|end| text.get(end + 1..));
        end.map_or(Some(text), |end| text.get(..end))
    })
}

/// Whether a pair of a `Cookie` line is of the gateway's own.
pub(crate) fn is_own(pair: &[u8]) -> bool {
    own_pair(pair).is_some()
}

/// Name and value of a pair whose name is of the gateway's own.
fn own_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    if !PREFIXES.iter().any(|prefix| pair.starts_with(prefix)) {
        return None;
    }
    let end = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at_checked(end)?;
    Some((name.trim_ascii_end(), value.get(1..)?.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{Ambiguous, PresentedSession, SessionChange, SessionCookies, is_own};
    use crate::clock::Timestamp;
    use crate::config::SameSite;
    use crate::operation::{SessionId, TokenSet};
    use crate::secret::Secret;

    fn cookies() -> SessionCookies {
        SessionCookies::new(None, SameSite::Lax)
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cookie", HeaderValue::try_from(*line).unwrap());
        }
        headers
    }

    fn tokens(refresh: Option<&str>) -> TokenSet {
        TokenSet {
            access_token: Secret::from("a.b.c"),
            issued_at: Timestamp::from_seconds(100),
            access_expires_at: Timestamp::from_seconds(1000),
            refresh_token: refresh.map(Secret::from),
            refresh_expires_at: refresh.map(|_| Timestamp::from_seconds(9100)),
            session: SessionId(uuid::Uuid::nil()),
            device: None,
        }
    }

    fn written(cookies: &SessionCookies, change: &SessionChange) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("public, max-age=60"));
        cookies.write(change, Timestamp::from_seconds(100), &mut headers);
        assert_eq!(headers["cache-control"], "no-store");
        let lines = headers.get_all("set-cookie").iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_cookies_of_a_request_are_read_by_their_names() {
        let found = |access, refresh, keep| Ok(PresentedSession { access, refresh, keep });
        let rows: [(&[&str], Result<PresentedSession<'_>, Ambiguous>); 10] = [
            (&[], found(None, None, false)),
            (&["a=1; mj_at=x; __host-mj_at=x"], found(None, None, false)),
            (&["a=1; __Host-mj_at=a.b.c; b=2"], found(Some("a.b.c"), None, false)),
            (&["__Host-mj_at = a ;__Host-mj_rt=r"], found(Some("a"), Some("r"), false)),
            (&["__Host-mj_at=a", "__Host-mj_rt=keep.r"], found(Some("a"), Some("r"), true)),
            (&["__Host-mj_at=; __Host-mj_rt="], found(None, None, false)),
            (&["__Host-mj_at=a; __Host-mj_at=a"], found(Some("a"), None, false)),
            (&["__Host-mj_at=a; __Host-mj_at=b"], Err(Ambiguous)),
            (&["__Host-mj_rt=a", "__Host-mj_rt=b"], Err(Ambiguous)),
            (&["__Secure-mj_at=a"], found(None, None, false)),
        ];
        for (lines, expected) in rows {
            assert_eq!(cookies().presented(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn new_tokens_are_set_and_an_ended_session_is_cleared() {
        let set = |refresh, keep| SessionChange::Set { tokens: tokens(refresh), keep };
        let all = "; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(
            written(&cookies(), &set(Some("r"), false)),
            [format!("__Host-mj_at=a.b.c{all}"), format!("__Host-mj_rt=r{all}")]
        );
        assert_eq!(
            written(&cookies(), &set(Some("r"), true)),
            [
                format!("__Host-mj_at=a.b.c; Max-Age=9000{all}"),
                format!("__Host-mj_rt=keep.r; Max-Age=9000{all}")
            ]
        );
        assert_eq!(
            written(&cookies(), &set(None, false)),
            [format!("__Host-mj_at=a.b.c{all}"), format!("__Host-mj_rt=; Max-Age=0{all}")]
        );
        let shared = SessionCookies::new(Some("example.com"), SameSite::Strict);
        let all = "; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Strict";
        assert_eq!(
            written(&shared, &SessionChange::Clear),
            [
                format!("__Secure-mj_at=; Max-Age=0{all}"),
                format!("__Secure-mj_rt=; Max-Age=0{all}")
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_a_browser_sends_names_at_most_one_session(line in "[ -~]{0,80}") {
            let line = format!("__Host-mj_at=a; {line}; __Host-mj_rt=r");
            if let Ok(found) = cookies().presented(&headers(&[&line])) {
                prop_assert_eq!(found.access, Some("a"));
                prop_assert_eq!(found.refresh, Some("r"));
            }
        }

        #[test]
        fn a_cookie_that_is_read_is_the_gateways_own(name in "[!-:<>-~]{1,20}") {
            let pair = format!("{name}=value");
            let headers = headers(&[&pair]);
            let read = cookies().presented(&headers).unwrap();
            if read != PresentedSession::default() {
                prop_assert!(is_own(pair.as_bytes()));
            }
        }
    }
}
