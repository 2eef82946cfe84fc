//! Writes, on one thread with group commit.
//!
//! A commit waits for the disk, whatever its size: operations that arrive during one share the
//! next. Each runs in a savepoint, so that one that fails undoes nothing of the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::sqlite::database::{CheckedConnection, Database};
use crate::store::sqlite::fault::SqliteFault;
use crate::store::sqlite::health::{Health, Verdict};
use crate::store::sqlite::workers::{Jobs, Workers};
use crate::store::sqlite::{database, fault, workers};

/// The thread that writes.
pub(super) struct Writer {
    workers: Workers<Box<dyn Operation>>,
    health: Arc<Health>,
}

/// The effect of an operation, or the greatest one in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// It failed.
    Undone,
    /// It changed nothing.
    Nothing,
    /// It changed rows.
    Rows,
}

/// The most operations that share a commit: other processes wait for the lock meanwhile.
const BATCH: usize = 64;

impl Writer {
    pub(super) fn start(database: &Arc<Database>) -> Result<Self, StoreError> {
        let health = Arc::new(Health::new(database.describe()));
        let noted = Arc::clone(&health);
        let work =
            move |checked: &mut CheckedConnection, jobs: &Jobs<_>| serve(checked, jobs, &noted);
        let workers =
            Workers::start("store-writer", vec![CheckedConnection::open(database)?], work)?;
        Ok(Self { workers, health })
    }

    /// Runs `operation`; once this returns, it is committed.
    ///
    /// An operation whose deadline passes before its turn is not done; one whose deadline passes
    /// later may be.
    pub(super) async fn ask<T, F>(&self, deadline: Duration, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        self.workers.submit(Box::new(Asked {
            operation: Some(operation),
            outcome: None,
            answer,
        }))?;
        let outcome = workers::answer(receiver, deadline).await;
        if let Err(StoreError::TimedOut(_)) = outcome {
            self.health.suspect(StoreError::TimedOut(deadline));
        }
        outcome
    }

    /// Checks that writes succeed; makes one where that is in doubt, and waits until `deadline`.
    pub(super) async fn check(&self, deadline: Duration) -> Result<(), StoreError> {
        match self.health.verdict(Instant::now()) {
            Verdict::Sound => Ok(()),
            Verdict::Failing(error) => Err(SqliteFault::Commit(error).into()),
            Verdict::ToBeTried => {
                self.ask(deadline, database::rewrite_head).await?;
                self.health.note(Ok(()));
                Ok(())
            }
        }
    }
}

/// An operation that waits, or runs in an open transaction.
trait Operation: Send {
    /// Runs it; returns whether its changes may stay.
    ///
    /// Where the disk fails, the whole transaction does, and every caller gets that error.
    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError>;

    /// Answers the caller, once it is known whether the transaction was committed.
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
    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        if !self.answer.is_closed() {
            self.outcome = match self.operation.take().map(|operation| operation(connection)) {
                Some(Err(error)) if fault::is_of_disk(&error) => return Err(error),
                outcome => outcome,
            };
        }
        Ok(matches!(self.outcome, Some(Ok(_))))
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>) {
        let outcome = match (committed, self.outcome) {
            // It failed inside the transaction, whether or not that was committed.
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(SqliteFault::Ended.into()),
            (Err(error), _) => Err(SqliteFault::Commit(Arc::clone(error)).into()),
        };
        // The caller may have given up meanwhile.
        drop(self.answer.send(outcome));
    }
}

fn serve(checked: &mut CheckedConnection, jobs: &Jobs<Box<dyn Operation>>, health: &Health) {
    while let Some(first) = jobs.next() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Some(another) = jobs.waiting()
        {
            batch.push(another);
        }
        let committed = commit(checked, &mut batch);
        let committed = committed.map_err(|error| Arc::new(checked.database().explained(error)));
        match &committed {
            Ok(Effect::Rows) => health.note(Ok(())),
            // Nothing was written, which shows nothing about the disk.
            Ok(Effect::Nothing | Effect::Undone) => {}
            Err(error) => health.note(Err(error)),
        }
        for operation in batch {
            operation.answer(committed.as_ref().map(drop));
        }
    }
}

fn commit(
    checked: &mut CheckedConnection,
    batch: &mut [Box<dyn Operation>],
) -> Result<Effect, StoreError> {
    let transaction =
        checked.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut most = Effect::Undone;
    // A single one needs no savepoint. SQLite lists every page that changes within one, and walks
    // the whole list at the end of each statement: thousands of revocations would take minutes.
    if let [alone] = batch {
        most = run(&mut **alone, &transaction)?;
        if most == Effect::Undone {
            transaction.rollback()?;
        } else {
            transaction.commit()?;
        }
    } else {
        for operation in batch {
            transaction.execute_batch("SAVEPOINT operation")?;
            let effect = run(&mut **operation, &transaction)?;
            transaction.execute_batch(if effect == Effect::Undone {
                "ROLLBACK TO operation; RELEASE operation"
            } else {
                "RELEASE operation"
            })?;
            most = most.max(effect);
        }
        transaction.commit()?;
    }
    checked.connection()?;
    Ok(most)
}

fn run(operation: &mut dyn Operation, transaction: &Connection) -> Result<Effect, StoreError> {
    let before = transaction.total_changes();
    let stays = operation.run(transaction)?;
    // Some failures roll the whole transaction back: the rest must not go on without.
    if transaction.is_autocommit() {
        return Err(SqliteFault::RolledBack.into());
    }
    Ok(match (stays, transaction.total_changes() > before) {
        (false, _) => Effect::Undone,
        (true, false) => Effect::Nothing,
        (true, true) => Effect::Rows,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::{Asked, Effect, Operation, commit};
    use crate::store::StoreError;
    use crate::store::sqlite::database::{CheckedConnection, Database};
    use crate::telemetry::causes;

    type Receiver = oneshot::Receiver<Result<i64, StoreError>>;

    fn insert(issuer: &'static str, fails: bool) -> (Box<dyn Operation>, Receiver) {
        let (answer, receiver) = oneshot::channel();
        let operation = move |connection: &rusqlite::Connection| {
            connection.execute("INSERT INTO sites VALUES (?1, 1)", [issuer])?;
            if fails { Err(StoreError::Taken) } else { Ok(1) }
        };
        (Box::new(Asked { operation: Some(operation), outcome: None, answer }), receiver)
    }

    fn checked() -> CheckedConnection {
        let database = Arc::new(Database::in_memory(Duration::from_secs(5)));
        CheckedConnection::open(&database).unwrap()
    }

    fn issuers(checked: &mut CheckedConnection) -> Vec<String> {
        let connection = checked.connection().unwrap();
        let mut select = connection.prepare("SELECT issuer FROM sites ORDER BY issuer").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_operation_that_fails_undoes_nothing_of_its_batch() {
        let mut checked = checked();
        let (first, _first) = insert("a", false);
        let (second, mut refused) = insert("b", true);
        let (third, _third) = insert("c", false);
        let mut batch = [first, second, third];

        commit(&mut checked, &mut batch).unwrap();
        for operation in batch {
            operation.answer(Ok(()));
        }

        assert_eq!(issuers(&mut checked), ["a", "c"]);
        assert!(matches!(refused.try_recv(), Ok(Err(StoreError::Taken))));
    }

    #[test]
    fn an_operation_that_fails_alone_leaves_nothing() {
        let mut checked = checked();
        let (alone, mut refused) = insert("a", true);
        let mut batch = [alone];

        commit(&mut checked, &mut batch).unwrap();
        for operation in batch {
            operation.answer(Ok(()));
        }

        assert!(issuers(&mut checked).is_empty());
        assert!(matches!(refused.try_recv(), Ok(Err(StoreError::Taken))));
    }

    #[test]
    fn an_operation_whose_asker_is_gone_is_not_done() {
        let mut checked = checked();
        let (abandoned, receiver) = insert("a", false);
        let (waited_for, _receiver) = insert("b", false);
        drop(receiver);

        commit(&mut checked, &mut [abandoned, waited_for]).unwrap();

        assert_eq!(issuers(&mut checked), ["b"]);
    }

    #[test]
    fn a_disk_that_fails_one_fails_its_batch_and_tells_everyone_why() {
        let mut checked = checked();
        let (first, mut bystander) = insert("a", false);
        let (answer, mut unlucky) = oneshot::channel();
        let full = |_: &rusqlite::Connection| -> Result<i64, StoreError> {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            Err(rusqlite::Error::SqliteFailure(full, None).into())
        };
        let second = Box::new(Asked { operation: Some(full), outcome: None, answer });
        let mut batch: [Box<dyn Operation>; 2] = [first, second];

        let error = Arc::new(commit(&mut checked, &mut batch).unwrap_err());
        for operation in batch {
            operation.answer(Err(&error));
        }

        assert!(issuers(&mut checked).is_empty());
        for receiver in [&mut bystander, &mut unlucky] {
            let told = causes(&receiver.try_recv().unwrap().unwrap_err());
            assert!(told.contains("the disk is full"), "{told}");
        }
    }

    #[test]
    fn only_what_changes_rows_tells_of_the_disk() {
        let mut checked = checked();
        let (answer, _receiver) = oneshot::channel();
        let read = |_: &rusqlite::Connection| -> Result<i64, StoreError> { Ok(1) };
        let read = Box::new(Asked { operation: Some(read), outcome: None, answer });
        let (refused, _refused) = insert("a", true);
        let (written, _written) = insert("b", false);

        let effects = [read as Box<dyn Operation>, refused, written]
            .map(|operation| commit(&mut checked, &mut [operation]).unwrap());

        assert_eq!(effects, [Effect::Nothing, Effect::Undone, Effect::Rows]);
    }

    #[test]
    fn a_failed_commit_is_told_to_every_asker() {
        let error = Arc::new(StoreError::Taken);
        let (mut operation, mut receiver) = insert("a", false);
        operation.run(checked().connection().unwrap()).unwrap();

        operation.answer(Err(&error));

        assert!(matches!(receiver.try_recv(), Ok(Err(StoreError::Unavailable(_)))));
    }
}
