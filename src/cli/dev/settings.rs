//! The configuration that `munjigi dev` runs, as the file that it writes.

use std::net::SocketAddr;

/// What varies between two runs.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) contract: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) built_in_upstream: bool,
    pub(crate) memory: bool,
}

impl Settings<'_> {
    /// The file's text; it stands in `data/dev`, so paths go two folders up.
    pub(crate) fn text(&self) -> String {
        let Self { listen, admin, .. } = self;
        let contract = self.contract();
        let upstream = quoted(self.upstream);
        let name = if self.built_in_upstream { "whoami" } else { "app" };
        let store = if self.memory { "sqlite::memory:" } else { "sqlite:munjigi.db" };
        format!(
            "# Written by `munjigi dev` at every start. Every verb works on it:\n\
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
             url = \"dir:mail\"\n\
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
             routes = [\n\
             \x20 {{ path = \"/public/*\", upstream = \"{name}\", auth = \"none\" }},\n\
             \x20 {{ path = \"/*\", upstream = \"{name}\" }},\n\
             ]\n"
        )
    }

    /// A path that the user typed starts from where they are, not from `data/dev`.
    fn contract(&self) -> String {
        let is_path = self.contract.contains('/') || self.contract.ends_with(".toml");
        if is_path && !self.contract.starts_with('/') {
            quoted(&format!("../../{}", self.contract))
        } else {
            quoted(self.contract)
        }
    }
}

/// A TOML basic string; the escapes of a JSON string are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
