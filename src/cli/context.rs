//! The context of a verb: the configuration, its store, and the parts of its sites.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use uuid::Uuid;

use crate::app::reload_state::ReloadState;
use crate::app::{assemble, keys, stores};
use crate::clock::{Now, Timestamp};
use crate::config;
use crate::config::{Config, Fault, Faults, HostPattern, SiteConfig, StoreConfig};
use crate::gateway::snapshot::SiteParts;
use crate::operation::{Email, Generations, Identifier, Revocation, SessionId, UserId, Username};
use crate::store::{Lookup, Store, User};
use crate::telemetry::audit;
use crate::token::{Grant, KeyError};

use super::audit_trail;
use super::output::Output;

/// The context of a verb.
#[derive(Debug)]
pub(crate) struct Context {
    file: Option<PathBuf>,
    /// Prints results.
    pub(crate) output: Output,
    /// The instant of the command.
    pub(crate) now: Now,
}

/// A configuration with its store open and its sites built, as the gateway would.
pub(crate) struct Opened {
    /// The configuration.
    pub(crate) config: Config,
    /// Its store.
    pub(crate) store: Arc<dyn Store>,
    /// Its sites, in the order of the configuration.
    pub(crate) sites: Vec<SiteParts>,
    /// The settings of its operations.
    pub(crate) reload_state: ReloadState,
    /// The instant of the command.
    pub(crate) now: Timestamp,
    /// Expiry of a revocation of a user.
    pub(crate) revoked_until: Timestamp,
    /// The largest leeway of its sites.
    pub(crate) leeway: Duration,
}

impl Context {
    pub(crate) fn new(file: Option<PathBuf>, output: Output) -> Self {
        Self { file, output, now: Now::read() }
    }

    /// The configuration file: the one named, else the first that exists of the usual two.
    pub(crate) fn file(&self) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        config::find().ok_or_else(|| {
            let looked = config::default_paths().map(|path| path.display().to_string());
            let title = format!("no configuration at {}", looked.join(" or "));
            let hint = "name one with --config, or try `munjigi dev`";
            Faults(vec![Fault::without_place(title, hint)]).into()
        })
    }

    /// The configuration file to be made: the one named, else the first of the usual two.
    pub(crate) fn new_file(&self) -> PathBuf {
        let [usual, _] = config::default_paths();
        self.file.clone().unwrap_or(usual)
    }

    /// Whether there is a configuration file, or one was named.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some() || config::find().is_some()
    }

    /// Reads and checks the configuration.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        Ok(config::load(&self.file()?)?)
    }

    /// Opens the store and builds the sites.
    pub(crate) async fn open(&self) -> anyhow::Result<Opened> {
        let config = self.config()?;
        let contracts = assemble::contracts(&config)?;
        audit::hold(&config.log.audit);
        // A person waits longer than a request may.
        let timeout = config.store.timeout.max(PATIENCE);
        let store = stores::open(&StoreConfig { timeout, ..config.store.clone() }).await?;
        let (open, now) = (store.as_ref(), self.now.wall);
        let reload_state = ReloadState::new(&config)?;
        let own_keys = keys::own_keys(open, now).await?;
        let settings = assemble::settings(&config, &contracts, &reload_state, &own_keys)?;
        let sites = assemble::sites(&config, &contracts, &settings, open, now).await?;
        // Events of new keys.
        audit_trail::record_held(open).await;
        let longest = assemble::user_revocation_ttl(&config, &contracts);
        let leeway = config.sites.iter().map(|site| site.tokens.leeway).max().unwrap_or_default();
        let revoked_until = Revocation::until(self.now.wall.plus(longest), leeway);
        Ok(Opened { config, store, sites, reload_state, leeway, now, revoked_until })
    }
}

/// The longest wait for one answer of the store.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl Opened {
    /// Refuses rights that would make a token too long for a site of the realm.
    pub(crate) fn check_rights(
        &self,
        realm: &str,
        (email, username): (Option<&Email>, Option<&Username>),
        (roles, permissions): (&[String], &[String]),
        now: Timestamp,
    ) -> Result<(), KeyError> {
        let grant = Grant {
            user: UserId(i64::MAX),
            session: SessionId(Uuid::nil()),
            generations: Generations { user: u64::MAX, site: u64::MAX },
            email,
            username,
            roles,
            permissions,
            authentication: None,
            // The user may edit them; a login that becomes too long says so.
            attributes: None,
            not_after: None,
        };
        let mut sites = self.sites.iter().filter(|site| site.auth.realm == realm);
        sites.try_for_each(|site| site.auth.tokens.check_rights(grant, now))
    }

    /// Finds an account by email address, user name, or number (`id:7`, or `7` where no other
    /// account has that name).
    pub(crate) async fn user(&self, realm: &str, who: &str) -> anyhow::Result<User> {
        let find = async |identifier: Identifier| {
            self.store.find_user(realm, &identifier, Lookup::Routine).await
        };
        let nobody = || format!("no user `{who}` in realm `{realm}`");
        if let Some(id) = named_id(who) {
            return find(Identifier::Id(id)).await?.with_context(nobody);
        }
        let named = find(who.parse().with_context(|| format!("`{who}`"))?).await?;
        let numbered = match who.parse() {
            Ok(number) => find(Identifier::Id(UserId(number))).await?,
            Err(_) => None,
        };
        match (named, numbered) {
            (Some(named), Some(numbered)) if named.id != numbered.id => bail!(
                "`{who}` is the name of account id:{} and the number of another; say id:{} or id:{}",
                named.id,
                named.id,
                numbered.id
            ),
            (named, numbered) => named.or(numbered).with_context(nobody),
        }
    }

    /// The site of a host; the only site when none is named.
    pub(crate) fn site(&self, host: Option<&str>) -> anyhow::Result<&SiteParts> {
        self.configured_site(host).map(|(_, parts)| parts)
    }

    /// As [`Opened::site`], with its configuration.
    pub(crate) fn configured_site(
        &self,
        host: Option<&str>,
    ) -> anyhow::Result<(&SiteConfig, &SiteParts)> {
        let known = || {
            let hosts: Vec<String> =
                self.config.sites.iter().map(|site| site.host.to_string()).collect();
            hosts.join(", ")
        };
        let mut pairs = self.config.sites.iter().zip(&self.sites);
        match host {
            Some(host) => pairs
                .find(|(site, _)| is_named(&site.host, host))
                .with_context(|| format!("no site `{host}`; there are: {}", known())),
            None if self.sites.len() > 1 => {
                bail!("there are several sites, name one with --site: {}", known())
            }
            None => pairs.next().context("there is no site"),
        }
    }
}

/// The number of an account that is named by it: `id:7`.
pub(crate) fn named_id(who: &str) -> Option<UserId> {
    who.strip_prefix("id:")?.parse().ok().map(UserId)
}

/// Whether `host` is the key of a site in the configuration.
fn is_named(pattern: &HostPattern, host: &str) -> bool {
    pattern.to_string().eq_ignore_ascii_case(host)
}
