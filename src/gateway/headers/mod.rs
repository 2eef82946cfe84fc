//! Header fields of forwarded requests and answers: removed, set, rewritten.

pub(crate) mod cookies;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod hop;
pub(crate) mod identity;
pub(crate) mod redirects;
pub(crate) mod remembered_device;
pub(crate) mod reserved;
pub mod session_cookies;
