//! The threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on its worker, with its requests, their connections to backends and its
//! tunnels: no task is stolen, so that nothing of a request crosses threads, and the answers of an
//! HTTP/2 connection that are ready together leave together.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::OwnedSemaphorePermit;

use crate::drain::{Drain, Guard};

/// The workers of a listener.
#[derive(Clone, Debug)]
pub struct Workers(Arc<[Worker]>);

/// A thread that serves connections.
#[derive(Debug)]
pub(super) struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place: one of `max_connections`, and one on its worker. A tunnel holds it on.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Workers {
    /// Starts `count` threads; 0: one per core. They end with the drain, which waits until all that was
    /// on them is dropped.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor for its events.
    pub fn start(count: usize, drain: &Drain) -> io::Result<Self> {
        let count = if count == 0 { thread::available_parallelism()?.get() } else { count };
        let workers = (0..count).map(|index| Worker::start(index, drain.guard()));
        workers.collect::<io::Result<_>>().map(Self)
    }

    /// The runtime of the caller alone.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn here() -> Self {
        let runtime = Handle::current();
        Self(Arc::new([Worker { runtime, connections: Arc::default() }]))
    }

    /// The worker that has the fewest connections.
    pub(super) fn least_busy(&self) -> Option<&Worker> {
        self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
    }
}

impl Worker {
    fn start(index: usize, mut guard: Guard) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            runtime.block_on(guard.signalled());
            // A password that is being hashed is not waited for.
            runtime.shutdown_background();
            drop(guard);
        })?;
        Ok(Self { runtime: handle, connections: Arc::default() })
    }

    /// Its runtime.
    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A place for one more connection.
    pub(super) fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place::new(permit, &self.connections)
    }
}

impl Place {
    /// Counts a connection among others.
    pub(super) fn new(permit: OwnedSemaphorePermit, connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self { connections: Arc::clone(connections), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending};
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::Workers;
    use crate::drain::{Drain, Drained};

    const DEADLINE: Duration = Duration::from_secs(10);

    fn spawn(
        workers: &Workers,
        tasks: &mut JoinSet<()>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let worker = workers.least_busy().unwrap();
        let place = worker.place(permit);
        let served = async move {
            connection.await;
            drop(place);
        };
        tasks.spawn_on(served, worker.runtime());
    }

    #[tokio::test]
    async fn a_worker_that_is_busy_keeps_the_connections_of_others_waiting_for_nothing() {
        let drain = Drain::new();
        let workers = Workers::start(2, &drain).unwrap();
        let mut tasks = JoinSet::new();
        let (release, busy) = mpsc::channel::<()>();
        let (seen, threads) = mpsc::channel();
        spawn(&workers, &mut tasks, async move {
            busy.recv().unwrap_err();
        });

        for _ in 0..3 {
            let seen = seen.clone();
            spawn(&workers, &mut tasks, async move { seen.send(thread::current().id()).unwrap() });
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
        let drain = Drain::new();
        let workers = Workers::start(1, &drain).unwrap();
        let mut tasks = JoinSet::new();
        spawn(&workers, &mut tasks, pending());

        assert_eq!(drain.finish(DEADLINE).await, Drained::Complete);

        let end = tokio::time::timeout(DEADLINE, tasks.join_next()).await.unwrap();
        assert!(end.unwrap().unwrap_err().is_cancelled());
    }
}
