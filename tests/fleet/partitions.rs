//! Gateways that hear nothing of the store, or hear it late: they acknowledge nothing that is not
//! stored, and stop deciding in time.

use std::time::Duration;

use tokio::time::Instant;

use crate::driver::{A, B, Fleet, Logout, Numbers, Session};
use crate::harness::eventually;
use crate::link::Mode;
use crate::node::Terms;
use crate::traffic::{audit_and_end, traffic};

/// A short bound, so that little is waited for.
pub(crate) const HASTY: Terms =
    Terms { max_staleness: Duration::from_millis(1500), ..Terms::USUAL };

/// Deadlines that a slow store keeps: only the age of its news says that they are old.
pub(crate) const PATIENT: Terms = Terms { timeout: Duration::from_secs(10), ..Terms::USUAL };

/// One gateway is cut off while sessions are logged out at the other; then it comes back.
pub(crate) async fn cut_off(fleet: &Fleet, node: usize, mode: Mode) {
    let other = A + B - node;
    let living = fleet.open(other, 1).await.remove(0);
    let [here, there] = [fleet.open(other, 5).await, fleet.open(other, 10).await];
    let (mut here, mut there) = (here, there);
    fleet.audit(&there).await;

    fleet.cut(node, mode);

    for session in &mut here {
        let logout = fleet.log_out(node, session).await;
        assert!(matches!(logout, Logout::Refused(503)), "{mode:?}: {logout:?}");
    }
    for logout in fleet.log_all_out(other, &mut there).await {
        assert_eq!(logout, Logout::Acknowledged, "{mode:?}");
    }
    eventually("the gateway stops deciding", async || {
        for session in &there {
            fleet.using(node, session).await;
        }
        (fleet.using(node, &living).await == Some(503)).then_some(())
    })
    .await;
    let refreshed = fleet.refresh(node, &living, &Numbers::default()).await;
    assert_eq!(refreshed.err(), Some(Some(503)), "{mode:?}: an outage is no invalid token");
    fleet.heal(node);
    assert_eq!(fleet.decided(node, &living).await, 204, "{mode:?}");
    fleet.audit(&there).await;
    fleet.audit(&here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_stops_deciding_and_acknowledges_nothing() {
    let mut fleet = Fleet::start(HASTY).await;
    for (node, mode) in [
        (B, Mode::Blackhole),
        (A, Mode::Half { after: 0 }),
        (B, Mode::Refuse),
        (A, Mode::CutAfter { bytes: 3 }),
    ] {
        cut_off(&fleet, node, mode).await;
    }
    fleet.judge();
}

/// Uses sessions at a gateway, over and over, for so long.
pub(crate) async fn used_for(fleet: &Fleet, node: usize, sessions: &[Session], time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for session in sessions {
            fleet.using(node, session).await;
        }
    }
}

/// Sessions are logged out at A some time after B has begun to hear late, or slowly, of anything, and
/// used at B for so long.
pub(crate) async fn late(fleet: &Fleet, mode: Mode, after: Duration, used: Duration) {
    let mut sessions = fleet.open(A, 10).await;
    fleet.audit(&sessions).await;

    fleet.nodes[B].link.set(mode);
    tokio::time::sleep(after).await;
    for logout in fleet.log_all_out(A, &mut sessions).await {
        assert_eq!(logout, Logout::Acknowledged, "{mode:?}");
    }
    used_for(fleet, B, &sessions, used).await;

    fleet.nodes[B].link.set(Mode::Pass);
    fleet.audit(&sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_come_late_count_from_when_they_were_asked_for() {
    let mut fleet = Fleet::start(PATIENT).await;
    late(&fleet, Mode::Drip { bytes: 2000 }, Duration::ZERO, Duration::from_secs(1)).await;
    // A heartbeat that was answered before the log-outs arrives when it is older than the bound,
    // and before they do.
    let by = PATIENT.max_staleness + Duration::from_secs(1);
    late(&fleet, Mode::Late { by }, Duration::from_millis(1200), by).await;
    fleet.judge();
}

/// A gateway is stopped while its heartbeat is on the way; sessions are logged out meanwhile.
pub(crate) async fn stopped(fleet: &Fleet, node: usize) {
    let other = A + B - node;
    let mut sessions = fleet.open(other, 10).await;
    fleet.audit(&sessions).await;

    fleet.cut(node, Mode::Blackhole);
    tokio::time::sleep(Duration::from_millis(100)).await;
    fleet.nodes[node].signal("STOP").await;
    for logout in fleet.log_all_out(other, &mut sessions).await {
        assert_eq!(logout, Logout::Acknowledged);
    }
    tokio::time::sleep(fleet.terms.max_staleness).await;
    fleet.heal(node);
    fleet.nodes[node].signal("CONT").await;
    fleet.audit(&sessions).await;
}

/// Redis is stopped: nothing is acknowledged, and soon nothing decided.
pub(crate) async fn paused(fleet: &Fleet) {
    let mut sessions = fleet.open(A, 6).await;
    fleet.audit(&sessions).await;
    fleet.pause_redis();
    for logout in fleet.log_all_out(A, &mut sessions[..2]).await {
        assert_eq!(logout, Logout::Refused(503));
    }
    used_for(fleet, B, &sessions, fleet.terms.max_staleness).await;
    for node in [A, B] {
        assert_eq!(fleet.using(node, &sessions[5]).await, Some(503));
    }
    fleet.resume_redis();
    fleet.audit(&sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_or_redis_that_was_stopped_and_woken_trusts_nothing_old() {
    let mut fleet = Fleet::start(HASTY).await;
    stopped(&fleet, B).await;
    paused(&fleet).await;
    fleet.judge();
}

/// Both gateways lose this share of what they send and are sent, of a hundred, until TCP sends it
/// again.
pub(crate) async fn lossy(fleet: &mut Fleet, percent: u8, rounds: usize) {
    for node in [A, B] {
        fleet.nodes[node].link.set(Mode::Lossy { percent });
    }
    let mut all = traffic(fleet, rounds).await;
    for node in [A, B] {
        fleet.nodes[node].link.set(Mode::Pass);
    }
    audit_and_end(fleet, &mut all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_packets_makes_answers_late_and_not_wrong() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    lossy(&mut fleet, 8, 4).await;
    let verdict = fleet.judge();
    assert!(verdict.events("uses accepted") > 0, "{verdict}");
}

/// The log loses entries that gateway B, which lags, has not read.
pub(crate) async fn trimmed(fleet: &Fleet) {
    let mut sessions = fleet.open(A, 12).await;
    fleet.audit(&sessions).await;
    let by = Duration::from_millis(300);
    fleet.nodes[B].link.set(Mode::Delay { by, jitter: Duration::ZERO });

    // The first is on its way to B; when B asks for more the next ones are gone from the log.
    fleet.log_all_out(A, &mut sessions[..1]).await;
    fleet.log_all_out(A, &mut sessions[1..11]).await;
    fleet.redis.ask::<()>("XTRIM munjigi:{rev}:log MAXLEN 0").await;
    fleet.log_all_out(A, &mut sessions[11..]).await;
    used_for(fleet, B, &sessions, fleet.terms.max_staleness).await;

    fleet.nodes[B].link.set(Mode::Pass);
    fleet.audit(&sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_while_a_gateway_lagged_is_noticed() {
    let mut fleet = Fleet::start(PATIENT).await;
    trimmed(&fleet).await;
    fleet.judge();
}
