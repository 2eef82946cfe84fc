//! HTTP messages as the edge, the admin listener and the gateway share them.

pub mod deadlines;
pub mod request_body;
