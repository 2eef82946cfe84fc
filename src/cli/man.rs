//! `munjigi man`: a manual page for each verb.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use serde::Serialize;

use super::Cli;
use super::context::Context;
use super::output::count;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder of the pages; it is made if need be, and pages in it are overwritten
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Written {
    folder: String,
    pages: usize,
}

pub(crate) fn man(args: &ManArgs, context: &Context) -> anyhow::Result<()> {
    let folder = args.folder.display().to_string();
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(command.clone(), &args.folder))
        .with_context(|| format!("cannot write pages into {folder}"))?;
    let written = Written { folder, pages: pages(&command) };
    context.output.data(&written, |Written { folder, pages }| {
        format!("✓ {folder}  {}", count(*pages, "page"))
    })
}

/// The pages of a command and of all below it.
fn pages(command: &clap::Command) -> usize {
    1 + command.get_subcommands().map(pages).sum::<usize>()
}
