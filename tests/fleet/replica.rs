//! A second Redis that follows the first one through a link, so that it can lag.

use crate::harness::eventually;
use crate::link::{Link, Mode};
use crate::redis::RedisServer;

/// A replica and its way to what it follows.
pub(crate) struct Replica {
    /// The server.
    pub server: RedisServer,
    lag: Link,
}

impl Replica {
    /// Starts a replica of a server, and waits until it has everything.
    pub(crate) async fn of(primary: &RedisServer) -> Self {
        let server = RedisServer::start_with("redis", &["--repl-diskless-sync-delay", "0"]).await;
        let replica = Self { server, lag: Link::to(primary.port(), 0).await };
        replica.follow(primary).await;
        replica
    }

    /// Waits until it has what a server has by now.
    pub(crate) async fn has_all_of(&self, primary: &RedisServer) {
        let reached = offset(primary, "master_repl_offset").await;
        eventually("the replica has everything", async || {
            (offset(&self.server, "slave_repl_offset").await >= reached).then_some(())
        })
        .await;
    }

    /// Nothing more reaches it from now on.
    pub(crate) fn fall_behind(&self) {
        self.lag.set(Mode::Blackhole);
    }

    /// It follows nobody any more, whatever it has.
    pub(crate) async fn promote(&self) {
        self.server.ask::<()>("REPLICAOF NO ONE").await;
    }

    /// It follows this one, and has everything of it.
    pub(crate) async fn follow(&self, primary: &RedisServer) {
        self.lag.swap(primary.port());
        self.lag.set(Mode::Pass);
        self.server.ask::<()>(&format!("REPLICAOF 127.0.0.1 {}", self.lag.port())).await;
        eventually("the replica follows", async || {
            let role: String = self.server.ask("INFO replication").await;
            role.contains("master_link_status:up").then_some(())
        })
        .await;
    }
}

async fn offset(server: &RedisServer, name: &str) -> u64 {
    let told: String = server.ask("INFO replication").await;
    let mut lines = told.lines().filter_map(|line| line.split_once(':'));
    let (_, offset) = lines.find(|(field, _)| *field == name).expect("an offset");
    offset.trim().parse().expect("a number")
}
