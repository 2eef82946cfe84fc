//! A reply on its way out: counts the request as under way until its last byte is hyper's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::edge::connection_state::ConnectionState;
use crate::edge::part::UnsentPart;
use crate::gateway::reply_body::ReplyBody;
use crate::message::answer_end::AnswerEnd;

/// A request under way.
#[derive(Debug)]
pub(super) struct InFlight {
    state: Arc<ConnectionState>,
    /// Whether it ends in another task than the connection's.
    elsewhere: bool,
}

/// A reply's body; when it is over, the rest of the request's body is drained.
#[derive(Debug)]
pub(super) struct Reply {
    body: ReplyBody,
    state: Arc<ConnectionState>,
    /// `None` once it was handed to the drain.
    in_flight: Option<InFlight>,
    http2: bool,
    /// `Some` once the body has failed.
    failure: Option<FailedBody>,
}

/// The error that ends a body; kept until what had come of it is on its way, because hyper
/// forgets what it has not written of an answer that fails.
#[derive(Debug)]
struct FailedBody {
    error: io::Error,
    /// HTTP/2 flushes only when it has something to write.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Longest wait of a failed HTTP/2 answer for a flush.
const FLUSH: Duration = Duration::from_millis(100);

impl InFlight {
    /// Begins; HTTP/2 gives each request a task of its own.
    pub(super) fn new(state: Arc<ConnectionState>, http2: bool) -> Self {
        state.begin();
        Self { state, elsewhere: http2 }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.over(self.elsewhere);
    }
}

impl Reply {
    /// Wraps a body.
    pub(super) fn new(body: ReplyBody, in_flight: InFlight, http2: bool) -> Self {
        let state = Arc::clone(&in_flight.state);
        if !http2 && let Some(end_flag) = body.end_flag() {
            state.attach_end_flag(end_flag);
        }
        Self { body, state, in_flight: Some(in_flight), http2, failure: None }
    }

    /// Waits until the parts before the error were flushed, and answers it then.
    fn poll_failure(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let Some(failure) = &mut self.failure else { return Poll::Ready(None) };
        let is_over = |sleep: &mut Pin<Box<Sleep>>| sleep.as_mut().poll(context).is_ready();
        let out_of_patience = failure.patience.as_mut().is_some_and(is_over);
        if !out_of_patience {
            ready!(self.state.poll_flushed(context));
        }
        Poll::Ready(self.failure.take().map(|failure| failure.error))
    }
}

impl Body for Reply {
    type Data = UnsentPart;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<UnsentPart>, io::Error>>> {
        if self.failure.is_some() {
            return self.poll_failure(context).map(|error| error.map(Err));
        }
        // A whole body is held in memory anyway.
        if self.body.is_streaming() {
            ready!(self.state.unsent.poll_room(context));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let data = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => data,
            // A revoked answer is not waited for.
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Poll::Ready(Some(Err(error)));
            }
            Some(Err(error)) => {
                let patience = self.http2.then(|| Box::pin(tokio::time::sleep(FLUSH)));
                self.failure = Some(FailedBody { error, patience });
                self.state.await_flush();
                return self.poll_failure(context).map(|error| error.map(Err));
            }
            // An answer's body has no trailers.
            Some(Ok(Err(_))) | None => return Poll::Ready(None),
        };
        let open = if self.body.is_end_stream() { self.body.take_open() } else { None };
        let part = UnsentPart::new(data, Arc::clone(&self.state), open);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(mut open) = self.body.take_open() {
            let is_whole = self.body.is_end_stream();
            let end = if is_whole { Some(AnswerEnd::Done) } else { self.state.end() };
            open.ended(end.unwrap_or(AnswerEnd::ClientGone));
        }
        let rest = self.body.finish();
        let mut in_flight = self.in_flight.take();
        self.state.detach_end_flag();
        // The head is written by now: hyper drops a body after that. The drain is bounded,
        // and counts as the request, so the connection's clock and the stop signal wait for it.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            in_flight.iter_mut().for_each(|in_flight| in_flight.elsewhere = true);
            runtime.spawn(async move {
                rest.drain().await;
                drop(in_flight);
            });
        }
    }
}
