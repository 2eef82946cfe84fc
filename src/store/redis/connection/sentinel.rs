//! Finds the master through its sentinels, and notices fail-overs.
//!
//! redis-rs asks the sentinels while it connects and never again (redis-rs#1438). Here every
//! connection is made to the master that the best informed sentinel names, and only if that server
//! confirms that it is one. All sentinels are subscribed to as well: once they name another master,
//! connections to the previous one are dropped, even if it still answers, as a master does that was
//! cut off.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::watch;

use crate::config::HostPort;
use crate::lock::IgnorePoison;
use crate::store::backoff::Backoff;
use crate::store::redis::connection::dialer::{Dial, Dialer, Dialing, connect};
use crate::store::redis::connection::fault::is_passing;

/// The message of a sentinel after a fail-over.
const SWITCH: &str = "+switch-master";

/// The longest time without a message before a subscription is renewed: its connection may be dead.
const SUBSCRIBED: Duration = Duration::from_secs(10);

/// The time for which a fail-over is remembered that no sentinel reports: sentinels that were set
/// up anew restart their epochs.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Back-off of attempts to subscribe at a sentinel.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The master of a name, whichever server that is.
pub(in crate::store::redis) struct Master {
    name: String,
    sentinels: Vec<(HostPort, Client)>,
    dialer: Dialer,
    /// The longest wait for the sentinels' replies.
    patience: Duration,
    found: watch::Sender<Found>,
    /// The latest accepted reply, and the instant when it came.
    latest: Mutex<Option<(SentinelReply, Instant)>>,
}

/// The address of the master, and the number of changes.
#[derive(Clone, Debug, Default)]
pub(in crate::store::redis) struct Found {
    turn: u64,
    server: Option<HostPort>,
}

/// The reply to SENTINEL MASTER.
type MasterFields = HashMap<String, String>;

/// A sentinel's reply about the master.
struct SentinelReply {
    server: HostPort,
    /// Higher at every fail-over.
    epoch: u64,
}

impl fmt::Debug for Master {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The clients hold passwords.
        formatter.debug_struct("Master").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Dial for Master {
    fn dial(self: Arc<Self>) -> Dialing {
        async move {
            let server = self.resolve().await?;
            let mut connection = connect(&self.dialer.client(server.clone())?).await?;
            let role = role(&mut connection).await?;
            if role != "master" {
                // In the middle of a fail-over.
                let (words, kind) = (format!("{server} is a {role}"), ServerErrorKind::MasterDown);
                let kind = ErrorKind::Server(kind);
                return Err((kind, "the sentinels name no master", words).into());
            }
            self.note(server);
            Ok(connection)
        }
        .boxed()
    }

    fn turn(&self) -> u64 {
        self.found.borrow().turn
    }
}

impl Master {
    pub(in crate::store::redis) fn new(
        name: String,
        sentinels: Vec<(HostPort, Client)>,
        dialer: Dialer,
        patience: Duration,
    ) -> Self {
        let found = watch::Sender::new(Found::default());
        Self { name, sentinels, dialer, patience, found, latest: Mutex::new(None) }
    }

    /// Changes when another server becomes the master.
    pub(in crate::store::redis) fn moves(&self) -> watch::Receiver<Found> {
        self.found.subscribe()
    }

    /// Listens to all sentinels, for ever.
    pub(in crate::store::redis) async fn watch(&self) {
        join_all(self.sentinels.iter().map(|(_, sentinel)| self.watch_one(sentinel))).await;
    }

    /// The number of sentinels that answer, and of all.
    pub(in crate::store::redis) async fn count_reachable(&self) -> (usize, usize) {
        let answers = join_all(self.sentinels.iter().map(|(_, client)| self.ask_one(client))).await;
        (answers.iter().filter(|answer| answer.is_ok()).count(), self.sentinels.len())
    }

    async fn watch_one(&self, sentinel: &Client) {
        let first_pause = Backoff::between(FIRST_PAUSE, LAST_PAUSE);
        let mut pause = first_pause;
        loop {
            let patience = self.patience.max(Duration::from_secs(1));
            if let Ok(Ok(subscribed)) = tokio::time::timeout(patience, subscribe(sentinel)).await {
                pause = first_pause;
                self.listen(subscribed).await;
            }
            pause.wait().await;
        }
    }

    async fn listen(&self, subscribed: PubSub) {
        // A fail-over may have come before the subscription.
        self.look_again().await;
        let mut messages = subscribed.into_on_message();
        while let Ok(Some(message)) = tokio::time::timeout(SUBSCRIBED, messages.next()).await {
            // The name, the old address, the new one.
            let words = message.get_payload::<String>().unwrap_or_default();
            if words.split(' ').next() == Some(self.name.as_str()) {
                self.look_again().await;
            }
        }
    }

    /// Resolves the master again, and notes a change.
    async fn look_again(&self) {
        // If no sentinel answers, the next connection asks again.
        if let Ok(server) = self.resolve().await
            && self.found.borrow().server.is_some()
        {
            self.note(server);
        }
    }

    fn note(&self, server: HostPort) {
        self.found.send_if_modified(|found| {
            if found.server.as_ref() == Some(&server) {
                return false;
            }
            let is_first = found.server.is_none();
            if !is_first {
                tracing::info!(master = %server, "the store has another master");
                found.turn += 1;
            }
            found.server = Some(server);
            !is_first
        });
    }

    /// Asks all sentinels, and accepts the reply with the latest fail-over: a sentinel that was cut
    /// off, or has just started, may name the previous master.
    async fn resolve(&self) -> Result<HostPort, RedisError> {
        let answers = join_all(self.sentinels.iter().map(|(_, client)| self.ask_one(client))).await;
        let mut best: Option<SentinelReply> = None;
        let mut refusals = Vec::new();
        // A name that they do not know is a misconfiguration, not an outage.
        let mut kind = ErrorKind::Io;
        for (answer, (address, _)) in answers.into_iter().zip(&self.sentinels) {
            match answer {
                Ok(reply) if best.as_ref().is_none_or(|best| reply.epoch > best.epoch) => {
                    best = Some(reply);
                }
                Ok(_) => {}
                Err(error) => {
                    if !is_passing(&error) {
                        kind = ErrorKind::Client;
                    }
                    refusals.push(format!("{address}: {error}"));
                }
            }
        }
        best.map(|reply| self.unless_outdated(reply))
            .ok_or_else(|| (kind, "no sentinel names a master", refusals.join("; ")).into())
    }

    /// The server of a reply, or of a later one that was heard not long ago: the sentinel that led
    /// a fail-over may be slow to answer just then, and the others know nothing of it yet.
    fn unless_outdated(&self, reply: SentinelReply) -> HostPort {
        let mut latest = self.latest.lock().ignore_poison();
        if let Some((later, heard)) = &*latest
            && later.epoch > reply.epoch
            && heard.elapsed() < REMEMBERED
        {
            return later.server.clone();
        }
        let server = reply.server.clone();
        *latest = Some((reply, Instant::now()));
        server
    }

    async fn ask_one(&self, sentinel: &Client) -> Result<SentinelReply, RedisError> {
        let asking = async {
            let mut connection = connect(sentinel).await?;
            // SENTINEL MASTER gives the previous address until the end of a fail-over, when all
            // replicas follow; its epoch is the new one much earlier.
            let mut ask = redis::pipe();
            ask.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
            ask.cmd("SENTINEL").arg("MASTER").arg(&self.name);
            ask.query_async::<(Option<(String, u16)>, MasterFields)>(&mut connection).await
        };
        match tokio::time::timeout(self.patience, asking).await {
            Ok(answer) => read_reply(answer?),
            Err(_elapsed) => {
                let words = format!("{:?}", self.patience);
                Err((ErrorKind::Io, "the sentinel was silent", words).into())
            }
        }
    }
}

async fn subscribe(sentinel: &Client) -> Result<PubSub, RedisError> {
    let mut subscribed = sentinel.get_async_pubsub().await?;
    subscribed.subscribe(SWITCH).await?;
    Ok(subscribed)
}

fn read_reply(
    (place, facts): (Option<(String, u16)>, MasterFields),
) -> Result<SentinelReply, RedisError> {
    let Some((host, port)) = place else {
        return Err((ErrorKind::Client, "the sentinel does not know the master").into());
    };
    let epoch = facts.get("config-epoch").and_then(|text| text.parse().ok());
    Ok(SentinelReply { server: HostPort { host, port }, epoch: epoch.unwrap_or(0) })
}

/// `master`, `replica` or `sentinel`: HELLO, for ROLE is often forbidden.
async fn role(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let facts: HashMap<String, redis::Value> = redis::cmd("HELLO").query_async(connection).await?;
    let role = facts.into_iter().find(|(name, _)| name == "role").map(|(_, value)| value);
    Ok(redis::from_redis_value(role.unwrap_or_default())?)
}
