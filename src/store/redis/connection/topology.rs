//! The topology of a Redis: one server, the master that sentinels name, or a cluster.
//!
//! The rest of the store sends its calls here and does not know which of the three it is.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{RedisUrl, RedisWay};
use crate::store::redis::connection::call::Call;
use crate::store::redis::connection::cluster::Cluster;
use crate::store::redis::connection::dialer::Dialer;
use crate::store::redis::connection::fault::RedisFault;
use crate::store::redis::connection::link::Link;
use crate::store::redis::connection::sentinel::{Found, Master};
use crate::store::{RedisOptions, StoreError};

/// The sentinels may take an operation's deadline divided by this.
const SENTINEL_DIVISOR: u32 = 4;

/// The way to a Redis.
pub(in crate::store::redis) enum Route {
    Standalone(Arc<Link>),
    Sentinel(Arc<Link>, Arc<Master>),
    Cluster(Box<Cluster>),
}

/// The masters, as each describes itself.
pub(in crate::store::redis) struct Servers {
    pub(in crate::store::redis) masters: Vec<Server>,
    /// Slots of a cluster that no node has.
    pub(in crate::store::redis) orphans: u16,
}

/// A server and what INFO says there.
pub(in crate::store::redis) struct Server {
    pub(in crate::store::redis) name: String,
    pub(in crate::store::redis) info: Result<String, RedisError>,
}

/// Listens to sentinels until it is dropped.
pub(in crate::store::redis) struct SentinelWatch(JoinHandle<()>);

impl Drop for SentinelWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells when connections that were made before may lead to the wrong server.
pub(in crate::store::redis) struct Moves(Option<watch::Receiver<Found>>);

impl Moves {
    /// Waits for it.
    pub(in crate::store::redis) async fn next(&mut self) {
        let is_told = match &mut self.0 {
            Some(found) => found.changed().await.is_ok(),
            None => false,
        };
        if !is_told {
            pending().await
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Standalone(_) => "Standalone",
            Self::Sentinel(..) => "Sentinel",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Route {
    /// Prepares to connect; nothing is sent yet.
    pub(in crate::store::redis) fn new(options: &RedisOptions) -> Result<Self, StoreError> {
        let url: RedisUrl = options.url.parse().map_err(RedisFault::Url)?;
        let dialer = Dialer::new(options, url.tls)?;
        let (home, silence) = (Handle::current(), options.deadlines.command);
        Ok(match url.way {
            RedisWay::Standalone(url) => {
                let client = Arc::new(dialer.client_of_url(&url)?);
                Self::Standalone(Arc::new(Link::new(client, home, silence)))
            }
            RedisWay::Sentinel { sentinels, master } => {
                let sentinel_dialer = dialer.with_password(&options.sentinel_password);
                let sentinels = sentinels
                    .into_iter()
                    .map(|sentinel| Ok((sentinel.clone(), sentinel_dialer.client(sentinel)?)))
                    .collect::<Result<_, RedisError>>()?;
                let patience = silence / SENTINEL_DIVISOR;
                let master = Arc::new(Master::new(master, sentinels, dialer, patience));
                let link = Link::new(Arc::clone(&master) as _, home, silence);
                Self::Sentinel(Arc::new(link), master)
            }
            RedisWay::Cluster(seeds) => {
                Self::Cluster(Box::new(Cluster::new(dialer, seeds, home, silence)))
            }
        })
    }

    /// Other connections by the same way.
    pub(in crate::store::redis) fn separate_connections(&self) -> Self {
        match self {
            Self::Standalone(link) => Self::Standalone(Arc::new(link.separate_connections())),
            Self::Sentinel(link, master) => {
                Self::Sentinel(Arc::new(link.separate_connections()), Arc::clone(master))
            }
            Self::Cluster(cluster) => Self::Cluster(Box::new(cluster.separate_connections())),
        }
    }

    /// Sends a call to the server of its key.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        call: Call<'_>,
    ) -> Result<T, RedisError> {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => link.ask(call).await,
            Self::Cluster(cluster) => Box::pin(cluster.ask(call)).await,
        }
    }

    /// Makes a separate connection to the server of a key, for a caller that blocks on it.
    pub(in crate::store::redis) async fn connect(
        &self,
        key: &str,
    ) -> Result<MultiplexedConnection, RedisError> {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => link.connect().await,
            Self::Cluster(cluster) => cluster.link_of(key.as_bytes()).await?.connect().await,
        }
    }

    /// Lets go of connections that were silent for long.
    pub(in crate::store::redis) fn drop_if_silent(&self) {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => {
                link.drop_if_silent();
            }
            Self::Cluster(cluster) => cluster.drop_if_silent(),
        }
    }

    /// Connects again with the next call.
    pub(in crate::store::redis) fn reconnect(&self) {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => link.reconnect(),
            Self::Cluster(cluster) => cluster.reconnect(),
        }
    }

    /// Asks every master what it is.
    pub(in crate::store::redis) async fn servers(&self) -> Result<Servers, RedisError> {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => {
                // Whoever may not run INFO may be there all the same.
                link.ask::<()>(Call::command(&redis::cmd("PING"))).await?;
                Ok(Servers { masters: vec![info("master".to_owned(), link).await], orphans: 0 })
            }
            Self::Cluster(cluster) => {
                let (masters, orphans) = cluster.masters().await?;
                let asked = masters.iter().map(|(server, link)| info(server.to_string(), link));
                Ok(Servers { masters: join_all(asked).await, orphans })
            }
        }
    }

    /// The servers that have keys; of a cluster, by a map that was just read.
    pub(in crate::store::redis) async fn masters(&self) -> Result<Vec<Arc<Link>>, RedisError> {
        match self {
            Self::Standalone(link) | Self::Sentinel(link, _) => Ok(vec![Arc::clone(link)]),
            Self::Cluster(cluster) => {
                let (masters, _orphans) = cluster.masters().await?;
                Ok(masters.into_iter().map(|(_, link)| link).collect())
            }
        }
    }

    /// A description of the topology.
    pub(in crate::store::redis) async fn describe(&self, servers: &Servers) -> String {
        match self {
            Self::Standalone(_) => "one server".to_owned(),
            Self::Sentinel(_, master) => {
                let (present, all) = master.count_reachable().await;
                format!("sentinels, {present} of {all} answer")
            }
            Self::Cluster(_) => format!("cluster, {} masters", servers.masters.len()),
        }
    }

    /// Notices of moves from now on.
    pub(in crate::store::redis) fn moves(&self) -> Moves {
        Moves(match self {
            Self::Sentinel(_, master) => Some(master.moves()),
            // A node that lost a slot says so to whoever asks about it.
            Self::Standalone(_) | Self::Cluster(_) => None,
        })
    }

    /// Begins to listen to the sentinels, if there are any.
    pub(in crate::store::redis) fn watch(&self) -> Option<SentinelWatch> {
        let Self::Sentinel(_, master) = self else { return None };
        let master = Arc::clone(master);
        Some(SentinelWatch(tokio::spawn(async move { master.watch().await })))
    }
}

async fn info(name: String, link: &Link) -> Server {
    Server { name, info: link.ask(Call::command(&redis::cmd("INFO"))).await }
}
