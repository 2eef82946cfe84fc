//! Opens, examines and inspects the store that a configuration names.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::app::error::AssembleError;
use crate::clock::Timestamp;
use crate::config::{Config, StoreConfig, StoreUrl};
use crate::journal::{Journal, JournaledStore, OnDamage};
use crate::revocation::RevocationList;
use crate::store::{
    Archive, Deadlines, Durability, Page, RedisOptions, RedisStore, SetupReport, SqliteStore,
    Store, StoreError,
};

/// Opens the store that a configuration names.
///
/// # Errors
/// [`AssembleError::Store`] when it cannot be opened.
pub async fn open(config: &StoreConfig) -> Result<Arc<dyn Store>, AssembleError> {
    Ok(open_archive(config).await?)
}

/// Opens a store to move or save everything that is in it.
///
/// # Errors
/// As [`open`].
pub async fn open_archive(config: &StoreConfig) -> Result<Arc<dyn Archive>, AssembleError> {
    let durability = if config.full_durability { Durability::Full } else { Durability::Normal };
    let sqlite = |store| Arc::new(store) as Arc<dyn Archive>;
    let opened = match &config.url {
        StoreUrl::Sqlite(path) => {
            SqliteStore::open(path, durability, deadlines(config)).map(sqlite)
        }
        StoreUrl::Memory => SqliteStore::in_memory(deadlines(config)).map(sqlite),
        StoreUrl::Redis(url) => RedisStore::connect(redis_options(config, url))
            .await
            .map(|store| Arc::new(store) as Arc<dyn Archive>),
    };
    opened.map_err(|source| failed(config, source))
}

/// Opens the store of a gateway: a Redis together with this node's journal, which is read into
/// `list`.
///
/// # Errors
/// When either cannot be opened. A Redis that is away is no error where the journal has keys.
pub async fn open_journaled(
    config: &Config,
    list: &Arc<RevocationList>,
    on_damage: OnDamage,
) -> Result<(Arc<dyn Store>, Option<Arc<JournaledStore>>), AssembleError> {
    let (StoreUrl::Redis(url), Some(path)) = (&config.store.url, &config.revocation.journal) else {
        return Ok((open(&config.store).await?, None));
    };
    let (path, prefix) = (path.clone(), config.store.prefix.clone());
    let list_to_fill = Arc::clone(list);
    let opening = move || Journal::open(&path, &prefix, on_damage, &list_to_fill).map_err(Box::new);
    let journal = tokio::task::spawn_blocking(opening).await.map_err(AssembleError::Task)??;
    let failed = |source| failed(&config.store, source);
    let store = RedisStore::prepare(&redis_options(&config.store, url)).map_err(failed)?;
    let longest_session = config.sites.iter().map(|site| site.tokens.session_ttl).max();
    let longest_session = longest_session.unwrap_or_default();
    let joined = JournaledStore::open(store, journal, Arc::clone(list), longest_session);
    let joined = Arc::new(joined.await.map_err(failed)?);
    Ok((Arc::<JournaledStore>::clone(&joined), Some(joined)))
}

/// Examines the store that a configuration names, and its journal, and changes nothing that is in
/// them; an empty Redis is marked with the layout of its keys.
///
/// # Errors
/// [`AssembleError::Store`] when the gateway would not start on it, or could record nothing there;
/// [`AssembleError::Journal`] when it could not write its journal.
pub async fn check_setup(config: &Config) -> Result<SetupReport, AssembleError> {
    let examined = match &config.store.url {
        StoreUrl::Sqlite(path) => SqliteStore::check_setup(path),
        StoreUrl::Memory => Ok(SetupReport::default()),
        StoreUrl::Redis(url) => {
            match RedisStore::connect(redis_options(&config.store, url)).await {
                Ok(store) => store.check_setup().await,
                Err(error) => Err(error),
            }
        }
    };
    let mut found = examined.map_err(|source| failed(&config.store, source))?;
    if let (StoreUrl::Redis(_), Some(journal)) = (&config.store.url, &config.revocation.journal) {
        Journal::check_setup(journal, &mut found).map_err(Box::new)?;
    }
    Ok(found)
}

/// Reads a whole store, sends what is in it, and names each fault; it changes nothing.
///
/// # Errors
/// [`AssembleError::Store`] when it cannot be read.
pub async fn inspect(
    config: &StoreConfig,
    now: Timestamp,
    pages: mpsc::Sender<Page>,
) -> Result<Vec<String>, AssembleError> {
    let inspected = match &config.url {
        StoreUrl::Sqlite(path) => {
            let path = path.clone();
            let work = move || SqliteStore::check_integrity(&path, now, pages);
            tokio::task::spawn_blocking(work).await.map_err(AssembleError::Task)?
        }
        StoreUrl::Memory => Ok(Vec::new()),
        StoreUrl::Redis(url) => match RedisStore::prepare(&redis_options(config, url)) {
            Ok(store) => store.check_integrity(now, pages).await,
            Err(error) => Err(error),
        },
    };
    inspected.map_err(|source| failed(config, source))
}

fn failed(config: &StoreConfig, source: StoreError) -> AssembleError {
    let store = match &config.url {
        StoreUrl::Sqlite(path) => path.display().to_string(),
        StoreUrl::Memory => "in memory".to_owned(),
        StoreUrl::Redis(url) => url.clone(),
    };
    AssembleError::Store { store, source }
}

const fn deadlines(config: &StoreConfig) -> Deadlines {
    Deadlines { command: config.timeout, lookup: config.lookup_timeout }
}

fn redis_options(config: &StoreConfig, url: &str) -> RedisOptions {
    RedisOptions {
        username: config.username.clone(),
        password: config.password.clone(),
        sentinel_password: config.sentinel_password.clone(),
        ca: config.ca.clone(),
        cert: config.cert.clone(),
        key: config.key.clone(),
        wait_replicas: config.wait_replicas,
        prefix: config.prefix.clone(),
        ..RedisOptions::new(url, deadlines(config))
    }
}
