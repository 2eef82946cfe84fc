//! Sessions: opened, rotated, ended, expired.

pub(super) mod expiry;
pub(super) mod login;
pub(super) mod record;
pub(super) mod rotation;
pub(super) mod session;
