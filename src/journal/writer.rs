//! The thread that writes the journal.
//!
//! Queued appends share one `fdatasync`. When more than half of the file is dead, the list is
//! copied into a draft, a part at a time between appends, which go into both files meanwhile; then
//! the draft replaces the file. An entry is in the list before it is appended, so that a copy of
//! the list has everything that was appended before the copy began.
//!
//! After a failure the content on the disk is unknown, and a second `fdatasync` proves nothing,
//! since it may succeed without having written. So the file is given up, and made anew from the
//! list before anything is acknowledged again.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use crate::journal::file::{Draft, JournalFile, Onto};
use crate::journal::frame::LONGEST;
use crate::journal::record::{REVOKED_BYTES, write_entry};
use crate::journal::state::JournalState;
use crate::journal::{JournalError, lock};
use crate::revocation::{RevocationList, SHARDS};
use crate::telemetry::{causes, metric};

/// A job of the thread.
#[derive(Debug)]
pub(super) enum Job {
    /// Append these records, one frame.
    Append {
        records: Vec<u8>,
        /// Gets the outcome once they are on the disk; `None`: nothing waits for it.
        synced: Option<oneshot::Sender<Result<(), Arc<JournalError>>>>,
    },
    /// Sync the file, close it, and end: then the sender is dropped.
    Close(oneshot::Sender<Infallible>),
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct JournalWriter {
    pub(super) path: PathBuf,
    pub(super) prefix: String,
    pub(super) list: Arc<RevocationList>,
    pub(super) state: Arc<Mutex<JournalState>>,
    /// The failure of the latest write; its caller may have given up before.
    pub(super) failure: Arc<Mutex<Option<Arc<JournalError>>>>,
    pub(super) journal: JournalFile,
    /// The reason for which the file is not trusted, and the earliest instant to make it anew.
    pub(super) broken: Option<(Arc<JournalError>, Instant)>,
    pub(super) compaction: Option<Compaction>,
    pub(super) compact_after: Instant,
}

/// A copy of the list in the making.
#[derive(Debug)]
pub(super) struct Compaction {
    draft: Draft,
    next: usize,
}

/// The most appends that share a sync.
const BATCH: usize = 256;

/// A smaller file is not compacted.
const SMALL: u64 = 1 << 20;

/// Parts of the list copied between two batches.
const PARTS_A_STEP: usize = 8;

/// Pause between two attempts to make a broken journal anew.
const RETRY: Duration = Duration::from_secs(1);

/// Pause between two attempts to compact a sound one.
const RETRY_COMPACTION: Duration = Duration::from_mins(1);

/// Revocations of one frame.
const ENTRIES_A_FRAME: usize = LONGEST / REVOKED_BYTES / 32;

/// Records of one frame of the rest: keys are far longer than revocations.
const RECORDS_A_FRAME: usize = 64;

impl JournalWriter {
    /// Writes until the queue is closed, or a job closes the journal.
    pub(super) fn run(mut self, mut jobs: Receiver<Job>) {
        loop {
            let first = if self.compaction.is_some() {
                match jobs.try_recv() {
                    Ok(job) => Some(job),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else {
                match jobs.blocking_recv() {
                    Some(job) => Some(job),
                    None => break,
                }
            };
            let mut batch: Vec<Job> = first.into_iter().collect();
            while !batch.is_empty()
                && batch.len() < BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            let closing = self.serve(batch);
            if let Some(done) = closing {
                self.end();
                drop(done);
                return;
            }
            self.compact_some();
            metrics::gauge!(metric::JOURNAL_BYTES).set(self.journal.end as f64);
        }
        self.end();
    }

    /// Appends a batch, then answers its callers.
    fn serve(&mut self, batch: Vec<Job>) -> Option<oneshot::Sender<Infallible>> {
        if batch.is_empty() {
            return None;
        }
        let (mut appends, mut waiting, mut closing) = (Vec::new(), Vec::new(), None);
        for job in batch {
            match job {
                Job::Append { records, synced } => {
                    appends.push(records);
                    waiting.extend(synced);
                }
                Job::Close(done) => closing = Some(done),
            }
        }
        let outcome = self.write(&appends, !waiting.is_empty());
        *lock(&self.failure) = outcome.as_ref().err().cloned();
        for synced in waiting {
            // The caller may have given up.
            drop(synced.send(outcome.clone()));
        }
        closing
    }

    pub(super) fn write(
        &mut self,
        appends: &[Vec<u8>],
        sync: bool,
    ) -> Result<(), Arc<JournalError>> {
        if let Some((error, retry_at)) = &self.broken {
            if Instant::now() < *retry_at {
                return Err(Arc::clone(error));
            }
            // The records are in the list and the state already.
            return self.make_anew();
        }
        // An empty append asks for the sync alone.
        let appends = || appends.iter().filter(|records| !records.is_empty());
        let written = appends().try_for_each(|records| self.journal.append(records));
        let written = written.and_then(|()| if sync { self.journal.sync() } else { Ok(()) });
        if let Err(source) = written {
            return Err(self.give_up(JournalError::file("append to", &self.path, source)));
        }
        metrics::counter!(metric::JOURNAL_APPENDS).increment(appends().count() as u64);
        if let Some(copy) = &mut self.compaction
            && let Err(error) = appends().try_for_each(|records| copy.draft.append(records))
        {
            self.give_compaction_up(&error);
        }
        Ok(())
    }

    /// Writes the list and the state into a new file.
    fn make_anew(&mut self) -> Result<(), Arc<JournalError>> {
        match whole_copy(self) {
            Ok(journal) => {
                self.journal = journal;
                self.broken = None;
                tracing::info!(file = %self.path.display(), "the journal was made anew");
                Ok(())
            }
            Err(error) => Err(self.give_up(error)),
        }
    }

    fn give_up(&mut self, error: JournalError) -> Arc<JournalError> {
        metrics::counter!(metric::JOURNAL_FAILURES).increment(1);
        if self.broken.is_none() {
            tracing::error!(
                error = causes(&error),
                "revocations are not acknowledged until the journal can be written again"
            );
        }
        if let Some(copy) = self.compaction.take() {
            copy.draft.discard();
        }
        let error = Arc::new(error);
        self.broken = Some((Arc::clone(&error), Instant::now() + RETRY));
        error
    }

    /// Copies a few parts of the list, where a compaction is due or has begun.
    fn compact_some(&mut self) {
        if self.compaction.is_none()
            && self.is_mostly_dead()
            && self.compact_after <= Instant::now()
        {
            match Draft::begin(&self.path, &self.prefix) {
                Ok(draft) => self.compaction = Some(Compaction { draft, next: 0 }),
                Err(error) => self.give_compaction_up(&error),
            }
        }
        let Some(mut copy) = self.compaction.take() else { return };
        match copy.step(&self.list) {
            Ok(()) if copy.next < SHARDS => self.compaction = Some(copy),
            Ok(()) => match finish(copy.draft, &self.state, Onto::Own) {
                Ok(journal) => {
                    let (before, after) = (self.journal.end, journal.end);
                    self.journal = journal;
                    tracing::debug!(before, after, "the journal was compacted");
                }
                Err(error) => self.give_compaction_up(&error),
            },
            Err(error) => {
                copy.draft.discard();
                self.give_compaction_up(&error);
            }
        }
    }

    fn give_compaction_up(&mut self, error: &dyn std::error::Error) {
        if let Some(copy) = self.compaction.take() {
            copy.draft.discard();
        }
        self.compact_after = Instant::now() + RETRY_COMPACTION;
        tracing::warn!(error = causes(error), "the journal could not be compacted");
    }

    fn is_mostly_dead(&self) -> bool {
        let live = (self.list.len() * REVOKED_BYTES) as u64;
        self.broken.is_none() && self.journal.end > SMALL.max(2 * live)
    }

    fn end(self) {
        if let Some(copy) = self.compaction {
            copy.draft.discard();
        }
        if self.broken.is_none()
            && let Err(error) = self.journal.sync()
        {
            tracing::error!(error = %error, "the end of the journal was not written");
        }
    }
}

impl Compaction {
    fn step(&mut self, list: &RevocationList) -> io::Result<()> {
        for number in self.next..(self.next + PARTS_A_STEP).min(SHARDS) {
            copy_part(&mut self.draft, list, number)?;
        }
        self.next += PARTS_A_STEP;
        // A little at a time, so that the final sync has little to wait for.
        self.draft.sync()
    }
}

/// Replaces the file by a new one with the list and the state.
fn whole_copy(writer: &JournalWriter) -> Result<JournalFile, JournalError> {
    let draft = Draft::begin(&writer.path, &writer.prefix)?;
    fill(draft, &writer.path, &writer.list, &writer.state, Onto::Own)
}

/// Fills a draft with the list and the state, and renames it to its target.
pub(super) fn fill(
    mut draft: Draft,
    path: &std::path::Path,
    list: &RevocationList,
    state: &Mutex<JournalState>,
    onto: Onto,
) -> Result<JournalFile, JournalError> {
    let copied = (0..SHARDS).try_for_each(|number| copy_part(&mut draft, list, number));
    if let Err(source) = copied {
        draft.discard();
        return Err(JournalError::file("write", path, source));
    }
    finish(draft, state, onto)
}

fn copy_part(draft: &mut Draft, list: &RevocationList, number: usize) -> io::Result<()> {
    let part = list.part(u8::try_from(number).unwrap_or(u8::MAX));
    for entries in part.chunks(ENTRIES_A_FRAME) {
        let mut records = Vec::with_capacity(entries.len() * REVOKED_BYTES);
        entries.iter().for_each(|entry| write_entry(entry, &mut records));
        draft.append(&records)?;
    }
    Ok(())
}

fn finish(
    mut draft: Draft,
    state: &Mutex<JournalState>,
    onto: Onto,
) -> Result<JournalFile, JournalError> {
    let records = lock(state).records();
    let appended = records.chunks(RECORDS_A_FRAME).try_for_each(|records| {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.write(&mut bytes));
        draft.append(&bytes)
    });
    if let Err(source) = appended {
        let error = JournalError::file("write", draft.place(), source);
        draft.discard();
        return Err(error);
    }
    draft.finish(onto)
}
