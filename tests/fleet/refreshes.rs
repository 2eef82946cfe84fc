//! Refreshes at two gateways at once, cut short, and beside log-outs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::driver::{A, B, Fleet, Logout, Numbers, Session};
use crate::harness::eventually;
use crate::link::Mode;
use crate::node::Terms;

/// Presents one refresh token many times, at both gateways at once; gives the one that lives on.
pub(crate) async fn at_once(fleet: &Fleet, session: &Session, count: usize) -> Session {
    let numbers = Numbers::default();
    let refreshes = (0..count).map(|turn| fleet.refresh([A, B][turn % 2], session, &numbers));
    let mut renewed: Vec<_> = join_all(refreshes).await.into_iter().flatten().collect();
    assert_eq!(renewed.len(), count, "some were not served");
    let successors: BTreeSet<_> = renewed.iter().map(|session| session.refresh.0).collect();
    assert_eq!(successors.len(), 1, "one token, one successor");
    renewed.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_at_once_at_two_gateways_give_one_successor() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut session = fleet.open(A, 1).await.remove(0);
    for _ in 0..4 {
        session = at_once(&fleet, &session, 50).await;
        for node in [A, B] {
            assert_eq!(fleet.decided(node, &session).await, 204);
        }
    }
    fleet.judge();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_was_lost_is_answered_alike_once_more() {
    let timeout = Duration::from_millis(250);
    let mut fleet = Fleet::start(Terms { timeout, ..Terms::USUAL }).await;
    let numbers = Numbers::default();
    let mut session = fleet.open(A, 1).await.remove(0);
    let mut written = 0;
    // A refresh asks the store a few questions; a late one writes.
    for after in 0.. {
        let stored = kept(&fleet).await;
        fleet.nodes[A].link.set(Mode::Half { after });
        let cut = fleet.refresh(A, &session, &numbers).await;
        let is_written = kept(&fleet).await != stored;
        fleet.nodes[A].link.set(Mode::Pass);
        let Err(status) = cut else { break };
        assert_eq!(status, Some(503), "after {after} answers");
        written += usize::from(is_written);

        let first = served(&fleet, A, &session, &numbers).await;
        let second = served(&fleet, B, &session, &numbers).await;
        assert_eq!(first.refresh, second.refresh, "after {after} answers: one successor");
        session = served(&fleet, B, &first, &numbers).await;
        for session in [&first, &second, &session] {
            assert_eq!(fleet.decided(A, session).await, 204, "after {after} answers");
        }
    }
    assert!(written > 0, "no refresh was written and its answer lost");
    fleet.judge();
}

/// Refreshes until the store is within reach.
async fn served(fleet: &Fleet, node: usize, session: &Session, numbers: &Numbers) -> Session {
    eventually("a refresh", async || fleet.refresh(node, session, numbers).await.ok()).await
}

/// What Redis holds of sessions.
async fn kept(fleet: &Fleet) -> Vec<String> {
    let mut kept = Vec::new();
    for key in fleet.redis.ask::<Vec<String>>("KEYS munjigi:{u:*}:sessions").await {
        kept.extend(fleet.redis.ask::<Vec<String>>(&format!("HVALS {key}")).await);
    }
    kept
}

/// Logs a session out at one gateway while it is refreshed at both; afterwards nothing that came of
/// it works anywhere.
pub(crate) async fn beside_a_log_out(fleet: &Fleet, at: usize) {
    let numbers = Numbers::default();
    let mut session = fleet.open(at, 1).await.remove(0);
    let known = session.clone();
    let refreshes = (0..6).map(|turn| fleet.refresh([A, B][turn % 2], &known, &numbers));
    let (logout, renewed) = join(fleet.log_out(at, &mut session), join_all(refreshes)).await;
    assert_eq!(logout, Logout::Acknowledged);
    let renewed: Vec<_> = renewed.into_iter().flatten().collect();
    for session in renewed.iter().chain([&known]) {
        for node in [A, B] {
            let refused = fleet.refresh(node, session, &numbers).await;
            assert!(refused.is_err(), "the session was renewed after its log-out");
            eventually("the token is refused", async || {
                (fleet.using(node, session).await == Some(401)).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_beats_refreshes_beside_it() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    for round in 0..10 {
        beside_a_log_out(&fleet, [A, B][round % 2]).await;
    }
    fleet.judge();
}
