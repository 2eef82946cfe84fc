//! Paths of requests: their canonical form, and the tree that finds the pattern that covers one.

pub(crate) mod canonical;
pub(crate) mod tree;

pub use canonical::PathForms;
