//! A request's body as its client sends it: data alone, its trailers dropped.
//!
//! hyper ends a trailer section at its first empty line of CRLF, but reads fields up to the first
//! empty line of either kind. What a bare LF separates is a second request to one parser and a
//! trailer to the other (RFC 9112 §7.1.2), and the bytes are not ours to see; so trailers of
//! HTTP/1.1 are noted, and their connection carries no other request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, SizeHint};
use hyper::body::Incoming;

/// A request's body.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    trailers: Option<TrailersSeen>,
    is_held_back: bool,
}

/// Whether a body was found to have trailers.
#[derive(Clone, Debug, Default)]
pub struct TrailersSeen(Arc<AtomicBool>);

impl RequestBody {
    /// Wraps a body; its trailers are noted where somebody wants to know of them.
    ///
    /// `is_held_back`: the client waits for a `100 Continue` that it will not be sent.
    #[must_use]
    pub const fn new(
        incoming: Incoming,
        trailers: Option<TrailersSeen>,
        is_held_back: bool,
    ) -> Self {
        Self { incoming, trailers, is_held_back }
    }

    /// Whether its client may wait in vain to be asked for it.
    pub(crate) const fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Reads the next part.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
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

    /// How much is to come.
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
