//! WebSocket: two byte streams joined, once the upstream itself has said 101.
//!
//! Only `Upgrade: websocket` passes; every other upgrade is stripped, so that nobody is talked
//! into a protocol that the gateway does not check (`h2c` smuggling).
//!
//! A tunnel whose token may not go on takes nothing more from its client. What comes from the
//! backend is followed by frame headers, so that the client is told 1008 (RFC 6455 §7.4.1) where
//! the frame ends that is under way; when that does not come soon, the tunnel is cut.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::io::copy_bidirectional;
use tokio::time::Instant;

use crate::drain::Guard;
use crate::gateway::body::ReplyBody;
use crate::gateway::hop;
use crate::gateway::request_body::RequestBody;
use crate::gateway::upstream::Exchange;
use crate::gateway::upstream::Failure;
use crate::gateway::websocket_frame::FrameCourse;
use crate::revocation::Ended;
use crate::revocation::Lease;

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
    pub(crate) fn of(request: &mut Request<RequestBody>) -> Option<Self> {
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

    /// Joins both sides for as long as the lease goes on; gives the 101 for the client.
    ///
    /// # Errors
    /// When the upstream switched to something else, or the lease has ended.
    pub(crate) async fn open(
        self,
        response: Response<Incoming>,
        exchange: Exchange,
        mut lease: Option<Lease>,
    ) -> Result<Response<ReplyBody>, Failure> {
        if let Some(ended) = lease.as_mut().and_then(Lease::has_ended) {
            return Err(Failure::Ended(ended));
        }
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
        tokio::spawn(self.join(upstream, exchange, lease));
        let mut switching = Response::new(ReplyBody::empty());
        *switching.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        *switching.headers_mut() = headers;
        Ok(switching)
    }

    async fn join(self, upstream: Upgraded, exchange: Exchange, mut lease: Option<Lease>) {
        let Self { client, lifeline: Lifeline { mut guard, hold } } = self;
        let idle = exchange.upstream.idle_timeout();
        let Ok(Ok(client)) = tokio::time::timeout(idle, client).await else { return };
        let course = Arc::new(Course::now());
        let mut client = Side::new(client, &course, lease.is_some());
        let mut upstream = Side::new(upstream, &course, false);
        let deadline = {
            let mut copying = pin!(copy_bidirectional(&mut client, &mut upstream));
            let ended = tokio::select! {
                // A lease that has ended is seen before another byte is moved.
                biased;
                ended = end_of(&mut lease) => Some(ended),
                copied = &mut copying => {
                    if let Err(error) = copied {
                        tracing::debug!(%error, "a tunnel broke");
                    }
                    None
                }
                () = course.stands_still_for(idle) => {
                    tracing::debug!("a tunnel idled too long");
                    None
                }
                () = guard.signalled() => None,
            };
            match ended {
                None => None,
                Some(ended) => {
                    let (upstream, reason) = (exchange.upstream.name(), ended.name());
                    tracing::debug!(upstream, reason, "a tunnel was ended");
                    let deadline = Instant::now() + LEAVING;
                    course.leave();
                    let left = poll_fn(|context| course.poll_left(context, copying.as_mut()));
                    tokio::time::timeout_at(deadline, left).await.ok().map(|()| deadline)
                }
            }
        };
        drop((upstream, exchange, lease));
        if let Some(deadline) = deadline {
            // A client that does not take it in time is cut off: it was told, or it did not listen.
            drop(tokio::time::timeout_at(deadline, client.dismiss()).await);
        }
        drop((hold, guard));
    }
}

/// How long a tunnel may take to end once it must.
const LEAVING: Duration = Duration::from_secs(1);

/// A close frame that says 1008, policy violation, and no more (RFC 6455 §5.5.1).
const POLICY_VIOLATION: [u8; 4] = [0x88, 2, 0x03, 0xf0];

/// Waits for the end of a lease; for ever where there is none.
async fn end_of(lease: &mut Option<Lease>) -> Ended {
    match lease {
        Some(lease) => lease.ended().await,
        None => std::future::pending().await,
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

/// What both sides of a tunnel know: when a byte was last moved, and whether it is to end.
#[derive(Debug)]
struct Course {
    start: Instant,
    millis: AtomicU64,
    is_leaving: AtomicBool,
    /// Whether the client has been sent whole frames only.
    is_between_frames: AtomicBool,
}

impl Course {
    fn now() -> Self {
        Self {
            start: Instant::now(),
            millis: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            is_between_frames: AtomicBool::new(true),
        }
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

    /// From now on the client is not heard, and is sent the rest of one frame at most.
    fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Moves the rest of the frame under way.
    fn poll_left(
        &self,
        context: &mut Context<'_>,
        copying: Pin<&mut impl Future<Output = io::Result<(u64, u64)>>>,
    ) -> Poll<()> {
        let is_between_frames = || self.is_between_frames.load(Ordering::Relaxed);
        if is_between_frames() || copying.poll(context).is_ready() || is_between_frames() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// One side of a tunnel.
struct Side {
    stream: TokioIo<Upgraded>,
    course: Arc<Course>,
    /// Of what is sent to a client whose tunnel may be ended.
    frames: Option<FrameCourse>,
}

impl Side {
    fn new(stream: Upgraded, course: &Arc<Course>, followed: bool) -> Self {
        let frames = followed.then(FrameCourse::default);
        Self { stream: TokioIo::new(stream), course: Arc::clone(course), frames }
    }

    /// How many of the bytes may be sent: all, until the tunnel is to end.
    fn allowed(&self, bytes: &[u8]) -> usize {
        match &self.frames {
            _ if !self.course.is_leaving() => bytes.len(),
            Some(frames) => frames.rest_of_frame(bytes),
            None => 0,
        }
    }

    /// Says goodbye where a frame may stand, and waits for the client to go: a connection that is
    /// dropped while the client still sends is reset, and the goodbye lost.
    async fn dismiss(&mut self) -> io::Result<()> {
        let Some(frames) = self.frames.filter(FrameCourse::is_between_frames) else {
            return Ok(());
        };
        if !frames.has_closed() {
            self.stream.write_all(&POLICY_VIOLATION).await?;
        }
        self.stream.shutdown().await?;
        let mut unheard = [0; 512];
        while self.stream.read(&mut unheard).await? > 0 {}
        Ok(())
    }
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frames.is_some() && self.course.is_leaving() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.course.note();
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
        let allowed = self.allowed(bytes);
        if allowed == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        let bytes = bytes.get(..allowed).unwrap_or(bytes);
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = result {
            self.course.note();
            if let Some(frames) = &mut self.frames {
                frames.pass(bytes.get(..written).unwrap_or(bytes));
                let is_between_frames = frames.is_between_frames();
                self.course.is_between_frames.store(is_between_frames, Ordering::Relaxed);
            }
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
