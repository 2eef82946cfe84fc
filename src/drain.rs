//! The stop signal, and the wait for everything that was begun to be done.
//!
//! One [`Drain`] is made by `app`; listeners, connections and background tasks hold a [`Guard`]
//! each. [`Drain::finish`] signals, then waits until every guard is dropped or the grace is over.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// The side that stops: owned by `app`.
#[derive(Debug)]
pub struct Drain {
    signal: watch::Sender<bool>,
    guard: mpsc::Sender<()>,
    done: mpsc::Receiver<()>,
}

/// The side that is stopped: while one lives, the drain is not done.
#[derive(Clone, Debug)]
pub struct Guard {
    signal: Signal,
    _alive: mpsc::Sender<()>,
}

/// Knows whether the stop signal was given, and holds nothing up.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<bool>);

/// Whether everything ended within the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every guard was dropped in time.
    Complete,
    /// The grace ended first.
    Late,
}

impl Drain {
    /// Makes a drain that has not been signalled.
    #[must_use]
    pub fn new() -> Self {
        let (signal, _) = watch::channel(false);
        let (guard, done) = mpsc::channel(1);
        Self { signal, guard, done }
    }

    /// Makes a guard for one listener, connection or task.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard { signal: self.signal(), _alive: self.guard.clone() }
    }

    /// Makes a signal that nobody waits for.
    #[must_use]
    pub fn signal(&self) -> Signal {
        Signal(self.signal.subscribe())
    }

    /// Signals every guard, and waits at most `grace` until all are dropped.
    pub async fn finish(self, grace: Duration) -> Drained {
        let Self { signal, guard, mut done } = self;
        signal.send_replace(true);
        drop(guard);
        match tokio::time::timeout(grace, done.recv()).await {
            Ok(_) => Drained::Complete,
            Err(_) => Drained::Late,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard {
    /// Waits for the stop signal; cancel-safe, and at once when it was given before.
    pub async fn signalled(&mut self) {
        self.signal.given().await;
    }

    /// Says whether the stop signal was given.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        self.signal.is_given()
    }
}

impl Signal {
    /// Waits for the stop signal; cancel-safe, and at once when it was given before.
    pub async fn given(&mut self) {
        // The sender only goes away after it has signalled, so an error means "given" too.
        drop(self.0.wait_for(|stop| *stop).await);
    }

    /// Says whether the stop signal was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Drain, Drained};

    #[tokio::test]
    async fn finish_waits_for_every_guard() {
        let drain = Drain::new();
        let mut guard = drain.guard();
        let task = tokio::spawn(async move { guard.signalled().await });

        assert_eq!(drain.finish(Duration::from_secs(5)).await, Drained::Complete);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn finish_gives_up_after_the_grace() {
        let drain = Drain::new();
        let mut guard = drain.guard();

        assert_eq!(drain.finish(Duration::ZERO).await, Drained::Late);
        guard.signalled().await;
    }
}
