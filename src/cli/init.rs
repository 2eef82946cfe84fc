//! `munjigi init`: a first configuration, for one site and its backend.

use clap::Args;
use serde::Serialize;

use crate::config::{HostPattern, UpstreamUrl};

use super::context::Context;
use super::new_file::NewFile;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Host that clients ask for: `api.example.com`; `*` for any
    #[arg(long, value_name = "HOST")]
    site: HostPattern,
    /// The backend behind it: `http://127.0.0.1:3000`
    #[arg(long, value_name = "URL")]
    upstream: UpstreamUrl,
}

#[derive(Serialize)]
struct Written {
    file: String,
}

pub(crate) fn init(args: &InitArgs, context: &Context) -> anyhow::Result<()> {
    let path = context.new_file();
    let file = NewFile::begin(&path)?;
    std::fs::write(file.draft(), configuration(args))?;
    file.finish()?;
    let written = Written { file: path.display().to_string() };
    context.output.data(&written, |Written { file }| format!("✓ {file}"))
}

/// The text of the configuration. It listens on loopback alone until it names a certificate.
fn configuration(InitArgs { site, upstream }: &InitArgs) -> String {
    format!(
        r##"# The configuration of Munjigi. `munjigi check` says what is wrong with it, `munjigi run` starts it,
# `munjigi config reference` prints every key with its default.

[server]
# Where clients connect, with HTTPS. Beyond this machine, such as "0.0.0.0:443", it needs [tls] certs.
listen = ["127.0.0.1:8443"]
# /livez, /readyz and /metrics, in plain HTTP.
admin = "127.0.0.1:9901"

# On loopback a certificate is made by itself; name yours here.
#[tls]
#certs = [{{ cert = "certs/site.pem", key = "certs/site.key" }}]

[store]
# Accounts, sessions and revocations: a file, or "redis://HOST:PORT" for several gateways.
url = "sqlite:munjigi.db"

# Without it no codes are mailed: no forgotten password is reset, no address verified.
#[mail]
#url = "smtps://USER:PASSWORD@mail.example.com"
#from = "Example <no-reply@example.com>"

[site."{site}"]
# The auth API that clients speak: `munjigi contract list` names those that are built in.
contract = "standard"
# Paths of the backend; the most exact one wins. Every request needs a token, unless its route says
# auth = "none"; roles = ["admin"] asks for a role.
routes = [
  {{ path = "/*", upstream = "{upstream}" }},
]
"##
    )
}
