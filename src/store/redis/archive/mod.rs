//! All records of a Redis: export, import and integrity check.

pub(super) mod export;
pub(super) mod import;
pub(super) mod integrity;
