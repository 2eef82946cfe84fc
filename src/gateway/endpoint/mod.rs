//! Answers a request for an endpoint of the site's contract.

pub(crate) mod audit;
pub(crate) mod serve;
