//! `munjigi store`: copy, backup, restore, check.

mod backup;
mod check;
mod copy;
mod names;
mod restore;
mod trail;

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::app::stores;
use crate::cli::context::Context;
use crate::cli::output::table;
use crate::clock::Timestamp;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{Archive, Page, Record, Tally};
use crate::telemetry::audit;

use super::progress::Progress;

use names::OlderNames;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Copy everything that has not expired into another, empty store
    #[command(after_help = copy::HELP)]
    Copy(copy::CopyArgs),
    /// Save the store in one new file, beside a running gateway
    #[command(after_help = backup::HELP)]
    Backup(backup::BackupArgs),
    /// Put a backup in the configured store's place
    #[command(after_help = restore::HELP)]
    Restore(restore::RestoreArgs),
    /// Look the store over, and say what is wrong with it; nothing is changed
    #[command(after_help = check::HELP)]
    Check,
}

pub(crate) async fn store(verb: StoreVerb, context: &Context) -> anyhow::Result<()> {
    match verb {
        StoreVerb::Copy(args) => copy::copy(args, context).await,
        StoreVerb::Backup(args) => backup::backup(args, context).await,
        StoreVerb::Restore(args) => restore::restore(args, context).await,
        StoreVerb::Check => check::check(context).await,
    }
}

/// The configured store; without a configuration the default one, so that a copy needs none.
fn configured(context: &Context, may_lack: bool) -> anyhow::Result<StoreConfig> {
    let (store, audit) = if may_lack && !context.has_file() {
        Default::default()
    } else {
        let config = context.config()?;
        (config.store, config.log.audit)
    };
    audit::hold(&audit);
    Ok(StoreConfig { timeout: store.timeout.max(super::context::PATIENCE), ..store })
}

/// Refuses a file that is not there: opening it would make one.
fn check_is_there(store: &StoreConfig) -> anyhow::Result<()> {
    match &store.url {
        StoreUrl::Sqlite(path) if !path.exists() => {
            bail!("there is no store at {}", path.display())
        }
        StoreUrl::Memory => bail!("a store in memory is its gateway's alone"),
        StoreUrl::Sqlite(_) | StoreUrl::Redis(_) => Ok(()),
    }
}

/// Counts the exported records of a store, and passes them on.
async fn pump(
    from: &dyn Archive,
    to: Option<&dyn Archive>,
    now: Timestamp,
    progress: &Progress,
) -> anyhow::Result<Tally> {
    let (sender, mut pages) = mpsc::channel::<Page>(4);
    let mut tally = Tally::default();
    let tallied = &mut tally;
    // It owns the receiver: with a failure here the export ends as well.
    let counting = async move {
        while let Some(page) = pages.recv().await {
            name_unreadable(&page, progress)?;
            tallied.add(&page);
            progress.at(tallied.total());
            if let Some(to) = to {
                to.import(page, now).await?;
            }
        }
        anyhow::Ok(())
    };
    let (exported, counted) = tokio::join!(from.export(now, sender), counting);
    counted?;
    exported?;
    Ok(tally)
}

fn name_unreadable(page: &[Record], progress: &Progress) -> anyhow::Result<()> {
    page.iter().try_for_each(|record| match record {
        Record::Unreadable(what) => progress.say(what),
        _ => Ok(()),
    })
}

/// Fails if a record did not read, once everything else is done.
fn end_well(unreadable: u64) -> anyhow::Result<()> {
    match unreadable {
        0 => Ok(()),
        found => bail!(
            "{found} records do not read, and are named above; `munjigi user remove id:NUMBER` \
             removes an account"
        ),
    }
}

/// The result of a check of a store.
struct StoreInspection {
    faults: Vec<String>,
    unreadable: Vec<String>,
    tally: Tally,
    older_names: OlderNames,
}

/// Checks a store: its faults, and its records.
async fn inspected(store: &StoreConfig, now: Timestamp) -> anyhow::Result<StoreInspection> {
    let (sender, mut pages) = mpsc::channel::<Page>(4);
    let (mut tally, mut older_names) = (Tally::default(), OlderNames::default());
    let mut unreadable = Vec::new();
    let counting = async {
        while let Some(page) = pages.recv().await {
            tally.add(&page);
            older_names.add(&page);
            unreadable.extend(page.into_iter().filter_map(|record| match record {
                Record::Unreadable(what) => Some(what),
                _ => None,
            }));
        }
    };
    let (faults, ()) = tokio::join!(stores::inspect(store, now, sender), counting);
    Ok(StoreInspection { faults: faults?, unreadable, tally, older_names })
}

/// The number of records of each kind.
#[derive(Debug, Serialize)]
struct Counts {
    #[serde(flatten)]
    kinds: serde_json::Map<String, serde_json::Value>,
}

impl Counts {
    fn of(tally: &Tally) -> Self {
        let counts = Tally::KINDS.into_iter().map(|kind| (kind, tally.of(kind).into()));
        let highest = ("highest user number", tally.highest_number.into());
        let named = counts.chain([highest]);
        Self { kinds: named.map(|(kind, count)| (kind.replace(' ', "_"), count)).collect() }
    }

    fn text(tally: &Tally) -> String {
        let counts = Tally::KINDS.into_iter().map(|kind| (kind, tally.of(kind).to_string()));
        let highest = ("highest user number", tally.highest_number.to_string());
        let rows: Vec<_> =
            counts.chain([highest]).map(|(kind, count)| vec![kind.to_owned(), count]).collect();
        table(&["KIND", "COUNT"], &rows)
    }
}

/// A path for a message.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
