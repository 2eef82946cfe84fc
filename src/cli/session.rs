//! `munjigi session`: lists sessions, with their agents and addresses.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::store::Session;

use super::context::Context;
use super::output::table;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {
    /// List a user's sessions on every site
    #[command(after_help = "Example:\n  munjigi session list you@example.com")]
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Email address, user name, or `id:NUMBER`
    user: String,
    /// Realm of the account
    #[arg(long, default_value = "default")]
    realm: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    issuer: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: String,
    agent: Option<String>,
}

pub(crate) async fn session(verb: SessionVerb, context: &Context) -> anyhow::Result<()> {
    let SessionVerb::List(args) = verb;
    let opened = context.open().await?;
    let user = opened.user(&args.realm, &args.user).await?;
    let now = context.now.wall;
    let sessions = opened.store.list_sessions(&args.realm, user.id, None, now).await?;
    let shown: Vec<Shown> = sessions.iter().map(Shown::from).collect();
    context.output.data(&shown, |shown| {
        let rows: Vec<Vec<String>> = shown.iter().map(Shown::row).collect();
        table(&["SESSION", "ISSUER", "CREATED", "LAST USED", "EXPIRES", "ADDRESS", "AGENT"], &rows)
    })
}

impl From<&Session> for Shown {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            issuer: session.issuer.clone(),
            created_at: rfc3339(session.created_at),
            last_used_at: rfc3339(session.last_used_at),
            expires_at: rfc3339(session.expires_at),
            address: session.address.clone(),
            agent: session.agent.clone(),
        }
    }
}

impl Shown {
    fn row(&self) -> Vec<String> {
        let agent = self.agent.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.clone(),
            self.issuer.clone(),
            self.created_at.clone(),
            self.last_used_at.clone(),
            self.expires_at.clone(),
            self.address.clone(),
            agent,
        ]
    }
}

/// An instant in RFC 3339, whole seconds; empty for one outside the calendar.
pub(crate) fn rfc3339(instant: Timestamp) -> String {
    instant.to_second().to_rfc3339().unwrap_or_default()
}
