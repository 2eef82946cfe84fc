//! Waits on conditions, never for a time.

use std::time::Duration;

/// The longest that any condition is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; fails the test past the deadline.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let attempt = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, attempt)
        .await
        .unwrap_or_else(|_| panic!("within {DEADLINE:?} it never came true: {what}"))
}
