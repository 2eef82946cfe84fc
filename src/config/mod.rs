//! The configuration: one section a file, every fault found in one reading.
//!
//! [`load`] reads `munjigi.toml`, applies environment overrides, and answers either a whole
//! [`Config`] or every fault with its place ([`Faults`]). Only this module reads the environment.
//! Relative paths are relative to the file's folder.

mod home;
mod restart_only;
mod sections;
mod sudo_user;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use crate::document::{Expected, Fault, Faults, Source, Spot};
use crate::document::{Reader, Table};

pub use home::home;
pub use restart_only::restart_only_changes;
pub use sections::cors::{CorsConfig, Origin, SameSite};
pub use sections::identity::IdentityConfig;
pub use sections::key::{KeyConfig, KeyUse};
pub use sections::limits::LimitsConfig;
pub use sections::log::{LogConfig, LogFormat};
pub use sections::login::LoginConfig;
pub use sections::mail::{MailConfig, MailTls, MailUrl, SmtpServer};
pub use sections::pages::PagesConfig;
pub use sections::password::PasswordConfig;
pub use sections::revocation::{CloseStreams, RevocationConfig, WhenStale};
pub(crate) use sections::route::COMMON_METHODS;
pub use sections::route::{HostHeader, RouteAuth, RouteConfig};
pub use sections::server::ServerConfig;
pub use sections::site::{ContractName, Mfa, SignupConfig, SiteConfig};
pub use sections::social::{ProviderConfig, SocialConfig, SocialJoin};
pub use sections::store::{StoreConfig, StoreUrl};
pub use sections::tls::{CertConfig, TlsConfig, TlsVersion};
pub use sections::token_from::TokenSources;
pub use sections::tokens::{Audience, TokensConfig};
pub use sections::ui::UiConfig;
pub use sections::upstream::{UpstreamConfig, UpstreamRef, UpstreamUrl};
pub use sudo_user::sudo_user;
pub use values::algorithm::Algorithm;
pub(crate) use values::header::folded as folded_name;
pub use values::host::HostPattern;
pub use values::host_port::HostPort;
pub use values::rate::Rate;
pub use values::redis_url::{RedisUrl, RedisWay};
pub use values::secret_format::{SecretFormat, looks_like_base64};
pub use values::size::{ByteRate, ByteSize};

/// A whole, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[tls]`
    pub tls: TlsConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[revocation]`
    pub revocation: RevocationConfig,
    /// `[password]`
    pub password: PasswordConfig,
    /// `[login]`
    pub login: LoginConfig,
    /// `[mail]`
    pub mail: MailConfig,
    /// `[ui]`
    pub ui: UiConfig,
    /// `[social]`
    pub social: SocialConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[upstream.NAME]`
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// `[site."HOST"]`, in the order of the file.
    pub sites: Vec<SiteConfig>,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// The file, for places in messages.
    pub source: Source,
}

/// Every key with its default and its meaning, each commented out.
pub const REFERENCE: &str = include_str!("../../config/munjigi.toml");

/// The paths where a configuration is looked for when none is named, in this order.
#[must_use]
pub fn default_paths() -> [PathBuf; 2] {
    [PathBuf::from("munjigi.toml"), PathBuf::from("/etc/munjigi/munjigi.toml")]
}

/// Returns the first of [`default_paths`] that exists.
#[must_use]
pub fn find() -> Option<PathBuf> {
    default_paths().into_iter().find(|path| path.exists())
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Every fault that was found, each with its place.
pub fn load(path: &Path) -> Result<Config, Faults> {
    let (config, faults) = survey(path)?;
    if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
}

/// Reads a configuration file as far as it goes: with defaults in place of what is at fault, and
/// every fault. For checks that go on where [`load`] has to stop.
///
/// # Errors
/// When the file cannot be read at all.
pub fn survey(path: &Path) -> Result<(Config, Vec<Fault>), Faults> {
    let unreadable = |hint: String| {
        let title = format!("cannot read {}", path.display());
        Faults(vec![Fault::without_place(title, hint)])
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
    // A variable that is no UTF-8 can neither name nor hold a setting.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let reader = Reader::new(&text, path, &environment);
    let config = read(&reader);
    Ok(reader.finish_anyhow(|source| Config { source, ..config }))
}

/// Checks the text of a configuration as if it stood in `path`; `environment` holds overrides
/// (`MUNJIGI_SECTION__KEY`) and what `${NAME}` stands for.
///
/// # Errors
/// Every fault that was found, each with its place.
pub fn parse(
    text: &str,
    path: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Faults> {
    let reader = Reader::new(text, path, environment);
    let config = read(&reader);
    reader.finish(|source| Config { source, ..config })
}

fn read(reader: &Reader<'_>) -> Config {
    let root = reader.root();
    let (server_table, tls_table) = (root.section("server"), root.section("tls"));
    let server = ServerConfig::read(&server_table);
    let tls = TlsConfig::read(&tls_table);
    check_certificates(&server, &server_table, &tls_table);
    let store = StoreConfig::read(&root.section("store"));
    let revocation = RevocationConfig::read(&root.section("revocation"));
    let password = PasswordConfig::read(&root.section("password"));
    let login = LoginConfig::read(&root.section("login"));
    let social = SocialConfig::read(&root.section("social"));
    let mail = MailConfig::read(&root.section("mail"));
    let ui = UiConfig::read(&root.section("ui"));
    let limits = LimitsConfig::read(&root.section("limits"));
    let log = LogConfig::read(&root.section("log"));
    reader.check_overrides(&SECTIONS);
    let (upstreams, names) = upstreams(&root);
    let sites = sites(&root, &names);
    root.end();
    if sites.is_none() {
        let title = "no site is configured".to_owned();
        reader.absence(None, title, "add [site.\"*\"] with its contract and routes".to_owned());
    }
    Config {
        server,
        tls,
        store,
        revocation,
        password,
        login,
        mail,
        ui,
        social,
        limits,
        log,
        upstreams,
        sites: sites.unwrap_or_default(),
        folder: reader.folder(),
        source: Source { path: PathBuf::new(), text: "".into() },
    }
}

/// Refuses a public listener without certificates: clients elsewhere do not trust one made here.
fn check_certificates(server: &ServerConfig, server_table: &Table<'_>, tls_table: &Table<'_>) {
    let has_certificates = tls_table
        .item("certs")
        .is_some_and(|item| item.items().is_none_or(|items| !items.is_empty()));
    if has_certificates || server.is_loopback() {
        return;
    }
    if let Some(item) = server_table.item("listen") {
        item.fault(
            "a listener beyond loopback has no certificate",
            "certificates are made only for loopback; name yours in [tls] certs",
        );
    }
}

/// The upstreams, and the names of those with faults as well.
fn upstreams(root: &Table<'_>) -> (BTreeMap<String, UpstreamConfig>, BTreeSet<String>) {
    let mut upstreams = BTreeMap::new();
    let mut names = BTreeSet::new();
    let table = root.table("upstream", "[upstream]");
    for (name, item) in table.iter().flat_map(Table::entries) {
        names.insert(name.text.to_owned());
        let checked = name.parse(sections::upstream::check_name);
        let config = item.table("[upstream]").map(|table| UpstreamConfig::read(&table));
        upstreams.extend(checked.zip(config));
    }
    (upstreams, names)
}

/// The sites in the order of the file; `None` where there is none.
fn sites(root: &Table<'_>, upstreams: &BTreeSet<String>) -> Option<Vec<SiteConfig>> {
    let entries = root.table("site", "[site]")?.entries();
    if entries.is_empty() {
        return None;
    }
    let mut seen: BTreeMap<HostPattern, usize> = BTreeMap::new();
    let mut sites = Vec::new();
    for (name, item) in entries {
        let Some(site) = SiteConfig::read(&name, &item, upstreams) else { continue };
        if let Ok(host) = name.text.parse::<HostPattern>()
            && let Some(line) = seen.insert(host, site.spot.line)
        {
            name.fault(
                format!("site `{}` stands here twice", name.text),
                format!("line {line} is for the same host"),
            );
        }
        sites.push(site);
    }
    Some(sites)
}

/// The tables that everyone has, whose settings a variable can override.
const SECTIONS: [&str; 11] = [
    "server",
    "tls",
    "store",
    "revocation",
    "password",
    "login",
    "mail",
    "ui",
    "social",
    "limits",
    "log",
];
