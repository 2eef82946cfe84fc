//! Threads that own connections, behind a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::lock::IgnorePoison;
use crate::store::StoreError;
use crate::store::sqlite::database::CheckedConnection;
use crate::store::sqlite::fault::SqliteFault;

/// Threads that take jobs from one queue; when this is dropped, they finish the queue and end.
pub(super) struct Workers<J> {
    queue: Option<SyncSender<J>>,
    threads: Vec<JoinHandle<()>>,
}

/// The end of the queue that the threads share.
///
/// The lock is held while a thread waits for a job, never while it works.
pub(super) struct Jobs<J>(Mutex<Receiver<J>>);

/// The most jobs that wait; beyond, the store is unavailable at once.
const QUEUE: usize = 1024;

impl<J: Send + 'static> Workers<J> {
    /// Starts one thread for each connection.
    pub(super) fn start(
        name: &str,
        connections: Vec<CheckedConnection>,
        work: impl Fn(&mut CheckedConnection, &Jobs<J>) + Clone + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Jobs(Mutex::new(jobs)));
        let mut workers =
            Self { queue: Some(queue), threads: Vec::with_capacity(connections.len()) };
        for mut checked in connections {
            let (jobs, work) = (Arc::clone(&jobs), work.clone());
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&mut checked, &jobs))
                .map_err(SqliteFault::Thread)?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Puts a job into the queue, or fails at once.
    pub(super) fn submit(&self, job: J) -> Result<(), StoreError> {
        let Some(queue) = &self.queue else { return Err(SqliteFault::Ended.into()) };
        match queue.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(SqliteFault::Busy.into()),
            Err(TrySendError::Disconnected(_)) => Err(SqliteFault::Ended.into()),
        }
    }
}

impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the database panicked");
            }
        }
    }
}

impl<J> Jobs<J> {
    /// Waits for a job; `None` when the queue was closed and is empty.
    pub(super) fn next(&self) -> Option<J> {
        self.0.lock().ignore_poison().recv().ok()
    }

    /// The next job, if one waits already.
    pub(super) fn waiting(&self) -> Option<J> {
        self.0.lock().ignore_poison().try_recv().ok()
    }
}

/// Waits for the answer to a submitted job.
pub(super) async fn answer<T>(
    answer: oneshot::Receiver<Result<T, StoreError>>,
    deadline: Duration,
) -> Result<T, StoreError> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_dropped)) => Err(SqliteFault::Ended.into()),
        Err(_elapsed) => Err(StoreError::TimedOut(deadline)),
    }
}
