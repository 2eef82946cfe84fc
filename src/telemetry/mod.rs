//! Logging, the audit trail, and every metric's name in one table.

pub mod audit;
mod causes;
mod escaped;
pub mod log;
pub mod metric;

pub use causes::causes;
pub use escaped::{escaped, escaped_lines};
