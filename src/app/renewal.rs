//! Replaces signing keys while the gateway runs.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;

use crate::app::error::AssembleError;
use crate::app::keys;
use crate::app::reload_state::ReloadState;
use crate::clock::Now;
use crate::drain::Signal;
use crate::gateway::Gateway;
use crate::gateway::snapshot::Snapshot;
use crate::telemetry::causes;
use crate::token::SiteTokens;

/// Rebuilds the snapshot whenever its signing keys may have changed: one that signs was revoked,
/// the node started with the keys of its journal, or another node put others back.
#[derive(Debug)]
pub(super) struct KeyRenewal {
    pub(super) gateway: Arc<Gateway>,
    pub(super) reload_state: Arc<Mutex<ReloadState>>,
    /// Notified when the store's keys turn out to be others (with a journal).
    pub(super) changed: Option<watch::Receiver<()>>,
}

/// Interval of looking for a revoked key that signs. Until it is replaced its site
/// issues nothing (503).
const LOOK: Duration = Duration::from_millis(100);

/// Pause after a renewal that changed nothing: the store was away, or the key is the
/// operator's own and waits to be replaced in the configuration.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Time for which the successor of a revoked key only verifies: other nodes, which hear of
/// the revocation when this one does, must know it before a token under it comes to them.
const MADE_KNOWN: Duration = Duration::from_secs(1);

impl KeyRenewal {
    /// Runs until the signal.
    pub(super) async fn run(mut self, mut stop: Signal) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried: Option<Instant> = None;
        // When a successor was last left to verify only.
        let mut withheld: Option<Instant> = None;
        loop {
            let is_known = || withheld.is_none_or(|since| since.elapsed() >= MADE_KNOWN);
            tokio::select! {
                () = stop.given() => return,
                () = changed(&mut self.changed) => {}
                _ = looks.tick() => {
                    let is_early = tried.is_some_and(|tried| tried.elapsed() < TRY_AGAIN);
                    let is_due = withheld.is_some() && is_known();
                    if is_early || !(is_due || self.signs_with_revoked()) {
                        continue;
                    }
                    tried = Some(Instant::now());
                }
            }
            match self.renew(is_known()).await {
                Ok(is_withheld) => {
                    withheld = is_withheld.then(Instant::now);
                    tracing::info!("the signing keys were read again");
                    if self.signs_with_revoked() {
                        tracing::error!(
                            "a site's only signing key is revoked: it issues no tokens until \
                             [site.X.tokens] keys begins with another one"
                        );
                    } else {
                        tried = None;
                    }
                }
                Err(error) => {
                    tracing::error!(error = causes(&error), "the signing keys do not read");
                }
            }
        }
    }

    fn signs_with_revoked(&self) -> bool {
        let (snapshot, list) = (self.gateway.snapshot.load(), &self.gateway.auth.revocations);
        snapshot.signs_with_revoked(list, Now::read().wall)
    }

    /// Reads the keys again; all else stays as of the latest reload. Answers whether a successor is
    /// withheld: of a revoked key it always is, of none only until it `is_known`.
    async fn renew(&self, is_known: bool) -> Result<bool, AssembleError> {
        let reload_state = self.reload_state.lock().await;
        let current = self.gateway.snapshot.load_full();
        let (config, store) = (&current.config, self.gateway.auth.store.as_ref());
        let now = Now::read().wall;
        let is_revoked = |key| self.gateway.auth.revocations.holds(&key, now);
        let mut is_withheld = false;
        let settle = |before: &SiteTokens, renewed: SiteTokens| {
            let signs = renewed.signing_key().is_some_and(|key| !is_revoked(key));
            if !signs || before.signing_key().map_or(is_known, |key| !is_revoked(key)) {
                return renewed;
            }
            is_withheld = true;
            renewed.not_issuing()
        };
        let parts = keys::with_keys_renewed(config, current.parts(), store, now, settle).await?;
        let pages = Arc::clone(&reload_state.pages);
        let next = Snapshot::new(config.clone(), parts, &reload_state.upstreams, pages);
        self.gateway.snapshot.store(Arc::new(next));
        Ok(is_withheld)
    }
}

/// Waits for a change of the keys; for ever without a journal.
async fn changed(changed: &mut Option<watch::Receiver<()>>) {
    match changed {
        Some(news) => {
            if news.changed().await.is_err() {
                *changed = None;
            }
        }
        None => pending().await,
    }
}
