//! Bytes of answers that a connection holds: handed to hyper and not yet written.
//!
//! Each connection has a bound, and all together another one; beyond it, nothing is read from an
//! upstream, so that the backend waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::lock::IgnorePoison;

/// The unsent bytes of one connection.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Most bytes that all connections may hold together, beyond one part each.
    most: usize,
    bytes: AtomicUsize,
    written: AtomicU64,
    /// Whether an answer waits for room.
    has_waiting: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// Most bytes of answers that one connection may hold.
const CONNECTION_ROOM: usize = 1 << 20;

/// Bytes of answers that all connections hold.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes of answers that were read from upstreams and not yet written to clients.
pub(super) fn held_bytes() -> usize {
    HELD.load(Ordering::Relaxed)
}

impl Unsent {
    /// None; all connections together may hold `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            bytes: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            has_waiting: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// Whether everything was written.
    pub(super) fn is_none(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Notes bytes of an answer that hyper was handed.
    pub(super) fn handed(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        HELD.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes bytes of an answer that hyper wrote.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.dropped(bytes);
    }

    /// Notes bytes of an answer that hyper holds no more.
    pub(super) fn dropped(&self, bytes: usize) {
        HELD.fetch_sub(bytes, Ordering::Relaxed);
        // Ordered with `poll_room`: either it sees the room, or this sees it waiting.
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if self.has_waiting.load(Ordering::SeqCst) {
            let waiting = {
                let mut waiting = lock(&self.waiting);
                self.has_waiting.store(false, Ordering::SeqCst);
                std::mem::take(&mut *waiting)
            };
            for waker in waiting {
                waker.wake();
            }
        }
    }

    /// Waits until more of an answer may be handed over: a connection holds so much at most, and
    /// if all hold too much, one part.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        lock(&self.waiting).push(context.waker().clone());
        self.has_waiting.store(true, Ordering::SeqCst);
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_room(&self) -> bool {
        let unsent = self.bytes.load(Ordering::SeqCst);
        unsent == 0 || (unsent < CONNECTION_ROOM && held_bytes() < self.most)
    }
}

// Guards one list, and is held over no call that can panic.
fn lock(waiting: &Mutex<Vec<Waker>>) -> MutexGuard<'_, Vec<Waker>> {
    waiting.lock().ignore_poison()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::{CONNECTION_ROOM, Unsent, lock};

    #[test]
    fn what_a_connection_holds_has_a_bound_and_leaves_room_when_it_is_sent() {
        let unsent = Unsent::new(usize::MAX);
        let context = Context::from_waker(Waker::noop());
        unsent.handed(CONNECTION_ROOM);
        assert_eq!(unsent.poll_room(&context), Poll::Pending);

        unsent.wrote(1);

        assert_eq!(unsent.poll_room(&context), Poll::Ready(()));
        assert!(lock(&unsent.waiting).is_empty());
        unsent.dropped(CONNECTION_ROOM - 1);
    }

    #[test]
    fn where_all_hold_too_much_a_connection_holds_one_part() {
        let unsent = Unsent::new(0);
        let context = Context::from_waker(Waker::noop());
        assert_eq!(unsent.poll_room(&context), Poll::Ready(()));

        unsent.handed(1);

        assert_eq!(unsent.poll_room(&context), Poll::Pending);
        unsent.dropped(1);
        assert_eq!(unsent.poll_room(&context), Poll::Ready(()));
        assert_eq!(unsent.written(), 0);
    }
}
