//! Sends a request to its upstream, and its answer back.

pub mod forward;
pub(crate) mod outgoing;
pub(crate) mod plan;
