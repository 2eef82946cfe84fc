//! WebSocket: two byte streams joined, once the upstream itself has said 101.
//!
//! Only `Upgrade: websocket` passes; every other upgrade is stripped, so that no side is talked
//! into a protocol that the gateway does not check (`h2c` smuggling).
//!
//! A tunnel that must end finishes the backend's current frame, and then sends the client a close
//! frame with the reason (RFC 6455 §7.4.1). With 1008, when its token is refused, the client's
//! bytes are discarded; with 1001, when the gateway stops, the client may still send a close frame
//! of its own, which goes to the backend.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::gateway::headers::hop;
use crate::gateway::open_request::OpenRequest;
use crate::gateway::reply_body::ReplyBody;
use crate::gateway::upstream::{AnswerHead, Exchange, Failure};
use crate::gateway::websocket::frame::{FrameState, GOING_AWAY, POLICY_VIOLATION};
use crate::message::answer_end::AnswerEnd;
use crate::message::connection::Lifeline;
use crate::message::only;
use crate::message::request_body::RequestBody;
use crate::revocation::{EndReason, StreamGuard};

/// A client's opening handshake (RFC 6455 §4.1).
#[derive(Debug)]
pub(crate) struct Handshake {
    client: OnUpgrade,
    lifeline: Lifeline,
}

impl Handshake {
    /// Reads the wish from a request: HTTP/1.1, GET, no body, `Upgrade: websocket` alone.
    pub(crate) fn of(parts: &mut Parts, body: &RequestBody) -> Option<Self> {
        let upgrade = only(&parts.headers, &UPGRADE)?;
        let asks = parts.version == Version::HTTP_11
            && parts.method == Method::GET
            && body.is_end_stream()
            && upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
            && hop::says(parts.headers.get_all(CONNECTION), "upgrade");
        let lifeline = parts.extensions.remove::<Lifeline>()?;
        let client = parts.extensions.remove::<OnUpgrade>()?;
        asks.then_some(Self { client, lifeline })
    }

    /// Joins both sides for as long as the token is accepted; gives the 101 for the client.
    ///
    /// # Errors
    /// When the upstream switched to something else, or the token is refused meanwhile.
    pub(crate) async fn open(
        self,
        head: AnswerHead,
        exchange: Exchange,
        mut stream_guard: Option<StreamGuard>,
        stream: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<ReplyBody>, Failure> {
        if let Some(ended) = stream_guard.as_mut().and_then(StreamGuard::has_ended) {
            return Err(Failure::Ended(ended));
        }
        if !head.is_websocket {
            return Err(Failure::Switched);
        }
        let AnswerHead { mut headers, .. } = head;
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Bounded by the idle timeout and the stop signal; waited for by way of the guard.
        let (tunnel, request) = oneshot::channel();
        tokio::spawn(self.join(exchange, stream_guard, (request, stream)));
        let mut switching = Response::new(ReplyBody::switching(tunnel));
        *switching.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        *switching.headers_mut() = headers;
        Ok(switching)
    }

    async fn join(
        self,
        exchange: Exchange,
        mut stream_guard: Option<StreamGuard>,
        (request, stream): (oneshot::Receiver<Box<OpenRequest>>, Option<OwnedSemaphorePermit>),
    ) {
        let Self { client, lifeline: Lifeline { mut guard, hold } } = self;
        let Exchange { link, upstream: backend, permit } = exchange;
        // From here on it is a stream, not a request that the backend is busy with.
        drop(permit);
        let idle = backend.idle_timeout();
        let Ok(Ok(client)) = tokio::time::timeout(idle, client).await else { return };
        // The edge has attached it to the answer that the upgrade waited for.
        let mut request = request.await.ok();
        let state = Arc::new(TunnelState::new());
        let mut client = Side::new(TokioIo::new(client), &state, Role::Client);
        let mut upstream = Side::new(link, &state, Role::Upstream);
        let (end, close_frame) = {
            let mut copying = pin!(copy_bidirectional(&mut client, &mut upstream));
            let (end, close_frame) = tokio::select! {
                // A revoked token is seen before another byte is moved.
                biased;
                ended = end_of(&mut stream_guard) => (ended.into(), Some(POLICY_VIOLATION)),
                copied = &mut copying => (state.end_of_copy(copied.is_ok()), None),
                () = state.stands_still_for(idle) => (AnswerEnd::UpstreamCut, None),
                () = guard.signalled() => (AnswerEnd::Drained, Some(GOING_AWAY)),
            };
            tracing::debug!(upstream = backend.name(), end = end.name(), "a tunnel ends");
            if close_frame.is_some() {
                state.leave();
                let left = poll_fn(|context| state.poll_left(context, copying.as_mut()));
                let told = tokio::time::timeout(patience(end), left).await.is_ok();
                (end, close_frame.filter(|_| told))
            } else {
                (end, None)
            }
        };
        if let Some(open) = &mut request {
            open.ended(end);
            open.sent(client.written);
            open.received(client.read);
        }
        drop(stream_guard);
        // The backend of a client whose token is refused is left at once.
        let mut upstream = (end == AnswerEnd::Drained).then_some(upstream);
        if let Some(close_frame) = close_frame {
            // A client that does not take it in time is cut off.
            let closing = client.send_close(close_frame, upstream.as_mut());
            drop(tokio::time::timeout(patience(end), closing).await);
        }
        drop((stream, request, hold, guard));
    }
}

/// Time for a tunnel to end; when the gateway stops, `shutdown_grace` bounds it.
const fn patience(end: AnswerEnd) -> Duration {
    match end {
        AnswerEnd::Drained => Duration::MAX,
        _ => LEAVING,
    }
}

/// Time for a tunnel to end once it must.
const LEAVING: Duration = Duration::from_secs(1);

/// Waits until the token is refused; for ever without one.
async fn end_of(stream_guard: &mut Option<StreamGuard>) -> EndReason {
    match stream_guard {
        Some(stream_guard) => stream_guard.ended().await,
        None => std::future::pending().await,
    }
}

/// State that both sides of a tunnel share: when a byte was last moved, and whether it is to end.
#[derive(Debug)]
struct TunnelState {
    start: Instant,
    millis: AtomicU64,
    is_leaving: AtomicBool,
    /// Whether the client has been sent whole frames only.
    is_between_frames: AtomicBool,
    /// Whether it was the client's side that failed.
    client_failed: AtomicBool,
}

impl TunnelState {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            millis: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            is_between_frames: AtomicBool::new(true),
            client_failed: AtomicBool::new(false),
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

    /// From now on the client is not read, and is sent the rest of one frame at most.
    fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// The end of a tunnel whose bytes were copied completely, or as far as possible.
    fn end_of_copy(&self, whole: bool) -> AnswerEnd {
        if whole {
            AnswerEnd::Done
        } else if self.client_failed.load(Ordering::Relaxed) {
            AnswerEnd::ClientGone
        } else {
            AnswerEnd::UpstreamCut
        }
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
struct Side<S> {
    stream: S,
    state: Arc<TunnelState>,
    role: Role,
    /// Position in the frames written to it.
    frames: FrameState,
    read: u64,
    written: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Upstream,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    fn new(stream: S, state: &Arc<TunnelState>, role: Role) -> Self {
        let state = Arc::clone(state);
        Self { stream, state, role, frames: FrameState::default(), read: 0, written: 0 }
    }

    /// Number of bytes that may be sent: all, until the tunnel is to end.
    fn allowed(&self, bytes: &[u8]) -> usize {
        match self.role {
            _ if !self.state.is_leaving() => bytes.len(),
            Role::Client => self.frames.rest_of_frame(bytes),
            Role::Upstream => 0,
        }
    }

    /// Sends the close frame if no frame is under way, reads until the client closes, for the
    /// backend if there is one, and closes: a connection that is dropped while the client still
    /// sends is reset, and the close frame lost.
    async fn send_close<B: AsyncWrite + Unpin>(
        &mut self,
        close_frame: [u8; 4],
        mut backend: Option<&mut Side<B>>,
    ) -> io::Result<()> {
        if !self.frames.is_between_frames() {
            return Ok(());
        }
        if !self.frames.has_closed() {
            self.stream.write_all(&close_frame).await?;
        }
        if backend.is_none() {
            self.stream.shutdown().await?;
        }
        let mut bytes = [0; 512];
        loop {
            let read = self.stream.read(&mut bytes).await?;
            let sent = bytes.get(..read).filter(|sent| !sent.is_empty());
            match (&mut backend, sent) {
                (_, None) => return self.stream.shutdown().await,
                (None, Some(_)) => {}
                (Some(backend), Some(sent)) => {
                    backend.frames.pass(sent);
                    backend.stream.write_all(sent).await?;
                    if backend.frames.has_closed() && backend.frames.is_between_frames() {
                        // Both have sent a close frame: the server closes first (RFC 6455 §7.1.1).
                        return self.stream.shutdown().await;
                    }
                }
            }
        }
    }

    fn note(&self, failed: bool) {
        if failed && self.role == Role::Client {
            self.state.client_failed.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Side<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.role == Role::Client && self.state.is_leaving() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(matches!(result, Poll::Ready(Err(_))));
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.read += u64::try_from(read).unwrap_or(u64::MAX);
            self.state.note();
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Side<S> {
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
        self.note(matches!(result, Poll::Ready(Err(_))));
        if let Poll::Ready(Ok(written)) = result {
            self.state.note();
            self.written += u64::try_from(written).unwrap_or(u64::MAX);
            self.frames.pass(bytes.get(..written).unwrap_or(bytes));
            if self.role == Role::Client {
                let is_between_frames = self.frames.is_between_frames();
                self.state.is_between_frames.store(is_between_frames, Ordering::Relaxed);
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
