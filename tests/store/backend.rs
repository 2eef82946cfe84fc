//! The stores that the checks run on.

use std::sync::Arc;
use std::time::Duration;

use munjigi::store::{
    Archive, Deadlines, Durability, RedisOptions, RedisStore, SqliteStore, Store,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::redis_server::RedisServer;
use crate::redis_sets::{shared_cluster, shared_sentinels};

/// Deadlines that a busy machine keeps: what is checked here is behaviour, not speed.
pub(crate) const DEADLINES: Deadlines =
    Deadlines { command: Duration::from_secs(20), lookup: Duration::from_secs(20) };

/// One store of its own for one check.
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn Store>,
    /// The same.
    pub(crate) archive: Arc<dyn Archive>,
    place: Place,
}

enum Place {
    Memory,
    Folder(TempDir),
    Redis(RedisServer),
    /// A part of a Redis that all tests share.
    Shared(RedisOptions),
}

impl Backend {
    pub(crate) async fn in_memory() -> Self {
        Self::at(Place::Memory).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::at(Place::Folder(tempfile::tempdir().expect("a folder"))).await
    }

    pub(crate) async fn redis() -> Self {
        Self::at(Place::Redis(RedisServer::start().await)).await
    }

    pub(crate) async fn sentinel() -> Self {
        Self::at(Place::shared(shared_sentinels().await.url())).await
    }

    pub(crate) async fn cluster() -> Self {
        Self::at(Place::shared(shared_cluster().await.url())).await
    }

    /// Another handle on the same store, as another gateway has.
    pub(crate) async fn another(&self) -> Arc<dyn Store> {
        self.place.open().await
    }

    async fn at(place: Place) -> Self {
        let archive = place.open().await;
        Self { store: Arc::<dyn Archive>::clone(&archive), archive, place }
    }
}

impl Place {
    async fn open(&self) -> Arc<dyn Archive> {
        match self {
            Self::Memory => Arc::new(SqliteStore::in_memory(DEADLINES).expect("a store")),
            Self::Folder(folder) => {
                let file = folder.path().join("munjigi.db");
                // Nothing here cuts the power: waiting for the disk would check nothing more.
                Arc::new(SqliteStore::open(&file, Durability::Normal, DEADLINES).expect("a store"))
            }
            Self::Redis(server) => redis(RedisOptions::new(server.url(), DEADLINES)).await,
            Self::Shared(options) => redis(options.clone()).await,
        }
    }

    fn shared(url: String) -> Self {
        let prefix = format!("{}:", Uuid::new_v4());
        Self::Shared(RedisOptions { prefix, ..RedisOptions::new(url, DEADLINES) })
    }
}

async fn redis(options: RedisOptions) -> Arc<dyn Archive> {
    Arc::new(RedisStore::connect(options).await.expect("a store"))
}
