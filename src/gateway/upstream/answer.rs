//! An upstream's answer body, with the connection it comes by.
//!
//! It drives the connection while it is read. At its end the connection goes back to the pool, if
//! it can be used again; an answer that is dropped before takes its connection with it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio::time::Sleep;

use crate::gateway::upload::Stage;
use crate::gateway::upload::Upload;
use crate::gateway::upstream::Link;
use crate::gateway::upstream::Upstream;
use crate::revocation::Ended;
use crate::revocation::Lease;
use crate::revocation::Sign;

/// A body, and what ends with it.
pub(crate) struct Answer {
    body: Incoming,
    /// A part that was read ahead.
    first: Option<Bytes>,
    /// `None` when the body is over.
    exchange: Option<Exchange>,
    upload: Option<Arc<Upload>>,
    /// Ends the body before its time.
    lease: Option<Lease>,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a body was ended in its midst.
///
/// hyper resets an HTTP/2 stream with the code that it finds among the sources: CANCEL says that
/// nothing failed and, unlike `REFUSED_STREAM`, does not ask for the same again (RFC 9113 §7).
#[derive(Debug, thiserror::Error)]
#[error("{ended}")]
struct Cut {
    ended: Ended,
    #[source]
    reset: h2::Error,
}

/// What an answer holds while it comes.
pub(crate) struct Exchange {
    /// The connection.
    pub(crate) link: Box<Link>,
    /// Whose it is.
    pub(crate) upstream: Arc<Upstream>,
    /// The place among `max_inflight`.
    pub(crate) place: OwnedSemaphorePermit,
    /// Whether the connection may be used again.
    pub(crate) reusable: bool,
}

impl Answer {
    /// Begins to read a body.
    pub(crate) fn new(body: Incoming, exchange: Exchange, upload: Option<Arc<Upload>>) -> Self {
        let exchange = Some(exchange);
        let mut answer = Self {
            body,
            first: None,
            exchange,
            upload,
            lease: None,
            waiting_since: None,
            timer: None,
        };
        if answer.body.is_end_stream() {
            answer.end();
        }
        answer
    }

    /// Says whether every byte was read.
    pub(crate) fn is_over(&self) -> bool {
        self.exchange.is_none() && self.first.is_none()
    }

    /// The bytes still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.first, self.body.size_hint().exact()) {
            (_, None) => SizeHint::default(),
            (first, Some(left)) => {
                let ahead = first.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(left + u64::try_from(ahead).unwrap_or(0))
            }
        }
    }

    /// Puts a part back that was read ahead.
    pub(crate) fn put_back(&mut self, data: Bytes) {
        self.first = Some(data);
    }

    /// Goes on only as long as the lease does.
    pub(crate) fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Whether it must end, for who drives the client's connection.
    pub(crate) fn sign(&self) -> Option<Sign> {
        self.lease.as_ref().map(Lease::sign)
    }

    /// Reads the next part, waiting at most `idle_timeout` for a byte either way.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(Poll::Ready(ended)) = self.lease.as_mut().map(|lease| lease.poll_ended(context))
        {
            return Poll::Ready(Some(Err(self.cut(ended))));
        }
        if let Some(data) = self.first.take() {
            return Poll::Ready(Some(Ok(data)));
        }
        // What has come already is taken first: a small body came with its head.
        let mut driven = false;
        loop {
            let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending if driven => return self.poll_patience(context).map(Some),
                Poll::Pending => {
                    exchange.link.drive(context);
                    driven = true;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        self.waiting_since = None;
                        if self.body.is_end_stream() {
                            self.end();
                        }
                        return Poll::Ready(Some(Ok(data)));
                    }
                    // Trailers are dropped: they come after the head was decided on. Where they
                    // end can be read two ways, as with a request's, so nothing follows them.
                    Err(_trailers) => exchange.reusable = false,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.exchange = None;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// Ends it in its midst: the rest reaches nobody, and the connection goes with it.
    fn cut(&mut self, ended: Ended) -> io::Error {
        let upstream = self.exchange.as_ref().map(|exchange| exchange.upstream.name());
        tracing::debug!(upstream, reason = ended.name(), "an answer was ended in its midst");
        (self.first, self.exchange, self.lease) = (None, None, None);
        let cut = Cut { ended, reset: h2::Reason::CANCEL.into() };
        io::Error::new(io::ErrorKind::PermissionDenied, cut)
    }

    fn end(&mut self) {
        self.lease = None;
        let Some(Exchange { mut link, upstream, place, reusable }) = self.exchange.take() else {
            return;
        };
        drop(place);
        // An upload that is not done leaves its tail on the connection (hyper#2646).
        let sent = self.upload.as_ref().is_none_or(|upload| upload.is_done());
        if reusable && sent && link.is_fit() {
            upstream.keep(link);
        }
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Some(exchange) = &self.exchange else { return Poll::Pending };
        let idle = exchange.upstream.idle_timeout();
        loop {
            let now = Instant::now();
            let mut since = *self.waiting_since.get_or_insert(now);
            match self.upload.as_ref().and_then(|upload| upload.stage()) {
                Some(Stage::Upstream(moved) | Stage::Done(moved)) => since = since.max(moved),
                // The client is waited for, and the body says how long.
                Some(Stage::Client) => since = now,
                None => {}
            }
            let until = since + idle;
            if until <= now {
                self.exchange = None;
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

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answer").field("over", &self.is_over()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").field("link", &self.link).finish_non_exhaustive()
    }
}
