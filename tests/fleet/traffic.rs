//! What clients do all the time: sessions that are opened, renewed, used and logged out by chance.

use futures_util::future::{join, join_all, join3};

use crate::driver::{A, B, Fleet, Numbers, Session};
use crate::random::Random;

/// Sessions of a round.
const OPENED: usize = 4;

/// How many of the newest are used in every round.
const USED: usize = 12;

/// Goes on for some rounds, at both gateways by turns and at once; gives what was opened. Whatever is
/// answered goes into the history.
pub(crate) async fn traffic(fleet: &mut Fleet, rounds: usize) -> Vec<Session> {
    let mut random = Random::new(fleet.random.next());
    let fleet = &*fleet;
    let (mut all, numbers) = (Vec::new(), Numbers::default());
    for _ in 0..rounds {
        let mut at = || [A, B][usize::from(random.below(2) == 1)];
        let (opens, renews, ends) = (at(), at(), at());
        let mut sessions = fleet.open(opens, OPENED).await;
        // One is renewed while it is logged out, one that stays.
        let renewed = [sessions[0].clone(), sessions[OPENED - 1].clone()];
        let renewed = renewed.iter().map(|session| fleet.refresh(renews, session, &numbers));
        let renewed = join_all(renewed);
        let logouts = fleet.log_all_out(ends, &mut sessions[..OPENED / 2]);
        let (renewed, _, ()) = join3(renewed, logouts, used(fleet, &all)).await;
        all.extend(sessions);
        all.extend(renewed.into_iter().flatten());
        used(fleet, &all).await;
    }
    all
}

/// Uses the newest of these at both gateways at once.
async fn used(fleet: &Fleet, sessions: &[Session]) {
    let newest = sessions.iter().rev().take(USED);
    let uses = newest.map(|session| join(fleet.using(A, session), fleet.using(B, session)));
    join_all(uses).await;
}

/// Uses everything until it is decided, after whatever made answers fail; then ends and uses it once
/// more.
pub(crate) async fn audit_and_end(fleet: &Fleet, sessions: &mut [Session]) {
    fleet.audit(sessions).await;
    for (turn, session) in sessions.iter_mut().enumerate() {
        fleet.log_out_at_last([A, B][turn % 2], session).await;
    }
    fleet.audit(sessions).await;
}
