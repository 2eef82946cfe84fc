//! Reloads the configuration at SIGHUP: whole, or not at all.

use std::path::Path;

use tokio::signal::unix::Signal;

use crate::app::{App, AppError};
use crate::config;
use crate::config::Faults;
use crate::telemetry::metric;

/// An error of a reload; the running configuration stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It has faults.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// It cannot be built, or needs a restart.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Reads the file again and applies it.
///
/// # Errors
/// When it has faults, cannot be built, or changes what only a restart can; nothing changed then.
pub async fn reload(app: &App, path: &Path) -> Result<(), ReloadError> {
    app.reload(config::load(path)?).await?;
    Ok(())
}

/// Reloads at every one of `hangups`, for ever; logs and counts the result.
pub async fn on_hangup(app: &App, path: &Path, hangups: &mut Signal) {
    loop {
        // `None` only when no more signals can ever come.
        if hangups.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let result = match reload(app, path).await {
            Ok(()) => {
                tracing::info!(file = %path.display(), "the new configuration is in force");
                "taken"
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(file = %path.display(), error, "the new configuration is refused; the running one goes on");
                "refused"
            }
        };
        metrics::counter!(metric::RELOADS, "result" => result).increment(1);
    }
}
