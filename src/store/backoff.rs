//! Back-off with jitter, so that gateways do not retry at the same instant.

use std::time::Duration;

use uuid::Uuid;

/// A back-off that doubles up to a longest pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next pause: between half of its nominal length and the whole.
    pub(crate) fn take(&mut self) -> Duration {
        let whole = self.next;
        self.next = (self.next * 2).min(self.longest);
        let [chance, ..] = Uuid::new_v4().into_bytes();
        whole / 2 + whole * u32::from(chance) / 512
    }

    /// Waits for the next pause.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.take()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn a_pause_grows_to_the_longest_and_is_never_twice_the_same_for_all() {
        let begin = || Backoff::between(Duration::from_millis(100), Duration::from_millis(300));
        let mut pause = begin();

        for longest in [100, 200, 300, 300] {
            let taken = pause.take();
            let bounds = Duration::from_millis(longest / 2)..=Duration::from_millis(longest);
            assert!(bounds.contains(&taken), "{taken:?} of {longest} ms");
        }

        let firsts: BTreeSet<_> = (0..100).map(|_| begin().take()).collect();
        assert!(firsts.len() > 10, "{firsts:?}");
    }
}
