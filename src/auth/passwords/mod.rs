//! Passwords: hashed and checked in a bounded pool; hashes of other systems.

mod cost;
mod digest;
pub(crate) mod imported;
pub mod pool;
mod verifier;

pub use verifier::PasswordError;
