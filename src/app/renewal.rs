//! Takes other signing keys into use while the gateway runs.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::app::assemble::AssembleError;
use crate::app::kept::Kept;
use crate::app::keys;
use crate::clock::Now;
use crate::drain::Signal;
use crate::gateway::Gateway;
use crate::gateway::snapshot::Snapshot;

/// Builds the snapshot anew whenever the signing keys that it was built of may have changed: one
/// that signs was revoked, the node started with the keys of its own file, or another put others
/// back.
#[derive(Debug)]
pub(super) struct KeyRenewal {
    pub(super) gateway: Arc<Gateway>,
    pub(super) kept: Arc<Mutex<Kept>>,
    /// Told where the store's keys are found to be others (with a journal).
    pub(super) changed: Option<watch::Receiver<()>>,
}

/// How often it is looked whether a key that signs was revoked. Until it is replaced its site
/// issues nothing (503), and other nodes that were quicker issue tokens that are unknown here.
const LOOK: Duration = Duration::from_millis(100);

/// How soon it is tried again where nothing came of it: the store was away, or the key is the
/// operator's own and waits to be replaced in the configuration.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl KeyRenewal {
    /// Goes on until the signal.
    pub(super) async fn run(mut self, mut stop: Signal) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.given() => return,
                () = told(&mut self.changed) => {}
                _ = looks.tick() => {
                    let is_early = tried.is_some_and(|tried| tried.elapsed() < TRY_AGAIN);
                    if is_early || !self.signs_with_revoked() {
                        continue;
                    }
                    tried = Some(Instant::now());
                }
            }
            match self.renew().await {
                Ok(()) => {
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
                Err(error) => tracing::error!(error = %error, "the signing keys do not read"),
            }
        }
    }

    fn signs_with_revoked(&self) -> bool {
        let (snapshot, list) = (self.gateway.snapshot.load(), &self.gateway.auth.revocations);
        snapshot.signs_with_revoked(list, Now::read().wall)
    }

    /// Only the keys are read again: all else stays as the latest reload settled it.
    async fn renew(&self) -> Result<(), AssembleError> {
        let kept = self.kept.lock().await;
        let current = self.gateway.snapshot.load_full();
        let (config, store) = (&current.config, self.gateway.auth.store.as_ref());
        let now = Now::read().wall;
        let parts = keys::with_keys_renewed(config, current.parts(), store, now).await?;
        let next = Snapshot::build(config.clone(), parts, &kept.upstreams)?;
        self.gateway.snapshot.store(Arc::new(next));
        Ok(())
    }
}

/// Waits for news, where any may come.
async fn told(changed: &mut Option<watch::Receiver<()>>) {
    match changed {
        Some(news) => {
            if news.changed().await.is_err() {
                *changed = None;
            }
        }
        None => pending().await,
    }
}
