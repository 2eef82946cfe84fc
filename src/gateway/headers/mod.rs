//! Header fields on their way through: what goes, what is set, what is rewritten.

pub(crate) mod cookies;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod hop;
pub(crate) mod identity;
pub(crate) mod redirects;
pub(crate) mod reserved;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The value of a header that stands there once.
pub(crate) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}
