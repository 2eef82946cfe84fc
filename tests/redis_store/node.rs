//! A node: a store with a file of its own, and a list that follows it.

use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::Now;
use munjigi::drain::Drain;
use munjigi::journal::{Journal, JournaledStore, OnDamage};
use munjigi::operation::Revocation;
use munjigi::revocation::{Freshness, RevocationList};
use munjigi::store::{RedisOptions, RedisStore, Revocations, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::fixture::{eventually, now, of_token};
use crate::redis_server::RedisServer;
use crate::server::PATIENT;

/// How long a session of a node lives at most.
pub(crate) const LONGEST_SESSION: Duration = Duration::from_hours(24);

/// A node that follows its store.
pub(crate) struct Node {
    pub(crate) store: Arc<JournaledStore>,
    pub(crate) list: Arc<RevocationList>,
    tasks: Vec<JoinHandle<()>>,
    drain: Drain,
}

impl Node {
    /// On one server, with patience.
    pub(crate) async fn on(server: &RedisServer, folder: &tempfile::TempDir) -> Self {
        Self::start(server.options(PATIENT), folder).await
    }

    pub(crate) async fn start(options: RedisOptions, folder: &tempfile::TempDir) -> Self {
        Self::try_start(options, folder).await.expect("a node")
    }

    pub(crate) async fn try_start(
        options: RedisOptions,
        folder: &tempfile::TempDir,
    ) -> Result<Self, StoreError> {
        let list = Arc::new(RevocationList::new(1_000_000));
        let path = folder.path().join("munjigi.journal");
        let journal =
            Journal::open(&path, &options.prefix, OnDamage::Refuse, &list).expect("a journal");
        let redis = RedisStore::prepare(&options).expect("an address");
        let store = JournaledStore::open(redis, journal, Arc::clone(&list), LONGEST_SESSION);
        let store = Arc::new(store.await?);
        let mut node = Self { store, list, tasks: Vec::new(), drain: Drain::new() };
        node.follow();
        Ok(node)
    }

    /// Follows the store from the beginning, by new connections.
    pub(crate) async fn follow_anew(&mut self) {
        self.stop_following().await;
        self.follow();
    }

    /// Ends as a process that is killed does: nothing more is written.
    pub(crate) async fn end(mut self) {
        self.stop_following().await;
        self.store.close().await;
    }

    pub(crate) async fn revoke(&self, name: &str) -> Revocation {
        let revocation = of_token(name);
        self.store.revoke(std::slice::from_ref(&revocation)).await.expect("a revocation");
        revocation
    }

    pub(crate) fn refuses(&self, revocation: &Revocation) -> bool {
        self.list.holds(&revocation.revoked.key(), now())
    }

    /// Waits for a contact that was asked for after this call.
    pub(crate) async fn contact(&self) {
        let asked = Now::read().boot;
        holds(async || {
            let age = Now::read().boot.since(asked);
            self.list.freshness(Now::read().boot, age.saturating_sub(Duration::from_millis(1)))
                == Freshness::Fresh
                && age > Duration::from_millis(1)
        })
        .await;
    }

    pub(crate) fn follow(&mut self) {
        let (events, feed) = mpsc::channel(64);
        self.tasks = vec![
            tokio::spawn({
                let store = Arc::clone(&self.store);
                async move { store.follow(events).await }
            }),
            tokio::spawn({
                let (list, guard) = (Arc::clone(&self.list), self.drain.guard());
                async move { list.run(feed, guard).await }
            }),
        ];
    }

    pub(crate) async fn stop_following(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
    }
}

pub(crate) async fn holds(mut condition: impl AsyncFnMut() -> bool) {
    eventually(
        async || {
            if condition().await { Ok(()) } else { Err(StoreError::TimedOut(Duration::ZERO)) }
        },
    )
    .await;
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Whether a server itself holds it.
pub(crate) async fn stands(server: &RedisServer, revocation: &Revocation) -> bool {
    let plain = server.store(PATIENT).await;
    plain.find_revocation(revocation.revoked.key(), now()).await.expect("an answer").is_some()
}
