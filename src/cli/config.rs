//! `munjigi config`: every key of a configuration.

use clap::Subcommand;

use crate::config::REFERENCE;

use super::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print every key with its default and its meaning
    #[command(after_help = "Example:\n  munjigi config reference | less")]
    Reference,
}

pub(crate) fn config(verb: &ConfigVerb, context: &Context) -> anyhow::Result<()> {
    match verb {
        ConfigVerb::Reference => context.output.line(REFERENCE),
    }
}
