//! `munjigi store copy`: copies everything into another store, and compares both.

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::app::stores;
use crate::cli::context::Context;
use crate::cli::progress::Progress;
use crate::cli::why::Why;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{Record, Tally};
use crate::telemetry::audit::{Entry, Event};

use super::{Counts, check_is_there, configured, end_well, pump, trail};

pub(super) const HELP: &str = "\
Stop the gateways of the source first: what they write meanwhile would be lost, and the copy says so
and fails. The target must be empty; cut short, it holds a part and is to be emptied. Nothing that
has expired is copied. The target is read back and compared with the source, record by record, and
the counts of both are shown.

An address is as in [store] url; a file is relative to the working directory. Password, CA, client
certificate and prefix are those of the configuration for the store that it names; the prefix holds
for both. Then name the target in [store] url and start the gateways.

Examples:
  munjigi store copy --to redis://10.0.0.5:6379
  munjigi store copy --from redis+cluster://10.0.0.5,10.0.0.6 --to sqlite:munjigi.db";

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Where from [default: the configured store]
    #[arg(long, value_name = "URL", required_unless_present = "to")]
    from: Option<String>,
    /// Where to [default: the configured store]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Serialize)]
struct CopyReport {
    from: String,
    to: String,
    copied: Counts,
}

pub(super) async fn copy(args: CopyArgs, context: &Context) -> anyhow::Result<()> {
    let configured = configured(context, args.from.is_some() && args.to.is_some())?;
    let named = |name: &str, address: &Option<String>| match address {
        Some(address) => configured.at(address).with_context(|| format!("--{name} {address}")),
        None => Ok(configured.clone()),
    };
    let (from, to) = (named("from", &args.from)?, named("to", &args.to)?);
    if is_same(&from, &to) {
        bail!("source and target are the same store");
    }
    if to.url == StoreUrl::Memory {
        bail!("a store in memory is gone with this command");
    }
    check_is_there(&from)?;
    let (source, target, copied) = between(&from, &to, context).await?;
    let entry = Entry {
        name: Some(target.clone()),
        detail: Some(format!("from {source}")),
        count: Some(copied.total()),
        reason: args.why.reason,
        ..Entry::of(Event::StoreCopy)
    };
    trail::record(&from, entry.clone()).await;
    trail::record(&to, entry).await;
    let done = CopyReport { from: source, to: target, copied: Counts::of(&copied) };
    context.output.data(&done, |done| {
        format!(
            "{}\n✓ {} → {}: all that reads is there, read back and the same",
            Counts::text(&copied),
            done.from,
            done.to
        )
    })?;
    end_well(copied.of(Record::UNREADABLE))
}

/// Copies everything into an empty store and compares; answers their names and the copied records.
pub(super) async fn between(
    from: &StoreConfig,
    to: &StoreConfig,
    context: &Context,
) -> anyhow::Result<(String, String, Tally)> {
    let source = stores::open_archive(from).await?;
    let target = stores::open_archive(to).await?;
    if !target.is_empty().await? {
        bail!("{} is not empty: a copy goes into an empty store", target.describe());
    }
    let now = context.now.wall;
    let partial = || format!("{} holds a part and is to be emptied", target.describe());
    let progress = Progress::of_count(None, "records copied")?;
    let copied = pump(source.as_ref(), Some(target.as_ref()), now, &progress).await;
    progress.end();
    let copied = copied.with_context(partial)?;
    let progress = Progress::of_count(Some(copied.total() * 2), "records compared")?;
    let read_back = pump(target.as_ref(), None, now, &progress).await.with_context(partial)?;
    let source_now = pump(source.as_ref(), None, now, &progress).await.with_context(partial)?;
    progress.end();
    let moved = copied.differences(&source_now);
    if !moved.is_empty() {
        bail!(
            "the source changed meanwhile ({}): stop its gateways; {}",
            moved.join(", "),
            partial()
        );
    }
    let lost = copied.differences(&read_back);
    if !lost.is_empty() {
        let counts = lost.iter().map(|kind| {
            format!(
                "{kind}: {} in the source, {} in the target",
                copied.of(kind),
                read_back.of(kind)
            )
        });
        let counts: Vec<String> = counts.collect();
        bail!("the target differs from the source\n  {}\n{}", counts.join("\n  "), partial());
    }
    trail::carry(source.as_ref(), target.as_ref(), now).await.with_context(partial)?;
    Ok((source.describe(), target.describe(), copied))
}

/// Whether both name one place, judged by their names.
fn is_same(one: &StoreConfig, other: &StoreConfig) -> bool {
    let place = |store: &StoreConfig| match &store.url {
        StoreUrl::Sqlite(path) => std::fs::canonicalize(path).ok(),
        StoreUrl::Memory | StoreUrl::Redis(_) => None,
    };
    one.url == other.url || place(one).is_some_and(|path| place(other) == Some(path))
}
