//! Wakes the courier.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the courier as soon as a mail is queued; without it the mail waits for the next look.
///
/// It outlives reloads: what is queued by an older snapshot wakes the same courier.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Wakes the courier, now or when it is next about to wait.
    pub(super) fn give(&self) {
        self.0.notify_one();
    }

    /// Waits for a nudge; cancel-safe.
    pub(super) async fn given(&self) {
        self.0.notified().await;
    }
}
