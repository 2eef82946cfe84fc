//! Writes, on one thread that commits what waits together.
//!
//! A commit waits for the disk, whatever it holds: operations that arrive during one share the
//! next. Each runs in a savepoint, so that one that fails undoes nothing of the others.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::sqlite::database::Database;
use crate::store::sqlite::database::Link;
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::workers;
use crate::store::sqlite::workers::Jobs;
use crate::store::sqlite::workers::Workers;

/// The thread that writes.
pub(super) struct Writer(Workers<Box<dyn Operation>>);

/// How many operations share a commit at most: other processes wait for the lock meanwhile.
const BATCH: usize = 64;

impl Writer {
    pub(super) fn start(database: &Arc<Database>) -> Result<Self, StoreError> {
        Workers::start("store-writer", vec![Link::open(database)?], serve).map(Self)
    }

    /// Runs `operation`; the answer means that it is committed.
    ///
    /// An operation whose deadline passes before its turn is not done; one whose deadline passes
    /// later may be.
    pub(super) async fn ask<T, F>(&self, deadline: Duration, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        self.0.submit(Box::new(Asked { operation: Some(operation), outcome: None, answer }))?;
        workers::answer(receiver, deadline).await
    }
}

/// An operation that waits, or runs in an open transaction.
trait Operation: Send {
    /// Does it; says whether what it did may stay.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells the asker, once it is known whether the transaction was committed.
    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>);
}

struct Asked<T, F> {
    operation: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Asked<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        if !self.answer.is_closed() {
            self.outcome = self.operation.take().map(|operation| operation(connection));
        }
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>) {
        let outcome = match (committed, self.outcome) {
            // What it found wrong it found inside the transaction: that holds either way.
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(Fault::Ended.into()),
            (Err(error), _) => Err(Fault::Commit(Arc::clone(error)).into()),
        };
        // The asker may have given up meanwhile.
        drop(self.answer.send(outcome));
    }
}

fn serve(link: &mut Link, jobs: &Jobs<Box<dyn Operation>>) {
    while let Some(first) = jobs.next() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Some(another) = jobs.waiting()
        {
            batch.push(another);
        }
        let committed = commit(link, &mut batch).map_err(Arc::new);
        for operation in batch {
            operation.answer(committed.as_ref().copied());
        }
    }
}

fn commit(link: &mut Link, batch: &mut [Box<dyn Operation>]) -> Result<(), StoreError> {
    let transaction =
        link.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // One alone needs no savepoint. SQLite keeps every page that changes within one, and walks
    // that whole list at the end of each statement: thousands of revocations would take minutes.
    if let [alone] = batch {
        if run(&mut **alone, &transaction)? {
            transaction.commit()?;
        } else {
            transaction.rollback()?;
        }
    } else {
        for operation in batch {
            transaction.execute_batch("SAVEPOINT operation")?;
            transaction.execute_batch(if run(&mut **operation, &transaction)? {
                "RELEASE operation"
            } else {
                "ROLLBACK TO operation; RELEASE operation"
            })?;
        }
        transaction.commit()?;
    }
    link.connection()?;
    Ok(())
}

/// Does an operation; says whether what it did may stay.
fn run(operation: &mut dyn Operation, transaction: &Connection) -> Result<bool, StoreError> {
    let stays = operation.run(transaction);
    // A full disk, for one, rolls the whole transaction back: the rest must not go on without.
    if transaction.is_autocommit() { Err(Fault::RolledBack.into()) } else { Ok(stays) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::Asked;
    use super::Operation;
    use super::commit;
    use crate::store::StoreError;
    use crate::store::sqlite::database::Database;
    use crate::store::sqlite::database::Link;

    type Receiver = oneshot::Receiver<Result<i64, StoreError>>;

    fn insert(issuer: &'static str, fails: bool) -> (Box<dyn Operation>, Receiver) {
        let (answer, receiver) = oneshot::channel();
        let operation = move |connection: &rusqlite::Connection| {
            connection.execute("INSERT INTO sites VALUES (?1, 1)", [issuer])?;
            if fails { Err(StoreError::Taken) } else { Ok(1) }
        };
        (Box::new(Asked { operation: Some(operation), outcome: None, answer }), receiver)
    }

    fn link() -> Link {
        let database = Arc::new(Database::in_memory(Duration::from_secs(5)));
        Link::open(&database).unwrap()
    }

    fn issuers(link: &mut Link) -> Vec<String> {
        let connection = link.connection().unwrap();
        let mut select = connection.prepare("SELECT issuer FROM sites ORDER BY issuer").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_operation_that_fails_undoes_nothing_of_its_batch() {
        let mut link = link();
        let (first, _first) = insert("a", false);
        let (second, mut refused) = insert("b", true);
        let (third, _third) = insert("c", false);
        let mut batch = [first, second, third];

        commit(&mut link, &mut batch).unwrap();
        for operation in batch {
            operation.answer(Ok(()));
        }

        assert_eq!(issuers(&mut link), ["a", "c"]);
        assert!(matches!(refused.try_recv(), Ok(Err(StoreError::Taken))));
    }

    #[test]
    fn an_operation_that_fails_alone_leaves_nothing() {
        let mut link = link();
        let (alone, mut refused) = insert("a", true);
        let mut batch = [alone];

        commit(&mut link, &mut batch).unwrap();
        for operation in batch {
            operation.answer(Ok(()));
        }

        assert!(issuers(&mut link).is_empty());
        assert!(matches!(refused.try_recv(), Ok(Err(StoreError::Taken))));
    }

    #[test]
    fn an_operation_whose_asker_is_gone_is_not_done() {
        let mut link = link();
        let (abandoned, receiver) = insert("a", false);
        let (waited_for, _receiver) = insert("b", false);
        drop(receiver);

        commit(&mut link, &mut [abandoned, waited_for]).unwrap();

        assert_eq!(issuers(&mut link), ["b"]);
    }

    #[test]
    fn a_failed_commit_is_told_to_every_asker() {
        let error = Arc::new(StoreError::Taken);
        let (mut operation, mut receiver) = insert("a", false);
        operation.run(link().connection().unwrap());

        operation.answer(Err(&error));

        assert!(matches!(receiver.try_recv(), Ok(Err(StoreError::Unavailable(_)))));
    }
}
