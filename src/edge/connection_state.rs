//! The state of a connection, and its deadlines.
//!
//! hyper's own `header_read_timeout` would end idle connections with it, costs a timer a request,
//! and HTTP/2 has none; so one clock of our own watches a connection, whatever its protocol.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use metrics::Gauge;
use tokio::time::Instant;

use crate::config::LimitsConfig;
use crate::drain::Guard;
use crate::edge::unsent::Unsent;
use crate::edge::workers::Place;
use crate::lock::IgnorePoison;
use crate::message::answer_end::AnswerEnd;
use crate::message::deadlines::BodyDeadlines;
use crate::revocation::EndFlag;
use crate::telemetry::metric;

/// The state of one connection, shared by its socket, its requests and its clock.
#[derive(Debug)]
pub(super) struct ConnectionState {
    start: Instant,
    /// When the connection's task began its turn, in milliseconds since the start: what happens in
    /// one turn happens then, and the clock is read once for it.
    turn: AtomicU64,
    head: Duration,
    idle: Duration,
    stall: Duration,
    /// The slowest that an answer may be taken.
    pace: BodyDeadlines,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    /// When the head began that is being read; [`NEVER`] while there is none.
    head_since: AtomicU64,
    /// Bytes of answers that hyper holds.
    pub(super) unsent: Unsent,
    /// Whether the socket takes no more for now.
    is_blocked: AtomicBool,
    end: OnceLock<AnswerEnd>,
    abrupt: AtomicBool,
    /// Whether somebody waits until what was written is flushed.
    flush_awaited: AtomicBool,
    flush_waiter: AtomicWaker,
    fragment: AtomicBool,
    /// Whether there is an `end_flag`; spares its lock.
    has_end_flag: AtomicBool,
    /// Whether the answer under way must end (HTTP/1.1, where there is one at a time).
    end_flag: Mutex<Option<EndFlag>>,
    open: Gauge,
    _place: Place,
    guard: Guard,
}

/// The decision about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before this instant.
    Wait(Instant),
    /// It idles: close it gracefully.
    Idle,
    /// It is too slow with a head or an answer: cut it off.
    Cut,
}

/// The kind of bytes, by the time they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A head begins.
    Head,
    /// A head goes on; the first of a connection is waited for from its start.
    MoreOfHead,
    /// A body, or a head that is read later.
    Other,
}

/// A client's progress in taking what it is sent; kept by the caller of the verdict.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// `None` while nothing is unsent.
    pace: Option<BodyDeadlines>,
    written: u64,
}

const NEVER: u64 = u64::MAX;

/// The longest that a connection that idled may take to end.
const CLOSING: Duration = Duration::from_secs(5);

impl ConnectionState {
    /// Begins, the head of the first request being waited for.
    pub(super) fn new(limits: &LimitsConfig, place: Place, guard: Guard) -> Self {
        let open = metrics::gauge!(metric::CONNECTIONS);
        open.increment(1.0);
        Self {
            start: Instant::now(),
            turn: AtomicU64::new(0),
            head: limits.header_timeout,
            idle: limits.keep_alive,
            stall: limits.body_idle_timeout,
            pace: BodyDeadlines::of_answers(limits),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            unsent: Unsent::new(usize::try_from(limits.buffers.0).unwrap_or(usize::MAX)),
            is_blocked: AtomicBool::new(false),
            end: OnceLock::new(),
            abrupt: AtomicBool::new(false),
            flush_awaited: AtomicBool::new(false),
            flush_waiter: AtomicWaker::new(),
            fragment: AtomicBool::new(false),
            has_end_flag: AtomicBool::new(false),
            end_flag: Mutex::new(None),
            open,
            _place: place,
            guard,
        }
    }

    /// The stop signal.
    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Notes that the handshake is over: the head of a request is waited for from now on.
    pub(super) fn handshaken(&self) {
        self.head_since.store(self.millis(Instant::now()), Ordering::Relaxed);
    }

    /// Notes that the connection's task begins a turn.
    pub(super) fn begin_turn(&self, now: Instant) {
        self.turn.store(self.millis(now), Ordering::Relaxed);
    }

    /// Notes that bytes came in this turn; says what they can be.
    pub(super) fn heard(&self) -> Heard {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Heard::Other;
        }
        if self.head_since.load(Ordering::Relaxed) != NEVER {
            return Heard::MoreOfHead;
        }
        self.head_since.store(self.turn.load(Ordering::Relaxed), Ordering::Relaxed);
        Heard::Head
    }

    /// Notes that what came was no head (HTTP/2 after its preface).
    pub(super) fn not_a_head(&self) {
        self.head_since.store(NEVER, Ordering::Relaxed);
    }

    /// Notes that a request line has a fragment.
    pub(super) fn saw_fragment(&self) {
        self.fragment.store(true, Ordering::Relaxed);
    }

    /// Says whether the request that begins has a fragment.
    pub(super) fn take_fragment(&self) -> bool {
        self.fragment.swap(false, Ordering::Relaxed)
    }

    /// Notes that a request began.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(NEVER, Ordering::Relaxed);
    }

    /// Notes that a request is over, in this turn or `elsewhere`, in another task.
    pub(super) fn over(&self, elsewhere: bool) {
        let now =
            if elsewhere { self.millis(Instant::now()) } else { self.turn.load(Ordering::Relaxed) };
        self.idle_since.store(now, Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes whether the socket takes more.
    pub(super) fn blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Says why what is under way ends with the connection; what was said first stays.
    pub(super) fn end_for(&self, end: AnswerEnd) {
        self.end.get_or_init(|| end);
    }

    /// The end of the answers under way, unless the client left.
    pub(super) fn end(&self) -> Option<AnswerEnd> {
        self.end.get().copied()
    }

    /// Cuts the connection when the answer under way must end, though its client takes nothing.
    pub(super) fn attach_end_flag(&self, end_flag: EndFlag) {
        *self.end_flag() = Some(end_flag);
        self.has_end_flag.store(true, Ordering::Relaxed);
    }

    /// Notes that the answer is over.
    pub(super) fn detach_end_flag(&self) {
        if self.has_end_flag.load(Ordering::Relaxed) {
            self.has_end_flag.store(false, Ordering::Relaxed);
            *self.end_flag() = None;
        }
    }

    /// Says whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    /// Ends without waiting for the client to close: there is nothing it could miss.
    pub(super) fn end_abruptly(&self) {
        self.abrupt.store(true, Ordering::Relaxed);
    }

    /// Says whether the end need not linger.
    pub(super) fn ends_abruptly(&self) -> bool {
        self.abrupt.load(Ordering::Relaxed)
    }

    /// Notes that somebody waits for the next flush.
    pub(super) fn await_flush(&self) {
        self.flush_awaited.store(true, Ordering::Relaxed);
    }

    /// Waits for a flush after [`Self::await_flush`]. Where several answers wait, one may miss it.
    pub(super) fn poll_flushed(&self, context: &Context<'_>) -> Poll<()> {
        self.flush_waiter.register(context.waker());
        if self.flush_awaited.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Notes that all that was written is on its way.
    pub(super) fn flushed(&self) {
        if self.flush_awaited.load(Ordering::Relaxed) {
            self.flush_awaited.store(false, Ordering::Relaxed);
            self.flush_waiter.wake();
        }
    }

    /// Time for an idle connection to end.
    pub(super) fn closing(&self) -> Duration {
        CLOSING.min(self.idle)
    }

    /// Longest time without progress of a write.
    pub(super) const fn stall(&self) -> Duration {
        self.stall
    }

    /// Decides, at an instant.
    pub(super) fn verdict(&self, now: Instant, progress: &mut Progress) -> Verdict {
        let in_flight = self.in_flight.load(Ordering::Relaxed) > 0;
        if in_flight && self.must_end() {
            return Verdict::Cut;
        }
        if !self.unsent.is_none() {
            return self.pace(now, progress);
        }
        progress.pace = None;
        if in_flight || self.is_blocked.load(Ordering::Relaxed) {
            // The last request may end without the connection being woken.
            return Verdict::Wait(now + self.stall.min(self.idle));
        }
        if self.head_since.load(Ordering::Relaxed) != NEVER {
            let until = self.instant(&self.head_since) + self.head;
            return if until <= now { Verdict::Cut } else { Verdict::Wait(until) };
        }
        let until = self.instant(&self.idle_since) + self.idle;
        if until <= now { Verdict::Idle } else { Verdict::Wait(until) }
    }

    /// Judges a client by what it takes of what it is sent: the rule for uploads, turned round.
    fn pace(&self, now: Instant, progress: &mut Progress) -> Verdict {
        let written = self.unsent.written();
        let pace = progress.pace.get_or_insert_with(|| {
            progress.written = written;
            self.pace.clone()
        });
        if written != progress.written {
            pace.received(written - progress.written, now);
            progress.written = written;
        }
        match pace.waiting(now) {
            Ok(until) => Verdict::Wait(until),
            Err(_) => {
                self.end_for(AnswerEnd::TooSlow);
                Verdict::Cut
            }
        }
    }

    fn must_end(&self) -> bool {
        self.has_end_flag.load(Ordering::Relaxed)
            && self.end_flag().as_ref().is_some_and(EndFlag::is_set)
    }

    // The lock guards one field, and is held over no call that can panic.
    fn end_flag(&self) -> MutexGuard<'_, Option<EndFlag>> {
        self.end_flag.lock().ignore_poison()
    }

    fn instant(&self, millis: &AtomicU64) -> Instant {
        self.start + Duration::from_millis(millis.load(Ordering::Relaxed))
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(NEVER - 1)
    }
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::{ConnectionState, Heard, Progress, Verdict};
    use crate::config::LimitsConfig;
    use crate::drain::Drain;
    use crate::edge::workers::Place;
    use crate::message::answer_end::AnswerEnd;

    fn state() -> ConnectionState {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let place = Place::new(permit, &Arc::default());
        ConnectionState::new(&LimitsConfig::default(), place, Drain::new().guard())
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_connection_that_sends_nothing_is_cut_after_the_header_timeout() {
        let state = state();

        assert!(matches!(state.verdict(after(9), &mut Progress::default()), Verdict::Wait(_)));
        assert_eq!(state.verdict(after(11), &mut Progress::default()), Verdict::Cut);
    }

    #[test]
    fn an_answered_connection_may_idle_for_keep_alive() {
        let state = state();
        state.begin();
        state.over(false);

        assert!(matches!(state.verdict(after(74), &mut Progress::default()), Verdict::Wait(_)));
        assert_eq!(state.verdict(after(76), &mut Progress::default()), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_idles_from_the_end_of_its_request_on() {
        for elsewhere in [false, true] {
            let state = state();
            state.begin();
            tokio::time::advance(Duration::from_secs(100)).await;
            if !elsewhere {
                state.begin_turn(Instant::now());
            }
            state.over(elsewhere);

            let verdict = state.verdict(after(74), &mut Progress::default());
            assert!(matches!(verdict, Verdict::Wait(_)), "{elsewhere}");
        }
    }

    #[test]
    fn a_second_head_has_the_header_timeout_again() {
        let state = state();
        state.begin();
        state.over(false);
        assert_eq!(state.heard(), Heard::Head);
        assert_eq!(state.heard(), Heard::MoreOfHead);

        assert_eq!(state.verdict(after(11), &mut Progress::default()), Verdict::Cut);
    }

    #[test]
    fn a_request_under_way_is_not_cut() {
        let state = state();
        state.begin();
        assert_eq!(state.heard(), Heard::Other);

        assert!(matches!(state.verdict(after(3600), &mut Progress::default()), Verdict::Wait(_)));
    }

    #[test]
    fn a_connection_is_looked_at_again_in_time_for_keep_alive() {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let place = Place::new(permit, &Arc::default());
        let limits = LimitsConfig { keep_alive: Duration::from_secs(1), ..LimitsConfig::default() };
        let state = ConnectionState::new(&limits, place, Drain::new().guard());
        state.begin();
        let now = Instant::now();

        assert_eq!(
            state.verdict(now, &mut Progress::default()),
            Verdict::Wait(now + Duration::from_secs(1))
        );
    }

    #[test]
    fn an_answer_that_nobody_takes_is_cut_after_the_body_idle_timeout() {
        let state = state();
        state.begin();
        state.unsent.handed(10);
        // All of it was handed over, and nothing has reached the socket.
        state.over(false);
        let mut progress = Progress::default();

        assert!(matches!(state.verdict(after(0), &mut progress), Verdict::Wait(_)));
        assert!(matches!(state.verdict(after(29), &mut progress), Verdict::Wait(_)));
        assert_eq!(state.verdict(after(31), &mut progress), Verdict::Cut);
        assert_eq!(state.end(), Some(AnswerEnd::TooSlow));
    }

    #[test]
    fn a_client_that_takes_little_but_steadily_is_not_cut_and_does_not_idle() {
        let state = state();
        state.begin();
        state.unsent.handed(100 * 8192);
        state.over(false);
        let mut progress = Progress::default();

        for step in 0..99 {
            let verdict = state.verdict(after(step * 25), &mut progress);
            assert!(matches!(verdict, Verdict::Wait(_)), "{step}: {verdict:?}");
            state.unsent.wrote(8192);
        }
    }
}
