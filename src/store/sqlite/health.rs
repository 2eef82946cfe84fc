//! The health of writes: the outcome of the latest one, and the time to try another.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::lock::IgnorePoison;
use crate::store::StoreError;
use crate::telemetry::causes;

/// The health of writes to one database.
#[derive(Debug)]
pub(super) struct Health {
    store: String,
    /// Held over no wait.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A write has succeeded, and none has failed since.
    is_proven: bool,
    failure: Option<Arc<StoreError>>,
    /// The failure was logged.
    is_logged: bool,
    tried_at: Option<Instant>,
}

/// The verdict without a write.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Writes succeed.
    Sound,
    /// Writes fail, as one tried just now.
    Failing(Arc<StoreError>),
    /// It is time to try a write.
    ToBeTried,
}

/// Pause between two writes that only probe.
const TRY_EVERY: Duration = Duration::from_secs(1);

impl Health {
    /// The health of a database that nothing was written to yet.
    pub(super) fn new(store: String) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Notes the outcome of a write; logs the first failure and the first success after it.
    pub(super) fn note(&self, ended: Result<(), &Arc<StoreError>>) {
        let mut state = self.state();
        match ended {
            Ok(()) => {
                let was_logged = std::mem::take(&mut state.is_logged);
                (state.is_proven, state.failure) = (true, None);
                if was_logged {
                    tracing::info!(store = self.store, "the store takes writes again");
                }
            }
            Err(error) => {
                (state.is_proven, state.failure) = (false, Some(Arc::clone(error)));
                if !std::mem::replace(&mut state.is_logged, true) {
                    let error = causes(error.as_ref());
                    tracing::error!(
                        store = self.store,
                        error,
                        "the store takes no writes: log-ins, log-outs and changes are 503"
                    );
                }
            }
        }
    }

    /// Notes that a write was not done in time: it may be slow, or the disk may hang.
    pub(super) fn suspect(&self, error: StoreError) {
        let mut state = self.state();
        state.is_proven = false;
        state.failure.get_or_insert_with(|| Arc::new(error));
    }

    /// The verdict at `now`; only one caller at a time is to try.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let mut state = self.state();
        let was_tried = |at: Instant| now.saturating_duration_since(at) < TRY_EVERY;
        if state.is_proven {
            Verdict::Sound
        } else if !state.tried_at.is_some_and(was_tried) {
            state.tried_at = Some(now);
            Verdict::ToBeTried
        } else {
            state.failure.clone().map_or(Verdict::Sound, Verdict::Failing)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().ignore_poison()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Health, Verdict};
    use crate::store::StoreError;

    #[test]
    fn a_failure_stands_until_a_write_succeeds_and_is_tried_once_a_second() {
        let health = Health::new(String::new());
        let began = Instant::now();
        let at = |millis| health.verdict(began + Duration::from_millis(millis));

        assert!(matches!(at(0), Verdict::ToBeTried), "nothing was written yet");
        assert!(matches!(at(0), Verdict::Sound), "and nothing has failed");
        health.note(Ok(()));
        assert!(matches!(at(5000), Verdict::Sound));
        health.note(Err(&Arc::new(StoreError::Full)));
        health.suspect(StoreError::Taken);
        assert!(matches!(at(5000), Verdict::ToBeTried));
        for now in [5000, 5999] {
            let verdict = at(now);
            assert!(
                matches!(&verdict, Verdict::Failing(error) if matches!(**error, StoreError::Full)),
                "{now}: {verdict:?}"
            );
        }
        assert!(matches!(at(6000), Verdict::ToBeTried));
        health.note(Ok(()));
        assert!(matches!(at(6000), Verdict::Sound));
        health.suspect(StoreError::Taken);
        assert!(matches!(at(6001), Verdict::Failing(_)), "it was tried at 6000");
        assert!(matches!(at(7000), Verdict::ToBeTried));
    }
}
