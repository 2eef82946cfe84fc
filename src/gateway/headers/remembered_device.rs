//! The cookie of a browser whose users need not prove their second factor again for a while.
//!
//! It holds a text for each account that is remembered there, newest first.

use http::HeaderMap;

use crate::gateway::headers::session_cookies::own_cookie;
use crate::secret::Secret;

/// The name of the cookie.
const COOKIE: &str = "__Host-mj_device";

/// The most accounts that one browser is remembered for.
const MOST: usize = 4;

/// The texts that a request presents.
pub(crate) fn presented(headers: &HeaderMap) -> Vec<Secret<String>> {
    let value = own_cookie(headers, COOKIE).unwrap_or_default();
    let texts = value.split('.').filter(|text| !text.is_empty());
    texts.take(MOST).map(Secret::from).collect()
}
