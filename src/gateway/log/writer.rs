//! The access log's writer: one line a request, and no request waits for it.
//!
//! A line is appended to a buffer that one thread writes out. When the reader of standard output
//! is so slow that the buffer is full, lines are dropped and counted. A line holds no token,
//! password, cookie or query, and one line is one line: control characters are escaped.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use std::{fmt, io};

use crate::drain::Guard;
use crate::gateway::log::line;
use crate::gateway::log::line::AccessEntry;
use crate::lock::IgnorePoison;
use crate::telemetry::log::Shape;

/// Most bytes that wait to be written.
const CAPACITY: usize = 1 << 20;

/// From here on the writer does not wait for more.
const ENOUGH: usize = 1 << 16;

/// Wait for more lines after the first: many lines share one write.
const GATHER: Duration = Duration::from_millis(5);

/// Longest wait of [`AccessLog::flush`] for a slow reader.
const FLUSH: Duration = Duration::from_secs(1);

thread_local! {
    /// Lines are formatted here, so that a line costs no allocation.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The access log, or none.
pub struct AccessLog {
    sink: Option<Arc<Sink>>,
}

struct Sink {
    shape: Shape,
    buffer: Mutex<Buffer>,
    /// Wakes the writer.
    filled: Condvar,
    /// Wakes [`AccessLog::flush`] when everything is written.
    emptied: Condvar,
}

/// Guarded by [`Sink::buffer`]; held for a copy, never for a write.
#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    dropped: u64,
    writer: WriterState,
    /// Lines go out at once: the process is about to end.
    hurried: bool,
    /// No more lines will come.
    closed: bool,
}

/// State of the writer's thread.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum WriterState {
    /// It waits for a first line.
    #[default]
    Idle,
    /// It waits a moment for more lines.
    Gathering,
    /// It writes the lines that it took.
    Writing,
}

impl AccessLog {
    /// Writes to standard output. Once `guard` is signalled every line goes out at once; after the
    /// last one, [`AccessLog::flush`] waits for it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(shape: Shape, mut guard: Guard) -> io::Result<Self> {
        let log = Self::to_writer(shape, io::stdout())?;
        if let Some(sink) = log.sink.clone() {
            tokio::spawn(async move {
                guard.signalled().await;
                sink.lock().hurried = true;
                sink.filled.notify_one();
            });
        }
        Ok(log)
    }

    /// Writes nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self { sink: None }
    }

    /// Whether lines are written at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    /// Waits until every line so far is written, for a second at most.
    pub fn flush(&self) {
        let Some(sink) = &self.sink else {
            return;
        };
        let mut buffer = sink.lock();
        buffer.hurried = true;
        sink.filled.notify_one();
        let pending =
            |buffer: &mut Buffer| buffer.writer == WriterState::Writing || !buffer.lines.is_empty();
        drop(sink.emptied.wait_timeout_while(buffer, FLUSH, pending).ignore_poison());
    }

    /// Writes the line of one request.
    pub(crate) fn log_request(&self, entry: &AccessEntry<'_>) {
        let Some(sink) = &self.sink else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            line.clear();
            match sink.shape {
                Shape::Json => line::json(entry, line),
                Shape::Text { colour } => line::columns(entry, colour, line),
            }
            sink.push(line);
        });
    }

    fn to_writer(shape: Shape, out: impl Write + Send + 'static) -> io::Result<Self> {
        let sink = Arc::new(Sink {
            shape,
            buffer: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        });
        let source = Arc::clone(&sink);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || source.write_to(out))?;
        Ok(Self { sink: Some(sink) })
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(sink) = &self.sink {
            sink.lock().closed = true;
            sink.filled.notify_one();
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.sink.as_ref().map(|sink| sink.shape);
        formatter.debug_struct("AccessLog").field("shape", &shape).finish_non_exhaustive()
    }
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().ignore_poison()
    }

    fn push(&self, line: &[u8]) {
        let mut buffer = self.lock();
        if buffer.lines.len() + line.len() > CAPACITY {
            buffer.dropped += 1;
            return;
        }
        buffer.lines.extend_from_slice(line);
        // Waking costs a system call: only for the first line, and once there is enough.
        let wake = match buffer.writer {
            WriterState::Idle => true,
            WriterState::Gathering => buffer.lines.len() >= ENOUGH,
            WriterState::Writing => false,
        };
        if buffer.writer == WriterState::Idle {
            buffer.writer = WriterState::Gathering;
        }
        drop(buffer);
        if wake {
            self.filled.notify_one();
        }
    }

    /// The writer: ends when the log is closed and everything is written.
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        while let Some(dropped) = self.take(&mut lines) {
            if dropped > 0 {
                tracing::warn!(dropped, "access log lines were dropped: the reader is too slow");
            }
            if let Err(error) = out.write_all(&lines).and_then(|()| out.flush()) {
                tracing::warn!(%error, "access log lines could not be written");
            }
            lines.clear();
            self.lock().writer = WriterState::Idle;
            self.emptied.notify_all();
        }
    }

    /// Swaps the gathered lines with the empty `lines`; `None` at the end.
    fn take(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut buffer = self.lock();
        while buffer.lines.is_empty() {
            if buffer.closed {
                return None;
            }
            buffer.writer = WriterState::Idle;
            buffer = self.filled.wait(buffer).ignore_poison();
        }
        buffer.writer = WriterState::Gathering;
        let more =
            |buffer: &mut Buffer| buffer.lines.len() < ENOUGH && !buffer.hurried && !buffer.closed;
        (buffer, _) = self.filled.wait_timeout_while(buffer, GATHER, more).ignore_poison();
        std::mem::swap(&mut buffer.lines, lines);
        buffer.writer = WriterState::Writing;
        Some(std::mem::take(&mut buffer.dropped))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Write;
    use std::sync::{Arc, Mutex, mpsc};

    use super::{AccessLog, CAPACITY};
    use crate::gateway::log::line::sample_entry;
    use crate::telemetry::log::Shape;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Blocks every write until the sender of the channel goes.
    struct Blocked(mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            while self.0.recv().is_ok() {}
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_once_and_in_order() {
        let out = Shared::default();
        let log = AccessLog::to_writer(Shape::Json, out.clone()).unwrap();

        for status in 200..300 {
            let mut entry = sample_entry();
            entry.status = status;
            log.log_request(&entry);
        }
        log.flush();

        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let statuses: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["status"].as_u64().unwrap())
            .collect();
        assert_eq!(statuses, (200..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_slow_reader_costs_lines_and_never_time() {
        let (release, blocked) = mpsc::channel();
        let log = AccessLog::to_writer(Shape::Json, Blocked(blocked)).unwrap();
        let sink = log.sink.clone().unwrap();

        let line = [b'x'; 1 << 16];
        for _ in 0..40 {
            sink.push(&line);
        }

        assert!(sink.lock().lines.len() <= CAPACITY);
        assert!(sink.lock().dropped > 0);
        drop(release);
    }
}
