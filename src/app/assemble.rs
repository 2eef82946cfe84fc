//! Builds what a configuration names: contracts, tokens, settings of the operations.
//!
//! The command line builds the same parts with the same functions, so that what a verb says of a
//! site is what the running gateway does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::app::blame::{
    blame_keys, endpoints_among_pages, fault, foreign_attributes, unprovable_factor,
};
use crate::app::error::AssembleError;
use crate::app::keys::{own_keys, site_tokens};
use crate::app::reload_state::ReloadState;
use crate::app::stores;
use crate::auth::{AuthSettings, AuthSite};
use crate::clock::Timestamp;
use crate::config::{
    Audience, Config, ContractName, Faults, HostPattern, SiteConfig, StoreConfig, StoreUrl,
};
use crate::contract::Contract;
use crate::gateway::headers::session_cookies::SessionCookies;
use crate::gateway::snapshot::SiteParts;
use crate::mail::{Outbox, Templates};
use crate::own_keys::OwnKeys;
use crate::social::Social;
use crate::store::Store;
use crate::token::{ForeignClaims, KeyRing, TokenPolicy};

/// Everything that can be checked without a store: the contracts that the sites name, and the
/// keys that the operator brought.
///
/// # Errors
/// Every fault, each with its place.
pub fn contracts(config: &Config) -> Result<Vec<Arc<Contract>>, Faults> {
    let mut faults = Vec::new();
    let mut contracts: Vec<Arc<Contract>> = Vec::new();
    // Sites share the contracts that they have in common.
    let mut loaded: HashMap<&ContractName, Arc<Contract>> = HashMap::new();
    for site in &config.sites {
        let contract = match loaded.entry(&site.contract) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(unknown) => load_contract(config, site)
                .map(|contract| Arc::clone(unknown.insert(Arc::new(contract)))),
        };
        match contract {
            Ok(contract) => {
                faults.extend(foreign_attributes(config, site, &contract));
                faults.extend(endpoints_among_pages(config, site, &contract));
                faults.extend(unprovable_factor(config, site, &contract));
                contracts.push(contract);
            }
            Err(found) => faults.extend(found.0.into_iter().map(|found| match found.source {
                // The file itself is not there: the place is where it is named.
                None => fault(config, &site.contract_spot, found.title, &found.hint),
                Some(_) => found,
            })),
        }
        // Each key alone, so that the fault has the place of the one that does not work.
        for key in &site.tokens.keys {
            if let Err(error) = KeyRing::from_configured(std::slice::from_ref(key)) {
                faults.push(fault(config, &key.spot, error.to_string(), "this key cannot be used"));
            }
        }
    }
    if faults.is_empty() { Ok(contracts) } else { Err(Faults(faults)) }
}

/// Builds the parts of every site; makes and keeps the signing keys that are missing.
///
/// # Errors
/// When the store cannot be asked, or a key does not work.
pub async fn sites(
    config: &Config,
    contracts: &[Arc<Contract>],
    settings: &Arc<AuthSettings>,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<SiteParts>, AssembleError> {
    let mut parts = Vec::with_capacity(config.sites.len());
    for (site, contract) in config.sites.iter().zip(contracts) {
        let policy = policy(config, site, contract);
        let tokens = site_tokens(site, policy, store, now).await;
        let auth = AuthSite {
            host: site.host.to_string(),
            name: site_name(site),
            realm: site.realm.clone(),
            mfa: site.mfa,
            tokens: Arc::new(tokens.map_err(|error| blame_keys(config, site, error))?),
            signup: site.signup.enabled,
            default_role: contract.tokens().default_role.clone(),
            signup_roles: site.signup.roles.clone(),
            one_session: contract.tokens().one_session,
            language: contract.language(),
            settings: Arc::clone(settings),
        };
        parts.push(SiteParts { contract: Arc::clone(contract), auth });
    }
    Ok(parts)
}

/// The settings that the sites' operations share.
///
/// # Errors
/// When a mail's template or a provider's certificate authority does not read.
pub fn settings(
    config: &Config,
    contracts: &[Arc<Contract>],
    reload_state: &ReloadState,
    own_keys: &Arc<OwnKeys>,
) -> Result<Arc<AuthSettings>, AssembleError> {
    let blame = |keys: &[&str], error: &dyn Error| Faults::of_setting(&config.source, keys, error);
    // Also where mail is off: a template at fault is said when it is written, not months later.
    let templates = Templates::read(config.ui.templates.as_deref())
        .map_err(|error| blame(&["ui", "templates"], &error))?;
    let outbox =
        Outbox::open(&config.mail, templates, Arc::clone(own_keys), reload_state.nudge.clone())
            .map_err(|error| blame(&["mail", "ca"], &error))?;
    let social = Social::new(&config.social).map_err(|error| blame(&["social", "ca"], &error))?;
    Ok(Arc::new(AuthSettings {
        passwords: Arc::clone(&reload_state.passwords),
        throttle: Arc::clone(&reload_state.throttle),
        seen: Arc::clone(&reload_state.seen),
        mails: outbox.map(Arc::new),
        social: Arc::new(social),
        social_join: config.social.join,
        max_staleness: config.revocation.max_staleness,
        when_stale: config.revocation.when_stale,
        user_revocation_ttl: user_revocation_ttl(config, contracts),
    }))
}

/// Everything that [`crate::app::App::start`] would refuse of a configuration, without touching
/// its store or binding anything: sites are built on a store in memory.
///
/// # Errors
/// As `start`.
pub async fn check(config: &Config, now: Timestamp) -> Result<Vec<Arc<Contract>>, AssembleError> {
    let contracts = contracts(config)?;
    let memory = StoreConfig { url: StoreUrl::Memory, ..config.store.clone() };
    let store = stores::open(&memory).await?;
    let own_keys = own_keys(store.as_ref(), now).await?;
    let reload_state = ReloadState::new(config)?;
    let settings = settings(config, &contracts, &reload_state, &own_keys)?;
    sites(config, &contracts, &settings, store.as_ref(), now).await?;
    Ok(contracts)
}

/// The time to remember a revocation of a user, who may hold tokens of several sites: as
/// long as any of them lives.
///
/// Our own end with `access_ttl`. What others sign with an operator's key ends when they say;
/// `session_ttl` is taken for the longest of these.
#[must_use]
pub fn user_revocation_ttl(config: &Config, contracts: &[Arc<Contract>]) -> Duration {
    let ttls = config.sites.iter().zip(contracts).map(|(site, contract)| {
        let own = access_ttl(site, contract);
        if site.tokens.keys.is_empty() { own } else { own.max(site.tokens.session_ttl) }
    });
    ttls.max().unwrap_or_default()
}

fn load_contract(config: &Config, site: &SiteConfig) -> Result<Contract, Faults> {
    match &site.contract {
        // A site without endpoints refuses, and verifies, as `standard` does.
        ContractName::None => {
            load_built_in(config, site, "standard").map(Contract::without_endpoints)
        }
        ContractName::BuiltIn(name) => load_built_in(config, site, name),
        ContractName::File(path) => Contract::load(path),
    }
}

fn load_built_in(config: &Config, site: &SiteConfig, name: &str) -> Result<Contract, Faults> {
    Contract::built_in(name).unwrap_or_else(|| {
        let known = Contract::built_in_names().join(", ");
        let title = format!("no contract is named `{name}`");
        let hint = format!("known: {known}, none, or the path of a contract file");
        Err(Faults(vec![fault(config, &site.contract_spot, title, &hint)]))
    })
}

/// Its name for people: that of its pages, else its host.
fn site_name(site: &SiteConfig) -> String {
    let named = site.pages.as_ref().map(|pages| pages.name.clone());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| site.host.to_string())
}

fn policy(config: &Config, site: &SiteConfig, contract: &Contract) -> TokenPolicy {
    let settings = &site.tokens;
    let brought = contract.tokens();
    let issuer = issuer(site);
    let audience = match &settings.audience {
        Audience::Names(names) if !names.is_empty() => names.clone(),
        Audience::Names(_) | Audience::Any => vec![issuer.clone()],
    };
    let foreign = ForeignClaims {
        any_audience: settings.audience == Audience::Any,
        required: settings.require.clone(),
    };
    let token_bytes = usize::try_from(config.limits.token_bytes.0).unwrap_or(usize::MAX);
    TokenPolicy {
        issuer,
        audience,
        realm: site.realm.clone(),
        algorithm: settings.algorithm.unwrap_or(brought.algorithm),
        access_ttl: access_ttl(site, contract),
        refresh_ttl: brought.refresh_ttl.map(|ttl| settings.refresh_ttl.unwrap_or(ttl)),
        refresh_format: brought.refresh_format,
        session_ttl: settings.session_ttl,
        refresh_grace: settings.refresh_grace,
        tells_authentication: site.tells_authentication(),
        attributes: site.identity.attributes.iter().map(|(_, name)| name.clone()).collect(),
        leeway: settings.leeway,
        verify_cache: settings.verify_cache,
        foreign,
        token_bytes,
        issued_bytes: if site.takes_tokens_from(|sources| sources.cookie) {
            token_bytes.min(SessionCookies::MOST_BYTES)
        } else {
            token_bytes
        },
    }
}

fn access_ttl(site: &SiteConfig, contract: &Contract) -> Duration {
    site.tokens.access_ttl.unwrap_or_else(|| contract.tokens().access_ttl)
}

/// The issuer of a site's tokens.
///
/// Never from the request: a token of one site must open no other.
pub(super) fn issuer(site: &SiteConfig) -> String {
    site.tokens.issuer.clone().unwrap_or_else(|| match &site.host {
        HostPattern::Exact(host) => format!("https://{host}"),
        host @ (HostPattern::Wildcard(_) | HostPattern::Any) => format!("urn:munjigi:site:{host}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::time::Duration;

    use super::{contracts, user_revocation_ttl};
    use crate::config;

    fn ttl(tokens: &str) -> Duration {
        let text = format!(
            "[site.\"localhost\"]\ncontract = \"standard\"\n[site.\"localhost\".tokens]\n{tokens}"
        );
        let config = config::parse(&text, Path::new("munjigi.toml"), &BTreeMap::new())
            .unwrap_or_else(|faults| panic!("{faults}"));
        user_revocation_ttl(&config, &contracts(&config).unwrap())
    }

    #[test]
    fn pages_and_endpoints_have_no_path_in_common() {
        for (pages, covered) in [
            ("", None),
            ("prefix = \"/auth\"", Some(4)),
            ("prefix = \"/auth/login\"", Some(4)),
            ("prefix = \"/auth\"\nenabled = false", None),
            ("prefix = \"/auth/login/pages\"", None),
            ("prefix = \"/aut\"", None),
        ] {
            let text = format!(
                "[site.localhost]\ncontract = \"standard\"\n[site.localhost.pages]\n{pages}\n"
            );
            let config = config::parse(&text, Path::new("munjigi.toml"), &BTreeMap::new())
                .unwrap_or_else(|faults| panic!("{faults}"));

            let faults = contracts(&config).err().map(|faults| faults.0).unwrap_or_default();

            let lines: Vec<usize> = faults.iter().map(config::Fault::line).collect();
            assert_eq!(lines, covered.into_iter().collect::<Vec<_>>(), "{pages}");
            let said: Vec<&str> = faults.iter().map(|fault| fault.title.as_str()).collect();
            assert!(said.iter().all(|title| title.contains("covers an endpoint")), "{said:?}");
        }
    }

    #[test]
    fn a_users_revocation_outlives_tokens_that_others_sign() {
        let key = "{ kid = \"a\", algorithm = \"HS512\", \
                   secret = \"042f33cc236d9ae64df94b7c96d030c97dee06b32c257cd5ce77adec23ec58052896a0c98c01fb35bb4649c5996792c8\" }";
        let keys = format!("algorithm = \"HS512\"\nkeys = [{key}]");

        assert_eq!(ttl(""), Duration::from_mins(15));
        assert_eq!(ttl("access_ttl = \"1h\""), Duration::from_hours(1));
        assert_eq!(ttl(&keys), Duration::from_hours(24 * 90));
        assert_eq!(ttl(&format!("session_ttl = \"2h\"\n{keys}")), Duration::from_hours(2));
    }
}
