//! `munjigi revoke site`: everybody out.
//!
//! The site's generation rises, which refuses all access tokens at once; then its sessions end one
//! by one, and with them their refresh tokens. What was refreshed meanwhile has the generation of
//! now: it rises once more at the end.

use clap::Args;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::context::Opened;
use crate::cli::operator;
use crate::cli::progress::Progress;
use crate::clock::Timestamp;
use crate::operation::Revocation;
use crate::operation::Revoked;
use crate::operation::UserId;
use crate::store::Store;
use crate::store::User;
use crate::telemetry::audit::Entry;

use super::told;

pub(super) const HELP: &str = "\
All access tokens of the site are refused at once, and all its sessions end: everybody logs in anew.
Accounts stay as they are, and so do other sites of the realm. Cut short, it may be typed again.

Tokens that others sign with a key of the configuration ([site.X.tokens] keys) have no generation:
they are refused until the longest of them has ended (session_ttl), new ones as well.

Example:
  munjigi revoke site api.example.com --reason \"incident 7\"";

#[derive(Debug, Args)]
pub(crate) struct SiteArgs {
    /// Site, by its key in the configuration
    host: String,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Serialize)]
struct Done {
    revoked: &'static str,
    name: String,
    sessions: u64,
}

/// Accounts that are read at once.
const PAGE: usize = 500;

/// Accounts whose sessions are asked for at once.
const AT_ONCE: usize = 32;

pub(super) async fn site(args: SiteArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let (config, site) = opened.configured_site(Some(&args.host))?;
    let (store, now) = (opened.store.as_ref(), context.now.wall);
    let policy = site.auth.tokens.policy();
    let issuer = policy.issuer.as_str();
    raise(store, issuer, opened.revoked_until).await?;
    operator::tell(Entry {
        site: Some(config.host.to_string()),
        name: Some(config.host.to_string()),
        ..told("site", Some(args.reason))
    });
    let progress = Progress::of_count(None, "sessions ended")?;
    let mut sessions = 0;
    let mut after = None;
    loop {
        let users = store.list_users(&policy.realm, after, PAGE).await?;
        let mut ended = stream::iter(&users)
            .map(|user| end_sessions(store, user, issuer, now))
            .buffer_unordered(AT_ONCE);
        while let Some(ended) = ended.try_next().await? {
            sessions += ended;
            progress.at(sessions);
        }
        if users.len() < PAGE {
            break;
        }
        after = users.last().map(|user: &User| -> UserId { user.id });
    }
    progress.end();
    if sessions > 0 {
        raise(store, issuer, opened.revoked_until).await?;
    }
    let done = Done { revoked: "site", name: config.host.to_string(), sessions };
    context
        .output
        .data(&done, |done| format!("revoked site {}; {} sessions ended", done.name, done.sessions))
}

async fn raise(store: &dyn Store, issuer: &str, expires_at: Timestamp) -> anyhow::Result<()> {
    let generation = store.site_generation(issuer).await?.saturating_add(1);
    let revoked = Revoked::Site { issuer: issuer.to_owned(), generation };
    Ok(store.revoke(&[Revocation { revoked, expires_at }]).await?)
}

async fn end_sessions(
    store: &dyn Store,
    user: &User,
    issuer: &str,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let sessions = store.list_sessions(&user.realm, user.id, Some(issuer), now).await?;
    let mut ended = 0;
    for session in sessions {
        ended += u64::from(store.end_session(session.id, &[]).await?);
    }
    Ok(ended)
}
