//! The configuration file that `munjigi dev` writes and runs.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::{
    Config, ContractName, HostPattern, Origin, RouteAuth, SiteConfig, UpstreamRef,
};
use crate::contract::Contract;
use crate::operation::Operation;
use crate::path::PathPattern;

/// The values that vary between two runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) contract: String,
    pub(crate) upstream: String,
    pub(crate) built_in_upstream: bool,
    pub(crate) origins: Vec<Origin>,
    /// The paths that need no token.
    pub(crate) open: Vec<PathPattern>,
    pub(crate) memory: bool,
}

/// The name of the built-in backend.
pub(super) const WHOAMI: &str = "whoami";

impl Settings {
    /// The parts of an edited file that the banner shows.
    pub(crate) fn of(config: &Config) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let site = config.sites.first();
        let route = site.and_then(|site| site.routes.first());
        let name = match route.map(|route| &route.upstream) {
            Some(UpstreamRef::Url(url)) => url.to_string(),
            Some(UpstreamRef::Named(name)) => name.clone(),
            None => String::new(),
        };
        let target = config.upstreams.get(&name).and_then(|upstream| upstream.targets.first());
        Self {
            listen: config.server.listen.first().copied().unwrap_or(nowhere),
            admin: config.server.admin,
            contract: match site.map(|site| &site.contract) {
                Some(ContractName::BuiltIn(name)) => name.clone(),
                Some(ContractName::File(path)) => path.display().to_string(),
                Some(ContractName::None) | None => "none".to_owned(),
            },
            built_in_upstream: name == WHOAMI,
            upstream: target.map_or(name, ToString::to_string),
            origins: site.map(|site| site.cors.origins.clone()).unwrap_or_default(),
            open: site.map(open_routes).unwrap_or_default(),
            memory: false,
        }
    }

    /// The file's text; it lies in `data/dev`, so paths go two folders up.
    pub(crate) fn text(&self) -> String {
        let listen = self.listen;
        let admin = self.admin.map(|admin| admin.to_string()).unwrap_or_default();
        let contract = self.contract();
        let front_end = self.front_end();
        let mfa = if self.has_second_factor() { "mfa = \"optional\"\n" } else { "" };
        let upstream = quoted(&self.upstream);
        let name = if self.built_in_upstream { WHOAMI } else { "app" };
        let routes = self.routes(name);
        let (store, mail) = match self.memory {
            true => ("sqlite::memory:", "dir:mail-in-memory"),
            false => ("sqlite:munjigi.db", "dir:mail"),
        };
        format!(
            "# Written by `munjigi dev` at every start, until you edit it. Every verb works on it:\n\
             #   munjigi --config data/dev/munjigi.toml user list\n\
             \n\
             [server]\n\
             listen = [\"{listen}\"]\n\
             admin = \"{admin}\"\n\
             \n\
             [tls]\n\
             certs = [{{ cert = \"../../certs/dev/cert.pem\", key = \"../../certs/dev/key.pem\" }}]\n\
             \n\
             [store]\n\
             url = \"{store}\"\n\
             \n\
             [mail]\n\
             url = \"{mail}\"\n\
             \n\
             [log]\n\
             level = \"warn\"\n\
             format = \"text\"\n\
             \n\
             [upstream.{name}]\n\
             targets = [{upstream}]\n\
             \n\
             [site.\"*\"]\n\
             contract = {contract}\n\
             {mfa}{front_end}\
             routes = [\n\
             {routes}\
             ]\n\
             \n\
             # Sign-in and the other pages for people, under /account.\n\
             [site.\"*\".pages]\n"
        )
    }

    /// The paths that need no token.
    pub(super) fn open_paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.open.iter().map(PathPattern::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn routes(&self, upstream: &str) -> String {
        let open = self.open_paths();
        let route = |path: &str, auth: &str| {
            format!("  {{ path = {}, upstream = \"{upstream}\"{auth} }},\n", quoted(path))
        };
        let rest = (!open.contains(&"/*")).then(|| route("/*", ""));
        open.iter().map(|path| route(path, ", auth = \"none\"")).chain(rest).collect()
    }

    /// Allows pages of other origins, and lets their browsers keep cookies, also if they are
    /// another site.
    fn front_end(&self) -> String {
        if self.origins.is_empty() {
            return String::new();
        }
        let names = self.origins.iter().filter_map(|origin| origin.header_value().to_str().ok());
        let cors = format!(
            "cors = {{ origins = [{}] }}\n",
            names.map(quoted).collect::<Vec<_>>().join(", ")
        );
        let host = HostPattern::Exact("localhost".to_owned());
        if self.origins.iter().all(|origin| origin.is_same_site(&host)) {
            return cors;
        }
        format!("{cors}# To a browser http and https are two sites.\ncookie_same_site = \"none\"\n")
    }

    /// Whether clients of a built-in contract can prove a second factor.
    fn has_second_factor(&self) -> bool {
        let contract = Contract::built_in(&self.contract).and_then(Result::ok);
        contract.is_some_and(|contract| contract.endpoint(Operation::SecondFactor).is_some())
    }

    /// A path that the user typed starts from where they are, not from `data/dev`.
    fn contract(&self) -> String {
        let is_path = self.contract.contains('/') || self.contract.ends_with(".toml");
        if is_path && !self.contract.starts_with('/') {
            quoted(&format!("../../{}", self.contract))
        } else {
            quoted(&self.contract)
        }
    }
}

fn open_routes(site: &SiteConfig) -> Vec<PathPattern> {
    let open = site.routes.iter().filter(|route| route.auth == RouteAuth::None);
    open.map(|route| route.path.clone()).collect()
}

/// A TOML basic string; the escapes of a JSON string are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
