//! The idle connections of an upstream: last used, first taken.
//!
//! A shard for each worker thread: a connection waits for its events on the runtime of the worker
//! that made it, and stays there. Nobody drives an idle connection: it is looked at when it is
//! taken, and by a sweep that lives while there are idle connections.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::upstream::{Link, Upstream};
use crate::lock::IgnorePoison;

/// Idle connections.
#[derive(Debug)]
pub(super) struct Pool {
    shards: [Mutex<Vec<Idle>>; SHARDS],
    sweeping: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    until: Instant,
}

/// Workers beyond them share shards: their connections work, but wake another thread.
const SHARDS: usize = 64;
/// Most idle connections of a shard, so that a few busy HTTP/2 clients need no new ones; a burst's
/// surplus is closed at once.
const SHARD_ROOM: usize = 256;

impl Pool {
    /// A pool without connections.
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Vec::new())),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Takes the connection that was used last, if one can still be used at `now`.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Link>> {
        loop {
            let mut idle = lock(self.own_shard()?).pop()?;
            if now < idle.until && idle.link.is_fit() {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a connection that is fit to be used again, and may idle for a while from `now` on.
    pub(super) fn put(upstream: &Arc<Upstream>, link: Box<Link>, idle_for: Duration, now: Instant) {
        if idle_for.is_zero() {
            return;
        }
        let pool = &upstream.pool;
        let Some(shard) = pool.own_shard() else { return };
        {
            let mut shard = lock(shard);
            if shard.len() < SHARD_ROOM {
                shard.push(Idle { link, until: now + idle_for });
            }
        }
        if !pool.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(upstream)));
        }
    }

    /// Drops what idled too long or was closed; says whether anything is left.
    fn sweep(&self) -> bool {
        let mut any = false;
        for shard in &self.shards {
            let mut idle = std::mem::take(&mut *lock(shard));
            let now = Instant::now();
            idle.retain_mut(|idle| now < idle.until && idle.link.is_fit());
            let mut shard = lock(shard);
            // Connections put meanwhile were used later, and go on top.
            idle.append(&mut shard);
            *shard = idle;
            any |= !shard.is_empty();
        }
        any
    }

    fn own_shard(&self) -> Option<&Mutex<Vec<Idle>>> {
        self.shards.get(OWN_SHARD.with(|own| *own))
    }
}

/// Sweeps until nothing is idle or the upstream is gone.
async fn sweep(upstream: Weak<Upstream>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(upstream) = upstream.upgrade() else { return };
        if upstream.pool.sweep() {
            continue;
        }
        upstream.pool.sweeping.store(false, Ordering::Release);
        // One that was put between the two lines above has seen `sweeping` and relies on us.
        if !upstream.pool.sweep() || upstream.pool.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

const SWEEP_EVERY: Duration = Duration::from_secs(5);

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN_SHARD: usize = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

// The lock guards one list and is held for a push or a pop; a panic cannot leave it half-changed.
fn lock(shard: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    shard.lock().ignore_poison()
}
