//! `munjigi store restore`: a backup in the place of the configured store.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::new_file::NewFile;
use crate::cli::why::Why;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{SqliteStore, Tally};
use crate::telemetry::audit::{Entry, Event};
use crate::telemetry::{causes, escaped};

use super::backup::mark;
use super::{Counts, StoreInspection, check_is_there, configured, copy, inspected, shown, trail};

pub(super) const HELP: &str = "\
Stop the gateways first. A SQLite store's file is set aside as FILE.before-TIME, and stays until you
delete it; a Redis must be empty. The backup itself stays as it is.

The first gateway that runs on what was restored ends all sessions and tokens of all sites: it does
not know which of them ended after the backup, nor which account had which number. Everybody logs in
anew; passwords and roles are those of the backup.

Example:
  munjigi store restore /var/backups/munjigi-2026-11-21.db";

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Serialize)]
struct RestoreReport {
    from: String,
    to: String,
    set_aside: Option<String>,
    restored: Counts,
}

pub(super) async fn restore(args: RestoreArgs, context: &Context) -> anyhow::Result<()> {
    let to = configured(context, false)?;
    let from = StoreConfig { url: StoreUrl::Sqlite(args.file.clone()), ..to.clone() };
    check_is_there(&from)?;
    let (name, set_aside, restored) = match &to.url {
        StoreUrl::Memory => bail!("a store in memory is its gateway's alone"),
        StoreUrl::Sqlite(path) => into_file(&args.file, path, &to, context).await?,
        StoreUrl::Redis(_) => into_redis(&args.file, &to, context).await?,
    };
    if let Some(aside) = &set_aside {
        tell_what_waits(aside, &to, context).await?;
    }
    let entry = Entry {
        name: Some(shown(&args.file)),
        detail: set_aside.as_deref().map(|aside| format!("set aside {}", shown(aside))),
        count: Some(restored.total()),
        reason: args.why.reason,
        ..Entry::of(Event::StoreRestore)
    };
    trail::record(&to, entry).await;
    let done = RestoreReport {
        from: shown(&args.file),
        to: name,
        set_aside: set_aside.as_deref().map(shown),
        restored: Counts::of(&restored),
    };
    context.output.data(&done, |done| {
        let aside = done.set_aside.iter().map(|path| format!("\n  the file before is {path}"));
        format!(
            "{}\n✓ {} → {}; the next start ends all sessions{}",
            Counts::text(&restored),
            done.from,
            done.to,
            aside.collect::<String>()
        )
    })
}

/// Moves the events that still waited in the replaced store to the restored one.
async fn tell_what_waits(aside: &Path, to: &StoreConfig, context: &Context) -> anyhow::Result<()> {
    let from = StoreConfig { url: StoreUrl::Sqlite(aside.to_owned()), ..to.clone() };
    let carried = async {
        let (from, to) = (trail::open_as_it_is(&from).await?, trail::open_as_it_is(to).await?);
        anyhow::Ok(trail::carry(from.as_ref(), to.as_ref(), context.now.wall).await?)
    };
    if let Err(error) = carried.await {
        let why = causes(error.as_ref());
        let warning = format!("warning: what waits in it for the audit trail is not told: {why}");
        writeln!(std::io::stderr().lock(), "{}", escaped(&warning))?;
    }
    Ok(())
}

/// The store's name, the file that was set aside, and the restored records.
type Restored = (String, Option<PathBuf>, Tally);

/// The draft is checked, marked and complete before the store's file is touched.
async fn into_file(
    backup: &Path,
    path: &Path,
    to: &StoreConfig,
    context: &Context,
) -> anyhow::Result<Restored> {
    let now = context.now.wall;
    let aside = beside(path, &format!(".before-{}", now.as_seconds()));
    let file = NewFile::begin(&beside(path, ".restored"))?;
    let draft = copied(backup, &file, to, context).await?;
    let StoreInspection { faults, tally: restored, .. } = inspected(&draft, now).await?;
    if let Some(fault) = faults.first() {
        bail!("the backup is not sound: {fault}");
    }
    let is_there = path.exists();
    if is_there {
        let before = path.to_owned();
        // A gateway that runs on it would go on writing to the file set aside.
        if tokio::task::spawn_blocking(move || SqliteStore::is_in_use(&before)).await? {
            bail!("{} is in use: stop the gateway first", path.display());
        }
        for part in ["", "-wal", "-shm"] {
            let (from, to) = (beside(path, part), beside(&aside, part));
            if from.exists() {
                std::fs::rename(&from, &to)
                    .with_context(|| format!("{} cannot be set aside", from.display()))?;
            }
        }
    }
    file.named(path).finish()?;
    Ok((shown(path), is_there.then_some(aside), restored))
}

/// A backup is opened as a copy: it stays as it is, whatever its schema.
async fn into_redis(
    backup: &Path,
    to: &StoreConfig,
    context: &Context,
) -> anyhow::Result<Restored> {
    let file = NewFile::begin(&beside(backup, ".restored"))?;
    let draft = copied(backup, &file, to, context).await?;
    let (_, name, restored) = copy::between(&draft, to, context).await?;
    Ok((name, None, restored))
}

/// Copies a backup into a draft, up to date and marked.
async fn copied(
    backup: &Path,
    file: &NewFile,
    to: &StoreConfig,
    context: &Context,
) -> anyhow::Result<StoreConfig> {
    let (from, draft) = (backup.to_owned(), file.draft().to_owned());
    let url = StoreUrl::Sqlite(draft.clone());
    tokio::task::spawn_blocking(move || SqliteStore::back_up(&from, &draft)).await??;
    let store = StoreConfig { url, ..to.clone() };
    mark(&store, context.now.wall).await?;
    Ok(store)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
