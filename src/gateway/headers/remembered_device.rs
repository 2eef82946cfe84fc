//! The cookie of a browser whose users need not prove their second factor again for a while.
//!
//! It holds a text for each account that is remembered there, newest first.

use std::time::Duration;

use http::HeaderMap;

use crate::gateway::headers::session_cookies::own_cookie;
use crate::secret::Secret;

/// The name of the cookie.
const COOKIE: &str = "__Host-mj_device";

/// Accounts that one browser is remembered for.
const MOST: usize = 4;

/// The texts that a request presents.
pub(crate) fn presented(headers: &HeaderMap) -> Vec<Secret<String>> {
    let value = own_cookie(headers, COOKIE).unwrap_or_default();
    let texts = value.split('.').filter(|text| !text.is_empty());
    texts.take(MOST).map(Secret::from).collect()
}

/// The cookie's line with a new text, for as long as that counts.
pub(crate) fn line(headers: &HeaderMap, text: &Secret<String>, lives: Duration) -> String {
    let before = presented(headers);
    let texts = std::iter::once(text).chain(&before).take(MOST);
    let value = texts.map(|text| text.expose().as_str()).collect::<Vec<_>>().join(".");
    let seconds = lives.as_secs();
    format!("{COOKIE}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{line, presented};
    use crate::secret::Secret;

    #[test]
    fn a_browser_is_remembered_for_its_latest_users() {
        let mut headers = HeaderMap::new();
        for user in ["a", "b", "c", "d", "e"] {
            let line = line(&headers, &Secret::from(user), Duration::from_secs(60));
            assert!(line.ends_with("; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"));
            let (pair, _) = line.split_once(';').unwrap();
            headers.insert("cookie", HeaderValue::from_str(pair).unwrap());
        }
        let texts: Vec<_> = presented(&headers).iter().map(|text| text.expose().clone()).collect();

        assert_eq!(texts, ["e", "d", "c", "b"]);
        headers.insert("cookie", HeaderValue::from_static("__Host-mj_device=..x.; a=b"));
        assert_eq!(presented(&headers).len(), 1);
        assert!(presented(&HeaderMap::new()).is_empty());
    }
}
