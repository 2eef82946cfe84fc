//! Whether writes succeed: how the latest one ended, and when it is time to try one.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::lock::IgnorePoison;
use crate::store::StoreError;
use crate::telemetry::causes;

/// How the writes to one database go.
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
    /// The failure stands in the log.
    is_told: bool,
    tried_at: Option<Instant>,
}

/// What is known without a write.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Writes succeed.
    Sound,
    /// They fail, and it was tried just now.
    Failing(Arc<StoreError>),
    /// It is time for a write that tells.
    ToBeTried,
}

/// Between two writes that are made only to see whether they succeed.
const TRY_EVERY: Duration = Duration::from_secs(1);

impl Health {
    /// Of a database that nothing was written to yet.
    pub(super) fn new(store: String) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Takes in how a write ended; the first that fails and the first that succeeds again are told.
    pub(super) fn note(&self, ended: Result<(), &Arc<StoreError>>) {
        let mut state = self.state();
        match ended {
            Ok(()) => {
                let was_told = std::mem::take(&mut state.is_told);
                (state.is_proven, state.failure) = (true, None);
                if was_told {
                    tracing::info!(store = self.store, "the store takes writes again");
                }
            }
            Err(error) => {
                (state.is_proven, state.failure) = (false, Some(Arc::clone(error)));
                if !std::mem::replace(&mut state.is_told, true) {
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

    /// Takes in that a write was not done in time: a slow one, or one that nothing comes after.
    pub(super) fn doubt(&self, error: StoreError) {
        let mut state = self.state();
        state.is_proven = false;
        state.failure.get_or_insert_with(|| Arc::new(error));
    }

    /// What is known at `now`; whoever is to try is the only one for a while.
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
        health.doubt(StoreError::Taken);
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
        health.doubt(StoreError::Taken);
        assert!(matches!(at(6001), Verdict::Failing(_)), "it was tried at 6000");
        assert!(matches!(at(7000), Verdict::ToBeTried));
    }
}
