//! The gateway's own paths under a site's prefix.

pub(crate) mod session_api;
