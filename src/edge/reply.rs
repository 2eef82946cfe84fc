//! A reply on its way out: counts the request as under way until its last byte is hyper's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::runtime::Handle;

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
}

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
        let mut reply =
            Self { body, in_flight: Some(in_flight), waits_for_room: http2.then_some(false) };
        if let (None, Some(sign), Some(in_flight)) =
            (reply.waits_for_room, reply.body.sign(), &reply.in_flight)
        {
            in_flight.0.tie(sign);
        }
        let ends = reply.body.is_end_stream();
        reply.note(!ends);
        reply
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
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let waits = matches!(frame, Poll::Ready(Some(Ok(_)))) && !self.body.is_end_stream();
        self.note(waits);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
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
