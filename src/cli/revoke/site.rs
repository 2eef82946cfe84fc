//! `munjigi revoke site`: ends every session and token of a site.

use clap::Args;
use serde::Serialize;

use crate::app::end_site;
use crate::cli::audit_trail;
use crate::cli::audit_trail::{BEGUN, CUT_SHORT};
use crate::cli::context::{Context, Opened};
use crate::cli::progress::Progress;
use crate::cli::why::Why;
use crate::telemetry::audit::Entry;

use super::audit_entry;

pub(super) const HELP: &str = "\
All access tokens of the site are refused at once, and all its sessions end: everybody logs in anew.
Accounts stay as they are, and so do other sites of the realm. Cut short, it may be typed again.

Tokens that others sign with a key of the configuration ([site.X.tokens] keys) have no generation:
they are refused until the longest of them has ended (session_ttl), new ones as well.

Example:
  munjigi revoke site api.example.com --reason \"incident 7\"";

#[derive(Debug, Args)]
#[command(mut_arg("reason", |reason| reason.required(true)))]
pub(crate) struct SiteArgs {
    /// Site, by its key in the configuration
    host: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Serialize)]
struct SiteReport {
    revoked: &'static str,
    name: String,
    sessions: u64,
}

pub(super) async fn site(args: SiteArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let (config, site) = opened.configured_site(Some(&args.host))?;
    let store = opened.store.as_ref();
    let policy = site.auth.tokens.policy();
    let times = (opened.now, opened.revoked_until);
    let host = || Some(config.host.to_string());
    let entry = Entry { site: host(), name: host(), ..audit_entry("site", args.why) };
    audit_trail::record(store, Entry { detail: Some(BEGUN.to_owned()), ..entry.clone() }).await;
    let progress = Progress::of_count(None, "sessions ended")?;
    let ended = end_site::end_site(store, policy, times, |ended| progress.at(ended)).await;
    progress.end();
    let entry = Entry {
        count: ended.as_ref().ok().copied(),
        detail: ended.is_err().then(|| CUT_SHORT.to_owned()),
        ..entry
    };
    audit_trail::record(store, entry).await;
    let sessions = ended?;
    let done = SiteReport { revoked: "site", name: config.host.to_string(), sessions };
    context
        .output
        .data(&done, |done| format!("revoked site {}; {} sessions ended", done.name, done.sessions))
}
