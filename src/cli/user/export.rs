//! `munjigi user export`: every account of a realm, as `user import` takes them.

use std::io::{BufWriter, Stdout, Write};

use anyhow::Context as _;
use clap::Args;

use crate::cli::audit_trail;
use crate::cli::context::Opened;
use crate::cli::user::record::AccountRecord;
use crate::cli::user::rows::Format;
use crate::cli::user::{RealmArgs, UnreadableAccounts};
use crate::cli::why::Why;
use crate::operation::Identifier;
use crate::store::{Lookup, StoreError, Unreadable};
use crate::telemetry::audit::{Entry, Event};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Write what passwords are checked with as well: keep such a file as safe as the store
    #[arg(long)]
    with_hashes: bool,
    #[command(flatten)]
    realm: RealmArgs,
    #[command(flatten)]
    why: Why,
}

/// Accounts listed at once.
const PAGE: usize = 500;

pub(super) async fn export(args: ExportArgs, opened: &Opened) -> anyhow::Result<()> {
    let realm = &args.realm.realm;
    if args.with_hashes {
        // Before the first is written: the reader may cut the command short.
        let entry = Entry {
            realm: Some(realm.clone()),
            detail: Some("with hashes".to_owned()),
            reason: args.why.reason,
            ..Entry::of(Event::AccountExport)
        };
        audit_trail::record(opened.store.as_ref(), entry).await;
    }
    let mut writer = AccountWriter::new(args.format)?;
    let (mut after, mut unreadable) = (None, UnreadableAccounts::default());
    loop {
        let page = opened.store.list_users(realm, after, PAGE).await?;
        unreadable.name_all(&page.unreadable)?;
        for listed in &page.users {
            // A list leaves attributes out: they may be megabytes.
            let who = Identifier::Id(listed.id);
            match opened.store.find_user(realm, &who, Lookup::Whole).await {
                Ok(Some(user)) => writer.write(&AccountRecord::of(user, args.with_hashes))?,
                // It has been removed since.
                Ok(None) => {}
                Err(StoreError::Corrupt(what)) => {
                    unreadable.name(&Unreadable { id: listed.id, what })?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        after = page.next;
        if after.is_none() {
            writer.end()?;
            return unreadable.end();
        }
    }
}

/// Standard output in one of the formats.
enum AccountWriter {
    Csv(Box<csv::Writer<BufWriter<Stdout>>>),
    Jsonl(BufWriter<Stdout>),
}

impl AccountWriter {
    fn new(format: Format) -> anyhow::Result<Self> {
        let output = BufWriter::new(std::io::stdout());
        Ok(match format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                writer.write_record(AccountRecord::COLUMNS)?;
                Self::Csv(Box::new(writer))
            }
            Format::Jsonl => Self::Jsonl(output),
        })
    }

    fn write(&mut self, record: &AccountRecord) -> anyhow::Result<()> {
        match self {
            Self::Csv(writer) => {
                let columns = record.columns()?.context(
                    "a role or permission with a `;` or spaces about it does not go into CSV; \
                     use --format jsonl",
                )?;
                writer.write_record(columns)?;
            }
            Self::Jsonl(writer) => {
                serde_json::to_writer(&mut *writer, record)?;
                writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush()?,
            Self::Jsonl(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}
