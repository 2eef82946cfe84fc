//! The audit trail: who was let in and who was not, what was revoked, by whom and why.
//!
//! An event is one JSON object in one line of a file, written in one piece, or a line of the log
//! under the target `munjigi::audit`. It names users by number, and holds no password, token or
//! code. Recording one never waits: a gateway hands its lines to a thread through a bounded queue,
//! and counts those that it has to drop. A command has no trail of its own: it holds its entries
//! until it has queued them in the store, where a gateway finds them.

mod entry;
mod file;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Now;
use crate::lock::IgnorePoison;
use crate::telemetry::metric;

pub use entry::{Entry, Event};

use file::AuditFile;

/// The log target of audit events.
pub const TARGET: &str = "munjigi::audit";

/// The destination of the trail (`[log] audit`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditTo {
    /// Lines of the log.
    #[default]
    Log,
    /// A file of its own, which grows.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// The destination of this process's entries; until one is set, they are lines of the log.
static TRAIL: OnceLock<Trail> = OnceLock::new();

/// A destination of entries.
enum Trail {
    Log,
    Off,
    /// To the thread that writes the file.
    Queue(SyncSender<Job>),
    /// Held until the command queues them in the store.
    Held(Mutex<Vec<Entry>>),
}

/// A file, or another sink, of whole lines.
trait Lines: Send {
    fn append(&mut self, line: &[u8]) -> io::Result<()>;

    /// Syncs the appended lines to the disk.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Job {
    /// A line, and a sender that is used once the line is on the disk, and dropped where it is not.
    Line(Vec<u8>, Option<oneshot::Sender<()>>),
    /// Dropped once everything before it is written.
    Flush { _done: SyncSender<()> },
}

/// The most lines that wait.
const QUEUE: usize = 4096;

/// The longest that the end of a gateway waits for a slow disk.
const FLUSH: Duration = Duration::from_secs(1);

/// The longest that a caller waits for a line to be on the disk.
const WRITTEN: Duration = Duration::from_secs(10);

/// Opens the trail of a gateway; only the first call of a process has an effect.
///
/// # Errors
/// When the file cannot be opened, or its thread not be started.
pub fn open(to: &AuditTo) -> io::Result<()> {
    let trail = match to {
        AuditTo::Log => Trail::Log,
        AuditTo::Off => Trail::Off,
        AuditTo::File(path) => Trail::queue(AuditFile::open(path)?)?,
    };
    drop(TRAIL.set(trail));
    Ok(())
}

/// Holds the entries of a command for [`take_held`], unless the trail is off.
pub fn hold(to: &AuditTo) {
    let trail = match to {
        AuditTo::Off => Trail::Off,
        AuditTo::Log | AuditTo::File(_) => Trail::Held(Mutex::default()),
    };
    drop(TRAIL.set(trail));
}

/// Records an event.
pub fn record(entry: Entry) {
    match TRAIL.get() {
        None => entry.log(),
        Some(trail) => trail.record(entry),
    }
}

/// Takes the entries that were held since the last call ([`hold`]).
#[must_use]
pub fn take_held() -> Vec<Entry> {
    match TRAIL.get() {
        Some(Trail::Held(held)) => std::mem::take(&mut *held.lock().ignore_poison()),
        _ => Vec::new(),
    }
}

/// Records an event that waits in the store, and says whether it may be deleted there: a file has it
/// on the disk.
pub async fn record_waiting(entry: Entry) -> bool {
    match TRAIL.get() {
        Some(trail) => trail.record_waiting(entry).await,
        None => {
            entry.log();
            true
        }
    }
}

/// Waits until all entries so far are written, for a second at most.
pub fn flush() {
    if let Some(Trail::Queue(queue)) = TRAIL.get() {
        let (done, written) = sync_channel(0);
        if queue.try_send(Job::Flush { _done: done }).is_ok() {
            // Nothing is sent: the other side is dropped.
            let _disconnected = written.recv_timeout(FLUSH);
        }
    }
}

impl Trail {
    fn queue(lines: impl Lines + 'static) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(lines, &jobs))?;
        Ok(Self::Queue(queue))
    }

    fn record(&self, entry: Entry) {
        match self {
            Self::Off => {}
            Self::Log => entry.log(),
            Self::Queue(queue) => {
                if queue.try_send(Job::Line(line(entry), None)).is_err() {
                    dropped();
                }
            }
            Self::Held(held) => {
                let entry = entry.stamped(Now::read().wall);
                held.lock().ignore_poison().push(entry);
            }
        }
    }

    async fn record_waiting(&self, entry: Entry) -> bool {
        let Self::Queue(queue) = self else {
            self.record(entry);
            return true;
        };
        let (sender, written) = oneshot::channel();
        let is_queued = queue.try_send(Job::Line(line(entry), Some(sender))).is_ok();
        is_queued && matches!(tokio::time::timeout(WRITTEN, written).await, Ok(Ok(())))
    }
}

fn line(entry: Entry) -> Vec<u8> {
    let mut line = entry.stamped(Now::read().wall).json().into_bytes();
    line.push(b'\n');
    line
}

/// Writes the lines of a gateway, on a thread that ends with the process.
fn write(mut lines: impl Lines, jobs: &Receiver<Job>) {
    let mut is_failing = false;
    while let Ok(job) = jobs.recv() {
        let Job::Line(line, waiting) = job else { continue };
        let appended = lines.append(&line);
        let written =
            if waiting.is_some() { appended.and_then(|()| lines.sync()) } else { appended };
        match written {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("the audit trail is written again");
                }
                // The receiver may have given up.
                waiting.map(|waiting| waiting.send(()));
            }
            Err(error) => {
                if waiting.is_none() {
                    dropped();
                }
                if !is_failing {
                    is_failing = true;
                    tracing::error!(%error, "the audit trail cannot be written: events are lost");
                }
            }
        }
    }
}

fn dropped() {
    metrics::counter!(metric::AUDIT_DROPPED).increment(1);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::{Entry, Event, Job, Lines, QUEUE, Trail, write};

    /// Blocks on the first line until the sender goes.
    struct Stuck(mpsc::Receiver<()>);

    impl Lines for Stuck {
        fn append(&mut self, _line: &[u8]) -> io::Result<()> {
            while self.0.recv().is_ok() {}
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let (release, stuck) = mpsc::channel();
        let trail = Trail::queue(Stuck(stuck)).unwrap();

        for _ in 0..QUEUE + 10 {
            trail.record(Entry::of(Event::Login));
        }

        drop(release);
    }

    /// A disk that may be full, or lose what it has taken.
    struct Faulty {
        is_full: bool,
        is_lossy: bool,
    }

    impl Lines for Faulty {
        fn append(&mut self, _line: &[u8]) -> io::Result<()> {
            if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.is_lossy { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn whoever_waits_is_told_of_what_is_on_the_disk_alone() {
        for (is_full, is_lossy, expected) in
            [(false, false, true), (true, false, false), (false, true, false)]
        {
            let (queue, jobs) = mpsc::sync_channel(2);
            let (sender, mut written) = oneshot::channel();
            queue.send(Job::Line(b"{}\n".to_vec(), None)).unwrap();
            queue.send(Job::Line(b"{}\n".to_vec(), Some(sender))).unwrap();
            drop(queue);

            write(Faulty { is_full, is_lossy }, &jobs);

            assert!(jobs.try_recv().is_err(), "a full disk ends nothing");
            assert_eq!(written.try_recv().is_ok(), expected, "{is_full} {is_lossy}");
        }
    }
}
