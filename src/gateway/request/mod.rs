//! Reads a request: what its head says, in one way, and which route or endpoint it is for.

pub(crate) mod client_address;
pub mod framing;
pub(crate) mod router;
