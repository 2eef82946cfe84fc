//! The journal: a file of this node with the revocations that a Redis may lose.
//!
//! A revocation is acknowledged only once it is in this file, on the disk, *and* in the store. So
//! the loss of either alone loses nothing: a node starts from its file while Redis is away, and
//! refills a Redis that lost data ([`JournaledStore`]). The file also holds the sites' signing
//! keys, the highest account number seen, and the last contact with the store.
//!
//! In memory revocations are in the list only, and the file is written from the list. Hence the one
//! rule here: an entry is in the list before it is appended.

mod file;
mod forward;
mod frame;
mod record;
mod refill;
mod state;
mod store;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::clock::{BootId, Now};
use crate::lock::IgnorePoison;
use crate::revocation::RevocationList;
use crate::store::{FeedEntry, SetupReport, disk};
use crate::telemetry::metric;

use file::{Draft, JournalFile, Onto};
use frame::{LONGEST, ReadEnd};
use record::{JournalRecord, LastContact};
use state::JournalState;
use writer::{Job, JournalWriter};

pub use store::JournaledStore;

/// The open journal of this node.
#[derive(Debug)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    state: Arc<Mutex<JournalState>>,
    /// The failure of the latest write, until one succeeds.
    failure: Arc<Mutex<Option<Arc<JournalError>>>>,
    list: Arc<RevocationList>,
    boot_id: Option<BootId>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The treatment of a journal that is damaged in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// It is refused.
    Refuse,
    /// Readable frames are used, and the damaged file is set aside (`munjigi run --accept-loss`).
    AcceptLoss,
}

/// Reasons for which a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {verb} the journal {}", .path.display())]
    File {
        /// The action that failed.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the journal {} is in use by another process: give every gateway a file of its own \
         ([revocation] journal)", .path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error("the journal {} has version {found}, this gateway knows {known}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The one known here.
        known: u32,
    },
    /// It is of a store with other keys.
    #[error(
        "the journal {} is of a store with the prefix `{prefix}`: name another file in \
         [revocation] journal", .path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// The other store's prefix.
        prefix: String,
    },
    /// It was written and is unreadable now.
    #[error(
        "the journal {} is damaged at byte {place}: revocations may be lost; `munjigi run \
         --accept-loss` takes what still reads", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The offset of the damage.
        place: u64,
    },
    /// The thread that writes it is gone.
    #[error("the journal is closed")]
    Closed,
    /// The disk took too long.
    #[error("the journal was not written within {0:?}")]
    Slow(Duration),
    /// An earlier write failed, and the file was not made anew since.
    #[error("the journal cannot be written")]
    Broken(#[source] Arc<Self>),
}

/// The longest that an acknowledgement waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most appends that are queued; beyond, callers wait.
const QUEUE: usize = 1024;

impl JournalError {
    fn file(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { verb, path: path.to_owned(), source }
    }
}

impl Journal {
    /// Opens the journal, reads it into `list`, and starts the thread that writes it; makes it
    /// where there is none. `prefix` is that of the store's keys. It blocks.
    ///
    /// # Errors
    /// When another process has it, it is another version's or store's, or it is damaged other than
    /// at its torn end.
    pub fn open(
        path: &Path,
        prefix: &str,
        on_damage: OnDamage,
        list: &Arc<RevocationList>,
    ) -> Result<Self, JournalError> {
        let boot_id = BootId::read();
        let (journal, state) = match file::open(path)? {
            Some(file) => read(file, path, prefix, on_damage, list)?,
            None => {
                let state = JournalState::default();
                let journal = begin(path, prefix, list, &state, Onto::Nothing)?;
                (journal, state)
            }
        };
        if let Some(contact) = &state.contact {
            list.restore(contact.within(boot_id, Now::read().boot));
        }
        metrics::gauge!(metric::JOURNAL_BYTES).set(journal.end as f64);
        let state = Arc::new(Mutex::new(state));
        let failure = Arc::default();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = JournalWriter {
            path: path.to_owned(),
            prefix: prefix.to_owned(),
            list: Arc::clone(list),
            state: Arc::clone(&state),
            failure: Arc::clone(&failure),
            journal,
            broken: None,
            compaction: None,
            compact_after: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|source| JournalError::file("start a thread for", path, source))?;
        let list = Arc::clone(list);
        Ok(Self { jobs, state, failure, list, boot_id, thread: Mutex::new(Some(thread)) })
    }

    /// Checks that a journal can be written, and changes nothing; a gateway may have it open.
    ///
    /// # Errors
    /// When the file, or another beside it, cannot be written.
    pub fn check_setup(path: &Path, found: &mut SetupReport) -> Result<(), JournalError> {
        if let Some((path, source)) = disk::obstacle(path, &[]) {
            return Err(JournalError::file("write", &path, source));
        }
        let about = path.display().to_string();
        found.fact(about, if path.exists() { "a journal" } else { "a start makes it" });
        disk::check_setup(path, found).map_err(|source| JournalError::file("write", path, source))
    }

    /// The outcome of the latest write. Nothing is written for it, since contact with the store is
    /// noted every second.
    fn writable(&self) -> Result<(), JournalError> {
        match &*lock(&self.failure) {
            Some(error) => Err(JournalError::Broken(Arc::clone(error))),
            None => Ok(()),
        }
    }

    /// Syncs the file and closes it; later appends fail.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            // Nothing is sent: the other side is dropped.
            drop(tokio::time::timeout(PATIENCE, closed).await);
        }
        let thread = self.thread.lock().ignore_poison().take();
        if thread.is_some_and(|thread| thread.is_finished() && thread.join().is_err()) {
            tracing::error!("the journal's thread panicked");
        }
    }

    /// Appends records; revocations must be in the list already. Once this returns, they are on the
    /// disk.
    async fn keep(&self, records: &[JournalRecord]) -> Result<(), JournalError> {
        let (synced, answer) = oneshot::channel();
        let kept = async {
            self.append(records, Some(synced)).await?;
            match answer.await {
                Ok(outcome) => outcome.map_err(JournalError::Broken),
                Err(_dropped) => Err(JournalError::Closed),
            }
        };
        match tokio::time::timeout(PATIENCE, kept).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let slow = || Arc::new(JournalError::Slow(PATIENCE));
                lock(&self.failure).get_or_insert_with(slow);
                Err(JournalError::Slow(PATIENCE))
            }
        }
    }

    /// Appends records without waiting for the disk; the thread logs a failure.
    async fn note(&self, records: &[JournalRecord]) {
        // Closed: the gateway is stopping.
        drop(self.append(records, None).await);
    }

    /// Appends revocations that are in the list, as [`Journal::note`] does.
    async fn note_entries(&self, entries: &[FeedEntry]) {
        let records: Vec<_> = entries.iter().copied().map(JournalRecord::Revoked).collect();
        self.note(&records).await;
    }

    /// Notes that the list has everything that the store acknowledged before an instant.
    async fn note_contact(&self, asked_at: crate::clock::BootTime) {
        if !self.list.is_complete() {
            return;
        }
        let boot_id = self.boot_id.map_or([0; 16], |boot| boot.0);
        let contact = LastContact { wall: Now::read().wall, boot: asked_at, boot_id };
        self.note(&[JournalRecord::Contact(contact)]).await;
    }

    async fn append(
        &self,
        records: &[JournalRecord],
        synced: Option<oneshot::Sender<Result<(), Arc<JournalError>>>>,
    ) -> Result<(), JournalError> {
        let mut frames = vec![Vec::new()];
        {
            let mut state = self.state();
            for record in records {
                state.take(record);
                if frames.last().is_some_and(|frame| frame.len() > LONGEST / 2) {
                    frames.push(Vec::new());
                }
                if let Some(frame) = frames.last_mut() {
                    record.write(frame);
                }
            }
        }
        frames.retain(|frame| !frame.is_empty());
        let last = frames.pop().unwrap_or_default();
        let jobs = frames.into_iter().map(|records| Job::Append { records, synced: None });
        for job in jobs.chain([Job::Append { records: last, synced }]) {
            self.jobs.send(job).await.map_err(|_closed| JournalError::Closed)?;
        }
        Ok(())
    }

    /// The state besides the revocation list.
    fn state(&self) -> MutexGuard<'_, JournalState> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().ignore_poison()
}

/// Reads an existing journal.
fn read(
    file: File,
    path: &Path,
    prefix: &str,
    on_damage: OnDamage,
    list: &Arc<RevocationList>,
) -> Result<(JournalFile, JournalState), JournalError> {
    let failed = |source| JournalError::file("read", path, source);
    let mut state = JournalState::default();
    let mut take = |records: &[u8]| {
        let mut entries = Vec::new();
        let read = JournalRecord::read_all(records, |record| {
            if let JournalRecord::Revoked(entry) = &record {
                entries.push(*entry);
            }
            state.take(&record);
        });
        list.apply(&entries);
        read.is_some()
    };
    let end = match file::read_header(&file, path, prefix) {
        Ok(begin) => frame::read_all(&file, begin, &mut take).map_err(failed)?,
        Err(JournalError::Damaged { place, .. }) => ReadEnd::Damaged(place),
        Err(error) => return Err(error),
    };
    match end {
        ReadEnd::Whole => {
            let length = file.metadata().map_err(failed)?.len();
            Ok((JournalFile::cut(file, length).map_err(failed)?, state))
        }
        ReadEnd::Torn(place) => {
            let length = file.metadata().map_err(failed)?.len();
            tracing::warn!(
                file = %path.display(), place, bytes = length - place,
                "the end of the journal was never completely written, and is cut"
            );
            Ok((JournalFile::cut(file, place).map_err(failed)?, state))
        }
        ReadEnd::Damaged(place) if on_damage == OnDamage::Refuse => {
            Err(JournalError::Damaged { path: path.to_owned(), place })
        }
        ReadEnd::Damaged(place) => {
            let lost = frame::salvage(&file, place, &mut take).map_err(failed)?;
            // A lost frame may be a revocation: the list is incomplete until the store was read.
            state.contact = None;
            let aside = file::set_aside(path)?;
            tracing::error!(
                file = %path.display(), place, bytes = lost, aside = %aside.display(),
                "the journal is damaged: what still reads was taken, and the file set aside"
            );
            Ok((begin(path, prefix, list, &state, Onto::Nothing)?, state))
        }
    }
}

fn begin(
    path: &Path,
    prefix: &str,
    list: &RevocationList,
    state: &JournalState,
    onto: Onto,
) -> Result<JournalFile, JournalError> {
    let draft = Draft::begin(path, prefix)?;
    writer::fill(draft, path, list, &Mutex::new(state.clone()), onto)
}

#[cfg(test)]
mod tests;
