//! Progress of a long verb, on a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::telemetry::escaped;

/// A progress bar on a terminal; nothing elsewhere.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Through a file, by its bytes; `None`: its length is unknown.
    pub(crate) fn of_bytes(length: Option<u64>) -> anyhow::Result<Self> {
        match length {
            Some(_) => Self::new(length, "{wide_bar} {bytes}/{total_bytes} {eta} left"),
            None => Self::new(length, "{spinner} {bytes} read"),
        }
    }

    /// Through counted items; `None`: their number is unknown.
    pub(crate) fn of_count(count: Option<u64>, noun: &str) -> anyhow::Result<Self> {
        match count {
            Some(_) => {
                Self::new(count, &format!("{{wide_bar}} {{pos}}/{{len}} {noun} {{eta}} left"))
            }
            None => Self::new(count, &format!("{{spinner}} {{pos}} {noun}")),
        }
    }

    fn new(length: Option<u64>, template: &str) -> anyhow::Result<Self> {
        if !std::io::stderr().is_terminal() {
            return Ok(Self(None));
        }
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        bar.set_style(ProgressStyle::with_template(template)?);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self(Some(bar)))
    }

    /// Sets the position.
    pub(crate) fn at(&self, position: u64) {
        self.0.iter().for_each(|bar| bar.set_position(position));
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        let text = escaped(text);
        match &self.0 {
            Some(bar) => bar.println(text),
            None => writeln!(std::io::stderr().lock(), "{text}")?,
        }
        Ok(())
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}
