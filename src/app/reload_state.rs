//! State that outlives a snapshot while its settings stay: connections, running hashes, counts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::app::error::AssembleError;
use crate::auth::passwords::pool::PasswordPool;
use crate::auth::seen_sessions::SeenSessions;
use crate::auth::throttle::Throttle;
use crate::config::{Config, Fault, Faults, RouteConfig, UpstreamConfig, UpstreamRef};
use crate::gateway::upstream::{Upstream, UpstreamError};
use crate::mail::Nudge;
use crate::pages::template::Pages;

/// The upstreams of a configuration, shared by the routes that name them.
pub type Upstreams = HashMap<UpstreamRef, Arc<Upstream>>;

/// State that a reload keeps where its settings stay.
#[derive(Clone, Debug)]
pub struct ReloadState {
    /// The pool that hashes passwords.
    pub passwords: Arc<PasswordPool>,
    /// Limits on tries to log in.
    pub throttle: Arc<Throttle>,
    /// Sessions whose access tokens were seen here.
    pub seen: Arc<SeenSessions>,
    /// Upstreams.
    pub upstreams: Upstreams,
    /// What hosted pages are made of.
    pub pages: Arc<Pages>,
    /// Wakes the courier.
    pub nudge: Nudge,
}

impl ReloadState {
    /// Builds all parts.
    ///
    /// # Errors
    /// When Argon2 does not take its parameters, or an upstream cannot be set up.
    pub fn new(config: &Config) -> Result<Self, AssembleError> {
        Ok(Self {
            passwords: passwords(config)?,
            throttle: Arc::new(Throttle::new(&config.login)),
            seen: Arc::default(),
            upstreams: upstreams(config, None)?,
            pages: Arc::new(Pages::built_in()?),
            nudge: Nudge::default(),
        })
    }

    /// Rebuilds the parts whose settings differ between `before` and `config`, and keeps the rest.
    ///
    /// # Errors
    /// As [`ReloadState::new`].
    pub fn reloaded(&self, before: &Config, config: &Config) -> Result<Self, AssembleError> {
        let passwords = if config.password == before.password {
            Arc::clone(&self.passwords)
        } else {
            passwords(config)?
        };
        let throttle = if config.login == before.login {
            Arc::clone(&self.throttle)
        } else {
            Arc::new(Throttle::new(&config.login))
        };
        let upstreams = upstreams(config, Some((before, &self.upstreams)))?;
        Ok(Self { passwords, throttle, upstreams, ..self.clone() })
    }
}

fn passwords(config: &Config) -> Result<Arc<PasswordPool>, Faults> {
    let pool = PasswordPool::new(&config.password);
    pool.map(Arc::new)
        .map_err(|error| Faults::of_setting(&config.source, &["password", "memory"], &error))
}

/// Builds the upstreams that routes name; keeps those of `running` whose settings stay.
fn upstreams(config: &Config, running: Option<(&Config, &Upstreams)>) -> Result<Upstreams, Faults> {
    let mut upstreams = Upstreams::new();
    for route in config.sites.iter().flat_map(|site| &site.routes) {
        if upstreams.contains_key(&route.upstream) {
            continue;
        }
        let Some(settings) = upstream_settings(config, &route.upstream) else { continue };
        let kept = running.and_then(|(before, upstreams)| {
            let unchanged = upstream_settings(before, &route.upstream).as_ref() == Some(&settings);
            upstreams.get(&route.upstream).filter(|_| unchanged).cloned()
        });
        let upstream = match kept {
            Some(upstream) => upstream,
            None => Upstream::new(&route.upstream.to_string(), &settings)
                .map(Arc::new)
                .map_err(|error| blame(config, route, &error))?,
        };
        upstreams.insert(route.upstream.clone(), upstream);
    }
    Ok(upstreams)
}

fn blame(config: &Config, route: &RouteConfig, error: &UpstreamError) -> Faults {
    match &route.upstream {
        UpstreamRef::Named(name) => {
            let key = if matches!(error, UpstreamError::Ca(_)) { "tls" } else { "targets" };
            Faults::of_setting(&config.source, &["upstream", name, key, "ca"], error)
        }
        UpstreamRef::Url(_) => {
            let hint = "this route's upstream cannot be used";
            Faults(vec![Fault::caused(&config.source, route.spot.span.clone(), error, hint)])
        }
    }
}

/// `None` for a name that is not configured, which [`crate::config::load`] refuses.
fn upstream_settings(config: &Config, upstream: &UpstreamRef) -> Option<UpstreamConfig> {
    match upstream {
        UpstreamRef::Named(name) => config.upstreams.get(name).cloned(),
        UpstreamRef::Url(url) => Some(UpstreamConfig::at(url.clone())),
    }
}
