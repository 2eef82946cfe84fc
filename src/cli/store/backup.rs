//! `munjigi store backup`: everything in one new file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::app::stores;
use crate::cli::context::Context;
use crate::cli::new_file::NewFile;
use crate::cli::progress::Progress;
use crate::cli::why::Why;
use crate::clock::Timestamp;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{Record, SqliteStore, Tally};
use crate::telemetry::audit::{Entry, Event};

use super::{
    Counts, StoreInspection, check_is_there, configured, end_well, inspected, pump, shown, trail,
};

pub(super) const HELP: &str = "\
The backup is a SQLite file, also of a Redis; gateways may run meanwhile. Of a SQLite store it is the
state of one instant; of a Redis each record is whole, and one that was written meanwhile may lack.
The file is readable for its owner alone: it holds signing keys and password hashes. It is never
written over another.

`munjigi store restore FILE` puts it in place. The file is marked: the first gateway that runs on it
ends all sessions and tokens of all sites, since it does not know which of them ended after it was
saved. A file that was copied by other means has no mark: follow with `munjigi revoke site HOST` for
every site.

Example:
  munjigi store backup /var/backups/munjigi-2026-11-21.db";

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to make
    file: PathBuf,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Serialize)]
struct BackupReport {
    file: String,
    bytes: u64,
    saved: Counts,
}

pub(super) async fn backup(args: BackupArgs, context: &Context) -> anyhow::Result<()> {
    let from = configured(context, false)?;
    check_is_there(&from)?;
    let file = NewFile::begin(&args.file)?;
    let draft = file.draft().to_owned();
    let left_out = if let StoreUrl::Sqlite(path) = &from.url {
        let (path, draft) = (path.clone(), draft.clone());
        tokio::task::spawn_blocking(move || SqliteStore::back_up(&path, &draft)).await??;
        0
    } else {
        gather(&from, &draft, context).await?.of(Record::UNREADABLE)
    };
    let store = StoreConfig { url: StoreUrl::Sqlite(draft), ..from.clone() };
    mark(&store, context.now.wall).await?;
    let StoreInspection { faults, unreadable, tally: saved, .. } =
        inspected(&store, context.now.wall).await?;
    if let Some(fault) = faults.first() {
        bail!("the backup is not sound: {fault}");
    }
    let bytes = file.finish()?;
    let entry = Entry {
        name: Some(shown(&args.file)),
        count: Some(saved.total()),
        reason: args.why.reason,
        ..Entry::of(Event::StoreBackup)
    };
    trail::record(&from, entry).await;
    let done = BackupReport { file: shown(&args.file), bytes, saved: Counts::of(&saved) };
    context.output.data(&done, |done| {
        format!("{}\n✓ {}, {} bytes", Counts::text(&saved), done.file, done.bytes)
    })?;
    let progress = Progress::of_count(None, "records named")?;
    unreadable.iter().try_for_each(|what| progress.say(what))?;
    progress.end();
    end_well(left_out + saved.of(Record::UNREADABLE))
}

/// Migrates a SQLite file that is not in use, and marks it as a backup.
pub(super) async fn mark(file: &StoreConfig, saved_at: Timestamp) -> anyhow::Result<()> {
    let StoreUrl::Sqlite(path) = &file.url else { return Ok(()) };
    let store = stores::open_archive(file).await?;
    store.mark_as_backup(Some(saved_at)).await?;
    let path = path.clone();
    // The last connection removes the write-ahead log; then it is one file.
    tokio::task::spawn_blocking(move || {
        drop(store);
        SqliteStore::seal(&path)
    })
    .await??;
    Ok(())
}

/// Copies a Redis into a SQLite file, and compares both.
async fn gather(
    from: &StoreConfig,
    draft: &std::path::Path,
    context: &Context,
) -> anyhow::Result<Tally> {
    let now = context.now.wall;
    let source = stores::open_archive(from).await?;
    let to = StoreConfig {
        url: StoreUrl::Sqlite(draft.to_owned()),
        // It is synced once, at the end.
        full_durability: false,
        timeout: Duration::from_secs(60),
        ..from.clone()
    };
    let target = stores::open_archive(&to).await?;
    let progress = Progress::of_count(None, "records saved")?;
    let copied = pump(source.as_ref(), Some(target.as_ref()), now, &progress).await;
    progress.end();
    let copied = copied.context("the store cannot be saved")?;
    let progress = Progress::of_count(Some(copied.total()), "records compared")?;
    let read_back = pump(target.as_ref(), None, now, &progress).await?;
    progress.end();
    let differences = copied.differences(&read_back);
    if !differences.is_empty() {
        bail!("the backup differs from the store: {}", differences.join(", "));
    }
    // The last connection removes the write-ahead log: it is closed before the file is marked.
    tokio::task::spawn_blocking(move || drop(target)).await?;
    Ok(copied)
}
