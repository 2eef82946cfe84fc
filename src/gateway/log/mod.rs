//! The access log, and the counts of requests.

pub(crate) mod line;
pub(crate) mod members;
pub(crate) mod meter;
pub mod writer;
