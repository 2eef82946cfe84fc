//! A gateway that has no descriptors left.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::driver::{A, Fleet, Logout};
use crate::journals::limit;
use crate::node::Terms;
use crate::partitions::used_for;

/// Connections that fill the process.
const MANY: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_descriptors_stop_nobody_who_is_there() {
    let mut fleet = Fleet::start(Terms::USUAL).await;
    let mut sessions = fleet.open(A, 10).await;
    fleet.audit(&sessions).await;
    limit(&fleet, A, "nofile", "128").await;
    let address = fleet.nodes[A].process().address;
    let mut idle = Vec::new();
    for _ in 0..MANY {
        let connect = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address));
        if let Ok(Ok(stream)) = connect.await {
            idle.push(stream);
        }
    }
    assert!(idle.len() > 128, "only {} connections", idle.len());

    for session in &sessions {
        assert_eq!(fleet.using(A, session).await, Some(204));
    }
    assert_eq!(fleet.log_out(A, &mut sessions[0]).await, Logout::Acknowledged);
    // A feed that is cut now has to find a descriptor to connect with.
    fleet.nodes[A].link.swap(fleet.redis.port());
    used_for(&fleet, A, &sessions, fleet.terms.max_staleness).await;

    drop(idle);
    fleet.audit(&sessions).await;
    assert_eq!(fleet.log_out(A, &mut sessions[1]).await, Logout::Acknowledged);
    fleet.audit(&sessions).await;
    fleet.judge();
}
