//! The permits of an upstream: how many requests it is busy with (`max_inflight`), who gets the
//! next permit, and whose is given back first.
//!
//! While others wait, an address (IPv6: a /64) that holds a quarter of the permits gets no further
//! one. When somebody who holds less waits, and no permit comes free, the request is given up whose
//! client has kept it waiting the longest: that neither sends its body nor takes its answer.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::auth::throttle::network;
use crate::lock::IgnorePoison;

/// The permits of one upstream.
#[derive(Debug)]
pub(super) struct Permits {
    most: usize,
    taken: AtomicUsize,
    /// Permits taken by addresses of one hash: a collision makes two addresses one.
    shares: Box<[AtomicU32; SHARES]>,
    hasher: RandomState,
    /// Number of waiting requests: a new one queues behind them.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Waiter>>,
    /// Requests that may have to wait for their clients.
    delays: Mutex<Vec<(usize, Weak<dyn Delayed>)>>,
}

/// A permit; dropping it passes it to the next waiter.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    share: usize,
}

/// A request that may have to wait for its client.
pub(crate) trait Delayed: Send + Sync + std::fmt::Debug {
    /// Start of the current wait for its client.
    fn since(&self) -> Option<Instant>;

    /// Gives the request up, and its permit with it.
    fn give_up(&self);
}

#[derive(Debug)]
struct Waiter {
    share: usize,
    permit: oneshot::Sender<Permit>,
}

/// A power of two, so that a share is a part of a hash.
const SHARES: usize = 1024;

/// Time that a client may keep a request waiting before others go first.
const PATIENCE: Duration = Duration::from_secs(1);

/// Interval at which a waiting request looks for one to give up.
const LOOK: Duration = Duration::from_millis(200);

impl Permits {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: AtomicUsize::new(0),
            shares: Box::new(std::array::from_fn(|_| AtomicU32::new(0))),
            hasher: RandomState::new(),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            delays: Mutex::default(),
        })
    }

    /// Waits for a permit; `None` when none came in time.
    pub(super) async fn take(
        self: &Arc<Self>,
        address: IpAddr,
        patience: Duration,
    ) -> Option<Permit> {
        let share = self.share_of(address);
        if self.waiting.load(Ordering::SeqCst) == 0 && self.try_take() {
            return Some(self.permit(share));
        }
        Box::pin(self.queue(share, patience)).await
    }

    /// Registers a request whose client may keep it waiting.
    pub(super) fn watch(&self, permit: &Permit, delayed: Weak<dyn Delayed>) {
        let mut delays = lock(&self.delays);
        if delays.len() == delays.capacity() {
            delays.retain(|(_, delayed)| delayed.strong_count() > 0);
            // So that the next look is as far away as this one was dear.
            let room = delays.len().max(16);
            delays.reserve_exact(room);
        }
        delays.push((permit.share, delayed));
    }

    async fn queue(self: &Arc<Self>, share: usize, patience: Duration) -> Option<Permit> {
        let deadline = Instant::now() + patience;
        let (permit, mut given) = oneshot::channel();
        // Counted for as long as it waits, wherever it is left off.
        let waiting = Waiting::new(self);
        lock(&self.queue).push_back(Waiter { share, permit });
        // A permit may have come free before this waiter was queued.
        self.serve();
        loop {
            if self.held(share) < self.quarter() {
                self.give_one_up();
            }
            let look = deadline.min(Instant::now() + LOOK);
            match tokio::time::timeout_at(look, &mut given).await {
                Ok(permit) => return permit.ok(),
                Err(_) if look == deadline => break,
                Err(_) => {}
            }
        }
        drop(waiting);
        // It may have been given in this moment.
        given.close();
        given.try_recv().ok()
    }

    /// Hands free permits to waiters: first to those who hold less than a quarter.
    fn serve(self: &Arc<Self>) {
        let mut unheard = Vec::new();
        {
            let mut queue = lock(&self.queue);
            queue.retain(|waiter| !waiter.permit.is_closed());
            while !queue.is_empty() && self.try_take() {
                let modest = |waiter: &Waiter| self.held(waiter.share) < self.quarter();
                let next = queue.iter().position(modest).unwrap_or(0);
                let Some(Waiter { share, permit }) = queue.remove(next) else { break };
                unheard.extend(permit.send(self.permit(share)).err());
            }
        }
        // A waiter that left just now passes its permit on, outside the lock.
        drop(unheard);
    }

    /// Gives up the request that its client has kept waiting the longest; those of addresses that
    /// hold more than a quarter go first.
    fn give_one_up(&self) {
        let Some(before) = Instant::now().checked_sub(PATIENCE) else { return };
        let late = {
            let delays = lock(&self.delays);
            let late = delays.iter().filter_map(|(share, delayed)| {
                let delayed = delayed.upgrade()?;
                let since = delayed.since().filter(|since| *since <= before)?;
                Some((self.held(*share) <= self.quarter(), since, delayed))
            });
            late.min_by_key(|(is_modest, since, _)| (*is_modest, *since))
        };
        if let Some((_, _, delayed)) = late {
            delayed.give_up();
        }
    }

    fn try_take(&self) -> bool {
        let one_more = |taken: usize| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    fn permit(self: &Arc<Self>, share: usize) -> Permit {
        if let Some(count) = self.shares.get(share) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Permit { permits: Arc::clone(self), share }
    }

    fn quarter(&self) -> usize {
        (self.most / 4).max(1)
    }

    fn held(&self, share: usize) -> usize {
        let held = self.shares.get(share).map_or(0, |count| count.load(Ordering::Relaxed));
        usize::try_from(held).unwrap_or(usize::MAX)
    }

    fn share_of(&self, address: IpAddr) -> usize {
        let hash = self.hasher.hash_one(network(address));
        usize::try_from(hash).unwrap_or_default() & (SHARES - 1)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = &self.permits;
        if let Some(count) = permits.shares.get(self.share) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        permits.taken.fetch_sub(1, Ordering::SeqCst);
        if permits.waiting.load(Ordering::SeqCst) > 0 {
            permits.serve();
        }
    }
}

/// Counts a waiter.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(permits: &'a Permits) -> Self {
        permits.waiting.fetch_add(1, Ordering::SeqCst);
        Self(&permits.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// Each guards one list; no call under it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().ignore_poison()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, Weak};
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::{Delayed, PATIENCE, Permit, Permits};

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const LONG: Duration = Duration::from_secs(60);

    /// A request that holds a permit until it is given up.
    #[derive(Debug)]
    struct Held {
        since: Instant,
        permit: Mutex<Option<Permit>>,
        given_up: AtomicBool,
    }

    impl Delayed for Held {
        fn since(&self) -> Option<Instant> {
            self.permit.lock().unwrap().is_some().then_some(self.since)
        }

        fn give_up(&self) {
            self.given_up.store(true, Ordering::Relaxed);
            drop(self.permit.lock().unwrap().take());
        }
    }

    async fn all(permits: &Arc<Permits>, address: IpAddr, count: usize) -> Vec<Permit> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(permits.take(address, Duration::ZERO).await.unwrap());
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_may_have_all_places_while_nobody_waits() {
        let permits = Permits::new(8);

        let taken = all(&permits, ONE, 8).await;

        assert!(permits.take(OTHER, Duration::from_secs(1)).await.is_none());
        drop(taken);
        assert!(permits.take(OTHER, Duration::ZERO).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_less_than_a_quarter_goes_before_who_holds_more() {
        let permits = Permits::new(8);
        let mut taken = all(&permits, ONE, 8).await;
        let mut first = Box::pin(permits.take(ONE, LONG));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(permits.take(OTHER, LONG));
        assert!(second.as_mut().now_or_never().is_none());

        taken.pop();

        assert!(first.as_mut().now_or_never().is_none());
        let second = second.await.unwrap();
        taken.pop();
        assert!(first.await.is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_its_client_is_given_up_for_who_waits() {
        let permits = Permits::new(2);
        let busy = all(&permits, OTHER, 1).await;
        let permit = permits.take(ONE, Duration::ZERO).await.unwrap();
        let held = Arc::new(Held {
            since: Instant::now(),
            permit: Mutex::new(None),
            given_up: AtomicBool::new(false),
        });
        let delayed: Arc<dyn Delayed> = Arc::<Held>::clone(&held);
        permits.watch(&permit, Arc::downgrade(&delayed));
        *held.permit.lock().unwrap() = Some(permit);
        let third = IpAddr::from([192, 0, 2, 3]);

        let begun = Instant::now();
        let given = permits.take(third, LONG).await;

        assert!(given.is_some());
        assert!(held.given_up.load(Ordering::Relaxed));
        assert!(begun.elapsed() >= PATIENCE, "not before its time");
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_takes_no_place_along() {
        let permits = Permits::new(1);
        let taken = all(&permits, ONE, 1).await;
        let mut left = Box::pin(permits.take(OTHER, LONG));
        assert!(left.as_mut().now_or_never().is_none());

        drop(left);
        drop(taken);

        assert!(permits.take(ONE, Duration::ZERO).await.is_some());
        assert_eq!(permits.waiting.load(Ordering::SeqCst), 0);
        let gone: Weak<Held> = Weak::new();
        let permit = permits.take(ONE, Duration::ZERO).await.unwrap();
        for _ in 0..1000 {
            permits.watch(&permit, Weak::<Held>::clone(&gone));
        }
        assert!(permits.delays.lock().unwrap().len() <= 32, "what is over goes");
    }
}
