//! What gateways ask of Redis while they only verify.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::driver::{A, B, Fleet};
use crate::node::Terms;

/// Long enough for what comes every few seconds to come as often in each.
const SPAN: Duration = Duration::from_secs(5);

/// Commands served so far, by name; those of replication and of this question left out.
async fn served(fleet: &Fleet) -> BTreeMap<String, i64> {
    let stats: String = fleet.redis.ask("INFO commandstats").await;
    let lines = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    let counts = lines.filter_map(|line| {
        let (name, rest) = line.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    });
    counts.filter(|(name, _)| name != "info" && !name.starts_with("client")).collect()
}

/// Commands of one span.
async fn during(fleet: &Fleet, work: impl Future<Output = ()>) -> (i64, BTreeMap<String, i64>) {
    let before = served(fleet).await;
    tokio::join!(tokio::time::sleep(SPAN), work);
    let mut after = served(fleet).await;
    for (name, count) in &mut after {
        *count -= before.get(name).copied().unwrap_or(0);
    }
    (after.values().sum(), after)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_verified_requests_ask_redis_nothing() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let sessions = fleet.open(A, 10).await;
    fleet.audit(&sessions).await;

    let (idle, of_idle) = during(&fleet, async {}).await;
    let verify = async {
        let uses = (0..500).map(|turn| fleet.using([A, B][turn % 2], &sessions[turn % 10]));
        let statuses: Vec<_> = stream::iter(uses).buffer_unordered(8).collect().await;
        assert!(statuses.iter().all(|status| *status == Some(204)), "{statuses:?}");
    };
    let (busy, of_busy) = during(&fleet, verify).await;

    eprintln!("idle {idle} {of_idle:?}, busy {busy} {of_busy:?}");
    assert!(idle >= 2 * 4, "two gateways beat once a second: {of_idle:?}");
    assert!(busy <= idle + 5, "idle {idle}: {of_idle:?}, busy {busy}: {of_busy:?}");
    fleet.judge();
}
