//! Bodies on their way through, in both directions: bounded, timed, never held whole.

pub(crate) mod deadlines;
pub mod reply;
pub mod request;
pub(crate) mod sent;
pub(crate) mod upload;
