//! `munjigi store check`: looks the configured store over.

use anyhow::bail;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::output::count;

use super::Counts;
use super::check_is_there;
use super::configured;
use super::inspected;

pub(super) const HELP: &str = "\
SQLite: the file's integrity, what rows refer to, the schema. Redis: the server's settings, that every
name, list and index leads to its account or session and back, the revocation log. Gateways may run
meanwhile; what they change at that very moment may be named as a fault once. Exit status: 0 sound,
1 not.

Example:
  munjigi store check";

#[derive(Debug, Serialize)]
struct Report {
    faults: Vec<String>,
    counts: Counts,
}

pub(super) async fn check(context: &Context) -> anyhow::Result<()> {
    let store = configured(context, false)?;
    check_is_there(&store)?;
    let (faults, tally) = inspected(&store, context.now.wall).await?;
    let report = Report { faults, counts: Counts::of(&tally) };
    context.output.data(&report, |report| {
        let faults = report.faults.iter().map(|fault| format!("✗ {fault}\n"));
        let verdict = if report.faults.is_empty() { "✓ sound" } else { "" };
        format!("{}\n{}{verdict}", Counts::text(&tally), faults.collect::<String>())
    })?;
    if !report.faults.is_empty() {
        bail!("{} found", count(report.faults.len(), "fault"));
    }
    Ok(())
}
