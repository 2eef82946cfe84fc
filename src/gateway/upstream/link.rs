//! One connection to an upstream, driven by whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{fmt, io};

use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::gateway::body::upload::{ClientBody, Stage, Upload};
use crate::gateway::request::framing::HYPER_HEADERS;
use crate::gateway::upstream::stream::Stream;
use crate::gateway::upstream::{Failure, Waits};

/// A connection: what sends on it, and what moves its bytes.
pub(crate) struct Link {
    sender: SendRequest<ClientBody>,
    /// `None` once the connection has ended. (hyper does not name the type.)
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    heard: Arc<AtomicBool>,
    /// How long the other end keeps it while it idles, where that was said.
    kept_for: Option<Duration>,
    open: Gauge,
}

/// A request that got no answer.
pub(super) struct Unanswered {
    /// Why.
    pub(super) failure: Failure,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Request<ClientBody>>,
}

/// A stream that notes whether anything was heard from the other end.
struct Watched {
    stream: Stream,
    heard: Arc<AtomicBool>,
}

impl Link {
    /// Begins HTTP/1.1 on a stream, whose answers have at most so many header lines.
    pub(super) async fn open(
        stream: Stream,
        header_count: usize,
        open: Gauge,
    ) -> Result<Box<Self>, Failure> {
        let heard = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Watched { stream, heard: Arc::clone(&heard) });
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER);
        if header_count != HYPER_HEADERS {
            builder.max_headers(header_count);
        }
        let (sender, driver) = builder.handshake(io).await.map_err(Failure::Closed)?;
        open.increment(1.0);
        let driver = Box::pin(driver.with_upgrades());
        Ok(Box::new(Self { sender, driver: Some(driver), heard, kept_for: None, open }))
    }

    /// Sends a request, and drives the connection until the head of the answer is there.
    ///
    /// `response_timeout` begins when all of the request was sent; until then the upstream may
    /// take `idle_timeout` for each part of the body.
    pub(super) async fn send(
        &mut self,
        request: Request<ClientBody>,
        waits: Waits,
        upload: Option<&Upload>,
    ) -> Result<Response<Incoming>, Box<Unanswered>> {
        self.heard.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut timer = pin!(tokio::time::sleep_until(start + waits.response));
        poll_fn(|context| {
            self.drive(context);
            if let Poll::Ready(result) = answer.as_mut().poll(context) {
                if let Ok(answer) = &result {
                    self.kept_for = kept_for(answer.headers()).or(self.kept_for);
                }
                return Poll::Ready(result.map_err(|mut error| {
                    let unsent = error.take_message();
                    let failure = self.failure(error.into_error(), upload);
                    Box::new(Unanswered { failure, unsent })
                }));
            }
            if let Some(Poll::Ready(failure)) = upload.map(|upload| upload.poll_failed(context)) {
                return Poll::Ready(Err(Box::new(Unanswered { failure, unsent: None })));
            }
            while timer.as_mut().poll(context).is_ready() {
                let now = Instant::now();
                let (until, failure) = match upload.map(Upload::stage) {
                    None => (start + waits.response, Failure::Silent),
                    Some(Some(Stage::Done(since))) => (since + waits.response, Failure::Silent),
                    Some(Some(Stage::Upstream(since))) => (since + waits.idle, Failure::Stalled),
                    Some(None) => (start + waits.idle, Failure::Stalled),
                    // The body itself says when its client is too slow.
                    Some(Some(Stage::Client)) => (now + waits.idle, Failure::Stalled),
                };
                if until <= now {
                    return Poll::Ready(Err(Box::new(Unanswered { failure, unsent: None })));
                }
                timer.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }

    /// Moves what can be moved; the result shows in the answer.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(context).is_ready()
        {
            self.driver = None;
        }
    }

    /// Says whether another request can be sent, having looked at what came meanwhile.
    ///
    /// A connection that was closed, or on which bytes came that nobody asked for, ends here, and
    /// so its bytes reach no other request.
    pub(super) fn is_fit(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// How long it may idle before it is used again: the other end must not close it meanwhile.
    pub(super) fn may_idle_for(&self) -> Duration {
        self.kept_for.map_or(IDLE_FOR, |kept_for| kept_for.saturating_sub(MARGIN))
    }

    fn failure(&self, error: hyper::Error, upload: Option<&Upload>) -> Failure {
        if let Some(fault) = upload.and_then(Upload::fault) {
            return Failure::Upload(fault);
        }
        if error.is_parse() || self.heard.load(Ordering::Relaxed) {
            return Failure::Garbled(error);
        }
        Failure::Closed(error)
    }
}

/// Backends that do not say how long they keep a connection commonly do so for 60 to 75 s.
const IDLE_FOR: Duration = Duration::from_secs(55);
/// How much earlier than the other end a connection is given up.
const MARGIN: Duration = Duration::from_secs(4);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What `Keep-Alive: timeout=5` says (RFC 2068 §19.7.1.1).
fn kept_for(headers: &HeaderMap) -> Option<Duration> {
    let parameters = headers.get(KEEP_ALIVE)?.to_str().ok()?.split(',');
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(|seconds: u32| Duration::from_secs(seconds.into()))
}

/// How many bytes hyper buffers of one connection: a head, or a part of a body.
const BUFFER: usize = 64 << 10;

impl Drop for Link {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("open", &self.driver.is_some()).finish_non_exhaustive()
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
