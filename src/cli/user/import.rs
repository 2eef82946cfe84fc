//! `munjigi user import`: accounts of another product, with the password hashes that they have.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::cli::audit_trail;
use crate::cli::audit_trail::{BEGUN, CUT_SHORT};
use crate::cli::context::{Context, Opened};
use crate::cli::progress::Progress;
use crate::cli::user::RealmArgs;
use crate::cli::user::record::RowFault;
use crate::cli::user::rows::{Format, Row, Rows};
use crate::cli::why::Why;
use crate::clock::Timestamp;
use crate::operation::Identifier;
use crate::store::{Lookup, StoreError, User};
use crate::telemetry::audit::{Entry, Event};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file: .csv, .jsonl or .ndjson; `-` is standard input
    file: PathBuf,
    /// What the file is, where its name does not say
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Check every line and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave an account that exists as it is, also one that an earlier line made
    #[arg(long)]
    skip_existing: bool,
    #[command(flatten)]
    realm: RealmArgs,
    #[command(flatten)]
    why: Why,
}

pub(super) const HELP: &str = "\
Fields: email, username (one of them at least), password_hash, roles, permissions, email_verified,
enabled, attributes (JSON), created_at (RFC 3339); in CSV lists are separated by `;`. What `user
export --with-hashes` writes has `verifier` in place of `password_hash`.

password_hash takes Argon2, bcrypt, scrypt and PBKDF2, in PHC strings and as Django ({algorithm}$…)
and Spring ({id}…) write them. Each is checked as it is until the account's next login with its
plain password, which makes it an Argon2id hash of ours. Every line at fault is named, also one whose
account exists or is an earlier line's (unless --skip-existing); the others are imported. Exit status:
0 all good, 1 if a line failed.

Examples:
  munjigi user import users.csv --dry-run
  munjigi user export --with-hashes | munjigi --config new.toml user import - --format jsonl";

/// The result of a file.
#[derive(Debug, Default, Serialize)]
struct Summary {
    rows: u64,
    imported: u64,
    skipped: u64,
    failed: u64,
    dry_run: bool,
}

/// The result of a line.
enum Settled {
    Imported,
    Exists(RowFault),
    Failed(RowFault),
}

/// Lines on their way to the store at once: it writes them together.
const AT_ONCE: usize = 64;

pub(super) async fn import(
    args: ImportArgs,
    context: &Context,
    opened: &Opened,
) -> anyhow::Result<()> {
    let rows = Rows::open(&args.file, args.format)?;
    let progress = Progress::of_bytes(rows.length)?;
    let store = opened.store.as_ref();
    if !args.dry_run {
        audit_trail::record(store, Entry { detail: Some(BEGUN.to_owned()), ..audit_entry(&args) })
            .await;
    }
    let mut summary = Summary { dry_run: args.dry_run, ..Summary::default() };
    let outcome = settle_all(rows, &args, (context.now.wall, opened), &progress, &mut summary);
    let outcome = outcome.await;
    progress.end();
    if !args.dry_run {
        let cut_short = if outcome.is_err() { format!(", {CUT_SHORT}") } else { String::new() };
        let Summary { imported, skipped, failed, .. } = summary;
        let entry = Entry {
            count: Some(imported),
            detail: Some(format!("{skipped} skipped, {failed} failed{cut_short}")),
            ..audit_entry(&args)
        };
        audit_trail::record(store, entry).await;
    }
    outcome.with_context(|| stopped(&summary))?;
    context.output.data(&summary, Summary::text)?;
    if summary.failed > 0 {
        bail!("{} of {} lines failed", summary.failed, summary.rows);
    }
    Ok(())
}

/// Makes the accounts of all lines, names the faulty lines, and counts.
async fn settle_all(
    rows: Rows,
    args: &ImportArgs,
    (now, opened): (Timestamp, &Opened),
    progress: &Progress,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let position = rows.position();
    let mut names = HashMap::new();
    let lines = rows.map(|row| read(row?, opened, (&args.realm.realm, now), &mut names));
    let mut settled =
        stream::iter(lines).map(|line| settle(line, args.dry_run, opened)).buffered(AT_ONCE);
    while let Some(outcome) = settled.next().await {
        let (line, outcome) = outcome?;
        summary.rows += 1;
        let fault = match outcome {
            Settled::Imported => {
                summary.imported += 1;
                None
            }
            Settled::Exists(_) if args.skip_existing => {
                summary.skipped += 1;
                None
            }
            Settled::Exists(fault) | Settled::Failed(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            summary.failed += 1;
            progress.say(&format!("line {line}: {fault}"))?;
        }
        progress.at(position());
    }
    Ok(())
}

/// The audit event of an import.
fn audit_entry(args: &ImportArgs) -> Entry {
    Entry {
        realm: Some(args.realm.realm.clone()),
        name: Some(args.file.display().to_string()),
        reason: args.why.reason.clone(),
        ..Entry::of(Event::AccountImport)
    }
}

/// A line: the account to make, or its result already.
type Line = (u64, Result<User, Settled>);

/// Reads one line's account, unless an earlier line has its name.
fn read(
    row: Row,
    opened: &Opened,
    (realm, now): (&str, Timestamp),
    names: &mut HashMap<Identifier, u64>,
) -> anyhow::Result<Line> {
    let Row { line, record } = row;
    let new = match record.and_then(|record| record.new_user(realm, now)) {
        Ok(new) => new,
        Err(fault) => return Ok((line, Err(Settled::Failed(fault)))),
    };
    let owner = (new.email.as_ref(), new.username.as_ref());
    let rights = (&new.roles[..], &new.permissions[..]);
    if let Err(error) = opened.check_rights(realm, owner, rights, now) {
        return Ok((line, Err(Settled::Failed(error.into()))));
    }
    let earlier = names_of(&new).find_map(|name| names.get(&name).copied());
    if let Some(earlier) = earlier {
        return Ok((line, Err(Settled::Exists(RowFault::Twice(earlier)))));
    }
    names.extend(names_of(&new).map(|name| (name, line)));
    Ok((line, Ok(new)))
}

fn names_of(new: &User) -> impl Iterator<Item = Identifier> + use<> {
    let email = new.email.clone().map(Identifier::Email);
    email.into_iter().chain(new.username.clone().map(Identifier::Username))
}

/// Makes one line's account, or only checks it.
async fn settle(
    line: anyhow::Result<Line>,
    dry_run: bool,
    opened: &Opened,
) -> anyhow::Result<(u64, Settled)> {
    let (line, new) = line?;
    let new = match new {
        Ok(new) => new,
        Err(settled) => return Ok((line, settled)),
    };
    let made = if dry_run {
        would_make(&new, opened).await
    } else {
        opened.store.create_user(new).await.map(|_| ())
    };
    match made {
        Ok(()) => Ok((line, Settled::Imported)),
        Err(StoreError::Taken) => Ok((line, Settled::Exists(RowFault::Exists))),
        // The others would fail as well.
        Err(error) => Err(error).with_context(|| format!("line {line}")),
    }
}

async fn would_make(new: &User, opened: &Opened) -> Result<(), StoreError> {
    for name in names_of(new) {
        if opened.store.find_user(&new.realm, &name, Lookup::Routine).await?.is_some() {
            return Err(StoreError::Taken);
        }
    }
    Ok(())
}

fn stopped(summary: &Summary) -> String {
    let imported = summary.imported;
    format!(
        "stopped after {imported} accounts or a few more; a second import with --skip-existing skips those"
    )
}

impl Summary {
    fn text(&self) -> String {
        let Self { rows, imported, skipped, failed, dry_run } = self;
        let done = if *dry_run { "could be imported" } else { "imported" };
        format!("{rows} accounts: {imported} {done}, {skipped} exist already, {failed} failed")
    }
}
