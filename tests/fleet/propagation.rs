//! How long things take: until a log-out is known at the other gateway, and verified requests.

use std::time::Duration;

use crate::driver::{A, B, Fleet, Session};
use crate::history::now;
use crate::node::Terms;

/// Times of one series, sorted.
pub(crate) struct Delays(Vec<Duration>);

impl Delays {
    /// Logs so many sessions out, one after the other and by turns, and asks the other gateway
    /// until it refuses. Counted from the acknowledgement to the end of the first refusal.
    pub(crate) async fn measure(fleet: &Fleet, count: usize) -> Self {
        let mut sessions = fleet.open(A, count).await;
        let mut delays = Vec::with_capacity(count);
        for (turn, session) in sessions.iter_mut().enumerate() {
            let (here, there) = if turn % 2 == 0 { (A, B) } else { (B, A) };
            fleet.log_out_at_last(here, session).await;
            let acknowledged = now();
            while fleet.using(there, session).await != Some(401) {}
            delays.push(Duration::from_micros(now() - acknowledged));
        }
        delays.sort();
        Self(delays)
    }

    /// Uses a session so many times, one after the other; each has to be served.
    pub(crate) async fn of_uses(fleet: &Fleet, session: &Session, count: usize) -> Self {
        let mut delays = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = now();
            assert_eq!(fleet.using(A, session).await, Some(204));
            delays.push(Duration::from_micros(now() - begun));
        }
        delays.sort();
        Self(delays)
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The delay that so many of a thousand do not pass.
    pub(crate) fn per_mille(&self, share: usize) -> Duration {
        self.0[(self.0.len() * share / 1000).min(self.0.len() - 1)]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_is_known_at_the_other_gateway_soon() {
    let mut fleet = Fleet::start(Terms::USUAL).await;

    let delays = Delays::measure(&fleet, 50).await;

    // A busy machine is no measure of milliseconds; `tests/soak` has one.
    let [middle, most] = [500, 1000].map(|share| delays.per_mille(share));
    eprintln!("known elsewhere after {middle:?}, at most {most:?}");
    assert!(middle < Duration::from_millis(250), "{middle:?}");
    fleet.judge();
}
