//! A cluster: each call goes to the node that has its key's slot.
//!
//! redis-rs's cluster connection retries by rules of its own, knows no operation's deadline, and
//! cannot lend its connections to the feed. Here every node has a [`Link`]; redirections (MOVED,
//! ASK, TRYAGAIN) are followed until the operation's deadline, and the map of slots is read again
//! where it may be wrong: after a redirection, and when a node refuses connections or was silent.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};
use tokio::runtime::Handle;

use crate::config::HostPort;
use crate::lock::IgnorePoison;
use crate::store::backoff::Backoff;
use crate::store::redis::connection::call::Call;
use crate::store::redis::connection::dialer::Dialer;
use crate::store::redis::connection::link::{Link, is_broken, is_demoted};
use crate::store::redis::connection::slot_map::{SlotMap, read_redirection, slot_of};

/// The most nodes that one call is sent to.
const MOST_HOPS: usize = 16;

/// Back-off of a call that a node cannot serve just now: a slot whose keys are half moved serves no
/// call on several of them.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// The nodes of a cluster.
pub(in crate::store::redis) struct Cluster {
    dialer: Dialer,
    seeds: Vec<HostPort>,
    /// The runtime that connections are served on.
    home: Handle,
    silence: Duration,
    /// Held over no wait.
    nodes: Mutex<Nodes>,
    /// Held while the map is read, so that all callers share one reading.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Nodes {
    links: HashMap<HostPort, Arc<Link>>,
    map: SlotMap,
    /// Counts readings of the map.
    edition: u64,
    /// The map may be wrong.
    is_doubtful: bool,
}

/// The node of one call.
struct Node {
    server: HostPort,
    link: Arc<Link>,
    /// The edition of the map that led here.
    edition: u64,
}

/// The action after an error.
enum Next {
    /// The slot is there now.
    Moved(HostPort),
    /// The slot is being moved there; this one call goes there.
    Ask(HostPort),
    /// Not now.
    Later,
    /// The node is away or takes no writes: another may have its slots.
    Elsewhere,
    /// The error is returned.
    Answer,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(in crate::store::redis) fn new(
        dialer: Dialer,
        seeds: Vec<HostPort>,
        home: Handle,
        silence: Duration,
    ) -> Self {
        let nodes = Mutex::new(Nodes::default());
        Self { dialer, seeds, home, silence, nodes, reading: tokio::sync::Mutex::new(()) }
    }

    /// Other connections to the same nodes.
    pub(in crate::store::redis) fn separate_connections(&self) -> Self {
        Self::new(self.dialer.clone(), self.seeds.clone(), self.home.clone(), self.silence)
    }

    /// Sends a call to the node that has the slot of its key.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        call: Call<'_>,
    ) -> Result<T, RedisError> {
        let slot = call.key().map_or(0, slot_of);
        let mut node = self.owner(slot).await?;
        let mut next_call = call;
        let mut pause = Backoff::between(FIRST_PAUSE, LAST_PAUSE);
        let mut hops = 0;
        loop {
            let error = match node.link.ask(next_call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            next_call = call;
            let next = next(&error, &node.server);
            // Retries end with the operation's deadline.
            hops += usize::from(!matches!(next, Next::Later));
            match next {
                _ if hops > MOST_HOPS => return Err(error),
                Next::Answer => return Err(error),
                Next::Moved(server) => {
                    self.note_move(slot, &server);
                    node = self.node(&server)?;
                }
                Next::Ask(server) => {
                    node = self.node(&server)?;
                    next_call = call.redirected();
                }
                Next::Later => {
                    pause.wait().await;
                    node = self.owner(slot).await?;
                }
                Next::Elsewhere => {
                    let read = self.read_map(node.edition).await;
                    let owner = self.owner(slot).await?;
                    if read.is_err() || owner.server == node.server {
                        return Err(error);
                    }
                    node = owner;
                }
            }
        }
    }

    /// A link to the node that has a key's slot, by a map that was just read.
    pub(in crate::store::redis) async fn link_of(
        &self,
        key: &[u8],
    ) -> Result<Arc<Link>, RedisError> {
        let edition = self.nodes().edition;
        self.read_map(edition).await?;
        Ok(self.owner(slot_of(key)).await?.link)
    }

    /// The nodes that have slots, and the number of slots without a node, by a map that was just
    /// read.
    pub(in crate::store::redis) async fn masters(
        &self,
    ) -> Result<(Vec<(HostPort, Arc<Link>)>, u16), RedisError> {
        let edition = self.nodes().edition;
        self.read_map(edition).await?;
        let (owners, orphans) = {
            let nodes = self.nodes();
            (nodes.map.owners().into_iter().cloned().collect::<Vec<_>>(), nodes.map.orphans())
        };
        let masters = owners.into_iter().map(|server| {
            let link = self.link(&server)?;
            Ok((server, link))
        });
        Ok((masters.collect::<Result<_, RedisError>>()?, orphans))
    }

    /// Drops connections that were silent for long; their slots may be elsewhere by now.
    pub(in crate::store::redis) fn drop_if_silent(&self) {
        let mut nodes = self.nodes();
        // All of them: the first that was silent need not be the only one.
        let silent = nodes.links.values().filter(|link| link.drop_if_silent()).count();
        nodes.is_doubtful = nodes.is_doubtful || silent > 0;
    }

    /// Reads the map of slots again before the next call.
    pub(in crate::store::redis) fn reconnect(&self) {
        self.nodes().is_doubtful = true;
    }

    async fn owner(&self, slot: u16) -> Result<Node, RedisError> {
        let (edition, is_doubtful) = {
            let nodes = self.nodes();
            (nodes.edition, nodes.is_doubtful)
        };
        if edition == 0 || is_doubtful {
            let read = self.read_map(edition).await;
            // A map that may be wrong is better than none.
            if edition == 0 {
                read?;
            }
        }
        let (server, edition) = {
            let nodes = self.nodes();
            (nodes.map.owner(slot).cloned(), nodes.edition)
        };
        match server {
            Some(server) => {
                let link = self.link(&server)?;
                Ok(Node { server, link, edition })
            }
            None => {
                // So that the next call reads it again.
                self.nodes().is_doubtful = true;
                let words = format!("slot {slot}");
                Err((ErrorKind::ClusterConnectionNotFound, "no node of the cluster has", words)
                    .into())
            }
        }
    }

    fn node(&self, server: &HostPort) -> Result<Node, RedisError> {
        let link = self.link(server)?;
        Ok(Node { server: server.clone(), link, edition: self.nodes().edition })
    }

    fn link(&self, server: &HostPort) -> Result<Arc<Link>, RedisError> {
        if let Some(link) = self.nodes().links.get(server) {
            return Ok(Arc::clone(link));
        }
        let client = Arc::new(self.dialer.client(server.clone())?);
        let link = Arc::new(Link::new(client, self.home.clone(), self.silence));
        Ok(Arc::clone(self.nodes().links.entry(server.clone()).or_insert(link)))
    }

    /// Notes a moved slot; others mostly move with it, so that the next call reads the map again.
    fn note_move(&self, slot: u16, server: &HostPort) {
        let mut nodes = self.nodes();
        nodes.map.note(slot, server.clone());
        nodes.is_doubtful = true;
    }

    /// Reads the map, unless another caller did since the edition `wanting`.
    async fn read_map(&self, wanting: u64) -> Result<(), RedisError> {
        let _reading = self.reading.lock().await;
        if self.nodes().edition != wanting {
            return Ok(());
        }
        let map = self.ask_for_map().await?;
        let mut nodes = self.nodes();
        nodes.edition += 1;
        nodes.is_doubtful = false;
        nodes.map = map;
        let Nodes { links, map, .. } = &mut *nodes;
        let owners = map.owners();
        links.retain(|server, _| owners.contains(server) || self.seeds.contains(server));
        Ok(())
    }

    /// Asks all nodes at once, and takes the first map of a node that sees the cluster whole; else
    /// any map, once all have answered or half the patience is over.
    async fn ask_for_map(&self) -> Result<SlotMap, RedisError> {
        let known: Vec<HostPort> = {
            let nodes = self.nodes();
            nodes.map.owners().into_iter().chain(&self.seeds).cloned().collect()
        };
        let mut asked = Vec::new();
        for server in known {
            if !asked.contains(&server) {
                asked.push(server);
            }
        }
        let mut answers: FuturesUnordered<_> =
            asked.iter().map(|server| self.ask_node_for_map(server)).collect();
        let mut second_best = None;
        let mut refusal = None;
        let first_good = async {
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok((map, true)) => return Some(map),
                    Ok((map, false)) => second_best = Some(map),
                    Err(error) => refusal = Some(error),
                }
            }
            None
        };
        let best = tokio::time::timeout(self.silence / 2, first_good).await.ok().flatten();
        best.or(second_best).ok_or_else(|| {
            refusal.unwrap_or_else(|| {
                (ErrorKind::ClusterConnectionNotFound, "no node of the cluster answers").into()
            })
        })
    }

    /// The map of a node, and whether that node sees a working cluster.
    async fn ask_node_for_map(&self, server: &HostPort) -> Result<(SlotMap, bool), RedisError> {
        let link = self.link(server)?;
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let answer: Value = link.ask(Call::command(&slots)).await?;
        let map = SlotMap::read(&answer, server).ok_or_else(|| {
            RedisError::from((ErrorKind::Client, "CLUSTER SLOTS does not read", server.to_string()))
        })?;
        if map.owners().is_empty() {
            let words = server.to_string();
            return Err((ErrorKind::Client, "the node knows of no slots", words).into());
        }
        let mut info = redis::cmd("CLUSTER");
        info.arg("INFO");
        // A user without the right to ask uses the map all the same.
        let state = link.ask::<String>(Call::command(&info)).await;
        Ok((map, state.map_or(true, |text| text.contains("cluster_state:ok"))))
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().ignore_poison()
    }
}

fn next(error: &RedisError, asked: &HostPort) -> Next {
    let server = || {
        let (_, server) = read_redirection(error.detail()?, asked)?;
        Some(server)
    };
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => server().map_or(Next::Answer, Next::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => server().map_or(Next::Answer, Next::Ask),
        ErrorKind::Server(ServerErrorKind::TryAgain) => Next::Later,
        _ if is_broken(error) || is_demoted(error) => Next::Elsewhere,
        _ => Next::Answer,
    }
}
