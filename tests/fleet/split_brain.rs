//! Two masters at once: a replica was promoted while its master lives on, and each gateway is on a
//! side of its own. What both sides acknowledged holds everywhere once they are joined.

use futures_util::future::join;

use crate::driver::{A, B, Fleet, Logout, Numbers, Session};
use crate::history::{What, now};
use crate::kills::renewed_by_nobody;
use crate::node::Terms;
use crate::partitions::used_for;
use crate::replica::Replica;

/// What becomes of the gateway on the side that loses its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loser {
    /// It runs all the while.
    Lives,
    /// It is killed before the sides are joined, and started after that: its file alone knows.
    IsKilled,
}

/// Sessions are logged out on both sides of a split, which lasts for longer than a gateway may go
/// without news; then the old master becomes a replica of the new one, and has lost its own.
pub(crate) async fn split(
    fleet: &mut Fleet,
    replica: &mut Replica,
    count: usize,
    loser: Loser,
) -> Vec<Session> {
    let mut of_a = fleet.open(A, count).await;
    let mut of_b = fleet.open(B, count).await;
    let mut of_both = fleet.open(A, count).await;
    let renewed = fleet.open(A, 1).await.remove(0);
    fleet.audit(&of_both).await;

    replica.has_all_of(&fleet.redis).await;
    let parted = part(fleet, replica).await;

    let [more_of_a, more_of_b] = [fleet.open(A, count).await, fleet.open(B, count).await];
    of_a.extend(more_of_a);
    of_b.extend(more_of_b);
    let mut again = of_both.clone();
    for (node, sessions) in [(A, &mut of_a), (B, &mut of_b), (A, &mut of_both), (B, &mut again)] {
        for logout in fleet.log_all_out(node, sessions).await {
            assert_eq!(logout, Logout::Acknowledged, "each side is whole");
        }
    }
    let branches = both_renew(fleet, renewed).await;
    let used = fleet.terms.max_staleness;
    join(used_for(fleet, A, &of_a, used), used_for(fleet, B, &of_b, used)).await;
    // Nobody on the other side can know, and it does not go stale.
    assert_eq!(fleet.decided(B, &of_a[0]).await, 204, "the sides are parted");
    if loser == Loser::IsKilled {
        fleet.kill(A).await;
    }

    join_again(fleet, replica, parted, loser).await;

    let mut all = [of_a, of_b, of_both, branches].concat();
    fleet.audit(&all).await;
    for session in &mut all {
        fleet.log_out_at_last(A, session).await;
    }
    fleet.audit(&all).await;
    renewed_by_nobody(fleet, &all).await;
    all
}

/// Each side renews the same session: what comes of it is logged out afterwards.
async fn both_renew(fleet: &Fleet, session: Session) -> Vec<Session> {
    let numbers = Numbers::default();
    let mut branches = vec![session];
    for node in [A, B] {
        branches.extend(fleet.refresh(node, &branches[0], &numbers).await);
    }
    assert_eq!(branches.len(), 3, "each side renews what it does not know to be renewed");
    branches
}

/// From now on the second gateway is on what was the replica; says since when.
async fn part(fleet: &Fleet, replica: &Replica) -> u64 {
    let begun = now();
    fleet.history.add("", 0, begun, What::Parted);
    replica.fall_behind();
    replica.promote().await;
    fleet.nodes[B].link.swap(replica.server.port());
    // A new session there: it has met the new master.
    fleet.open(B, 1).await;
    begun
}

/// The old master follows the new one, and the first gateway is led there as well.
async fn join_again(fleet: &mut Fleet, replica: &mut Replica, parted: u64, loser: Loser) {
    std::mem::swap(&mut fleet.redis, &mut replica.server);
    replica.follow(&fleet.redis).await;
    fleet.nodes[A].link.swap(fleet.redis.port());
    if loser == Loser::IsKilled {
        fleet.nodes[A].start().await;
    }
    fleet.lost(parted, "parted");
    fleet.history.add("", 0, now(), What::Joined);
}

/// A fleet parted and joined.
async fn parted(loser: Loser) {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut replica = Replica::of(&fleet.redis).await;
    let living = fleet.open(A, 3).await;
    split(&mut fleet, &mut replica, 5, loser).await;
    fleet.audit(&living).await;
    fleet.judge();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_either_side_of_a_split_acknowledged_holds_on_both_afterwards() {
    join(parted(Loser::Lives), parted(Loser::IsKilled)).await;
}
