//! The hosted pages: their look, their words, and the small rules that they rest on.

#[cfg_attr(not(test), expect(dead_code, reason = "no page asks yet"))]
pub(crate) mod device;
#[cfg_attr(not(test), expect(dead_code, reason = "no page asks yet"))]
pub(crate) mod form_token;
#[cfg_attr(not(test), expect(dead_code, reason = "no page asks yet"))]
pub(crate) mod language;
#[cfg_attr(not(test), expect(dead_code, reason = "no page asks yet"))]
pub(crate) mod return_to;
