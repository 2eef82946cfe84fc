//! A request's body as its client sends it: data alone, its trailers dropped.
//!
//! hyper ends a trailer section at its first empty line of CRLF, but reads fields up to the first
//! empty line of either kind. What a bare LF separates is a second request to one parser and a
//! trailer to the other (RFC 9112 §7.1.2), and the bytes are not ours to see; so trailers of
//! HTTP/1.1 are noted, and their connection carries no other request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::config::LimitsConfig;
use crate::message::deadlines::{BodyDeadlines, TooSlow};
use crate::operation::{ErrorCode, Problem, ProblemKind, Rejection};

/// A request's body.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    trailers: Option<TrailersSeen>,
    expectation: Expectation,
}

/// The `100 Continue` that a client may wait for before it sends a body (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It waits for none, or was sent it.
    None,
    /// hyper sends it over HTTP/1.1 once the body is polled.
    AtFirstPoll,
    /// hyper does not send it over HTTP/2.
    NeverMet,
}

/// Whether a body was found to have trailers.
#[derive(Clone, Debug, Default)]
pub struct TrailersSeen(Arc<AtomicBool>);

/// A fault of a request body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It is over the route's `body`, or over `limits.body`.
    #[error("the body is over `body` of its route, or without it limits.body")]
    TooLarge,
    /// It comes too slowly.
    #[error("{0}")]
    Slow(TooSlow),
    /// The client broke it off, or framed it wrongly.
    #[error("the client broke its body off: {0}")]
    Client(String),
}

impl RequestBody {
    /// Wraps a body; its trailers are noted where somebody wants to know of them.
    #[must_use]
    pub const fn new(
        incoming: Incoming,
        trailers: Option<TrailersSeen>,
        expectation: Expectation,
    ) -> Self {
        Self { incoming, trailers, expectation }
    }

    /// Whether its client may wait in vain for `100 Continue`.
    pub(crate) fn is_held_back(&self) -> bool {
        self.expectation == Expectation::NeverMet
    }

    /// Whether polling it would have `100 Continue` sent.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.expectation == Expectation::AtFirstPoll
    }

    /// Reads the next part.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
        if self.awaits_continue() {
            self.expectation = Expectation::None;
        }
        Pin::new(&mut self.incoming).poll_frame(context).map(|frame| {
            match frame?.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => Some(Ok(data)),
                Ok(Err(_trailers)) => {
                    if let Some(TrailersSeen(seen)) = &self.trailers {
                        seen.store(true, Ordering::Relaxed);
                    }
                    None
                }
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// Whether nothing of it is to come.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// Bytes still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl TrailersSeen {
    /// Whether there were any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl BodyFault {
    /// The refusal that the client is given.
    pub(crate) fn rejection(self) -> Rejection {
        let code = match self {
            Self::TooLarge => ErrorCode::PayloadTooLarge,
            Self::Slow(TooSlow::Idle | TooSlow::Trickle) => ErrorCode::RequestTimeout,
            Self::Slow(TooSlow::HeldBack) => ErrorCode::ExpectationFailed,
            Self::Client(_) => ErrorCode::BadRequest,
        };
        Rejection::new(code, self.to_string())
    }
}

/// Reads an endpoint's body whole, up to `limits.auth_body`.
///
/// # Errors
/// Too large is invalid input (the contract's validation error); too slow is 408.
pub(crate) async fn read_input(
    body: &mut RequestBody,
    limits: &LimitsConfig,
) -> Result<Bytes, Rejection> {
    read_whole(body, limits.auth_body.0, limits).await.map_err(|fault| match fault {
        BodyFault::TooLarge => too_large(),
        fault => fault.rejection(),
    })
}

/// Reads a body whole, under the body deadlines.
///
/// # Errors
/// Too large, too slow, or broken off.
pub(crate) async fn read_whole(
    body: &mut RequestBody,
    most: u64,
    limits: &LimitsConfig,
) -> Result<Bytes, BodyFault> {
    if body.size_hint().lower() > most {
        return Err(BodyFault::TooLarge);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut deadlines = BodyDeadlines::new(limits, body.is_held_back());
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let until = deadlines.waiting(Instant::now()).map_err(BodyFault::Slow)?;
        let next = poll_fn(|context| body.poll_data(context));
        let data = match tokio::time::timeout_at(until, next).await {
            Err(_elapsed) => continue,
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(BodyFault::Client(error.to_string())),
            Ok(Some(Ok(data))) => data,
        };
        deadlines.received(u64::try_from(data.len()).unwrap_or(u64::MAX), Instant::now());
        if first.len() + whole.len() + data.len() > most {
            return Err(BodyFault::TooLarge);
        }
        // Most bodies are one part, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn too_large() -> Rejection {
    let problem = Problem { field: "body".to_owned(), kind: ProblemKind::Body, message: None };
    let reason = "the body is over limits.auth_body";
    Rejection { problem: Some(problem.into()), ..Rejection::new(ErrorCode::InvalidInput, reason) }
}
