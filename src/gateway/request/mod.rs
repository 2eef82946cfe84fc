//! Reading a request: one meaning of its head, and its route or endpoint.

pub(crate) mod client_address;
pub mod framing;
pub(crate) mod hosted_path;
pub(crate) mod router;
