//! A request's head as it is written to a backend (RFC 9112 §3 and §5).

use std::net::IpAddr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use crate::gateway::text::write_address;
use crate::token::IdentityHeaders;

/// A head under way. Neither a name nor a value can hold a line end, as their types promise.
#[derive(Debug)]
pub(crate) struct RequestHead(Vec<u8>);

/// Most heads fit in it; it grows for the others.
const ROOM: usize = 1000;

impl RequestHead {
    /// Begins with the request line.
    pub(crate) fn new(method: &Method, target: &PathAndQuery) -> Self {
        let mut head = Vec::with_capacity(ROOM);
        for part in [method.as_str(), " ", target.as_str(), " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        Self(head)
    }

    /// Adds a field.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(b"\r\n");
    }

    /// Adds the lines of an identity.
    pub(crate) fn identity(&mut self, identity: &IdentityHeaders) {
        self.0.extend_from_slice(identity.lines());
    }

    /// Adds a list of addresses: some as they were said, and a last one.
    pub(crate) fn addresses(&mut self, name: &HeaderName, first: &[&HeaderValue], last: IpAddr) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        for value in first {
            self.0.extend_from_slice(value.as_bytes());
            self.0.extend_from_slice(b", ");
        }
        write_address(&mut self.0, last);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> Bytes {
        self.0.extend_from_slice(b"\r\n");
        self.0.into()
    }
}
