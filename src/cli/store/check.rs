//! `munjigi store check`: checks every record of the configured store.

use anyhow::bail;
use serde::Serialize;

use crate::app::stores;
use crate::cli::context::Context;
use crate::cli::output::count;

use super::{Counts, StoreInspection, check_is_there, configured, inspected};

pub(super) const HELP: &str = "\
SQLite: the file's integrity, what rows refer to, the schema. Redis: the server's settings, that every
name, list and index leads to its account or session and back, the revocation log. Gateways may run
meanwhile; what they change at that very moment may be named as a fault once. Accounts that are older
than the rule for names and share one by it are named: each is still found by its own spelling. Exit
status: 0 sound, 1 not.

Example:
  munjigi store check";

#[derive(Debug, Serialize)]
struct Report {
    faults: Vec<String>,
    /// Accounts that share a name by the rule of today; each is still found by its own spelling.
    shared_names: Vec<String>,
    counts: Counts,
}

pub(super) async fn check(context: &Context) -> anyhow::Result<()> {
    let store = configured(context, false)?;
    check_is_there(&store)?;
    let StoreInspection { mut faults, unreadable, tally, older_names } =
        inspected(&store, context.now.wall).await?;
    faults.extend(unreadable);
    let shared_names = if older_names.is_empty() {
        Vec::new()
    } else {
        older_names.shared(stores::open_archive(&store).await?.as_ref()).await?
    };
    let report = Report { faults, shared_names, counts: Counts::of(&tally) };
    context.output.data(&report, |report| {
        let shared = report.shared_names.iter().map(|shared| format!("! {shared}\n"));
        let faults = report.faults.iter().map(|fault| format!("✗ {fault}\n"));
        let verdict = if report.faults.is_empty() { "✓ sound" } else { "" };
        let lines: String = shared.chain(faults).collect();
        format!("{}\n{lines}{verdict}", Counts::text(&tally))
    })?;
    if !report.faults.is_empty() {
        bail!("{} found", count(report.faults.len(), "fault"));
    }
    Ok(())
}
