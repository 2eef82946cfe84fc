//! Gateways and Redis killed, wiped and failed over while sessions are logged out: what was
//! acknowledged stays so.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join;

use crate::driver::{A, B, Fleet, Numbers, Session};
use crate::link::Mode;
use crate::node::Terms;
use crate::replica::Replica;

/// How many sessions are tried to be renewed.
const RENEWED: usize = 16;

/// What happens while sessions are logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The gateway is killed.
    Gateway,
    /// Redis is killed, which keeps nothing.
    Redis,
    /// Both, while the other gateway hears nothing of it all.
    BothInSilence,
    /// Redis is wiped.
    Wipe,
    /// Redis is killed, and a replica that lags takes its place.
    FailOver,
}

/// Within which the fault falls after the acknowledgement that it waits for.
const MOMENT: Duration = Duration::from_millis(5);

/// The longest that it waits for one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Within which a Redis that was killed comes back, or another takes its place.
const OUTAGE: Duration = Duration::from_millis(2500);

/// How many sessions are used all the while.
const USED: usize = 8;

/// Logs sessions out while a fault happens, most of them at the gateway that it befalls, and uses
/// earlier ones; then uses all everywhere, and logs out what was not acknowledged.
pub(crate) async fn round(
    fleet: &mut Fleet,
    (at, count): (usize, usize),
    fault: Fault,
    replica: Option<&mut Replica>,
    earlier: &[Session],
) -> Vec<Session> {
    let other = A + B - at;
    let mut sessions = fleet.open(other, count).await;
    let acknowledged = fleet.random.below(u64::try_from(count).unwrap_or(0));
    let moment = fleet.random.duration(MOMENT);
    if fault == Fault::BothInSilence {
        fleet.cut(other, Mode::Blackhole);
    }
    if let Some(replica) = &replica
        && fault == Fault::FailOver
    {
        replica.fall_behind();
    }
    let begun = crate::history::now();
    let takes_redis = matches!(fault, Fault::Redis | Fault::FailOver);
    let outage = if takes_redis { fleet.random.duration(OUTAGE) } else { Duration::ZERO };
    {
        let fleet = &*fleet;
        let strike = async {
            drop(tokio::time::timeout(PATIENCE, fleet.acknowledges(acknowledged)).await);
            tokio::time::sleep(moment).await;
            match fault {
                Fault::Gateway => fleet.nodes[at].signal("KILL").await,
                Fault::Redis | Fault::FailOver => fleet.kill_redis().await,
                Fault::BothInSilence => {
                    fleet.kill_redis().await;
                    fleet.nodes[at].signal("KILL").await;
                }
                Fault::Wipe => fleet.redis.ask::<()>("FLUSHALL").await,
            }
        };
        let elsewhere = if fault == Fault::BothInSilence { 0 } else { count / 4 };
        let (there, here) = sessions.split_at_mut(elsewhere);
        let log_outs = join(fleet.log_all_out(at, here), fleet.log_all_out(other, there));
        let work = async {
            join(log_outs, strike).await;
            tokio::time::sleep(outage).await;
        };
        tokio::select! {
            () = work => {}
            never = used_for_ever(fleet, earlier) => match never {},
        }
    }
    match fault {
        Fault::Gateway => {
            fleet.kill(at).await;
            fleet.nodes[at].start().await;
        }
        Fault::Redis => fleet.start_redis().await,
        Fault::BothInSilence => {
            fleet.kill(at).await;
            fleet.start_redis().await;
            fleet.nodes[at].start().await;
            fleet.heal(other);
        }
        Fault::Wipe => fleet.lost(begun, "wiped"),
        Fault::FailOver => {
            let replica = replica.expect("a replica");
            replica.promote().await;
            fleet.lead_to(&mut replica.server, begun).await;
            replica.follow(&fleet.redis).await;
        }
    }
    fleet.audit(&sessions).await;
    for session in &mut sessions {
        fleet.log_out_at_last(at, session).await;
    }
    renewed_by_nobody(fleet, &sessions).await;
    sessions
}

/// Tries to renew some sessions that have ended, at both gateways.
pub(crate) async fn renewed_by_nobody(fleet: &Fleet, sessions: &[Session]) {
    let numbers = Numbers::default();
    for session in sessions.iter().filter(|session| session.is_out).take(RENEWED) {
        for node in [A, B] {
            drop(fleet.refresh(node, session, &numbers).await);
        }
    }
}

/// Uses the newest of these at both gateways, over and over.
async fn used_for_ever(fleet: &Fleet, sessions: &[Session]) -> Infallible {
    loop {
        for session in sessions.iter().rev().take(USED) {
            join(fleet.using(A, session), fleet.using(B, session)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A fleet through faults, one after the other; everything is used once more at the end.
async fn through(faults: &[Fault], count: usize) {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut replica = match faults.contains(&Fault::FailOver) {
        true => Some(Replica::of(&fleet.redis).await),
        false => None,
    };
    let living = fleet.open(A, 3).await;
    let mut all = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let at = [A, B][number % 2];
        let more = round(&mut fleet, (at, count), *fault, replica.as_mut(), &all).await;
        all.extend(more);
    }
    fleet.audit(&living).await;
    fleet.audit(&all).await;
    let verdict = fleet.judge();
    let acknowledged = verdict.events("revocations acknowledged");
    assert!(acknowledged > 0, "nothing was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateways_forget_no_acknowledged_log_out() {
    through(&[Fault::Gateway; 6], 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_or_wiped_revives_nothing() {
    through(&[Fault::Redis, Fault::Wipe, Fault::BothInSilence], 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_to_a_replica_that_lags_revives_nothing() {
    through(&[Fault::FailOver; 2], 30).await;
}
