//! WebSocket: two byte streams joined, once the upstream itself has said 101.
//!
//! Only `Upgrade: websocket` passes; every other upgrade is stripped, so that nobody is talked
//! into a protocol that the gateway does not check (`h2c` smuggling).

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::Version;
use http::header::CONNECTION;
use http::header::UPGRADE;
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::io::copy_bidirectional;
use tokio::time::Instant;

use crate::drain::Guard;
use crate::gateway::body::ReplyBody;
use crate::gateway::hop;
use crate::gateway::upstream::Exchange;
use crate::gateway::upstream::Failure;

/// Lets a tunnel outlive its HTTP connection, as long as the gateway is not told to stop.
///
/// The edge adds it, as an extension, to requests that ask for an upgrade.
#[derive(Clone)]
pub struct Lifeline {
    /// Says when to stop, and is waited for.
    pub guard: Guard,
    /// What the connection holds: its place among `max_connections`.
    pub hold: Arc<dyn Any + Send + Sync>,
}

/// A client's wish for a WebSocket.
#[derive(Debug)]
pub(crate) struct Handshake {
    client: OnUpgrade,
    lifeline: Lifeline,
}

impl Handshake {
    /// Reads the wish from a request: HTTP/1.1, GET, no body, `Upgrade: websocket` alone.
    pub(crate) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        if !request.headers().contains_key(UPGRADE) {
            return None;
        }
        let asks = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && request.body().is_end_stream()
            && says_websocket(request.headers())
            && hop::connection_says(request.headers(), "upgrade");
        let lifeline = request.extensions_mut().remove::<Lifeline>()?;
        asks.then(|| Self { client: hyper::upgrade::on(request), lifeline })
    }

    /// Joins both sides; gives the 101 for the client.
    ///
    /// # Errors
    /// When the upstream switched to something else.
    pub(crate) async fn open(
        self,
        response: Response<Incoming>,
        exchange: Exchange,
    ) -> Result<Response<ReplyBody>, Failure> {
        if !says_websocket(response.headers()) {
            return Err(Failure::Switched);
        }
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers.clone();
        let response = Response::from_parts(parts, body);
        let upstream = hyper::upgrade::on(response).await.map_err(Failure::Garbled)?;
        hop::strip(&mut headers);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Bounded by the idle timeout and the stop signal; waited for by way of the guard.
        tokio::spawn(self.join(upstream, exchange));
        let mut switching = Response::new(ReplyBody::empty());
        *switching.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        *switching.headers_mut() = headers;
        Ok(switching)
    }

    async fn join(self, upstream: Upgraded, exchange: Exchange) {
        let Self { client, lifeline: Lifeline { mut guard, hold } } = self;
        let idle = exchange.upstream.idle_timeout();
        let Ok(Ok(client)) = tokio::time::timeout(idle, client).await else { return };
        let moved = Arc::new(Moved::now());
        let mut client = Side { stream: TokioIo::new(client), moved: Arc::clone(&moved) };
        let mut upstream = Side { stream: TokioIo::new(upstream), moved: Arc::clone(&moved) };
        tokio::select! {
            copied = copy_bidirectional(&mut client, &mut upstream) => {
                if let Err(error) = copied {
                    tracing::debug!(%error, "a tunnel broke");
                }
            }
            () = moved.stands_still_for(idle) => tracing::debug!("a tunnel idled too long"),
            () = guard.signalled() => {}
        }
        drop((exchange, hold, guard));
    }
}

fn says_websocket(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(UPGRADE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes().eq_ignore_ascii_case(b"websocket"),
        _ => false,
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lifeline").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// When a byte was last moved.
#[derive(Debug)]
struct Moved {
    start: Instant,
    millis: AtomicU64,
}

impl Moved {
    fn now() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }

    fn note(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    async fn stands_still_for(&self, idle: Duration) {
        loop {
            let last = self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed));
            if last.elapsed() >= idle {
                return;
            }
            tokio::time::sleep_until(last + idle).await;
        }
    }
}

/// One side of a tunnel.
struct Side {
    stream: TokioIo<Upgraded>,
    moved: Arc<Moved>,
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.moved.note();
        }
        result
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(result, Poll::Ready(Ok(_))) {
            self.moved.note();
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
