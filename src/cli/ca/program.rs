//! Other programs, run to their end under a deadline.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// The longest that a program may run.
const LONGEST: Duration = Duration::from_secs(30);

/// Where a program is looked for: none of a folder that others may write to.
const FOLDERS: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin", "/opt/homebrew/bin"];

/// The path of a program; `None` where it is not installed.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// Runs a program, and waits for its end.
///
/// # Errors
/// When it is not installed, fails or does not end, with what it said.
pub(super) async fn run(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let path = find(name).with_context(|| format!("`{name}` is not installed"))?;
    let mut command = Command::new(path);
    let ended = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(ended) = timeout(LONGEST, ended).await else {
        bail!("`{name}` did not end within {} s", LONGEST.as_secs());
    };
    let output = ended.with_context(|| format!("`{name}` does not start"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim())
}
