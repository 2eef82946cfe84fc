//! Reads, on a few threads beside the writer: in WAL mode neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::sqlite::database::{Database, Link};
use crate::store::sqlite::workers;
use crate::store::sqlite::workers::{Jobs, Workers};

/// The threads that read.
pub(super) struct Readers(Workers<Query>);

type Query = Box<dyn FnOnce(&mut Link) + Send>;

const THREADS: usize = 3;

impl Readers {
    pub(super) fn start(database: &Arc<Database>) -> Result<Self, StoreError> {
        let links: Result<Vec<_>, _> = (0..THREADS).map(|_| Link::open(database)).collect();
        Workers::start("store-reader", links?, serve).map(Self)
    }

    /// Runs `query`, and waits for its outcome until `deadline`.
    pub(super) async fn ask<T, F>(&self, deadline: Duration, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.submit(Box::new(move |link| {
            if !sender.is_closed() {
                let outcome = link.connection().and_then(|connection| query(connection));
                // The asker may have given up meanwhile.
                drop(sender.send(outcome));
            }
        }))?;
        workers::answer(receiver, deadline).await
    }
}

fn serve(link: &mut Link, jobs: &Jobs<Query>) {
    while let Some(query) = jobs.next() {
        query(link);
    }
}
