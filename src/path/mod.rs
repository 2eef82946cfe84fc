//! Paths: the canonical form of a request's, the patterns that cover them, and which is most exact.

pub(crate) mod canonical;
mod pattern;
pub(crate) mod tree;

pub use canonical::{PathError, PathForms};
pub use pattern::{PathPattern, PatternError};
