//! Reads, on a few threads: in WAL mode readers and the writer do not wait for each other.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::sqlite::database::{CheckedConnection, Database};
use crate::store::sqlite::workers;
use crate::store::sqlite::workers::{Jobs, Workers};

/// The threads that read.
pub(super) struct Readers(Workers<Query>);

type Query = Box<dyn FnOnce(&mut CheckedConnection) + Send>;

const THREADS: usize = 3;

impl Readers {
    pub(super) fn start(database: &Arc<Database>) -> Result<Self, StoreError> {
        let connections: Result<Vec<_>, _> =
            (0..THREADS).map(|_| CheckedConnection::open(database)).collect();
        Workers::start("store-reader", connections?, serve).map(Self)
    }

    /// Runs `query`, and waits for its outcome until `deadline`.
    pub(super) async fn ask<T, F>(&self, deadline: Duration, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.submit(Box::new(move |checked| {
            if !sender.is_closed() {
                let outcome = checked.connection().and_then(|connection| query(connection));
                // The caller may have given up meanwhile.
                drop(sender.send(outcome));
            }
        }))?;
        workers::answer(receiver, deadline).await
    }
}

fn serve(checked: &mut CheckedConnection, jobs: &Jobs<Query>) {
    while let Some(query) = jobs.next() {
        query(checked);
    }
}
