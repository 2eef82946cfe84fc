//! A client's connection, as far as its requests depend on it.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::drain::Guard;

/// The connection that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The listener's address.
    pub local: SocketAddr,
    /// Whether it speaks HTTP in the clear on a port of HTTPS.
    pub in_the_clear: bool,
}

/// `Connection: close`
pub const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Says, as a request extension, that the request line held a `#`.
///
/// `http::Uri` cuts a fragment off without a trace, so only the edge, which sees the bytes, can
/// tell.
#[derive(Clone, Copy, Debug)]
pub struct FragmentSeen;

/// Lets a tunnel outlive its HTTP connection until the gateway stops.
///
/// The edge adds it, as an extension, to requests that ask for an upgrade.
#[derive(Clone, Debug)]
pub struct Lifeline {
    /// Signals the stop, and makes the drain wait.
    pub guard: Guard,
    /// The connection's permit among `max_connections`.
    pub hold: Arc<dyn Any + Send + Sync>,
}
