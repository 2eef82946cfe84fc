//! The hosted pages: their look, their words, and the small rules that they rest on.

pub(crate) mod assets;
pub(crate) mod catalogue;
pub(crate) mod device;
pub(crate) mod form_token;
pub(crate) mod language;
pub(crate) mod page;
pub(crate) mod qr;
pub(crate) mod return_to;
pub mod template;
