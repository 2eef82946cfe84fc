//! A reply on its way out: counts the request as under way until its last byte is hyper's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::edge::activity::Activity;
use crate::gateway::body::ReplyBody;

/// A request under way.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

/// A reply's body; when it is over, what is left of the request's is drained.
#[derive(Debug)]
pub(super) struct Reply {
    body: ReplyBody,
    /// `None` once it was handed to the drain.
    in_flight: Option<InFlight>,
    /// Whether hyper waits for room to send before it comes back to this body (HTTP/2 windows;
    /// with HTTP/1.1 the socket itself tells).
    waits_for_room: Option<bool>,
    /// `Some` once the body has failed.
    failure: Option<Failure>,
}

/// Why a body ends in its midst; kept until what had come of it is on its way, because hyper
/// forgets what it has not written of an answer that fails.
#[derive(Debug)]
struct Failure {
    error: io::Error,
    /// HTTP/2 flushes only when it has something to write.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How long a failed answer of HTTP/2 waits for a flush.
const FLUSH: Duration = Duration::from_millis(100);

impl InFlight {
    /// Begins.
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        activity.begin();
        Self(activity)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Reply {
    /// Wraps a body.
    pub(super) fn new(body: ReplyBody, in_flight: InFlight, http2: bool) -> Self {
        let mut reply = Self {
            body,
            in_flight: Some(in_flight),
            waits_for_room: http2.then_some(false),
            failure: None,
        };
        if let (None, Some(sign), Some(in_flight)) =
            (reply.waits_for_room, reply.body.sign(), &reply.in_flight)
        {
            in_flight.0.tie(sign);
        }
        let ends = reply.body.is_end_stream();
        reply.note(!ends);
        reply
    }

    /// Waits until the client has been sent what there was, and gives the error then.
    fn poll_failure(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let (Some(failure), Some(in_flight)) = (&mut self.failure, &self.in_flight) else {
            return Poll::Ready(None);
        };
        let is_over = |sleep: &mut Pin<Box<Sleep>>| sleep.as_mut().poll(context).is_ready();
        let out_of_patience = failure.patience.as_mut().is_some_and(is_over);
        if !out_of_patience {
            ready!(in_flight.0.poll_flushed(context));
        }
        Poll::Ready(self.failure.take().map(|failure| failure.error))
    }

    fn note(&mut self, now: bool) {
        if let (Some(before), Some(in_flight)) = (&mut self.waits_for_room, &self.in_flight) {
            in_flight.0.handed(std::mem::replace(before, now), now);
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.failure.is_some() {
            return self.poll_failure(context).map(|error| error.map(Err));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = frame {
            self.note(false);
            // What may go to nobody any more is not waited for.
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Poll::Ready(Some(Err(error)));
            }
            let http2 = self.waits_for_room.is_some();
            let patience = http2.then(|| Box::pin(tokio::time::sleep(FLUSH)));
            self.failure = Some(Failure { error, patience });
            if let Some(in_flight) = &self.in_flight {
                in_flight.0.await_flush();
            }
            return self.poll_failure(context).map(|error| error.map(Err));
        }
        let waits = matches!(frame, Poll::Ready(Some(Ok(_)))) && !self.body.is_end_stream();
        self.note(waits);
        frame
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
        self.note(false);
        let rest = self.body.finish();
        let in_flight = self.in_flight.take();
        if let Some(in_flight) = &in_flight {
            in_flight.0.untie();
        }
        // The head is written by now: hyper lets go of a body after that. The drain is bounded,
        // and counts as the request, so the connection's clock and the stop signal wait for it.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(async move {
                rest.drain().await;
                drop(in_flight);
            });
        }
    }
}
