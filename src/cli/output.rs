//! Output of the command line: data on standard output, messages on standard error.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::config::Faults;
use crate::telemetry::{causes, escaped, escaped_lines};

/// The output format of a verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Prints data as JSON when `json`.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints one result: as JSON, or as the text that `text` makes of it.
    pub(crate) fn data<T: Serialize>(
        self,
        data: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            self.line(&serde_json::to_string_pretty(data)?)
        } else {
            self.line(&escaped_lines(&text(data)))
        }
    }

    /// Prints one line (or several) on standard output.
    pub(crate) fn line(self, text: &str) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{}", text.trim_end_matches('\n'));
        match written.and_then(|()| stdout.flush()) {
            // The reader (`head`, a pager) has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// Prints an error with every cause on standard error.
    pub(crate) fn error(self, error: &anyhow::Error) {
        let faults = error.chain().find_map(|cause| cause.downcast_ref::<Faults>());
        let text = match faults {
            Some(faults) => faults.render(std::io::stderr().is_terminal()),
            None => escaped_lines(&format!("error: {}", causes(error.as_ref()))),
        };
        // A closed standard error cannot be reported anywhere.
        drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n')));
    }
}

/// Aligns rows of cells under their headings.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heading_row: Vec<Cow<'_, str>> = headings.iter().map(|&heading| heading.into()).collect();
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&heading_row).chain(&rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in std::iter::once(&heading_row).chain(&rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = width(column).saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
