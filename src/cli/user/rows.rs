//! Reads accounts from a file line by line, in bounded memory.

use std::fs::File;
use std::io;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::cli::user::record::{AccountRecord, RowFault};
use crate::document::nearest;

/// The format of a file of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated, the first line names the columns
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// A file of accounts.
pub(super) struct Rows {
    lines: Lines,
    read: Arc<Gauge>,
    /// Its length, if known.
    pub(super) length: Option<u64>,
}

/// One line of it.
pub(super) struct Row {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Its record.
    pub(super) record: Result<AccountRecord, RowFault>,
}

enum Lines {
    Csv { reader: csv::Reader<Metered>, columns: Vec<&'static str>, record: csv::StringRecord },
    Jsonl { reader: BufReader<Metered>, line: u64, text: Vec<u8> },
}

/// The position in a file.
#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicU64,
    /// Start of the current line.
    line_begins: AtomicU64,
}

/// Counts the bytes read, and bounds a line.
struct Metered {
    inner: Box<dyn Read>,
    gauge: Arc<Gauge>,
}

/// An account with the largest picture that a contract takes is about half of this.
const LONGEST_LINE: u64 = 16 << 20;

impl Format {
    /// The format of a file by its name.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

impl Rows {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, format: Option<Format>) -> anyhow::Result<Self> {
        let Some(format) = format.or_else(|| Format::of(path)) else {
            bail!("`{}` may be anything; name its format with --format", path.display());
        };
        if path == Path::new("-") {
            return Self::new(Box::new(io::stdin()), format, None);
        }
        let context = || format!("{}", path.display());
        let file = File::open(path).with_context(context)?;
        let length = file.metadata().ok().filter(|it| it.is_file()).map(|it| it.len());
        Self::new(Box::new(file), format, length).with_context(context)
    }

    fn new(input: Box<dyn Read>, format: Format, length: Option<u64>) -> anyhow::Result<Self> {
        let read = Arc::new(Gauge::default());
        let input = Metered { inner: input, gauge: Arc::clone(&read) };
        let lines = match format {
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
                let columns = columns(reader.headers()?)?;
                Lines::Csv { reader, columns, record: csv::StringRecord::new() }
            }
            Format::Jsonl => {
                Lines::Jsonl { reader: BufReader::new(input), line: 0, text: Vec::new() }
            }
        };
        Ok(Self { lines, read, length })
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> impl Fn() -> u64 + use<> {
        let gauge = Arc::clone(&self.read);
        move || gauge.bytes.load(Relaxed)
    }
}

impl Iterator for Rows {
    /// An error when the file cannot be read any further.
    type Item = anyhow::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read.line_begins.store(self.read.bytes.load(Relaxed), Relaxed);
        match &mut self.lines {
            Lines::Csv { reader, columns, record } => {
                let line = reader.position().line();
                let row = match reader.read_record(record) {
                    Ok(false) => return None,
                    Ok(true) => {
                        // The reader counts empty lines before a record to it.
                        let ends = record.iter().flat_map(str::bytes).filter(|b| *b == b'\n');
                        let within = u64::try_from(ends.count()).unwrap_or(u64::MAX);
                        let next = reader.position().line();
                        let line = line.max(next.saturating_sub(within).saturating_sub(1));
                        Row { line, record: from_csv(columns, record) }
                    }
                    Err(error) if error.is_io_error() => return Some(Err(error.into())),
                    Err(error) => {
                        let line = error.position().map_or(line, csv::Position::line);
                        Row { line, record: Err(RowFault::Csv(error)) }
                    }
                };
                Some(Ok(row))
            }
            Lines::Jsonl { reader, line, text } => loop {
                text.clear();
                *line += 1;
                match reader.read_until(b'\n', text) {
                    Ok(0) => return None,
                    Ok(_) if text.trim_ascii().is_empty() => {}
                    Ok(_) => {
                        let record = serde_json::from_slice(text).map_err(RowFault::Json);
                        return Some(Ok(Row { line: *line, record }));
                    }
                    Err(error) => {
                        return Some(Err(error).with_context(|| format!("line {line}")));
                    }
                }
            },
        }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Gauge { bytes, line_begins } = &*self.gauge;
        if bytes.load(Relaxed).saturating_sub(line_begins.load(Relaxed)) > LONGEST_LINE {
            return Err(io::Error::other("a line is longer than 16 MiB"));
        }
        let read = self.inner.read(buffer)?;
        bytes.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Relaxed);
        Ok(read)
    }
}

/// The columns that a first line names.
fn columns(headers: &csv::StringRecord) -> anyhow::Result<Vec<&'static str>> {
    let mut columns = Vec::new();
    for header in headers {
        let known = AccountRecord::COLUMNS.into_iter().find(|column| *column == header);
        let Some(column) = known else {
            let hint = nearest(header, AccountRecord::COLUMNS);
            let hint = hint.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            bail!(
                "unknown column `{header}`{hint} known are {}",
                AccountRecord::COLUMNS.join(", ")
            );
        };
        if columns.contains(&column) {
            bail!("column `{column}` is there twice");
        }
        columns.push(column);
    }
    if !columns.contains(&"email") && !columns.contains(&"username") {
        bail!("the first line names the columns, and has neither `email` nor `username`");
    }
    Ok(columns)
}

fn from_csv(
    columns: &[&'static str],
    values: &csv::StringRecord,
) -> Result<AccountRecord, RowFault> {
    let mut record = AccountRecord::default();
    for (column, value) in columns.iter().zip(values) {
        record.set(column, value)?;
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::{Format, Rows};

    fn lines(text: &'static str, format: Format) -> Vec<(u64, Option<String>)> {
        let rows = Rows::new(Box::new(Cursor::new(text)), format, None).unwrap();
        rows.map(Result::unwrap)
            .map(|row| (row.line, row.record.err().map(|fault| fault.to_string())))
            .collect()
    }

    #[test]
    fn every_line_keeps_its_number() {
        let csv =
            lines("email,roles\na@b.c,x\n\n\"b@b.c\",\"x;\ny\"\nc@b.c\nd@b.c,x\n", Format::Csv);
        let numbers: Vec<u64> = csv.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [2, 4, 6, 7], "{csv:?}");
        let faulty: Vec<bool> = csv.iter().map(|(_, fault)| fault.is_some()).collect();
        assert_eq!(faulty, [false, false, true, false], "{csv:?}");

        let jsonl = lines("{\"email\": \"a@b.c\"}\n\n  \n{]\n{}", Format::Jsonl);
        let numbers: Vec<u64> = jsonl.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [1, 4, 5]);
        let faulty: Vec<bool> = jsonl.iter().map(|(_, fault)| fault.is_some()).collect();
        assert_eq!(faulty, [false, true, false], "{jsonl:?}");
    }

    #[test]
    fn a_first_line_that_names_no_account_is_refused() {
        for (text, expected) in [
            ("email,pasword_hash\n", "did you mean `password_hash`?"),
            ("email,email\n", "twice"),
            ("roles\n", "neither `email` nor `username`"),
            ("", "neither `email` nor `username`"),
        ] {
            let rows = Rows::new(Box::new(Cursor::new(text)), Format::Csv, None);
            let error = rows.err().expect(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        for (begin, format) in [("email\n\"", Format::Csv), ("{\"email\": \"", Format::Jsonl)] {
            let endless = Cursor::new(begin).chain(std::io::repeat(b'x'));
            let mut rows = Rows::new(Box::new(endless), format, None).unwrap();

            let error = rows.next().unwrap().err().expect("an error");

            assert!(format!("{error:#}").contains("16 MiB"), "{error:#}");
        }
    }
}
