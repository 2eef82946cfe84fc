//! Answers of a contract: templates with slots, their values, and what errors look like.

pub(super) mod compose;
pub(super) mod encode;
pub(super) mod errors;
pub(super) mod slot;
pub(super) mod slot_values;
pub(super) mod template;
pub(super) mod time_format;
