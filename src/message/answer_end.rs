//! The way an answer ended, for the log and the metrics.

use crate::revocation::EndReason;

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    /// Its last byte was handed to the client's socket.
    Done,
    /// The client left before.
    ClientGone,
    /// The upstream broke it off, or fell silent.
    UpstreamCut,
    /// The token of its request was revoked.
    Revoked,
    /// The token of its request expired.
    Expired,
    /// The gateway stopped.
    Drained,
    /// The client took it too slowly.
    TooSlow,
}

impl AnswerEnd {
    /// The name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientGone => "client gone",
            Self::UpstreamCut => "upstream cut",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Drained => "drained",
            Self::TooSlow => "too slow",
        }
    }

    /// The label in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientGone => "client_gone",
            Self::UpstreamCut => "upstream_cut",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Drained => "drained",
            Self::TooSlow => "too_slow",
        }
    }
}

impl From<EndReason> for AnswerEnd {
    fn from(ended: EndReason) -> Self {
        match ended {
            EndReason::Revoked => Self::Revoked,
            EndReason::Expired | EndReason::Unknown => Self::Expired,
        }
    }
}
