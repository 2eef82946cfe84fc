//! A gateway that gets little more memory than it has: a storm of logins finds its bounds, and stops
//! nobody who is there.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::net::TcpStream;

use crate::driver::{A, Fleet, Logout};
use crate::harness::{Client, request};
use crate::journals::limit;
use crate::node::Terms;

/// Hashes of the size that is the default; how fresh the list is under them is another question.
const COSTLY: Terms =
    Terms { hash_memory: "19MiB", max_staleness: Duration::from_secs(10), ..Terms::USUAL };

/// Connections that log in, over and over, and those on which nothing ever comes.
const STORMING: usize = 100;
const SILENT: usize = 200;

/// Logins of each.
const TRIES: usize = 1;

/// How much more memory the gateway gets: a multiple of what two hashes at once and the arenas of
/// its threads take, half of what a hash for each connection would.
const ROOM: u64 = 1 << 30;

/// What a gateway's process has of its address space, in bytes.
fn size(fleet: &Fleet, field: &str) -> u64 {
    let status = format!("/proc/{}/status", fleet.nodes[A].process().pid());
    let status = std::fs::read_to_string(status).expect("a running gateway");
    let mut lines = status.lines();
    let size = lines.find_map(|line| line.strip_prefix(field)).expect("a size");
    let kib: u64 = size.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number");
    kib * 1024
}

/// Opens connections on which nothing ever comes.
async fn connect_and_say_nothing(address: SocketAddr) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let connect = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address));
        if let Ok(Ok(stream)) = connect.await {
            silent.push(stream);
        }
    }
    silent
}

/// Tries to log in with a wrong password, over and over; gives the statuses.
async fn storm(mut client: Client, account: usize) -> Vec<u16> {
    let email = format!("u0-{}@example.com", account % 4);
    let body = json!({ "email": email, "password": "wrong horse 1" }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..TRIES {
        let login = request("POST", "/auth/login").json(&body).build();
        statuses.extend(client.try_send(login).await.map(|reply| reply.status.as_u16()));
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_logins_keeps_within_a_ceiling_of_memory_and_stops_nobody() {
    let mut fleet = Fleet::start(COSTLY).await;
    let mut sessions = fleet.open(A, 4).await;
    fleet.audit(&sessions).await;
    let clients: Vec<_> =
        stream::iter(0..STORMING).then(async |_| fleet.nodes[A].connect().await).collect().await;
    let quiet = size(&fleet, "VmSize");
    limit(&fleet, A, "as", &(quiet + ROOM).to_string()).await;

    let silent = connect_and_say_nothing(fleet.nodes[A].process().address);
    let logins = join_all(clients.into_iter().enumerate().map(|(n, client)| storm(client, n)));
    let uses = async {
        for _ in 0..20 {
            for session in &sessions {
                assert_eq!(fleet.using(A, session).await, Some(204), "others go on");
            }
        }
    };
    let (statuses, (), silent) = join3(logins, uses, silent).await;

    let most = size(&fleet, "VmPeak");
    eprintln!("{} MiB, at most {} MiB more", quiet >> 20, most.saturating_sub(quiet) >> 20);
    let statuses = statuses.concat();
    let refused = statuses.iter().filter(|status| [401, 429, 503].contains(*status)).count();
    assert_eq!(refused, STORMING * TRIES, "{statuses:?}");
    assert!(silent.len() > SILENT / 2, "only {} connections", silent.len());
    assert_eq!(fleet.log_out(A, &mut sessions[0]).await, Logout::Acknowledged);
    fleet.audit(&sessions).await;
    fleet.judge();
}
