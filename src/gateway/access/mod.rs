//! Authentication, authorization, CORS and origins.

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod cors;
pub(crate) mod navigation;
pub(crate) mod origin;
pub(crate) mod registrar;
pub(crate) mod ticket;
pub(crate) mod token_source;
