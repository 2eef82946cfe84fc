//! Tries of one count that this gateway is judging, and the tries that wait for them.
//!
//! What is refused while others of its count are being judged may be let in after all: a right
//! password gives its place back. It waits in a line, and the first of the line alone asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::lock::IgnorePoison;

/// The lines of a gateway.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: HashMap<String, Line>,
    /// Grown to this, it drops the lines that nobody is in: each time twice what was left, so that
    /// the cost of a sweep is spread over as many new ones.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Line {
    /// Tries that are asked for or judged.
    open: usize,
    /// How many have ended.
    ended: u64,
    /// Tells those who wait that one has ended.
    signal: Arc<Notify>,
    /// Whoever holds it is the first of those who wait; they hold it as well.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A try that is asked for or judged.
#[derive(Debug)]
pub(super) struct Place<'a> {
    lines: &'a Lines,
    key: String,
    /// How many had ended when it began.
    ended_before: u64,
}

/// What a try that was refused waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whether another has ended since it was asked for.
    pub(super) has_news: bool,
    /// The next end of another.
    pub(super) next: OwnedNotified,
    /// The turn of the first of the line.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// How many may wait for one count.
const MOST_WAITING: usize = 512;

/// Below this no sweep is worth it.
const LEAST: usize = 64;

impl Lines {
    /// Begins to ask for a try.
    pub(super) fn enter(&self, key: &str) -> Place<'_> {
        let mut inner = self.lock();
        if inner.lines.len() >= inner.sweep_at.max(LEAST) {
            inner.lines.retain(|_, line| line.open > 0 || Arc::strong_count(&line.turn) > 1);
            inner.sweep_at = inner.lines.len() * 2;
        }
        let line = inner.lines.entry(key.to_owned()).or_default();
        line.open += 1;
        Place { lines: self, key: key.to_owned(), ended_before: line.ended }
    }

    /// A line is whole after every step here: a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().ignore_poison()
    }
}

impl Place<'_> {
    /// What this try, which was refused, waits for once it has let go of its place; `None` where
    /// there is nobody to wait for, or too many wait.
    pub(super) fn waiting(self) -> Option<Waiting> {
        let (lines, key, ended_before) = (self.lines, self.key.clone(), self.ended_before);
        drop(self);
        let mut inner = lines.lock();
        let line = inner.lines.get_mut(&key)?;
        // Its own end is no news.
        let has_news = line.ended > ended_before + 1;
        let is_of_use =
            (line.open > 0 || has_news) && Arc::strong_count(&line.turn) <= MOST_WAITING;
        let (next, turn) = (Arc::clone(&line.signal).notified_owned(), Arc::clone(&line.turn));
        is_of_use.then_some(Waiting { has_news, next, turn })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.lines.lock();
        let Some(line) = inner.lines.get_mut(&self.key) else { return };
        line.open = line.open.saturating_sub(1);
        line.ended += 1;
        line.signal.notify_waiters();
    }
}
