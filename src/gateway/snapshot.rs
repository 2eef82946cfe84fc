//! The compiled configuration that a request is answered by, from start to end.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;

use crate::auth::AuthSite;
use crate::clock::Timestamp;
use crate::config::{Config, HostPattern, PasswordConfig, RouteConfig, SiteConfig, UpstreamRef};
use crate::contract::{Contract, Endpoint};
use crate::gateway::access::cors::Cors;
use crate::gateway::headers::forwarded;
use crate::gateway::headers::identity::Identity;
use crate::gateway::headers::reserved::Reserved;
use crate::gateway::headers::session_cookies::SessionCookies;
use crate::gateway::log::meter::Meter;
use crate::gateway::look::SitePages;
use crate::gateway::request::hosted_path::HostedPath;
use crate::gateway::request::router::{JWKS_PATH, Router};
use crate::gateway::site::{Route, Site};
use crate::gateway::upstream::Upstream;
use crate::mail::Outbox;
use crate::pages::page::SiteLook;
use crate::pages::template::Pages;
use crate::revocation::RevocationList;

/// Sites with their routes, contracts and tokens; limits. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration it was made of.
    pub config: Config,
    /// What the pages of all sites are made of.
    pub(crate) pages: Arc<Pages>,
    hosts: Hosts,
    sites: Vec<Site>,
}

/// The parts of a site besides its configuration.
#[derive(Clone, Debug)]
pub struct SiteParts {
    /// Its contract.
    pub contract: Arc<Contract>,
    /// Its part in operations.
    pub auth: AuthSite,
}

/// The index of the site for each host.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<String, usize>,
    /// The longest first.
    wildcards: Vec<(String, usize)>,
    any: Option<usize>,
}

impl Snapshot {
    /// Compiles a configuration. `parts` stand in the order of its sites; `upstreams` holds every
    /// upstream that a route names.
    #[must_use]
    pub fn new(
        config: Config,
        parts: Vec<SiteParts>,
        upstreams: &HashMap<UpstreamRef, Arc<Upstream>>,
        pages: Arc<Pages>,
    ) -> Self {
        let mut hosts = Hosts::default();
        let mut sites = Vec::with_capacity(parts.len());
        for (site, parts) in config.sites.iter().zip(parts) {
            hosts.add(&site.host, sites.len());
            sites.push(compile(site, parts, &config.password, upstreams));
        }
        Self { config, pages, hosts, sites }
    }

    /// The first site's contract and realm: for the banner of `munjigi dev`.
    #[must_use]
    pub fn first_site(&self) -> Option<(&Contract, &str)> {
        self.sites.first().map(|site| (&*site.contract, site.auth.realm.as_str()))
    }

    /// The hosted pages of the first site, if it has any.
    pub(crate) fn first_look(&self) -> Option<&SiteLook> {
        Some(&self.sites.first()?.pages.as_ref()?.look)
    }

    /// Writes and sends mails; `None`: mail is off.
    #[must_use]
    pub fn outbox(&self) -> Option<&Arc<Outbox>> {
        // One for all sites.
        self.sites.first()?.auth.settings.mails.as_ref()
    }

    /// The parts of its sites, in the order of the configuration.
    #[must_use]
    pub fn parts(&self) -> Vec<SiteParts> {
        let parts = |site: &Site| SiteParts {
            contract: Arc::clone(&site.contract),
            auth: site.auth.clone(),
        };
        self.sites.iter().map(parts).collect()
    }

    /// Whether a site signs with a key that is revoked.
    #[must_use]
    pub fn signs_with_revoked(&self, revocations: &RevocationList, now: Timestamp) -> bool {
        let signers = self.sites.iter().filter_map(|site| site.auth.tokens.signing_key());
        signers.into_iter().any(|key| revocations.holds(&key, now))
    }

    /// The site for a host (lower case, without port); the most exact pattern wins.
    pub(crate) fn site(&self, host: &str) -> Option<&Site> {
        self.sites.get(self.hosts.find(host)?)
    }
}

impl Hosts {
    fn add(&mut self, pattern: &HostPattern, site: usize) {
        match pattern {
            HostPattern::Exact(host) => {
                self.exact.insert(host.clone(), site);
            }
            HostPattern::Wildcard(domain) => {
                self.wildcards.push((domain.clone(), site));
                self.wildcards.sort_by_key(|(domain, _)| std::cmp::Reverse(domain.len()));
            }
            HostPattern::Any => self.any = Some(site),
        }
    }

    fn find(&self, host: &str) -> Option<usize> {
        let below = |domain: &str| {
            host.strip_suffix(domain)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty() && !labels.starts_with('.'))
        };
        let wildcard = || self.wildcards.iter().find(|(domain, _)| below(domain));
        let found = self.exact.get(host).copied();
        found.or_else(|| wildcard().map(|(_, site)| *site)).or(self.any)
    }
}

fn compile(
    site: &SiteConfig,
    parts: SiteParts,
    password: &PasswordConfig,
    upstreams: &HashMap<UpstreamRef, Arc<Upstream>>,
) -> Site {
    let name: Arc<str> = site.host.to_string().into();
    let identity = Identity::new(&site.identity);
    let route = |config: &RouteConfig| {
        Some(Route {
            upstream: Arc::clone(upstreams.get(&config.upstream)?),
            reserved: reserved(&identity, config),
            own_differ: own_differ(site, config),
            meter: Meter::new(&name, config.path.as_str()),
            sources: config.token_from.as_ref().unwrap_or(&site.token_from).clone(),
            config: config.clone(),
        })
    };
    let routes: Vec<Route> = site.routes.iter().filter_map(route).collect();
    let endpoints = parts.contract.endpoints();
    let paths = endpoints.iter().map(|endpoint| (endpoint.method(), endpoint.pattern()));
    let own_pages = site.pages.as_ref().filter(|pages| pages.enabled);
    let pages =
        own_pages.and_then(|pages| SitePages::new(pages, &parts.contract, &parts.auth, password));
    let hosted = hosted_paths(site, pages.as_ref())
        .into_iter()
        .filter_map(|path| Some((path, path.pattern(site.hosted_prefix()).parse().ok()?)));
    let router = Router::new(paths, hosted, routes.iter().map(|route| &route.config));
    let meter = |endpoint: &Endpoint| Meter::new(&name, endpoint.path());
    Site {
        endpoints: endpoints.iter().map(meter).collect(),
        identity,
        forward_authorization: site.forward_authorization,
        cors: Cors::new(
            &site.cors,
            &parts.contract,
            site.takes_tokens_from(|sources| sources.cookie),
        ),
        same_site: site.cookie_same_site,
        sources: site.token_from.clone(),
        session_cookies: SessionCookies::new(site.cookie_domain.as_deref(), site.cookie_same_site),
        cookie_names: parts.contract.cookie_names().map(str::to_owned).collect(),
        unrouted: Meter::new(&name, ""),
        jwks: Bytes::from(parts.auth.tokens.jwks().to_string()),
        jwks_meter: Meter::new(&name, JWKS_PATH),
        pages,
        hosted_prefix: site.hosted_prefix().to_owned(),
        hosted_meter: Meter::new(&name, site.hosted_prefix()),
        contract: parts.contract,
        auth: parts.auth,
        router,
        routes,
        name,
    }
}

/// The gateway's own paths that a site needs.
fn hosted_paths(site: &SiteConfig, pages: Option<&SitePages>) -> Vec<HostedPath> {
    let mut paths = pages.map(|pages| pages.paths.clone()).unwrap_or_default();
    if site.takes_tokens_from(|sources| sources.cookie) {
        paths.push(HostedPath::Refresh);
    }
    if site.takes_tokens_from(|sources| sources.query.is_some()) {
        paths.push(HostedPath::Ticket);
    }
    paths
}

/// The names that only the gateway may send to a route's backend: identity headers, and those that
/// the route sets or removes.
fn reserved(identity: &Identity, route: &RouteConfig) -> Reserved {
    let set = route.set_headers.iter().map(|(name, _)| name);
    let changed = set.chain(&route.remove_headers).map(HeaderName::as_str);
    Reserved::new(identity.names().iter().map(String::as_str).chain(changed))
}

/// Whether the names of a route's own headers, identity and forwarded ones, are all different.
fn own_differ(site: &SiteConfig, route: &RouteConfig) -> bool {
    let set = route.set_headers.iter().map(|(name, _)| name);
    let mut seen = forwarded::NAMES.to_vec();
    site.identity.headers().chain(set).all(|name| {
        let is_new = !seen.contains(name);
        seen.push(name.clone());
        is_new
    })
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use crate::config::HostPattern;

    #[test]
    fn the_most_exact_host_wins() {
        let mut hosts = Hosts::default();
        let patterns = [
            HostPattern::Any,
            HostPattern::Wildcard("example.com".to_owned()),
            HostPattern::Wildcard("api.example.com".to_owned()),
            HostPattern::Exact("example.com".to_owned()),
            HostPattern::Exact("a.example.com".to_owned()),
        ];
        for (index, pattern) in patterns.iter().enumerate() {
            hosts.add(pattern, index);
        }
        let rows = [
            ("localhost", 0),
            ("b.example.com", 1),
            ("c.b.example.com", 1),
            ("x.api.example.com", 2),
            ("api.example.com", 1),
            ("example.com", 3),
            ("a.example.com", 4),
            ("badexample.com", 0),
            (".example.com", 0),
        ];
        for (host, site) in rows {
            assert_eq!(hosts.find(host), Some(site), "{host}");
        }
        hosts.any = None;
        assert_eq!(hosts.find("localhost"), None);
    }
}
