//! HTTP messages as the edge, the admin listener and the gateway share them.

pub mod answer_end;
pub mod connection;
pub mod deadlines;
pub mod request_body;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The value of a header that has exactly one line.
pub(crate) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}
