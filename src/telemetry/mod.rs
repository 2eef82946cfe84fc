//! Logging, and every metric's name in one table.

pub mod log;
pub mod metric;
