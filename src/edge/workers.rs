//! The threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on its worker, with its requests, their connections to backends and its
//! tunnels: no task is stolen, so that nothing of a request crosses threads, and the answers of an
//! HTTP/2 connection that are ready together leave together.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The workers of a listener; those that were started end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Workers(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped, it ends the thread.
    _thread: Option<oneshot::Sender<()>>,
}

impl Workers {
    /// Starts `count` threads; 0: one per core.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor for its events.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = if count == 0 { thread::available_parallelism()?.get() } else { count };
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// The runtime of the caller alone.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn here() -> Self {
        let runtime = Handle::current();
        Self(Arc::new([Worker { runtime, connections: Arc::default(), _thread: None }]))
    }

    /// Serves a connection on the worker that has the fewest.
    pub(super) fn spawn(
        &self,
        tasks: &mut JoinSet<()>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let count = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.0.iter().min_by_key(count) else { return };
        let counted = Counted::new(&worker.connections);
        tasks.spawn_on(
            async move {
                connection.await;
                drop(counted);
            },
            &worker.runtime,
        );
    }
}

impl Worker {
    fn start(index: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (sender, stop) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // An error says that the sender is gone: that is the signal.
            drop(runtime.block_on(stop));
            // A password that is being hashed is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), _thread: Some(sender) })
    }
}

/// One of a worker's connections.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::Workers;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_worker_that_is_busy_keeps_the_others_connections_waiting_for_nothing() {
        let workers = Workers::start(2).unwrap();
        let mut tasks = JoinSet::new();
        let (release, busy) = mpsc::channel::<()>();
        let (seen, threads) = mpsc::channel();
        workers.spawn(&mut tasks, async move {
            busy.recv().unwrap_err();
        });

        for _ in 0..3 {
            let seen = seen.clone();
            workers.spawn(&mut tasks, async move { seen.send(thread::current().id()).unwrap() });
            tokio::time::timeout(DEADLINE, tasks.join_next()).await.unwrap().unwrap().unwrap();
        }

        let threads: Vec<_> = threads.try_iter().collect();
        assert_eq!(threads.len(), 3);
        assert!(threads.iter().all(|id| *id == threads[0]), "the worker with the fewest");
        drop(release);
        tokio::time::timeout(DEADLINE, tasks.join_next()).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn connections_end_with_their_workers() {
        let workers = Workers::start(1).unwrap();
        let mut tasks = JoinSet::new();
        workers.spawn(&mut tasks, std::future::pending());

        drop(workers);

        let end = tokio::time::timeout(DEADLINE, tasks.join_next()).await.unwrap();
        assert!(end.unwrap().unwrap_err().is_cancelled());
    }
}
