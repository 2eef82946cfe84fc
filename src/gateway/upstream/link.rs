//! One connection to an upstream, driven by the request that uses it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use std::{fmt, io};

use bytes::{Buf, Bytes, BytesMut};
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::gateway::upstream::stream::Stream;
use crate::gateway::upstream::upload::{Stage, Upload};
use crate::gateway::upstream::wire::answer_head::{AnswerHead, Reading};
use crate::gateway::upstream::wire::decoder::Decoder;
use crate::gateway::upstream::wire::request_writer::{Outgoing, RequestWriter};
use crate::gateway::upstream::{Failure, Waits};

/// A connection: one request and its answer at a time.
///
/// After an upgrade it is a stream of bytes.
pub(crate) struct Link {
    stream: Stream,
    /// `None` before the first request.
    writer: Option<RequestWriter>,
    /// Bytes read and not yet decoded.
    came: BytesMut,
    /// Bytes to read at once.
    room: usize,
    /// Whether anything came since the request was taken.
    heard: bool,
    /// Bytes already parsed that are no whole head.
    parsed: usize,
    /// Decoder of the answer's body.
    body: Decoder,
    /// Whether another answer may follow.
    persists: bool,
    /// Idle time after which the backend closes it, if it said so.
    kept_for: Option<Duration>,
    /// The rules for reading the answer.
    reading: Reading,
    waits: Waits,
    /// When the request was taken.
    begun: Instant,
    /// Watches the wait for an answer. It stays from one request to the next: one that is set too
    /// early only looks again, which is cheaper than setting it each time.
    timer: Option<Pin<Box<Sleep>>>,
    open: Gauge,
}

/// A part of an answer's body.
#[derive(Debug)]
pub(super) struct BodyPart {
    pub(super) data: Bytes,
    /// Whether nothing follows it.
    pub(super) is_last: bool,
}

/// A request that got no answer.
pub(super) struct Unanswered {
    /// Why.
    pub(super) failure: Failure,
    /// The request, where it may be sent once more.
    pub(super) again: Option<Outgoing>,
}

impl Link {
    /// Begins HTTP/1.1 on a stream; answers may have `header_count` header lines.
    pub(super) fn open(
        stream: Stream,
        header_count: usize,
        waits: Waits,
        open: Gauge,
    ) -> Box<Self> {
        open.increment(1.0);
        Box::new(Self {
            stream,
            writer: None,
            came: BytesMut::new(),
            room: ROOM,
            heard: false,
            parsed: 0,
            body: Decoder::Over,
            persists: true,
            kept_for: None,
            reading: Reading { is_to_head: false, most_lines: header_count },
            begun: Instant::now(),
            waits,
            timer: None,
            open,
        })
    }

    /// Takes a request, to be sent while its answer is waited for.
    pub(super) fn begin(&mut self, request: Outgoing, now: Instant) {
        self.reading.is_to_head = request.is_head;
        self.writer = Some(RequestWriter::new(request));
        (self.heard, self.parsed, self.begun) = (false, 0, now);
    }

    /// Sends the request, and waits until the head of its answer is there.
    ///
    /// `response_timeout` begins when all of the request was sent; until then the upstream may
    /// take `idle_timeout` for each part of the body.
    pub(super) fn poll_answered(
        &mut self,
        upload: Option<&Upload>,
        context: &mut Context<'_>,
    ) -> Poll<Result<AnswerHead, Box<Unanswered>>> {
        let failure = match self.poll_head(context) {
            Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
            Poll::Ready(Err(error)) => self.failure(error, upload),
            Poll::Pending => match upload.map(|upload| upload.poll_failed(context)) {
                Some(Poll::Ready(failure)) => failure,
                Some(Poll::Pending) | None => ready!(self.poll_patience(upload, context)),
            },
        };
        let writer = self.writer.take().filter(|_| matches!(failure, Failure::Closed(_)));
        let again = writer.and_then(RequestWriter::into_again);
        Poll::Ready(Err(Box::new(Unanswered { failure, again })))
    }

    /// Waits until the answer is late.
    fn poll_patience(
        &mut self,
        upload: Option<&Upload>,
        context: &mut Context<'_>,
    ) -> Poll<Failure> {
        let (start, waits) = (self.begun, self.waits);
        let first = start + waits.response;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(first)));
        loop {
            ready!(timer.as_mut().poll(context));
            let now = Instant::now();
            let (until, failure) = match upload.map(Upload::stage) {
                None => (first, Failure::Silent),
                Some(Some(Stage::Done(since))) => (since + waits.response, Failure::Silent),
                Some(Some(Stage::Upstream(since))) => (since + waits.idle, Failure::Stalled),
                Some(None) => (start + waits.idle, Failure::Stalled),
                // The body itself says when its client is too slow.
                Some(Some(Stage::Client)) => (now + waits.idle, Failure::Stalled),
            };
            if until <= now {
                return Poll::Ready(failure);
            }
            timer.as_mut().reset(until);
        }
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<AnswerHead>> {
        self.poll_write(context)?;
        loop {
            if ready!(self.poll_read_some(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.heard = true;
            // A line at a time, at most: a head that trickles in is not parsed for every byte.
            let is_line = self.came.get(self.parsed..).is_none_or(|came| came.contains(&b'\n'));
            if (self.parsed == 0 || is_line)
                && let Some(head) = AnswerHead::take(&mut self.came, self.reading)?
            {
                self.begin_answer(&head);
                return Poll::Ready(Ok(head));
            }
            self.parsed = self.came.len();
            if self.came.len() >= LONGEST_HEAD {
                return Poll::Ready(Err(io::Error::other("the answer's head is too long")));
            }
        }
    }

    fn begin_answer(&mut self, head: &AnswerHead) {
        self.body = head.body.clone();
        self.persists = head.persists;
        self.kept_for = head.kept_for.or(self.kept_for);
        self.writer.take_if(|writer| writer.is_done());
    }

    /// Reads the next part of the answer's body; `None` after its end.
    ///
    /// # Errors
    /// When the body is not whole, or breaks its framing.
    pub(super) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<BodyPart>>> {
        // Bytes that have come already are taken first: a small body came with its head.
        loop {
            if let Some(data) = self.body.decode(&mut self.came)? {
                return Poll::Ready(Ok(Some(BodyPart { data, is_last: self.body.is_over() })));
            }
            if self.body.is_over() {
                return Poll::Ready(Ok(None));
            }
            self.poll_write(context)?;
            if ready!(self.poll_read_some(context))? == 0 {
                self.body.closed()?;
            }
        }
    }

    /// The answer's body, as far as it has come.
    pub(super) const fn body(&self) -> &Decoder {
        &self.body
    }

    /// Goes on with the request. What happens meanwhile shows in the answer.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        match writer.poll_write(&mut self.stream, context) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Reads once; 0 is the end.
    fn poll_read_some(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.came.reserve(self.room);
        let reading = pin!(self.stream.read_buf(&mut self.came));
        let read = ready!(reading.poll(context))?;
        if read >= self.room {
            self.room = (2 * self.room).min(MOST_ROOM);
        }
        Poll::Ready(Ok(read))
    }

    /// Says whether another request can be sent, after a look at the bytes that came meanwhile.
    ///
    /// A connection that was closed, or that has unrequested bytes, ends here, so that they reach
    /// no other request. An unfinished upload leaves its tail on it.
    pub(super) fn is_fit(&mut self) -> bool {
        let is_sent = self.writer.as_ref().is_none_or(RequestWriter::is_done);
        is_sent
            && self.persists
            && self.body == Decoder::Over
            && self.came.is_empty()
            && self.poll_read_some(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Frees what only a request needs.
    pub(super) fn rest(&mut self) {
        self.writer = None;
        if self.room > ROOM {
            (self.room, self.came) = (ROOM, BytesMut::new());
        }
    }

    /// Longest idle time before another use: the backend must not close it meanwhile.
    pub(super) fn may_idle_for(&self) -> Duration {
        self.kept_for.map_or(IDLE_FOR, |kept_for| kept_for.saturating_sub(MARGIN))
    }

    fn failure(&self, error: io::Error, upload: Option<&Upload>) -> Failure {
        if let Some(fault) = upload.and_then(Upload::fault) {
            return Failure::Upload(fault);
        }
        if self.heard { Failure::Garbled(error) } else { Failure::Closed(error) }
    }
}

/// Backends that do not say how long they keep a connection commonly do so for 60 to 75 s.
const IDLE_FOR: Duration = Duration::from_secs(55);
/// Margin by which a connection is closed before the backend would.
const MARGIN: Duration = Duration::from_secs(4);

/// Bytes that are read at once, at first; the double each time that they were not enough.
const ROOM: usize = 8 << 10;
/// Bytes that are read at once, at most.
const MOST_ROOM: usize = 64 << 10;
/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

impl Drop for Link {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("body", &self.body).finish_non_exhaustive()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.came.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        // The first bytes may have come with the head that upgraded it.
        let length = self.came.len().min(buffer.remaining());
        buffer.put_slice(self.came.get(..length).unwrap_or_default());
        self.came.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Link {
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
}
