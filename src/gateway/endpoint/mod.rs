//! The endpoints of a site's contract.

pub(crate) mod audit;
pub(crate) mod serve;
