//! An upstream's answer body, with the connection it comes by.
//!
//! It drives the connection while it is read. At its end the connection goes back to the pool, if
//! it can be used again; an answer that is dropped before takes its connection with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http_body::SizeHint;
use tokio::time::{Instant, Sleep};

use crate::gateway::upstream::link::BodyPart;
use crate::gateway::upstream::upload::{Stage, Upload};
use crate::gateway::upstream::{Delayed, Link, Permit, Upstream};
use crate::lock::IgnorePoison;
use crate::message::answer_end::AnswerEnd;
use crate::revocation::{EndFlag, StreamGuard};

/// A body, with the connection, permit and guard that end with it.
pub(crate) struct AnswerBody {
    /// A part that was read ahead.
    first: Option<Bytes>,
    /// Bytes still to come after it, if known.
    left: Option<u64>,
    exchange_state: ExchangeState,
    /// Longest silence of the upstream.
    idle: Duration,
    upload: Option<Arc<Upload>>,
    /// Ends the body before its time.
    guard: Option<StreamGuard>,
    /// When its head came, while no time has passed since.
    head_at: Option<Instant>,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The reason to end a body before its end.
///
/// hyper resets an HTTP/2 stream with the code that it finds among the sources: CANCEL says that
/// nothing failed and, unlike `REFUSED_STREAM`, does not ask for the same again (RFC 9113 §7).
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Cut {
    end: AnswerEnd,
    reason: &'static str,
    #[source]
    reset: h2::Error,
}

/// The connection that an answer comes by.
#[derive(Debug)]
enum ExchangeState {
    /// Its own connection.
    Own(Exchange),
    /// A connection that may be taken from it, where its client keeps it waiting.
    Shared(Arc<SharedExchange>),
    /// Nothing any more: it is over.
    Over,
}

#[derive(Debug)]
struct SharedExchange(Mutex<Share>);

#[derive(Debug)]
struct Share {
    /// `None` once it was taken.
    exchange: Option<Exchange>,
    /// Start of the current wait for the client.
    since: Option<Instant>,
}

/// A connection and a permit, held while an answer comes.
pub(crate) struct Exchange {
    /// The connection.
    pub(crate) link: Box<Link>,
    /// Its upstream.
    pub(crate) upstream: Arc<Upstream>,
    /// The permit among `max_inflight`.
    pub(crate) permit: Permit,
}

impl AnswerBody {
    /// Begins to read a body, whose head came `now`.
    pub(crate) fn new(exchange: Exchange, upload: Option<Arc<Upload>>, now: Instant) -> Self {
        let is_over = exchange.link.body().is_over();
        let mut answer = Self {
            first: None,
            left: exchange.link.body().left(),
            idle: exchange.upstream.idle_timeout(),
            exchange_state: ExchangeState::Own(exchange),
            upload,
            guard: None,
            head_at: Some(now),
            waiting_since: None,
            timer: None,
        };
        if is_over {
            answer.end();
        }
        answer
    }

    /// Says whether every byte was read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.exchange_state, ExchangeState::Over) && self.first.is_none()
    }

    /// The bytes still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let ahead = self.first.as_ref().map_or(0, |first| first.len() as u64);
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + ahead))
    }

    /// Puts a part back that was read ahead.
    pub(crate) fn put_back(&mut self, data: Bytes) {
        self.first = Some(data);
    }

    /// Goes on only as long as the guard allows.
    pub(crate) fn hold(&mut self, guard: StreamGuard) {
        self.guard = Some(guard);
    }

    /// Lets a waiting request take the permit while the client takes nothing.
    pub(crate) fn share(&mut self) {
        self.exchange_state = match std::mem::replace(&mut self.exchange_state, ExchangeState::Over)
        {
            ExchangeState::Own(exchange) => ExchangeState::Shared(SharedExchange::new(exchange)),
            exchange_state => exchange_state,
        };
    }

    /// The flag that it must end, for the task that drives the client's connection.
    pub(crate) fn end_flag(&self) -> Option<EndFlag> {
        self.guard.as_ref().map(StreamGuard::end_flag)
    }

    /// Reads the next part, waiting at most `idle_timeout` for a byte either way.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(Poll::Ready(ended)) = self.guard.as_mut().map(|guard| guard.poll_ended(context))
        {
            return Poll::Ready(Some(Err(self.cut(ended.into(), ended.name()))));
        }
        if let Some(data) = self.first.take() {
            self.await_client();
            return Poll::Ready(Some(Ok(data)));
        }
        let part = match &mut self.exchange_state {
            ExchangeState::Over => return Poll::Ready(None),
            ExchangeState::Own(exchange) => exchange.link.poll_data(context),
            ExchangeState::Shared(shared) => match shared.poll_data(context) {
                Some(part) => part,
                None => return Poll::Ready(Some(Err(self.cut(AnswerEnd::TooSlow, GIVEN_UP)))),
            },
        };
        match part {
            Poll::Pending => {
                self.head_at = None;
                self.poll_patience(context).map(Some)
            }
            Poll::Ready(Ok(Some(BodyPart { data, is_last }))) => {
                self.waiting_since = None;
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                if is_last {
                    self.end();
                } else {
                    self.head_at = None;
                    self.await_client();
                }
                Poll::Ready(Some(Ok(data)))
            }
            Poll::Ready(Ok(None)) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => {
                self.exchange_state = ExchangeState::Over;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Notes that the client is to take a part before the next one is read.
    fn await_client(&self) {
        if let ExchangeState::Shared(shared) = &self.exchange_state {
            shared.lock().since = Some(Instant::now());
        }
    }

    /// The end of an answer whose body failed with this error.
    pub(crate) fn end_by(error: &io::Error) -> AnswerEnd {
        let cut = error.get_ref().and_then(|source| source.downcast_ref::<Cut>());
        cut.map_or(AnswerEnd::UpstreamCut, |cut| cut.end)
    }

    /// Ends it early: the rest reaches nobody, and the connection is closed.
    fn cut(&mut self, end: AnswerEnd, reason: &'static str) -> io::Error {
        tracing::debug!(reason, "an answer was ended in its midst");
        (self.first, self.exchange_state, self.guard) = (None, ExchangeState::Over, None);
        let cut = Cut { end, reason, reset: h2::Reason::CANCEL.into() };
        io::Error::new(io::ErrorKind::PermissionDenied, cut)
    }

    fn end(&mut self) {
        self.guard = None;
        let exchange = match std::mem::replace(&mut self.exchange_state, ExchangeState::Over) {
            ExchangeState::Own(exchange) => Some(exchange),
            ExchangeState::Shared(shared) => shared.lock().exchange.take(),
            ExchangeState::Over => None,
        };
        let Some(Exchange { mut link, upstream, permit }) = exchange else { return };
        drop(permit);
        if link.is_fit() {
            upstream.keep(link, self.head_at.take().unwrap_or_else(Instant::now));
        }
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let now = Instant::now();
            let mut since = *self.waiting_since.get_or_insert(now);
            match self.upload.as_ref().and_then(|upload| upload.stage()) {
                Some(Stage::Upstream(moved) | Stage::Done(moved)) => since = since.max(moved),
                // The client is waited for, and the body says how long.
                Some(Stage::Client) => since = now,
                None => {}
            }
            let until = since + self.idle;
            if until <= now {
                self.exchange_state = ExchangeState::Over;
                let silent = "the upstream sent nothing for idle_timeout";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, silent)));
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if timer.is_elapsed() || timer.deadline() > until {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

/// The reason of an answer that was given up.
const GIVEN_UP: &str = "its client took nothing while others waited for its permit";

impl SharedExchange {
    /// Shares an exchange with the requests that wait for its permit.
    fn new(exchange: Exchange) -> Arc<Self> {
        let upstream = Arc::clone(&exchange.upstream);
        let shared = Arc::new(Self(Mutex::new(Share { exchange: Some(exchange), since: None })));
        let delayed: Arc<dyn Delayed> = Arc::<Self>::clone(&shared);
        if let Some(exchange) = &shared.lock().exchange {
            upstream.watch(&exchange.permit, Arc::downgrade(&delayed));
        }
        shared
    }

    /// Reads on; `None` once the exchange was taken.
    fn poll_data(&self, context: &mut Context<'_>) -> Option<Poll<io::Result<Option<BodyPart>>>> {
        let mut share = self.lock();
        share.since = None;
        let exchange = share.exchange.as_mut()?;
        Some(exchange.link.poll_data(context))
    }

    // A panic under it ends its request, and with it the exchange.
    fn lock(&self) -> MutexGuard<'_, Share> {
        self.0.lock().ignore_poison()
    }
}

impl Delayed for SharedExchange {
    fn since(&self) -> Option<Instant> {
        // One that is locked is being read: its client is not waited for.
        self.0.try_lock().ok()?.since
    }

    fn give_up(&self) {
        let exchange = self.lock().exchange.take();
        // It gives its permit on, which is not for under the lock.
        drop(exchange);
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AnswerBody").field("over", &self.is_over()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").field("link", &self.link).finish_non_exhaustive()
    }
}
