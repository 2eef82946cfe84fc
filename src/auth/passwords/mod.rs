//! Passwords: hashed and checked in a bounded pool; hashes of other systems.

pub(crate) mod imported;
pub mod pool;
pub(super) mod verifier;
