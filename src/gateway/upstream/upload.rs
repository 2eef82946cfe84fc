//! A request body on its way to an upstream: capped, timed, and recoverable when it is not needed.
//!
//! The upstream connection owns the [`ClientBody`]. Its state is in the [`Upload`] that they share;
//! an unfinished body is returned there, so that it can be drained.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use crate::config::{ByteSize, LimitsConfig};
use crate::gateway::access::registrar::{LaterGuard, Registrar};
use crate::gateway::upstream::{Delayed, Failure};
use crate::lock::IgnorePoison;
use crate::message::deadlines::BodyDeadlines;
use crate::message::request_body::{BodyFault, RequestBody};
use crate::revocation::StreamGuard;

/// A request's body as the upstream connection reads it.
#[derive(Debug)]
pub(crate) enum ClientBody {
    /// No bytes, or no more.
    Empty,
    /// Small enough to be read beforehand.
    Whole(Bytes),
    /// Read as it is sent.
    Streaming(Box<Streaming>),
}

/// The state of a request body, as seen from outside the connection that sends it.
#[derive(Debug, Default)]
pub(crate) struct Upload(Mutex<State>);

/// Progress of sending a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for the client.
    Client,
    /// A part was handed to the upstream at this instant.
    Upstream(Instant),
    /// All was handed over at this instant.
    Done(Instant),
}

#[derive(Debug, Default)]
struct State {
    stage: Option<Stage>,
    fault: Option<BodyFault>,
    rest: Option<RequestBody>,
    /// The guard of a long body, until all of it was handed over.
    guard: Option<StreamGuard>,
    /// Bytes handed to the connection.
    bytes: u64,
    /// Start of the current wait for the client.
    client_since: Option<Instant>,
    /// Whether its permit was given to another request.
    given_up: bool,
    /// Wakes the task that waits for the answer.
    waker: Option<Waker>,
}

/// A body on its way from the client to the upstream.
pub(crate) struct Streaming {
    /// `None` once it was read to its end.
    body: Option<RequestBody>,
    left: u64,
    deadlines: BodyDeadlines,
    timer: Option<Pin<Box<Sleep>>>,
    upload: Arc<Upload>,
    /// `None` once the body has a guard, or where none is needed.
    unleased: Option<Unleased>,
}

/// A body that may still be a short one.
struct Unleased {
    later: LaterGuard,
    /// Deadline after which it needs a guard; `None`: it was not waited for.
    until: Option<Instant>,
}

/// A body that is complete within this time needs no guard.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

impl ClientBody {
    /// Wraps a request's body; there is no [`Upload`] of a body that is empty.
    pub(crate) fn new(
        body: RequestBody,
        most: ByteSize,
        limits: &LimitsConfig,
        watch: Option<Registrar<'_>>,
    ) -> (Self, Option<Arc<Upload>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let upload = Arc::new(Upload::default());
        let deadlines = BodyDeadlines::new(limits, body.is_held_back());
        let streaming = Streaming {
            body: Some(body),
            left: most.0,
            deadlines,
            timer: None,
            upload: Arc::clone(&upload),
            unleased: watch.map(|watch| Unleased { later: watch.later(), until: None }),
        };
        (Self::Streaming(Box::new(streaming)), Some(upload))
    }

    /// A body that was read already.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Whole(bytes) }
    }

    /// The body, if it was not read.
    pub(crate) fn into_unread(self) -> Option<RequestBody> {
        match self {
            Self::Streaming(mut streaming) => streaming.body.take(),
            Self::Empty | Self::Whole(_) => None,
        }
    }
}

impl Upload {
    /// Lets others take its permit while the client sends nothing.
    pub(crate) fn delayed(self: &Arc<Self>) -> Weak<dyn Delayed> {
        let delayed: Arc<dyn Delayed> = Arc::<Self>::clone(self);
        Arc::downgrade(&delayed)
    }

    /// Bytes handed to the connection.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Progress; `None` before the first byte.
    pub(crate) fn stage(&self) -> Option<Stage> {
        self.lock().stage
    }

    /// Says whether every byte was handed to the upstream connection.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.stage(), Some(Stage::Done(_)))
    }

    /// The fault that stopped the body.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        self.lock().fault.clone()
    }

    /// Polls for the failure that ends the upload; for the task that waits for its answer.
    pub(crate) fn poll_failed(&self, context: &mut Context<'_>) -> Poll<Failure> {
        let mut state = self.lock();
        if state.given_up {
            return Poll::Ready(Failure::GivenUp);
        }
        state.waker = Some(context.waker().clone());
        let ended = state.guard.as_mut().map(|guard| guard.poll_ended(context));
        ended.map_or(Poll::Pending, |ended| ended.map(Failure::Ended))
    }

    /// Takes the guard of a body that lasts, for the answer to go on under.
    pub(crate) fn take_guard(&self) -> Option<StreamGuard> {
        self.lock().guard.take()
    }

    /// Takes the unread rest of the body, once the upstream connection has dropped it.
    pub(crate) fn take_rest(&self) -> Option<RequestBody> {
        self.lock().rest.take()
    }

    // Held over no call that can panic, and hardly ever contended: both sides run in the request's
    // own task, and only a waiter for its permit looks in from outside.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().ignore_poison()
    }
}

impl Delayed for Upload {
    fn since(&self) -> Option<Instant> {
        self.lock().client_since
    }

    fn give_up(&self) {
        let waker = {
            let mut state = self.lock();
            state.given_up = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl ClientBody {
    /// Reads the next part.
    ///
    /// # Errors
    /// The body's fault; [`Upload::fault`] gives it as well.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let streaming = match self {
            Self::Streaming(streaming) => streaming,
            whole => {
                return Poll::Ready(match std::mem::replace(whole, Self::Empty) {
                    Self::Whole(bytes) => Some(Ok(bytes)),
                    _ => None,
                });
            }
        };
        let data = ready!(streaming.poll_data(context));
        if let Some(Err(fault)) = &data {
            streaming.upload.lock().fault = Some(fault.clone());
        }
        Poll::Ready(data)
    }

    /// Whether it is over.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) => false,
            Self::Streaming(streaming) => streaming.is_over(),
        }
    }

    /// Bytes still to come, if known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(bytes) => u64::try_from(bytes.len()).ok(),
            Self::Streaming(streaming) => match &streaming.body {
                Some(body) => body.size_hint().exact(),
                None => Some(0),
            },
        }
    }
}

impl Streaming {
    fn is_over(&self) -> bool {
        // HTTP/2 may end a stream with an empty frame of its own, after the announced length.
        self.body
            .as_ref()
            .is_none_or(|body| body.is_end_stream() || body.size_hint().exact() == Some(0))
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            return match body.poll_data(context) {
                Poll::Ready(Some(Ok(data))) if data.is_empty() => continue,
                Poll::Ready(Some(Ok(data))) => Poll::Ready(Some(self.passed(data))),
                Poll::Ready(Some(Err(error))) => {
                    self.body = None;
                    Poll::Ready(Some(Err(BodyFault::Client(error.to_string()))))
                }
                Poll::Ready(None) => self.ended(),
                Poll::Pending => self.poll_patience(context),
            };
        }
    }

    fn passed(&mut self, data: Bytes) -> Result<Bytes, BodyFault> {
        let now = Instant::now();
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.deadlines.received(bytes, now);
        self.left = self.left.checked_sub(bytes).ok_or(BodyFault::TooLarge)?;
        {
            let mut state = self.upload.lock();
            state.bytes += bytes;
            state.stage = Some(Stage::Upstream(now));
            state.client_since = None;
        }
        if self.is_over() {
            self.done(now);
        } else {
            self.register();
        }
        Ok(data)
    }

    fn ended(&mut self) -> Poll<Option<Result<Bytes, BodyFault>>> {
        self.body = None;
        self.done(Instant::now());
        Poll::Ready(None)
    }

    fn done(&mut self, now: Instant) {
        self.unleased = None;
        let mut state = self.upload.lock();
        state.stage = Some(Stage::Done(now));
        state.client_since = None;
        let guard = state.guard.take();
        drop(state);
        // Deregistered here, after the lock.
        drop(guard);
    }

    /// Registers the body if it has no guard yet: it is not a short one.
    fn register(&mut self) {
        if let Some(Unleased { later, .. }) = self.unleased.take() {
            let guard = later();
            self.upload.lock().guard = Some(guard);
        }
    }

    /// Deadline of a body without a guard; registers one when it has passed.
    fn unleased_until(&mut self, now: Instant) -> Option<Instant> {
        let until = *self.unleased.as_mut()?.until.get_or_insert(now + SHORT);
        if until <= now {
            self.register();
            return None;
        }
        Some(until)
    }

    fn poll_patience(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyFault>>> {
        {
            let mut state = self.upload.lock();
            state.stage = Some(Stage::Client);
            state.client_since.get_or_insert_with(Instant::now);
        }
        loop {
            let now = Instant::now();
            let until = match self.deadlines.waiting(now) {
                Ok(until) => until,
                Err(slow) => return Poll::Ready(Some(Err(BodyFault::Slow(slow)))),
            };
            let until = self.unleased_until(now).map_or(until, |short| short.min(until));
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            // A timer that is set too early only looks again: cheaper than setting it each time.
            if timer.deadline() > until || timer.is_elapsed() {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            self.upload.lock().rest = Some(body);
        }
        // The upload is over: it needs no guard.
        drop(self.upload.take_guard());
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Streaming").field("left", &self.left).finish_non_exhaustive()
    }
}
