//! A Redis that is full, read again from its own copy, or meddled with.

use crate::driver::{A, Fleet, Logout};
use crate::harness::eventually;
use crate::node::Terms;
use crate::redis::RedisServer;

/// What is done to Redis, how it is undone, and whether a log-out can be acknowledged in between.
const TAMPERING: [(&str, &str, bool); 4] = [
    ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", false),
    ("DEBUG RELOAD", "PING", true),
    (
        "RENAME munjigi:{rev}:seq munjigi:{rev}:away",
        "RENAME munjigi:{rev}:away munjigi:{rev}:seq",
        true,
    ),
    ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_keep_things_is_believed_nothing() {
    let redis = RedisServer::start_with("redis", &["--enable-debug-command", "local"]).await;
    let mut fleet = Fleet::start_on(redis, Terms::USUAL).await;
    let living = fleet.open(A, 3).await;
    let mut all = Vec::new();
    for (harm, mend, acknowledges) in TAMPERING {
        let mut sessions = fleet.open(A, 6).await;
        fleet.audit(&sessions).await;

        fleet.redis.ask::<redis::Value>(harm).await;
        let logouts = fleet.log_all_out(A, &mut sessions[..3]).await;
        if !acknowledges {
            assert_eq!(logouts, [Logout::Refused(503); 3], "{harm}");
        }
        for session in &sessions {
            fleet.using(A, session).await;
        }
        fleet.redis.ask::<redis::Value>(mend).await;

        fleet.audit(&sessions).await;
        for session in &mut sessions {
            fleet.log_out_at_last(A, session).await;
        }
        eventually("the other gateway knows", async || {
            let mut known = true;
            for session in &sessions {
                known &= fleet.using(1 - A, session).await == Some(401);
            }
            known.then_some(())
        })
        .await;
        all.extend(sessions);
    }
    fleet.audit(&living).await;
    fleet.audit(&all).await;
    fleet.judge();
}
