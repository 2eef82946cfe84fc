//! The shared connection to one server, which is replaced when it may be broken.
//!
//! redis-rs's connection manager returns a failed command's error and reconnects behind it, and
//! does not detect a server that is stopped or unreachable (redis-rs#392, #1223, #1442). Here a
//! connection that failed is dropped at once, and one that is silent past an operation's deadline
//! as well; the next command connects again, and concurrent ones share the attempt. The error of a
//! failed attempt is returned to commands within the pause after it.

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

/// Back-off after a failed attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The shared connection to one server.
pub(in crate::store::redis) struct Link {
    dial: Arc<dyn Dial>,
    /// The runtime that connections are served on, whichever worker asks first: one that is busy
    /// would keep all others waiting.
    home: Handle,
    /// The longest that a connection may be silent while a reply is due.
    silence: Duration,
    /// Guards the current attempt; held over no wait.
    slot: Mutex<Slot>,
}

struct Slot {
    /// Counts attempts, so that only the failed connection is dropped.
    epoch: u64,
    /// [`Dial::turn`] at the current attempt.
    turn: u64,
    current: Option<Current>,
    failed: Option<Failed>,
}

struct Current {
    attempt: Attempt,
    begun: Instant,
    /// Calls without a reply.
    due: usize,
    /// The begin of silence while a reply is due; `None` while none is.
    silent_since: Option<Instant>,
}

/// A failed attempt, and the pause after it.
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

/// The connection of one call.
struct Lease {
    connection: MultiplexedConnection,
    epoch: u64,
    /// It was made for an earlier call, and may be dead.
    used: bool,
}

/// A call without a reply; dropped, it was answered or given up.
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

    /// Makes a separate connection, for a caller that blocks on it.
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

    /// Sends a call, and once more where the connection is dead, or its server no longer the
    /// master.
    ///
    /// The second time is safe although the first may have happened: a repeated step has the same
    /// effect (the scripts say how), except for an unused account number, and a guess at a code
    /// that counts twice.
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

    /// Drops a connection after a deadline, if it was silent for long; returns whether it did.
    ///
    /// A slow one stays, or each slow reply would cost a new connection. Other calls on it go on,
    /// under their own deadlines.
    pub(in crate::store::redis) fn drop_if_silent(&self) -> bool {
        let mut slot = self.slot();
        let silent_since = slot.current.as_ref().and_then(|current| current.silent_since);
        let is_silent = silent_since.is_some_and(|since| since.elapsed() >= self.silence);
        if is_silent {
            slot.current = None;
        }
        is_silent
    }

    /// Connects again for the next call, without a pause: the address may lead to another server by
    /// now, or a server may be back. Calls under way go on.
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
            // Its address may lead to another server by now.
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
        // All callers of the attempt come here: the first one notes it.
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

/// Whether the connection is unusable.
pub(in crate::store::redis) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

/// Whether the server does not take writes, or not yet.
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
