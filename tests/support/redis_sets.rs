//! Several real `redis-server`s that work together: a master with sentinels, and a cluster.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::redis_server::{RedisServer, free_port, until};

/// The sentinels' name of their master.
pub(crate) const NAME: &str = "gate";

/// A master with two replicas, and three sentinels that watch it.
pub(crate) struct SentinelSet {
    /// The first is the master at first.
    pub(crate) servers: Vec<RedisServer>,
    pub(crate) sentinels: Vec<RedisServer>,
    /// Of the sentinels' configurations.
    folder: TempDir,
}

/// Three masters, each with a replica.
pub(crate) struct ClusterSet {
    /// Masters first; the replica of the one at n is at n + 3.
    pub(crate) nodes: Vec<RedisServer>,
}

/// A process that ends others, and deletes their folders, once this one has ended: statics are not
/// dropped.
struct Keeper(#[expect(dead_code, reason = "held for its standard input")] Child);

/// Of all tests of this binary; each has a prefix of its own.
pub(crate) async fn shared_sentinels() -> Arc<SentinelSet> {
    static SHARED: OnceCell<(Arc<SentinelSet>, Keeper)> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || {
        let set = SentinelSet::start().await;
        let keeper = Keeper::of(set.servers.iter().chain(&set.sentinels), Some(set.folder.path()));
        (Arc::new(set), keeper)
    });
    Arc::clone(&shared.await.0)
}

/// Of all tests of this binary; each has a prefix of its own.
pub(crate) async fn shared_cluster() -> Arc<ClusterSet> {
    static SHARED: OnceCell<(Arc<ClusterSet>, Keeper)> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || {
        let set = ClusterSet::start().await;
        let keeper = Keeper::of(set.nodes.iter(), None);
        (Arc::new(set), keeper)
    });
    Arc::clone(&shared.await.0)
}

impl Keeper {
    fn of<'a>(
        servers: impl Iterator<Item = &'a RedisServer> + Clone,
        folder: Option<&'a Path>,
    ) -> Self {
        let processes: Vec<_> =
            servers.clone().map(|server| server.process().to_string()).collect();
        // The pipe is closed when this process ends, however it does; who interrupts it interrupts
        // the shell as well.
        let kept = Command::new("sh")
            .args([
                "-c",
                "trap '' INT; read -r line; kill -s KILL $1; shift; rm -rf -- \"$@\"",
                "sh",
            ])
            .arg(processes.join(" "))
            .args(servers.map(RedisServer::folder).chain(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(kept.unwrap_or_else(|error| panic!("no shell: {error}")))
    }
}

impl SentinelSet {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let master = RedisServer::start_with("redis", &["--repl-diskless-sync-delay", "0"]).await;
        let port = master.port().to_string();
        let mut servers = vec![master];
        for _ in 0..2 {
            let arguments =
                ["--replicaof", &format!("127.0.0.1 {port}"), "--repl-diskless-sync-delay", "0"];
            servers.push(RedisServer::start_with("redis", &arguments).await);
        }
        servers[0].is_followed_by(2).await;
        let sentinels = start_sentinels(&folder, &servers).await;
        let set = Self { servers, sentinels, folder };
        until("the sentinels know one another and the replicas", async || {
            for sentinel in &set.sentinels {
                let facts: Vec<String> = sentinel.ask(&format!("SENTINEL MASTER {NAME}")).await;
                let says = |name: &str, value: &str| {
                    facts.windows(2).any(|pair| pair[0] == name && pair[1] == value)
                };
                let quorum = sentinel.try_ask::<String>(&format!("SENTINEL CKQUORUM {NAME}")).await;
                if !says("num-slaves", "2") || !says("flags", "master") || quorum.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
        set
    }

    /// As `[store] url` takes it.
    pub(crate) fn url(&self) -> String {
        let places: Vec<_> =
            self.sentinels.iter().map(|it| format!("127.0.0.1:{}", it.port())).collect();
        format!("redis+sentinel://{}/{NAME}", places.join(","))
    }

    /// The position of the server that the first sentinel takes for the master.
    pub(crate) async fn master(&self) -> usize {
        let place: Vec<String> =
            self.sentinels[0].ask(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}")).await;
        let found = self.servers.iter().position(|it| it.port().to_string() == place[1]);
        found.unwrap_or_else(|| panic!("no server at {place:?}"))
    }

    /// Makes the sentinels choose another master.
    pub(crate) async fn fail_over(&self) {
        // Refused while the replicas have not been looked at just now.
        until("a fail-over begins", async || {
            self.sentinels[0].try_ask::<()>(&format!("SENTINEL FAILOVER {NAME}")).await.is_ok()
        })
        .await;
    }
}

async fn start_sentinels(folder: &TempDir, servers: &[RedisServer]) -> Vec<RedisServer> {
    let names: Vec<_> = (1..=3).map(|number| number.to_string().repeat(40)).collect();
    let ports: Vec<_> = names.iter().map(|_| free_port()).collect();
    let mut sentinels = Vec::new();
    for (own, port) in names.iter().zip(&ports) {
        // Told and not found out: that takes seconds.
        let others = names.iter().zip(&ports).filter(|(name, _)| *name != own);
        let known: String = others
            .map(|(name, port)| format!("sentinel known-sentinel {NAME} 127.0.0.1 {port} {name}\n"))
            .chain(servers.iter().skip(1).map(|replica| {
                format!("sentinel known-replica {NAME} 127.0.0.1 {}\n", replica.port())
            }))
            .collect();
        let text = format!(
            "sentinel myid {own}\nsentinel monitor {NAME} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n\
             {known}",
            servers[0].port()
        );
        let file = folder.path().join(format!("sentinel-{port}.conf"));
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
        sentinels.push(RedisServer::start_sentinel(*port, &file).await);
    }
    sentinels
}

impl ClusterSet {
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            let bus = free_port().to_string();
            let arguments = [
                ["--cluster-enabled", "yes"],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-port", &bus],
                ["--repl-diskless-sync-delay", "0"],
            ];
            nodes.push(RedisServer::start_with("redis", arguments.as_flattened()).await);
        }
        let set = Self { nodes };
        set.join().await;
        set
    }

    /// As `[store] url` takes it; not all nodes, for a cluster may grow.
    pub(crate) fn url(&self) -> String {
        let places: Vec<_> =
            self.nodes.iter().take(4).map(|it| format!("127.0.0.1:{}", it.port())).collect();
        format!("redis+cluster://{}", places.join(","))
    }

    /// The name of a node.
    pub(crate) async fn id(&self, node: usize) -> String {
        self.nodes[node].ask("CLUSTER MYID").await
    }

    /// The position of the master that has a key's slot, as `seen_by` sees it; and the slot.
    pub(crate) async fn owner(&self, key: &str, seen_by: usize) -> (usize, u16) {
        let slot: u16 = self.nodes[seen_by].ask(&format!("CLUSTER KEYSLOT {key}")).await;
        type Node = (String, u16, redis::Value, redis::Value);
        let rows: Vec<Vec<redis::Value>> = self.nodes[seen_by].ask("CLUSTER SLOTS").await;
        for row in rows {
            let range: (u16, u16) = redis::from_redis_value(redis::Value::Array(row[..2].to_vec()))
                .unwrap_or_else(|error| panic!("{error}"));
            if (range.0..=range.1).contains(&slot) {
                let (_, port, ..): Node = redis::from_redis_value(row[2].clone())
                    .unwrap_or_else(|error| panic!("{error}"));
                let found = self.nodes.iter().position(|node| node.port() == port);
                return (found.unwrap_or_else(|| panic!("no node at {port}")), slot);
            }
        }
        panic!("nobody has slot {slot}");
    }

    async fn join(&self) {
        for (number, node) in self.nodes.iter().enumerate() {
            node.ask::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await;
        }
        let ranges = ["0 5460", "5461 10922", "10923 16383"];
        for (node, range) in self.nodes.iter().zip(ranges) {
            node.ask::<()>(&format!("CLUSTER ADDSLOTSRANGE {range}")).await;
        }
        for node in &self.nodes {
            let config: Vec<String> = node.ask("CONFIG GET cluster-port").await;
            for other in &self.nodes {
                let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", node.port(), config[1]);
                if other.port() != node.port() {
                    other.ask::<()>(&meet).await;
                }
            }
        }
        self.all("know one another", "cluster_known_nodes:6").await;
        for number in 3..6 {
            let master = self.id(number - 3).await;
            // Refused until the node has heard of the master itself.
            until("a replica follows", async || {
                let follow = format!("CLUSTER REPLICATE {master}");
                self.nodes[number].try_ask::<()>(&follow).await.is_ok()
            })
            .await;
        }
        self.all("serve", "cluster_state:ok").await;
        for master in &self.nodes[..3] {
            master.is_followed_by(1).await;
        }
    }

    async fn all(&self, what: &str, says: &str) {
        until(what, async || {
            for node in &self.nodes {
                if !node.ask::<String>("CLUSTER INFO").await.contains(says) {
                    return false;
                }
            }
            true
        })
        .await;
    }
}
