//! The log: text on a terminal, JSON otherwise; one line an event.

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::telemetry::audit;

/// The form of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text, for people.
    Text {
        /// With colours.
        colour: bool,
    },
    /// A JSON object a line.
    Json,
}

/// Reasons for which the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level reads neither as a level nor as `target=level` pairs.
    #[error("`{level}` is no log level")]
    Level {
        /// The configured level.
        level: String,
        /// The fault in it.
        source: ParseError,
    },
    /// The process has a log already.
    #[error("a log is set up already")]
    Twice(#[from] TryInitError),
}

/// Sets up the process's log, on standard error.
///
/// # Errors
/// When `level` does not read, or a log is set up already.
pub fn init(level: &str, shape: Shape) -> Result<(), LogError> {
    let unreadable = |source| LogError::Level { level: level.to_owned(), source };
    let mut targets: Targets = level.parse().map_err(unreadable)?;
    // The audit trail has a setting of its own.
    if !level.contains(audit::TARGET) {
        targets = targets.with_target(audit::TARGET, LevelFilter::INFO);
    }
    let registry = tracing_subscriber::registry().with(targets);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match shape {
        Shape::Text { colour } => registry.with(layer.with_ansi(colour).compact()).try_init()?,
        Shape::Json => registry.with(layer.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}
