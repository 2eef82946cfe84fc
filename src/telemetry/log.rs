//! The log: text on a terminal, an object a line otherwise; one event is always one line.

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::telemetry::audit;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    Text {
        /// With colours.
        colour: bool,
    },
    /// An object a line.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level reads neither as a level nor as `target=level` pairs.
    #[error("`{level}` is no log level")]
    Level {
        /// What was given.
        level: String,
        /// What does not read in it.
        source: ParseError,
    },
    /// Something else has set a log up already.
    #[error("a log is set up already")]
    Twice(#[from] TryInitError),
}

/// Sets the process's log up, on standard error.
///
/// # Errors
/// When `level` does not read, or a log is set up already.
pub fn init(level: &str, shape: Shape) -> Result<(), LogError> {
    let unreadable = |source| LogError::Level { level: level.to_owned(), source };
    let mut targets: Targets = level.parse().map_err(unreadable)?;
    // Whether security events are told is a setting of its own.
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
