//! The state between two pages of one flow: the address that a code went to. It stands sealed in a
//! cookie, never in an address.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::gateway::headers::session_cookies::own_cookie;
use crate::operation::{Operation, Rejection};
use crate::own_keys::OwnKeys;
use crate::secret::Secret;

/// The name of the cookie.
pub(crate) const COOKIE: &str = "__Host-mj_flow";

/// Seconds that a flow lives: as long as its code.
pub(crate) const LIFETIME: i64 = 600;

const PURPOSE: &str = "flow";

/// A flow under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    /// Which one.
    pub(crate) kind: FlowKind,
    /// The address that the code went to.
    pub(crate) email: String,
    /// When the code was mailed, in seconds since 1970.
    pub(crate) mailed_at: i64,
}

/// A kind of flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FlowKind {
    /// Proof of an address.
    Verify,
    /// A new password.
    Reset,
}

impl FlowKind {
    /// The operation that mails its code.
    pub(crate) const fn mails_by(self) -> Operation {
        match self {
            Self::Verify => Operation::RequestVerification,
            Self::Reset => Operation::RequestReset,
        }
    }
}

impl Flow {
    /// The flow of a request, if it is of this kind and has not ended.
    pub(crate) fn read(
        keys: &OwnKeys,
        kind: FlowKind,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Self> {
        let flow: Self = keys.open_text(PURPOSE, own_cookie(headers, COOKIE)?)?;
        let lives = now.as_seconds() - flow.mailed_at < LIFETIME;
        Some(flow).filter(|flow| flow.kind == kind && lives)
    }

    /// The value of its cookie.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn seal(&self, keys: &OwnKeys) -> Result<Secret<String>, Rejection> {
        let sealed = keys.seal_text(PURPOSE, self);
        sealed.map_err(|error| Rejection::internal(format!("flow: {error}")))
    }
}
