//! The running gateway, and the only place that constructs it.
//!
//! [`App::start`] opens the store, builds the first snapshot, binds the listeners and starts what
//! runs in the background; [`App::reload`] replaces the snapshot whole or not at all; [`App::stop`]
//! drains within the grace.

pub mod assemble;
mod blame;
pub mod certificates;
pub mod end_site;
pub mod error;
pub mod keys;
pub mod reload_state;
mod renewal;
pub mod stores;
mod waiting_events;
pub mod warnings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admin::{Admin, Metrics};
use crate::auth::Auth;
use crate::clock::{Now, Timestamp};
use crate::config::{Config, restart_only_changes};
use crate::drain::{Drain, Drained, Signal};
use crate::edge;
use crate::edge::tls::TlsError;
use crate::edge::{Bound, Service, Workers};
use crate::gateway::Gateway;
use crate::gateway::log::writer::AccessLog;
use crate::gateway::snapshot::Snapshot;
use crate::journal::{JournaledStore, OnDamage};
use crate::mail::Courier;
use crate::own_keys::OwnKeys;
use crate::revocation::RevocationList;
use crate::store::Store;
use crate::telemetry::audit::AuditTo;
use crate::telemetry::causes;
use crate::telemetry::log::Shape;

use certificates::server_config;
use error::AssembleError;
use reload_state::ReloadState;
use renewal::KeyRenewal;
use waiting_events::WaitingEvents;
use warnings::warnings;

/// A running gateway.
#[derive(Debug)]
pub struct App {
    gateway: Arc<Gateway>,
    tls: Arc<ArcSwap<rustls::ServerConfig>>,
    /// State that a reload keeps while its settings stay; locked for a whole reload, so that two
    /// never mix.
    reload_state: Arc<Mutex<ReloadState>>,
    /// The store with its journal, where this node has one.
    journaled: Option<Arc<JournaledStore>>,
    listening: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Of the HTTPS listeners and their connections.
    drain: Drain,
    /// Of the background tasks, which go on while requests in flight end: health, the feed, mails,
    /// the audit trail of verbs, purging.
    background: Drain,
    tasks: Vec<JoinHandle<()>>,
    /// Of connections.
    workers: Workers,
    /// Of the workers' threads: they end when nothing of a connection is left, or its grace is over.
    worker_drain: Drain,
}

/// An error of starting a gateway, or of applying a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A part cannot be built.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// Certificates or keys do not read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The threads of connections cannot be started.
    #[error("the worker threads cannot be started")]
    Workers(#[source] std::io::Error),
    /// The access log's writer cannot be started.
    #[error("the access log cannot be written")]
    AccessLog(#[source] std::io::Error),
    /// The new configuration changes what only a restart can.
    #[error("a restart is needed to change {}", .0.join(", "))]
    RestartNeeded(Vec<&'static str>),
}

impl App {
    /// Starts a gateway; when it answers, connections are accepted.
    ///
    /// Requests that need revocations are answered 503 until the list was read once
    /// ([`App::ready`]).
    ///
    /// # Errors
    /// Says which part cannot be built or which address is taken.
    pub async fn start(config: Config, access_log: Option<Shape>) -> Result<Self, AppError> {
        Self::start_on(config, access_log, OnDamage::Refuse).await
    }

    /// Starts a gateway as [`App::start`] does, on a journal that may be damaged.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_on(
        config: Config,
        access_log: Option<Shape>,
        on_damage: OnDamage,
    ) -> Result<Self, AppError> {
        // The snapshot takes handles of counters, which need the recorder.
        let metrics = Metrics::install();
        let now = Now::read().wall;
        let revocations = Arc::new(RevocationList::new(config.revocation.capacity));
        let opening = Box::pin(stores::open_journaled(&config, &revocations, on_damage));
        let (store, journaled) = opening.await?;
        // A store that takes no writes, as with a full disk, still has the revocations: the failure
        // is logged, and the node is not ready.
        drop(store.writable().await);
        let own_keys = keys::own_keys(store.as_ref(), now).await?;
        let reload_state = ReloadState::new(&config)?;
        let snapshot = snapshot(&config, store.as_ref(), &reload_state, &own_keys, now).await?;
        let ended = end_site::after_restore(store.as_ref(), &snapshot, now).await;
        ended.map_err(|source| AssembleError::Store { store: store.describe(), source })?;
        let server_config = server_config(&config)?;
        let worker_drain = Drain::new();
        let workers = Workers::start(config.server.workers, &worker_drain);
        let workers = workers.map_err(AppError::Workers)?;

        let (drain, background) = (Drain::new(), Drain::new());
        let access_log = match access_log {
            Some(shape) => AccessLog::start(shape, drain.guard()).map_err(AppError::AccessLog)?,
            None => AccessLog::off(),
        };
        let auth = Auth { store: Arc::clone(&store), revocations, own_keys };
        let gateway = Arc::new(Gateway::new(snapshot, auth, access_log));

        let mut tasks = start_feed(&store, &gateway.auth.revocations, &background);
        let courier = Courier::new(Arc::clone(&store), reload_state.nudge.clone());
        let current = Arc::clone(&gateway);
        let outbox = move || current.snapshot.load().outbox().cloned();
        tasks.push(tokio::spawn(courier.run(outbox, background.guard())));
        if config.log.audit != AuditTo::Off {
            let events = WaitingEvents::new(Arc::clone(&store));
            tasks.push(tokio::spawn(events.record_all(background.guard())));
        }
        tasks.push(tokio::spawn(purge_hourly(store, background.signal())));
        let reload_state = Arc::new(Mutex::new(reload_state));
        let renewal = KeyRenewal {
            gateway: Arc::clone(&gateway),
            reload_state: Arc::clone(&reload_state),
            changed: journaled.as_ref().map(|journaled| journaled.keys_changed()),
        };
        tasks.push(tokio::spawn(renewal.run(background.signal())));
        let mut app = Self {
            gateway,
            tls: Arc::new(ArcSwap::new(server_config)),
            reload_state,
            journaled,
            listening: Vec::new(),
            admin: None,
            drain,
            background,
            tasks,
            workers,
            worker_drain,
        };
        app.listen(&config, metrics)?;
        Ok(app)
    }

    /// The HTTPS addresses, with the ports that the system chose for port 0.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// The admin address.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The gateway, for other parts of the same process.
    #[must_use]
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Waits until revocations were read completely once.
    pub async fn ready(&self) {
        self.gateway.auth.revocations.ready().await;
    }

    /// Takes a new configuration, whole or not at all; requests in flight keep the old one.
    ///
    /// # Errors
    /// When it has faults, or changes a key that only a restart can change.
    pub async fn reload(&self, config: Config) -> Result<(), AppError> {
        let mut reload_state = self.reload_state.lock().await;
        let current = self.gateway.snapshot.load_full();
        let changes = restart_only_changes(&current.config, &config);
        if !changes.is_empty() {
            return Err(AppError::RestartNeeded(changes));
        }
        let next_state = reload_state.reloaded(&current.config, &config)?;
        let Auth { store, own_keys, .. } = &self.gateway.auth;
        let next =
            snapshot(&config, store.as_ref(), &next_state, own_keys, Now::read().wall).await?;
        let tls = server_config(&config)?;
        self.gateway.snapshot.store(Arc::new(next));
        self.tls.store(tls);
        *reload_state = next_state;
        Ok(())
    }

    /// Stops accepting, lets requests in flight end within the grace, and ends background tasks.
    pub async fn stop(self) -> Drained {
        let Self { drain, background, tasks, gateway, journaled, worker_drain, .. } = self;
        let grace = gateway.snapshot.load().config.server.shutdown_grace;
        let drained = drain.finish(grace).await;
        worker_drain.finish(BACKGROUND_GRACE).await;
        background.finish(BACKGROUND_GRACE).await;
        let deadline = Instant::now() + BACKGROUND_GRACE;
        for mut task in tasks {
            // Each ends by itself: the feed closes its database, or its write-ahead log would stay.
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                // Aborted or done, it has ended: nothing else matters.
                drop(task.await);
            }
        }
        if let Some(journaled) = journaled {
            journaled.close().await;
        }
        let flushed = tokio::task::spawn_blocking(move || gateway.access_log.flush());
        if let Err(error) = flushed.await {
            tracing::error!(error = %error, "the end of the access log was not written");
        }
        drained
    }

    fn listen(&mut self, config: &Config, metrics: Metrics) -> Result<(), AppError> {
        let bind = |address: SocketAddr| {
            Bound::to(address).map_err(|source| AppError::Listen { address, source })
        };
        // All are bound before one is served: a taken port must not leave half a gateway.
        let bound: Vec<Bound> =
            config.server.listen.iter().copied().map(bind).collect::<Result<_, _>>()?;
        let admin = config.server.admin.map(bind).transpose()?;
        let connections = Arc::new(Semaphore::new(config.server.max_connections));
        for bound in bound {
            self.listening.push(bound.local_addr());
            let (gateway, current) = (Arc::clone(&self.gateway), Arc::clone(&self.gateway));
            let service = Service {
                handler: move |request, connection| {
                    Arc::clone(&gateway).handle(request, connection)
                },
                limits: Arc::new(move || current.snapshot.load().config.limits.clone()),
                connections: Arc::clone(&connections),
                guard: self.drain.guard(),
                workers: self.workers.clone(),
            };
            self.tasks.push(tokio::spawn(edge::serve(bound, Arc::clone(&self.tls), service)));
        }
        if let Some(bound) = admin {
            self.admin = Some(bound.local_addr());
            let admin = Admin::new(Arc::clone(&self.gateway), metrics, self.drain.signal());
            self.tasks.push(tokio::spawn(admin.serve(bound, self.background.guard())));
        }
        Ok(())
    }
}

/// Time for background tasks to end once requests have.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// Builds a snapshot of a configuration.
async fn snapshot(
    config: &Config,
    store: &dyn Store,
    reload_state: &ReloadState,
    own_keys: &Arc<OwnKeys>,
    now: Timestamp,
) -> Result<Snapshot, AssembleError> {
    let contracts = assemble::contracts(config)?;
    for warning in warnings(config, &contracts) {
        tracing::warn!("{warning}");
    }
    let settings = assemble::settings(config, &contracts, reload_state, own_keys)?;
    let parts = assemble::sites(config, &contracts, &settings, store, now).await?;
    let pages = Arc::clone(&reload_state.pages);
    Ok(Snapshot::new(config.clone(), parts, &reload_state.upstreams, pages))
}

fn start_feed(
    store: &Arc<dyn Store>,
    revocations: &Arc<RevocationList>,
    background: &Drain,
) -> Vec<JoinHandle<()>> {
    // Enough to keep the reader of a long first read busy, little enough to bound memory.
    let (events, feed) = mpsc::channel(64);
    let (store, revocations) = (Arc::clone(store), Arc::clone(revocations));
    let guard = background.guard();
    vec![
        tokio::spawn(async move { store.follow(events).await }),
        tokio::spawn(async move { revocations.run(feed, guard).await }),
    ]
}

/// Deletes what has expired, once an hour; a failure is said, and tried again an hour later.
async fn purge_hourly(store: Arc<dyn Store>, mut stop: Signal) {
    let mut hours = tokio::time::interval(Duration::from_secs(3600));
    loop {
        tokio::select! {
            () = stop.given() => return,
            _ = hours.tick() => {}
        }
        if let Err(error) = store.purge(Now::read().wall).await {
            tracing::warn!(error = causes(&error), "expired records were not deleted");
        }
    }
}
