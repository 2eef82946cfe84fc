//! Accepts connections, ends TLS, and serves HTTP/1.1 and HTTP/2 under deadlines.
//!
//! [`serve`] is the HTTPS listener, [`serve_plain`] the same without TLS (admin). Both end when
//! their guard is signalled: no more is accepted, every connection shuts down gracefully, and the
//! guards they hold make the drain wait for them.

mod certificate;
mod connection;
mod connection_state;
pub mod dev_certificate;
mod listener;
mod part;
mod reply;
mod socket;
mod tcp;
pub mod tls;
mod unsent;
mod workers;

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod early_answer_tests;
#[cfg(test)]
mod forward_tests;
#[cfg(test)]
mod test_rig;
#[cfg(test)]
mod tunnel_tests;

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::sync::Semaphore;

use crate::config::LimitsConfig;
use crate::drain::Guard;
use crate::gateway::reply_body::ReplyBody;
use crate::message::connection::Connection;
use crate::message::request_body::RequestBody;

pub use listener::Bound;
pub use workers::Workers;

/// The service of a listener, and its limits.
#[derive(Clone)]
pub struct Service<H> {
    /// Answers a request: `async fn(Request<RequestBody>, Connection) -> Response<ReplyBody>`.
    pub handler: H,
    /// Gives the limits that hold for a connection from its accept on.
    pub limits: Arc<dyn Fn() -> LimitsConfig + Send + Sync>,
    /// Places for connections; shared where listeners share a cap.
    pub connections: Arc<Semaphore>,
    /// Says when to stop, and is held by every connection.
    pub guard: Guard,
    /// The threads that serve them.
    pub workers: Workers,
}

impl<H> std::fmt::Debug for Service<H> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Service")
            .field("connections", &self.connections)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

/// Serves HTTPS until the guard is signalled and every connection has ended.
///
/// The TLS configuration is looked up at each handshake, so that a reload can swap it.
pub async fn serve<H, F>(bound: Bound, tls: Arc<ArcSwap<ServerConfig>>, service: Service<H>)
where
    H: Fn(Request<RequestBody>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    listener::accept(bound, Some(tls), service).await;
}

/// Tells the metrics how much of answers is held.
pub fn measure() {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    let held = unsent::held_bytes() as f64;
    metrics::gauge!(crate::telemetry::metric::BUFFERED_BYTES).set(held);
}

/// Serves HTTP/1.1 in the clear until the guard is signalled and every connection has ended.
pub async fn serve_plain<H, F>(bound: Bound, service: Service<H>)
where
    H: Fn(Request<RequestBody>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    listener::accept(bound, None, service).await;
}
