//! `[site."HOST"]`: a host with its contract, its tokens and its routes.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::config::{
    CorsConfig, HostPattern, IdentityConfig, PagesConfig, RouteConfig, SameSite, TokenSources,
    TokensConfig,
};
use crate::document::Name;
use crate::document::{Expected, Item, Spot, Table};

/// `[site."HOST"]`; a reload applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// The table's key.
    pub host: HostPattern,
    /// Sites of one realm share accounts; default `default`.
    pub realm: String,
    /// The contract.
    pub contract: ContractName,
    /// Place of the contract's name in the file.
    pub contract_spot: Spot,
    /// Sign-up.
    pub signup: SignupConfig,
    /// Whether a login asks for a second factor; default `off`.
    pub mfa: Mfa,
    /// Place of `mfa`.
    pub mfa_spot: Spot,
    /// Origins whose pages may read its answers.
    pub cors: CorsConfig,
    /// `SameSite` of the contract's cookies; default `lax`.
    pub cookie_same_site: SameSite,
    /// The domain of the session cookies, for sites of its sub-domains; default `None`: the host.
    pub cookie_domain: Option<String>,
    /// The gateway's own pages; `None`: the site has no table of them.
    pub pages: Option<PagesConfig>,
    /// Where requests may carry their token; default: `Authorization`, and the cookies of a session
    /// where the site has pages.
    pub token_from: TokenSources,
    /// The backends get the Bearer token as well; default `false`.
    pub forward_authorization: bool,
    /// Identity headers.
    pub identity: IdentityConfig,
    /// Token settings, which win over the contract's.
    pub tokens: TokensConfig,
    /// In the order of the file.
    pub routes: Vec<RouteConfig>,
    /// Place in the file.
    pub spot: Spot,
}

/// `contract = "…"`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContractName {
    /// No endpoints; refusals as `standard`.
    None,
    /// Compiled in, by name.
    BuiltIn(String),
    /// An operator's own file.
    File(PathBuf),
}

/// `mfa = "…"`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mfa {
    /// No login asks for a second factor, and none can be set up.
    #[default]
    Off,
    /// Who has set one up is asked.
    Optional,
    /// Everybody is asked; who has none sets it up at the next login.
    Required,
}

/// `signup = { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct SignupConfig {
    /// Whether sign-up is open; default `true`.
    pub enabled: bool,
    /// Roles a sign-up may ask for, beyond the contract's default; default none.
    pub roles: Vec<String>,
}

impl Default for SignupConfig {
    fn default() -> Self {
        Self { enabled: true, roles: Vec::new() }
    }
}

impl SiteConfig {
    /// Whether any of its requests may carry its token in a place.
    #[must_use]
    pub fn takes_tokens_from(&self, place: impl Fn(&TokenSources) -> bool) -> bool {
        let own = |route: &RouteConfig| route.token_from.as_ref().is_some_and(&place);
        place(&self.token_from) || self.routes.iter().any(own)
    }

    /// Whether its access tokens tell when and how the user was authenticated: where something asks
    /// for it.
    #[must_use]
    pub fn tells_authentication(&self) -> bool {
        self.mfa != Mfa::Off || self.routes.iter().any(|route| route.auth_age.is_some())
    }

    /// The prefix of the gateway's own paths.
    #[must_use]
    pub fn hosted_prefix(&self) -> &str {
        self.pages.as_ref().map_or(PagesConfig::PREFIX, |pages| &pages.prefix)
    }

    pub(crate) fn read(
        name: &Name<'_>,
        item: &Item<'_>,
        upstreams: &BTreeSet<String>,
    ) -> Option<Self> {
        let host = name.parse(str::parse::<HostPattern>);
        let table = item.table("[site]")?;
        // `[site.api.example.com]` is a site `api` with a table `example` in it.
        let is_split = table.entries().iter().any(|(name, item)| {
            item.is_table()
                && !["signup", "cors", "pages", "identity", "tokens"].contains(&name.text)
        });
        let contract = table.required(
            "contract",
            match is_split {
                true => "a host is written in quotes: [site.\"api.example.com\"]",
                false => "a site speaks a contract: contract = \"standard\", a file, or \"none\"",
            },
        );
        let contract_spot = contract.as_ref().map(Item::spot).unwrap_or_default();
        let contract = contract.and_then(|item| contract_name(&table, &item));
        let pages = table.item("pages").and_then(|item| PagesConfig::read(&item));
        let sources = TokenSources {
            cookie: pages.as_ref().is_some_and(|pages| pages.enabled),
            ..TokenSources::default()
        };
        let site = Self {
            host: host.clone().unwrap_or(HostPattern::Any),
            realm: table.parse("realm", "default".to_owned(), realm),
            contract: contract.unwrap_or(ContractName::None),
            contract_spot,
            signup: table
                .table("signup", "signup")
                .map(|table| SignupConfig::read(&table))
                .unwrap_or_default(),
            mfa: table.choice("mfa", Mfa::default(), &Mfa::NAMES),
            mfa_spot: table.item("mfa").map(|item| item.spot()).unwrap_or_default(),
            cors: table
                .table("cors", "cors")
                .map(|table| CorsConfig::read(&table))
                .unwrap_or_default(),
            cookie_same_site: table.choice(
                "cookie_same_site",
                SameSite::default(),
                &SameSite::NAMES,
            ),
            cookie_domain: cookie_domain(&table, host.as_ref()),
            pages,
            token_from: table.read("token_from", sources, TokenSources::read),
            forward_authorization: table.flag("forward_authorization", false),
            identity: table
                .table("identity", "[site.identity]")
                .map(|table| IdentityConfig::read(&table))
                .unwrap_or_default(),
            tokens: table
                .table("tokens", "[site.tokens]")
                .map(|table| TokensConfig::read(&table))
                .unwrap_or_default(),
            routes: table.read("routes", Vec::new(), |item| routes(item, upstreams)),
            spot: name.spot(),
        };
        table.end();
        Some(site)
    }
}

/// Reads `cookie_domain`: browsers take a cookie for the host's own domain or one above it
/// (RFC 6265 §5.3).
fn cookie_domain(table: &Table<'_>, host: Option<&HostPattern>) -> Option<String> {
    table.optional("cookie_domain", |item| {
        item.parse(|text| {
            let is_above = |host: &str| {
                host.strip_suffix(text).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            let is_name = text.contains('.')
                && !text.starts_with('.')
                && text.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
                });
            match host {
                _ if !is_name => Err(Expected::new("expected a domain, such as example.com")),
                Some(HostPattern::Exact(host) | HostPattern::Wildcard(host)) if !is_above(host) => {
                    Err(Expected::new("expected the site's own domain or one above it"))
                }
                _ => Ok(text.to_owned()),
            }
        })
    })
}

impl Mfa {
    const NAMES: [(&str, Self); 3] =
        [("off", Self::Off), ("optional", Self::Optional), ("required", Self::Required)];
}

impl SignupConfig {
    fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config =
            Self { enabled: table.flag("enabled", default.enabled), roles: table.texts("roles") };
        table.end();
        config
    }
}

fn contract_name(table: &Table<'_>, item: &Item<'_>) -> Option<ContractName> {
    item.parse(|text| {
        if text == "none" {
            return Ok(ContractName::None);
        }
        if text.contains('/') || text.ends_with(".toml") {
            return Ok(ContractName::File(table.resolve_path(text)));
        }
        let is_word = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if is_word {
            Ok(ContractName::BuiltIn(text.to_owned()))
        } else {
            Err(Expected::new("expected the name of a contract, or the path of a contract's file"))
        }
    })
}

fn realm(text: &str) -> Result<String, Expected> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Expected::new("expected letters, digits, `-`, `_` and `.`, at most 64"))
    }
}

fn routes(item: &Item<'_>, upstreams: &BTreeSet<String>) -> Option<Vec<RouteConfig>> {
    let mut routes: Vec<RouteConfig> = Vec::new();
    let mut by_shape: HashMap<String, Vec<usize>> = HashMap::new();
    for item in item.items()? {
        let Some(route) = RouteConfig::read(&item, upstreams) else { continue };
        let alike = by_shape.entry(route.path.shape()).or_default();
        let mut others = alike.iter().filter_map(|index| routes.get(*index));
        if let Some(other) = others.find(|other| other.shares_methods(&route)) {
            item.fault(
                format!("route `{}` stands here twice", route.path.as_str()),
                format!("line {} matches the same requests", other.spot.line),
            );
        }
        alike.push(routes.len());
        routes.push(route);
    }
    Some(routes)
}
