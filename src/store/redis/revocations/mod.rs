//! Revocations: the set, the log, and the feed of it.

pub(super) mod feed;
pub(super) mod refill;
pub(super) mod revocation;
