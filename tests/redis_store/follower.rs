//! A follower of a store's revocations, and what it has heard.

use std::sync::Arc;

use munjigi::clock::{BootTime, Now};
use munjigi::operation::{Revocation, RevocationKey};
use munjigi::store::{FeedEvent, FeedInterruption, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::redis_server::IN_TIME;

/// A follower of a store; it stops when this is dropped.
pub(crate) struct Follower {
    pub(crate) events: mpsc::Receiver<FeedEvent>,
    task: JoinHandle<()>,
}

/// What came until a contact that was asked for after the wait began.
#[derive(Debug, Default)]
pub(crate) struct News {
    keys: Vec<RevocationKey>,
    pub(crate) interruptions: Vec<FeedInterruption>,
}

impl News {
    pub(crate) fn has(&self, revocation: &Revocation) -> bool {
        self.keys.contains(&revocation.revoked.key())
    }

    pub(crate) fn extend(&mut self, later: Self) {
        self.keys.extend(later.keys);
        self.interruptions.extend(later.interruptions);
    }

    pub(crate) fn was_interrupted(&self, is_it: impl Fn(&FeedInterruption) -> bool) -> bool {
        self.interruptions.iter().any(is_it)
    }
}

impl Follower {
    pub(crate) fn start(store: &Arc<dyn Store>) -> Self {
        let (sender, events) = mpsc::channel(4);
        let store = Arc::clone(store);
        Self { events, task: tokio::spawn(async move { store.follow(sender).await }) }
    }

    pub(crate) async fn next(&mut self) -> FeedEvent {
        let event = tokio::time::timeout(IN_TIME, self.events.recv()).await;
        event.expect("an event in time").expect("an open feed")
    }

    pub(crate) async fn news_asked_after(&mut self, instant: BootTime) -> News {
        let mut news = News::default();
        loop {
            match self.next().await {
                FeedEvent::Revoked(entries) => {
                    news.keys.extend(entries.iter().map(|entry| entry.key));
                }
                FeedEvent::Interrupted { cause } => news.interruptions.push(cause),
                // One of this very millisecond may have been asked for before.
                FeedEvent::Contact { asked_at } if asked_at > instant => return news,
                FeedEvent::Contact { .. } | FeedEvent::Attached { .. } => {}
            }
        }
    }

    pub(crate) async fn news(&mut self) -> News {
        self.news_asked_after(Now::read().boot).await
    }

    /// What comes until this revocation does, which may take several contacts.
    pub(crate) async fn news_of(&mut self, revocation: &Revocation) -> News {
        let mut news = News::default();
        while !news.has(revocation) {
            news.extend(self.news().await);
        }
        news
    }

    pub(crate) async fn interruption(&mut self) -> FeedInterruption {
        loop {
            if let FeedEvent::Interrupted { cause } = self.next().await {
                return cause;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
