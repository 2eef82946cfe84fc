//! Logging, the audit trail, and every metric's name in one table.

pub mod audit;
pub mod log;
pub mod metric;
