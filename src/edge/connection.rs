//! One client connection, from its accept to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::config::LimitsConfig;
use crate::drain::Guard;
use crate::edge::connection_state::{ConnectionState, Progress, Verdict};
use crate::edge::reply::{InFlight, Reply};
use crate::edge::socket::Socket;
use crate::edge::tcp::Tcp;
use crate::edge::workers::Place;
use crate::gateway::reply_body::ReplyBody;
use crate::message::connection::{CLOSE, Connection, FragmentSeen, Lifeline};
use crate::message::request_body::{Expectation, RequestBody, TrailersSeen};
use crate::telemetry::metric;

/// A connection that was just accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) connection: Connection,
    pub(super) limits: LimitsConfig,
    pub(super) place: Place,
    pub(super) guard: Guard,
}

/// Serves a connection until it ends.
pub(super) async fn serve<H, F>(accepted: Accepted, tls: Option<Arc<ServerConfig>>, handler: H)
where
    H: Fn(Request<RequestBody>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    let Accepted { stream, mut connection, limits, place, guard } = accepted;
    let state = Arc::new(ConnectionState::new(&limits, place, guard));
    let tcp = match Tcp::new(stream, Arc::clone(&state)) {
        Ok(tcp) => tcp,
        Err(error) => {
            tracing::debug!(%error, "a connection ended before it was served");
            return;
        }
    };
    let (socket, protocol) = match tls {
        None => (Socket::plain(tcp, Arc::clone(&state)), Protocol::Http1),
        Some(config) => match handshake(tcp, config, &limits, &state).await {
            Some(shaken) => shaken,
            None => return,
        },
    };
    state.handshaken();
    connection.in_the_clear = matches!(protocol, Protocol::InTheClear);
    let io = TokioIo::new(socket);
    let service = service_fn({
        let state = Arc::clone(&state);
        move |request| answer(request, &handler, connection, &state)
    });
    match protocol {
        Protocol::Http2 => {
            let served = http2_builder(&limits).serve_connection(io, service);
            Box::pin(watch(served, &state)).await;
        }
        Protocol::Http1 => {
            let served = http1_builder(&limits).serve_connection(io, service).with_upgrades();
            Box::pin(watch(served, &state)).await;
        }
        Protocol::InTheClear => {
            let mut builder = http1_builder(&limits);
            let served = builder.keep_alive(false).serve_connection(io, service).with_upgrades();
            let served = Box::pin(watch(served, &state));
            // It has no longer than a handshake.
            if tokio::time::timeout(limits.handshake_timeout, served).await.is_err() {
                tracing::debug!("HTTP in the clear did not end in time");
            }
        }
    }
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
    /// HTTP/1.1 where TLS is served: it is answered once.
    InTheClear,
}

async fn handshake(
    tcp: Tcp,
    config: Arc<ServerConfig>,
    limits: &LimitsConfig,
    state: &Arc<ConnectionState>,
) -> Option<(Socket, Protocol)> {
    let mut guard = state.guard().clone();
    let shaking = Box::pin(async {
        if !tcp.begins_tls().await? {
            return Ok((Socket::plain(tcp, Arc::clone(state)), Protocol::InTheClear));
        }
        let stream = TlsAcceptor::from(config).accept(tcp).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
        Ok::<_, io::Error>((Socket::tls(stream, Arc::clone(state), http2), protocol))
    });
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.handshake_timeout, shaking) => shaken,
        () = guard.signalled() => return None,
    };
    let result = match &shaken {
        Ok(Ok((_, Protocol::InTheClear))) => "no_tls",
        Ok(Ok(_)) => "ok",
        Ok(Err(_)) => "failed",
        Err(_) => "timeout",
    };
    metrics::counter!(metric::HANDSHAKES, "result" => result).increment(1);
    match shaken {
        Ok(Ok(shaken)) => Some(shaken),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_elapsed) => None,
    }
}

fn answer<H, F>(
    mut request: Request<Incoming>,
    handler: &H,
    connection: Connection,
    state: &Arc<ConnectionState>,
) -> impl Future<Output = Result<Response<Reply>, Infallible>> + use<H, F>
where
    H: Fn(Request<RequestBody>, Connection) -> F,
    F: Future<Output = Response<ReplyBody>>,
{
    let http2 = request.version() == Version::HTTP_2;
    let in_flight = InFlight::new(Arc::clone(state), http2);
    if state.take_fragment() {
        request.extensions_mut().insert(FragmentSeen);
    }
    if request.headers().contains_key(UPGRADE) {
        let hold = Arc::clone(state);
        let lifeline = Lifeline { guard: state.guard().clone(), hold };
        request.extensions_mut().insert(lifeline);
    }
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let trailers = chunked.then(TrailersSeen::default);
    let expectation = match (request.headers().contains_key(EXPECT), http2) {
        (false, _) => Expectation::None,
        (true, false) => Expectation::AtFirstPoll,
        (true, true) => Expectation::NeverMet,
    };
    let request = request.map(|body| RequestBody::new(body, trailers.clone(), expectation));
    // hyper moves what it is given several times (HTTP/2: into a task of its own), so it gets a
    // pointer and not the whole future.
    let reply = Box::pin(handler(request, connection));
    async move {
        let mut reply = reply.await;
        // An early answer says so whether or not trailers are still to come.
        if trailers.is_some_and(|trailers| trailers.any()) {
            reply.headers_mut().insert(CONNECTION, CLOSE);
        }
        // hyper writes `<none>` for a phrase that it does not know.
        if reply.status().canonical_reason().is_none() {
            reply.extensions_mut().insert(ReasonPhrase::from_static(b""));
        }
        Ok(reply.map(|body| Reply::new(body, in_flight, http2)))
    }
}

fn http1_builder(limits: &LimitsConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The clock of `state` watches heads and idling; hyper's would be a timer a request.
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    let head = clamped(limits.header_bytes.0);
    builder.max_header_size(head).max_buf_size(BUFFER.max(head));
    if limits.header_count != HYPER_HEADERS {
        builder.max_headers(limits.header_count);
    }
    builder
}

/// hyper's default limit of header lines: it keeps these on the stack, and any other number
/// on the heap.
const HYPER_HEADERS: usize = 100;

/// Bytes that hyper buffers of one HTTP/1.1 connection, each way.
const BUFFER: usize = 64 << 10;

fn http2_builder(limits: &LimitsConfig) -> http2::Builder<TokioExecutor> {
    // The tasks of streams end with their connection: h2 drops them with it.
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes.0).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.http2_resets)
        .max_local_error_reset_streams(limits.http2_resets)
        .max_send_buf_size(STREAM_ROOM);
    builder
}

/// Bytes of an answer that h2 holds before it takes no other part of that answer.
const STREAM_ROOM: usize = 16 << 10;

fn clamped(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A connection that can end after the requests under way.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<S, B> Graceful for http1::UpgradeableConnection<TokioIo<Socket>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Graceful for http2::Connection<TokioIo<Socket>, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection under its clock and the stop signal.
async fn watch<C: Graceful>(connection: C, state: &ConnectionState) {
    let mut connection = pin!(connection);
    let mut guard = state.guard().clone();
    let mut signalled = pin!(guard.signalled());
    let mut clock = pin!(tokio::time::sleep(Duration::ZERO));
    let (mut stopping, mut closing) = (false, None);
    let mut is_registered = false;
    let mut progress = Progress::default();
    poll_fn(|context| {
        loop {
            let now = Instant::now();
            state.begin_turn(now);
            if let Poll::Ready(served) = connection.as_mut().poll(context) {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended");
                    count_refused(&error);
                }
                return Poll::Ready(());
            }
            // This is always one task: that it waits for the signal needs to be said once.
            let is_due = !stopping && (!is_registered || state.guard().is_signalled());
            is_registered = true;
            if is_due && signalled.as_mut().poll(context).is_ready() {
                stopping = true;
                if state.is_idle() {
                    state.end_abruptly();
                }
                connection.as_mut().end();
                continue;
            }
            let until = match (state.verdict(now, &mut progress), closing) {
                (Verdict::Cut, _) => return Poll::Ready(()),
                (Verdict::Wait(until), _) => until,
                (Verdict::Idle, None) => {
                    closing = Some(now + state.closing());
                    state.end_abruptly();
                    connection.as_mut().end();
                    continue;
                }
                (Verdict::Idle, Some(closed)) if closed <= now => return Poll::Ready(()),
                (Verdict::Idle, Some(closed)) => closed,
            };
            // A clock that is set too early only looks again: cheaper than setting it each time.
            if until < clock.deadline() || clock.is_elapsed() {
                clock.as_mut().reset(until);
            }
            if clock.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Counts a head that hyper refused by itself, so that the gateway has not seen it.
fn count_refused(error: &hyper::Error) {
    let reason = match (error.is_parse(), error.is_parse_too_large()) {
        (_, true) => "oversized",
        (true, false) => "malformed",
        (false, false) => return,
    };
    metrics::counter!(metric::HEADS_REFUSED, "reason" => reason).increment(1);
}
