//! Everything that a Redis holds: given away, taken in, looked through.

pub(super) mod export;
pub(super) mod import;
pub(super) mod integrity;
