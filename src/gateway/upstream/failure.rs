//! Failures of an upstream, and the refusal that the client gets for each.

use std::io;

use crate::message::request_body::BodyFault;
use crate::operation::{ErrorCode, Rejection};
use crate::revocation::EndReason;

/// A failure to get an answer from an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `max_inflight` requests are under way.
    #[error("max_inflight requests are under way")]
    Full,
    /// `max_streams` WebSockets are open.
    #[error("max_streams WebSockets are open")]
    FullOfStreams,
    /// Others waited for its permit while its client sent nothing.
    #[error("its client sent nothing of its body while others waited for its place")]
    GivenUp,
    /// It cannot be connected to.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// It cannot be connected to in time.
    #[error("no connection within connect_timeout")]
    ConnectTimeout,
    /// The connection ended before any byte of an answer.
    #[error("the connection ended before the answer began: {0}")]
    Closed(#[source] io::Error),
    /// The answer is no HTTP, or ended in its middle.
    #[error("the answer cannot be read: {0}")]
    Garbled(#[source] io::Error),
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Cut(#[source] io::Error),
    /// It switched protocols without being asked.
    #[error("the upstream switched protocols without being asked")]
    Switched,
    /// No answer began in time.
    #[error("no answer within response_timeout")]
    Silent,
    /// It stopped taking the request's body.
    #[error("the upstream took none of the body for idle_timeout")]
    Stalled,
    /// The client's body is at fault.
    #[error("{0}")]
    Upload(#[source] BodyFault),
    /// The client's token may not go on.
    #[error("{0}")]
    Ended(EndReason),
}

impl Failure {
    /// The `kind` label of the metric.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FullOfStreams => "full-of-streams",
            Self::GivenUp => "given-up",
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect-timeout",
            Self::Closed(_) => "closed",
            Self::Garbled(_) => "garbled",
            Self::Cut(_) => "cut",
            Self::Switched => "switched",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Upload(_) => "client",
            Self::Ended(_) => "ended",
        }
    }

    /// The refusal that the client is given; the reason names the upstream.
    pub(crate) fn rejection(self, upstream: &str) -> Rejection {
        let code = match self {
            Self::Upload(fault) => return fault.rejection(),
            Self::Ended(_) => ErrorCode::InvalidToken,
            Self::Full | Self::FullOfStreams => ErrorCode::ServiceUnavailable,
            Self::GivenUp => ErrorCode::RequestTimeout,
            Self::Connect(_)
            | Self::Closed(_)
            | Self::Garbled(_)
            | Self::Cut(_)
            | Self::Switched => ErrorCode::UpstreamUnavailable,
            Self::ConnectTimeout | Self::Silent | Self::Stalled => ErrorCode::UpstreamTimeout,
        };
        let reason = format!("upstream `{upstream}`: {self}");
        match code {
            ErrorCode::ServiceUnavailable => Rejection::unavailable(reason),
            code => Rejection::new(code, reason),
        }
    }
}
