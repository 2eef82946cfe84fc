//! `munjigi version`: the version of this binary.

use clap::CommandFactory as _;
use serde::Serialize;

use super::Cli;
use super::context::Context;

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

pub(crate) fn version(context: &Context) -> anyhow::Result<()> {
    let version = Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    context.output.data(&version, |_| Cli::command().render_version())
}
