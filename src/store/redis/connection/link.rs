//! The connection to one server that all commands share, made anew whenever it is in doubt.
//!
//! Not redis-rs's connection manager: that hands a failed command's error on and reconnects behind
//! it, and knows nothing of a server that is stopped or unreachable without a word (redis-rs#392,
//! #1223, #1442). Here a connection that failed is dropped at once, and one that is silent past an
//! operation's deadline as well; the next command connects afresh, and those that wait share one
//! attempt. An attempt that failed is its answer to those that come in the pause after it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Shared;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::lock::IgnorePoison;
use crate::store::backoff::Backoff;
use crate::store::redis::connection::call::Call;
use crate::store::redis::connection::dialer::{Dial, Dialing};

type Attempt = Shared<Dialing>;

/// After a failed attempt, none is made for so long: doubled from the first to the last, about.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The shared connection to one server.
pub(in crate::store::redis) struct Link {
    dial: Arc<dyn Dial>,
    /// The runtime that connections are served on, whichever worker asks first: one that is busy
    /// would keep all others waiting.
    home: Handle,
    /// How long a connection may be silent while an answer is due.
    silence: Duration,
    /// Guards which attempt is current; held over no wait.
    slot: Mutex<Slot>,
}

struct Slot {
    /// Counts attempts, so that only the connection that failed is dropped.
    epoch: u64,
    /// What [`Dial::turn`] was.
    turn: u64,
    current: Option<Current>,
    failed: Option<Failed>,
}

struct Current {
    attempt: Attempt,
    begun: Instant,
    /// Questions without an answer.
    due: usize,
    /// Since when nothing was heard while an answer was due; `None` while none is.
    silent_since: Option<Instant>,
}

/// An attempt that failed, and how long its answer holds.
struct Failed {
    error: RedisError,
    at: Instant,
    pause: Duration,
    next_pause: Backoff,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the password.
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

/// A connection as one command borrows it.
struct Lease {
    connection: MultiplexedConnection,
    epoch: u64,
    /// It was made for an earlier command, and may have died unnoticed since.
    used: bool,
}

/// A question without an answer yet, or one that was given up.
struct Due<'a> {
    link: &'a Link,
    epoch: u64,
}

impl Link {
    /// Prepares to connect; nothing is sent yet.
    pub(in crate::store::redis) fn new(
        dial: Arc<dyn Dial>,
        home: Handle,
        silence: Duration,
    ) -> Self {
        let slot = Slot { epoch: 0, turn: dial.turn(), current: None, failed: None };
        Self { dial, home, silence, slot: Mutex::new(slot) }
    }

    /// Another connection to the same server.
    pub(in crate::store::redis) fn separate_connections(&self) -> Self {
        Self::new(Arc::clone(&self.dial), self.home.clone(), self.silence)
    }

    /// Makes a connection of its own for a caller that blocks on it.
    pub(in crate::store::redis) fn connect(&self) -> Dialing {
        let mut attempt = JoinSet::new();
        attempt.spawn_on(Arc::clone(&self.dial).dial(), &self.home);
        async move {
            match attempt.join_next().await {
                Some(Ok(connected)) => connected,
                _ => Err((ErrorKind::Io, "the attempt to connect ended").into()),
            }
        }
        .boxed()
    }

    /// Asks, and asks once more where a connection from before turns out to be dead, or its server
    /// to be no master any more.
    ///
    /// The second time is safe although the first may have happened: a step that is repeated leaves
    /// the same behind (the scripts say how), but for a number that nobody gets, and a guess at a
    /// code that counts twice.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        call: Call<'_>,
    ) -> Result<T, RedisError> {
        let lease = self.lease().await?;
        let used = lease.used;
        match self.ask_on(lease, call).await {
            Err(error) if (used && is_broken(&error)) || is_demoted(&error) => {
                self.ask_on(self.lease().await?, call).await
            }
            answer => answer,
        }
    }

    /// Lets go of a connection that an operation's deadline ran out on, if it was silent for long;
    /// whether it did.
    ///
    /// One that is slow stays, or slow answers would cost a new connection each. What others still
    /// await goes on, under their own deadlines.
    pub(in crate::store::redis) fn drop_if_silent(&self) -> bool {
        let mut slot = self.slot();
        let silent_since = slot.current.as_ref().and_then(|current| current.silent_since);
        let is_silent = silent_since.is_some_and(|since| since.elapsed() >= self.silence);
        if is_silent {
            slot.current = None;
        }
        is_silent
    }

    /// Connects anew for the next question, at once: where it led before may be another server by
    /// now, and one that was away is there. What is still awaited goes on.
    pub(in crate::store::redis) fn reconnect(&self) {
        let mut slot = self.slot();
        (slot.current, slot.failed) = (None, None);
    }

    async fn ask_on<T: FromRedisValue>(
        &self,
        mut lease: Lease,
        call: Call<'_>,
    ) -> Result<T, RedisError> {
        let due = Due::note(self, lease.epoch);
        let answer = call.ask(&mut lease.connection).await;
        match &answer {
            // Its name may lead to another server by now.
            Err(error) if is_broken(error) || is_demoted(error) => {
                self.drop_connection(lease.epoch);
            }
            _ => due.answered(),
        }
        answer
    }

    async fn lease(&self) -> Result<Lease, RedisError> {
        let (attempt, epoch, used) = self.current_attempt()?;
        match attempt.await {
            Ok(connection) => {
                if !used {
                    self.note_success(epoch);
                }
                Ok(Lease { connection, epoch, used })
            }
            Err(error) => {
                self.note_failure(epoch, &error);
                Err(error)
            }
        }
    }

    fn current_attempt(&self) -> Result<(Attempt, u64, bool), RedisError> {
        let turn = self.dial.turn();
        let mut slot = self.slot();
        if slot.turn != turn {
            *slot = Slot { epoch: slot.epoch, turn, current: None, failed: None };
        }
        if let Some(Current { attempt, begun, .. }) = &slot.current {
            let used = attempt.peek().is_some();
            // The end of an attempt that all who waited for it have left is not seen here.
            if used || begun.elapsed() < self.silence {
                return Ok((attempt.clone(), slot.epoch, used));
            }
        }
        if let Some(failed) = &slot.failed
            && failed.at.elapsed() < failed.pause
        {
            return Err(failed.error.clone());
        }
        let attempt = self.connect().shared();
        let begun = Instant::now();
        slot.epoch += 1;
        let current =
            Current { attempt: attempt.clone(), begun, due: 0, silent_since: Some(begun) };
        slot.current = Some(current);
        Ok((attempt, slot.epoch, false))
    }

    fn note_success(&self, epoch: u64) {
        let mut slot = self.slot();
        if slot.epoch == epoch {
            slot.failed = None;
            if let Some(current) = &mut slot.current
                && current.due == 0
            {
                current.silent_since = None;
            }
        }
    }

    fn note_failure(&self, epoch: u64, error: &RedisError) {
        let mut slot = self.slot();
        // All who waited for it come here: the first one notes it.
        if slot.epoch == epoch && slot.current.take().is_some() {
            let first = Backoff::between(FIRST_PAUSE, LAST_PAUSE);
            let mut next_pause = slot.failed.as_ref().map_or(first, |failed| failed.next_pause);
            let (error, pause) = (error.clone(), next_pause.take());
            slot.failed = Some(Failed { error, at: Instant::now(), pause, next_pause });
        }
    }

    fn drop_connection(&self, epoch: u64) {
        let mut slot = self.slot();
        if slot.epoch == epoch {
            slot.current = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().ignore_poison()
    }
}

impl<'a> Due<'a> {
    fn note(link: &'a Link, epoch: u64) -> Self {
        link.with_current(epoch, |current| {
            current.due += 1;
            current.silent_since.get_or_insert_with(Instant::now);
        });
        Self { link, epoch }
    }

    fn answered(self) {
        self.link.with_current(self.epoch, |current| {
            // This one is counted off as it is dropped.
            current.silent_since = (current.due > 1).then(Instant::now);
        });
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.link.with_current(self.epoch, |current| current.due = current.due.saturating_sub(1));
    }
}

impl Link {
    fn with_current(&self, epoch: u64, change: impl FnOnce(&mut Current)) {
        let mut slot = self.slot();
        if slot.epoch == epoch
            && let Some(current) = &mut slot.current
        {
            change(current);
        }
    }
}

/// Whether the connection is of no more use.
pub(in crate::store::redis) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

/// Whether the server says that it is not the one that takes writes, or not yet.
pub(in crate::store::redis) fn is_demoted(error: &RedisError) -> bool {
    let ErrorKind::Server(kind) = error.kind() else { return false };
    matches!(
        kind,
        ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;
    use redis::{ErrorKind, RedisError};
    use tokio::runtime::Handle;

    use super::Link;
    use crate::store::redis::connection::call::Call;
    use crate::store::redis::connection::dialer::{Dial, Dialing};

    /// Leads nowhere, and counts how often it was tried.
    #[derive(Default)]
    struct Nowhere(AtomicUsize);

    impl Dial for Nowhere {
        fn dial(self: Arc<Self>) -> Dialing {
            self.0.fetch_add(1, Ordering::AcqRel);
            async { Err(RedisError::from((ErrorKind::Io, "away"))) }.boxed()
        }
    }

    #[tokio::test]
    async fn a_failed_attempt_is_the_answer_of_a_pause_unless_the_server_is_known_to_be_back() {
        let dial = Arc::new(Nowhere::default());
        let link = Link::new(Arc::clone(&dial) as _, Handle::current(), Duration::from_secs(1));
        let ping = redis::cmd("PING");
        let tries = async || {
            link.ask::<()>(Call::command(&ping)).await.unwrap_err();
            dial.0.load(Ordering::Acquire)
        };
        // Pauses grow: after these, one is far longer than what follows takes.
        while tries().await < 6 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tries().await, 6, "within the pause");

        link.reconnect();

        assert_eq!(tries().await, 7);
        link.reconnect();
        assert_eq!(tries().await, 8);
    }
}
