//! The feed: follows the revocation log, and reports contact with the store.
//!
//! A round opens two connections (one blocks on the log, the other sends commands), reads the
//! store's generation and newest number, then the whole set, then the log from that number on. Any
//! failure ends the round, and the next one reads everything again: entries that are sent twice do
//! no harm, a missing one would.
//!
//! Contact is reported as of the instant *before* a heartbeat was sent, once every entry up to the
//! number in its reply was sent on. The heartbeat is a write, so that an old primary that was
//! fenced off cannot report contact for a log that goes on elsewhere.

mod log;
mod page;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::try_join;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::clock::{BootTime, Now};
use crate::store::backoff::Backoff;
use crate::store::redis::connection::fault::is_wrong_type;
use crate::store::redis::connection::script::Script;
use crate::store::redis::connection::topology::Route;
use crate::store::redis::connection::wrong_type::wrong_types;
use crate::store::redis::keyspace::{Keyspace, RevocationKeys};
use crate::store::redis::revocations::feed::log::{in_order, read_log};
use crate::store::redis::revocations::feed::page::{SetPage, SnapshotReply};
use crate::store::redis::revocations::refill::{LINEAGE, lineage_of};
use crate::store::{FeedEntry, FeedEvent, FeedInterruption, StoreError};
use crate::telemetry::{causes, metric};

static BEAT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/heartbeat.lua")));
static SNAPSHOT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../../scripts/read_revocations.lua")));

/// The interval of heartbeats.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// The time to live of a heartbeat, in milliseconds.
const BEAT_KEPT: u64 = 10_000;

/// Entries of the set that are read at once.
const PAGE: usize = 2000;

/// The most entries of one event.
const EVENT: usize = 4096;

/// Back-off of attempts to reach a store that is away.
///
/// The longest pause is shorter than the wait of a node for the others after an outage.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A follower of the log.
pub(in crate::store::redis) struct Feed<'a> {
    route: &'a Route,
    /// The connections for replicated writes, where there are any.
    other: Option<&'a Route>,
    deadline: Duration,
    space: &'a Keyspace,
    keys: RevocationKeys,
    beat_key: String,
    /// The position of the latest round; `None`: there is nothing to compare the next one with.
    known: Option<Position>,
    /// The last interruption that was reported of this outage: repeated ones are not.
    reported: Option<FeedInterruption>,
    pause: Backoff,
}

/// A position in the log of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    generation: String,
    sequence: u64,
    /// The server's replication id, which changes at every fail-over; empty where it is not
    /// revealed.
    server: String,
}

/// Reasons for which a round ends.
enum RoundEnd {
    /// The receiver of the events is gone.
    Closed,
    Interrupted(FeedInterruption),
    Failed(RedisError),
}

impl From<RedisError> for RoundEnd {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for RoundEnd {
    fn from(error: StoreError) -> Self {
        Self::Interrupted(match error {
            StoreError::Corrupt(_) => FeedInterruption::Damaged(error.to_string()),
            _ => FeedInterruption::Away(causes(&error)),
        })
    }
}

impl<'a> Feed<'a> {
    pub(in crate::store::redis) fn new(
        route: &'a Route,
        other: Option<&'a Route>,
        space: &'a Keyspace,
        deadline: Duration,
    ) -> Self {
        let beat_key = space.beat(&Uuid::new_v4().to_string());
        let (keys, pause) = (space.revocations(), Self::first_pause());
        Self { route, other, deadline, space, keys, beat_key, known: None, reported: None, pause }
    }

    /// Follows the log until the receiver is gone.
    pub(in crate::store::redis) async fn run(mut self, events: &mpsc::Sender<FeedEvent>) {
        let mut moves = self.route.moves();
        loop {
            let ended = tokio::select! {
                () = events.closed() => return,
                // A master that was cut off goes on answering, and lacks the writes of its
                // successor.
                () = moves.next() => Err(RoundEnd::Interrupted(FeedInterruption::Away(
                    "another server is the master".to_owned(),
                ))),
                ended = self.round(events) => ended,
            };
            let cause = match ended {
                Ok(never) => match never {},
                Err(RoundEnd::Closed) => return,
                Err(RoundEnd::Interrupted(cause)) => cause,
                Err(RoundEnd::Failed(error)) => self.cause_of(error).await,
            };
            if matches!(cause, FeedInterruption::Swapped) {
                self.known = None;
            }
            if self.is_news(&cause) {
                self.reported = Some(cause.clone());
                if send(events, FeedEvent::Interrupted { cause }).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = events.closed() => return,
                () = self.pause.wait() => {}
            }
        }
    }

    /// Whether an interruption is reported: that the store is still away is not.
    fn is_news(&self, cause: &FeedInterruption) -> bool {
        match (cause, &self.reported) {
            (FeedInterruption::Away(_), Some(FeedInterruption::Away(_))) => false,
            (FeedInterruption::Damaged(_), Some(reported)) => reported != cause,
            _ => true,
        }
    }

    /// The cause of a failed command, with the keys of another type.
    async fn cause_of(&self, error: RedisError) -> FeedInterruption {
        let text = error.to_string();
        let is_wrong_type = is_wrong_type(&error);
        if !matches!(StoreError::from(error), StoreError::Corrupt(_)) {
            return FeedInterruption::Away(text);
        }
        if !is_wrong_type {
            return FeedInterruption::Damaged(text);
        }
        let RevocationKeys { set, floors, sequence, log, generation, sites } = &self.keys;
        let keys = [set, floors, sequence, log, generation, sites];
        let asked = wrong_types(self.route, self.space, keys.map(String::as_bytes));
        let named = tokio::time::timeout(self.deadline, asked).await.ok().flatten();
        FeedInterruption::Damaged(named.unwrap_or(text))
    }

    async fn round(&mut self, events: &mpsc::Sender<FeedEvent>) -> Result<Infallible, RoundEnd> {
        let connect = || self.route.connect(&self.keys.log);
        let (mut asking, mut tail) = self.in_time(try_join(connect(), connect())).await?;
        // Writes must not go on to the previous server, which may still take them.
        for route in self.other.into_iter().chain([self.route]) {
            route.reconnect();
        }
        let (_, start) = self.beat(&mut asking).await?;
        self.leads_to(&start, &mut tail).await?;
        let is_contradicted = self.known.as_ref().is_some_and(|known| {
            known.generation != start.generation || known.sequence > start.sequence
        });
        if is_contradicted {
            self.known = None;
            let cause = FeedInterruption::Swapped;
            send(events, FeedEvent::Interrupted { cause }).await?;
        }
        let lineage = lineage_of(&start.generation, &start.server);
        send(events, FeedEvent::Attached { lineage }).await?;
        let sequence = self.send_set(&mut asking, start.sequence, events).await?;
        // No contact yet: the server may have lost data before the set was read. The first
        // heartbeat of the tail, which follows at once, shows whether it is still the same server.
        self.known = Some(Position { sequence, ..start });
        // A log of another type is detected before the first contact.
        let mut length = redis::cmd("XLEN");
        length.arg(&self.keys.log);
        self.in_time(length.query_async::<u64>(&mut asking)).await?;
        self.tail(asking, tail, events).await
    }

    /// Follows the log, and sends a heartbeat once a second.
    async fn tail(
        &mut self,
        mut asking: MultiplexedConnection,
        tail: MultiplexedConnection,
        events: &mpsc::Sender<FeedEvent>,
    ) -> Result<Infallible, RoundEnd> {
        let key = self.keys.log.clone();
        let mut clock = tokio::time::interval(BEAT_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let after = self.sequence();
        let patience = BEAT_EVERY + self.deadline;
        let mut blocked =
            pin!(within(patience, read_log(tail.clone(), key.clone(), after, Some(BEAT_EVERY))));
        loop {
            tokio::select! {
                entries = &mut blocked => {
                    self.send_log(entries?, events).await?;
                    let after = self.sequence();
                    let next = read_log(tail.clone(), key.clone(), after, Some(BEAT_EVERY));
                    blocked.set(within(patience, next));
                }
                _ = clock.tick() => {
                    let (asked_at, newest) = self.beat(&mut asking).await?;
                    let lag = newest.sequence.saturating_sub(self.sequence());
                    metrics::gauge!(metric::REVOCATION_LAG).set(lag as f64);
                    self.is_of(&newest)?;
                    if self.sequence() < newest.sequence {
                        self.catch_up(&mut asking, newest.sequence, events).await?;
                        // A log that was restarted meanwhile may have come as far.
                        let (_, after) = self.beat(&mut asking).await?;
                        self.is_of(&after)?;
                    }
                    self.contact(asked_at, events).await?;
                }
            }
        }
    }

    /// Fails for a position in another log than the one that is followed.
    fn is_of(&self, place: &Position) -> Result<(), RoundEnd> {
        let is_same = self.known.as_ref().is_some_and(|known| {
            known.generation == place.generation
                && known.sequence <= place.sequence
                && known.server == place.server
        });
        if is_same { Ok(()) } else { Err(RoundEnd::Interrupted(FeedInterruption::Swapped)) }
    }

    /// Sends the entries of the log up to `newest`, the number in a heartbeat's reply.
    async fn catch_up(
        &mut self,
        asking: &mut MultiplexedConnection,
        newest: u64,
        events: &mpsc::Sender<FeedEvent>,
    ) -> Result<(), RoundEnd> {
        while self.sequence() < newest {
            let after = self.sequence();
            let read = read_log(asking.clone(), self.keys.log.clone(), after, None);
            let entries = within(self.deadline, read).await?;
            if entries.is_empty() {
                return Err(RoundEnd::Interrupted(FeedInterruption::Gap { after }));
            }
            self.send_log(entries, events).await?;
        }
        Ok(())
    }

    async fn send_log(
        &mut self,
        entries: Vec<(u64, FeedEntry)>,
        events: &mpsc::Sender<FeedEvent>,
    ) -> Result<(), RoundEnd> {
        let after = self.sequence();
        let (entries, newest) = in_order(entries, after).map_err(RoundEnd::Interrupted)?;
        send_entries(entries, events).await?;
        if let Some(known) = &mut self.known {
            known.sequence = newest;
        }
        Ok(())
    }

    /// Sends the whole set; returns the number from which to follow the log.
    ///
    /// `start` was read before, so that the log has every entry that is recorded meanwhile. A set
    /// of one page was read together with its number, so that no entry of it comes twice.
    async fn send_set(
        &self,
        asking: &mut MultiplexedConnection,
        start: u64,
        events: &mpsc::Sender<FeedEvent>,
    ) -> Result<u64, RoundEnd> {
        let mut page = self.read_page(asking, 0).await?;
        if page.entries.len() < PAGE {
            send_entries(page.entries, events).await?;
            return Ok(page.sequence);
        }
        let mut read = 0;
        while page.entries.len() == PAGE {
            read += PAGE;
            // A page is processed while the server reads the next.
            let sent = send_entries(page.entries, events);
            ((), page) = try_join(sent, self.read_page(asking, read)).await?;
        }
        send_entries(page.entries, events).await?;
        Ok(start)
    }

    async fn read_page(
        &self,
        asking: &mut MultiplexedConnection,
        from: usize,
    ) -> Result<SetPage, RoundEnd> {
        let mut script = SNAPSHOT.prepare_invoke();
        script.key(&self.keys.set).key(&self.keys.floors).key(&self.keys.sequence);
        script.arg(from).arg(PAGE);
        let answer: SnapshotReply = self.in_time(script.invoke(asking)).await?;
        let mut page = SetPage::read(answer)?;
        // Expired entries come last: a page with any gets shorter here, and is the last.
        let now = Now::read().wall;
        page.entries.retain(|entry| entry.expires_at > now);
        Ok(page)
    }

    async fn beat(
        &self,
        asking: &mut MultiplexedConnection,
    ) -> Result<(BootTime, Position), RoundEnd> {
        let asked_at = Now::read().boot;
        let mut script = BEAT.prepare_invoke();
        script.key(&self.beat_key).key(&self.keys.generation).key(&self.keys.sequence);
        script.arg(Uuid::new_v4().to_string()).arg(BEAT_KEPT);
        let (generation, sequence, server) = self.in_time(script.invoke(asking)).await?;
        Ok((asked_at, Position { generation, sequence, server }))
    }

    /// Checks that another connection leads to the same server, whose numbers are those of `place`.
    async fn leads_to(
        &self,
        place: &Position,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RoundEnd> {
        let mut script = LINEAGE.prepare_invoke();
        script.key(&self.keys.generation);
        let (generation, server): (String, String) =
            self.in_time(script.invoke(connection)).await?;
        if (&generation, &server) != (&place.generation, &place.server) {
            let cause = "two connections led to two servers".to_owned();
            return Err(RoundEnd::Interrupted(FeedInterruption::Away(cause)));
        }
        Ok(())
    }

    async fn contact(
        &mut self,
        asked_at: BootTime,
        events: &mpsc::Sender<FeedEvent>,
    ) -> Result<(), RoundEnd> {
        self.reported = None;
        self.pause = Self::first_pause();
        send(events, FeedEvent::Contact { asked_at }).await
    }

    const fn first_pause() -> Backoff {
        Backoff::between(FIRST_PAUSE, LAST_PAUSE)
    }

    fn sequence(&self) -> u64 {
        self.known.as_ref().map_or(0, |known| known.sequence)
    }

    async fn in_time<T>(
        &self,
        question: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RoundEnd> {
        within(self.deadline, async { question.await.map_err(RoundEnd::from) }).await
    }
}

/// Waits for a reply until a deadline: on a silent peer redis-rs would wait for ever.
async fn within<T>(
    deadline: Duration,
    question: impl Future<Output = Result<T, RoundEnd>>,
) -> Result<T, RoundEnd> {
    match tokio::time::timeout(deadline, question).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(StoreError::TimedOut(deadline).into()),
    }
}

async fn send_entries(
    entries: Vec<FeedEntry>,
    events: &mpsc::Sender<FeedEvent>,
) -> Result<(), RoundEnd> {
    for some in entries.chunks(EVENT) {
        send(events, FeedEvent::Revoked(some.to_vec())).await?;
    }
    Ok(())
}

async fn send(events: &mpsc::Sender<FeedEvent>, event: FeedEvent) -> Result<(), RoundEnd> {
    events.send(event).await.map_err(|_closed| RoundEnd::Closed)
}
