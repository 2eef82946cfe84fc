//! WebSocket connections (RFC 6455) through the gateway.

pub(crate) mod frame;
pub mod tunnel;
