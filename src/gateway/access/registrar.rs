//! Registers the long-lived streams of one request, so that a revocation ends them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::CloseStreams;
use crate::revocation::{RevocationList, StreamGuard, StreamOwner};
use crate::token::Verified;

/// A verified request whose streams are to be ended with its token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registrar<'a> {
    revocations: &'a Arc<RevocationList>,
    verified: &'a Verified,
    ends_with_token: bool,
    now: Timestamp,
}

/// Registers a stream later, when it turns out to last.
pub(crate) type LaterGuard = Box<dyn FnOnce() -> StreamGuard + Send>;

impl<'a> Registrar<'a> {
    /// Of the bearer of a token; `None` where streams are never ended.
    pub(crate) const fn of(
        verified: &'a Verified,
        revocations: &'a Arc<RevocationList>,
        close: CloseStreams,
        now: Timestamp,
    ) -> Option<Self> {
        let ends_with_token = match close {
            CloseStreams::Off => return None,
            CloseStreams::Revoked => false,
            CloseStreams::Expired => true,
        };
        Some(Self { revocations, verified, ends_with_token, now })
    }

    /// Registers a stream.
    pub(crate) fn register(self) -> StreamGuard {
        self.revocations.register(self.owner(), self.now)
    }

    /// Registers a stream later, or never.
    pub(crate) fn later(self) -> LaterGuard {
        let (revocations, owner, now) = (Arc::clone(self.revocations), self.owner(), self.now);
        Box::new(move || revocations.register(owner, now))
    }

    fn owner(&self) -> StreamOwner {
        let principal = &self.verified.principal;
        StreamOwner {
            keys: self.verified.revocation,
            issued_at: principal.issued_at,
            expires_at: principal.expires_at,
            ends_with_token: self.ends_with_token,
        }
    }
}
