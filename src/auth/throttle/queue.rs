//! Attempts of one count that this gateway is judging, and the attempts that wait for them.
//!
//! An attempt that is refused while others of its count are being judged may be let in after all,
//! since a right password is not counted. It waits in a queue, and only the first in the queue asks
//! the store again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::lock::IgnorePoison;

/// The queues of a gateway, by count.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queues: HashMap<String, Queue>,
    /// At this size the empty queues are dropped; it is then set to twice what was left, so that
    /// the cost of a sweep is spread over as many new queues.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// Attempts that are asked for or judged.
    open: usize,
    /// The number of attempts that have ended.
    ended: u64,
    /// Wakes those who wait when an attempt has ended.
    signal: Arc<Notify>,
    /// Locked by the first of those who wait; all of them hold the `Arc`.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// An attempt that is asked for or judged.
#[derive(Debug)]
pub(super) struct OpenAttempt<'a> {
    queues: &'a Queues,
    key: String,
    /// The number of attempts that had ended when it began.
    ended_before: u64,
}

/// An attempt that was refused, in its queue.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whether another attempt has ended since this one was asked for.
    pub(super) has_news: bool,
    /// The next end of another attempt.
    pub(super) next: OwnedNotified,
    /// The turn of the first in the queue.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// The most attempts that wait for one count.
const MOST_WAITING: usize = 512;

/// The fewest queues that are worth a sweep.
const LEAST: usize = 64;

impl Queues {
    /// Opens an attempt.
    pub(super) fn open(&self, key: &str) -> OpenAttempt<'_> {
        let mut inner = self.lock();
        if inner.queues.len() >= inner.sweep_at.max(LEAST) {
            inner.queues.retain(|_, queue| queue.open > 0 || Arc::strong_count(&queue.turn) > 1);
            inner.sweep_at = inner.queues.len() * 2;
        }
        let queue = inner.queues.entry(key.to_owned()).or_default();
        queue.open += 1;
        OpenAttempt { queues: self, key: key.to_owned(), ended_before: queue.ended }
    }

    /// A queue is whole after every step here: a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().ignore_poison()
    }
}

impl OpenAttempt<'_> {
    /// Closes an attempt that was refused, and queues it; `None` where there is nothing to wait
    /// for, or too many wait.
    pub(super) fn wait(self) -> Option<Waiting> {
        let (queues, key, ended_before) = (self.queues, self.key.clone(), self.ended_before);
        drop(self);
        let mut inner = queues.lock();
        let queue = inner.queues.get_mut(&key)?;
        // Its own end is no news.
        let has_news = queue.ended > ended_before + 1;
        let is_of_use =
            (queue.open > 0 || has_news) && Arc::strong_count(&queue.turn) <= MOST_WAITING;
        let (next, turn) = (Arc::clone(&queue.signal).notified_owned(), Arc::clone(&queue.turn));
        is_of_use.then_some(Waiting { has_news, next, turn })
    }
}

impl Drop for OpenAttempt<'_> {
    fn drop(&mut self) {
        let mut inner = self.queues.lock();
        let Some(queue) = inner.queues.get_mut(&self.key) else { return };
        queue.open = queue.open.saturating_sub(1);
        queue.ended += 1;
        queue.signal.notify_waiters();
    }
}
