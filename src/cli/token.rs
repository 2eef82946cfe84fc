//! `munjigi token`: issues a token for a user, and inspects one.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use crate::document::parse_duration_above_zero;
use crate::operation::{AuthMethods, Generations, Identifier, SessionId};
use crate::store::{Lookup, NewSession, Session};
use crate::telemetry::audit::{Entry, Event};
use crate::token::Grant;

use super::audit_trail;
use super::context::{Context, Opened};
use super::session::rfc3339;
use super::why::Why;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make an access token for a user, in a session of its own; prints the token alone
    #[command(after_help = "Example:\n  munjigi token issue --user you@example.com --ttl 5m")]
    Issue(IssueArgs),
    /// Say what is in a token, and whether a site accepts it
    #[command(after_help = "Example:\n  munjigi token inspect - < token.txt")]
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// Site, by its key in the configuration [default: the only one]
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    /// Email address, user name, or `id:NUMBER`
    #[arg(long)]
    user: String,
    /// Lifetime, at most the site's `access_ttl` [default: that]
    #[arg(long, value_parser = parse_duration_above_zero)]
    ttl: Option<Duration>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The token, or `-` for the first line of standard input
    token: String,
}

#[derive(Debug, Serialize)]
struct Inspection {
    accepted: bool,
    site: Option<String>,
    verdict: String,
    subject: Option<String>,
    session: Option<String>,
    token_id: Option<String>,
    key_id: Option<String>,
    expires_at: Option<String>,
    left_out: Vec<String>,
    claims: Option<serde_json::Map<String, serde_json::Value>>,
}

pub(crate) async fn token(verb: TokenVerb, context: &Context) -> anyhow::Result<()> {
    let opened = context.open().await?;
    match verb {
        TokenVerb::Issue(args) => issue(args, context, &opened).await,
        TokenVerb::Inspect(args) => inspect(&args, context, &opened).await,
    }
}

async fn issue(args: IssueArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let site = opened.site(args.site.as_deref())?;
    let policy = site.auth.tokens.policy();
    let now = context.now.wall;
    let ttl = args.ttl.unwrap_or(policy.access_ttl);
    if ttl > policy.access_ttl {
        bail!(
            "--ttl is over the site's access_ttl ({})",
            humantime::format_duration(policy.access_ttl)
        );
    }
    let user = opened.user(&policy.realm, &args.user).await?;
    if !user.enabled {
        bail!("user `{}` is disabled", args.user);
    }
    let session = Session {
        id: SessionId(Uuid::new_v4()),
        user: user.id,
        realm: policy.realm.clone(),
        issuer: policy.issuer.clone(),
        created_at: now,
        last_used_at: now,
        expires_at: now.plus(ttl),
        ends_at: now.plus(ttl),
        address: "command line".to_owned(),
        agent: None,
        methods: AuthMethods::default(),
    };
    let generations = Generations {
        user: user.generation,
        site: opened.store.site_generation(&policy.issuer).await?,
    };
    let whole = Identifier::Id(user.id);
    let whole = opened.store.find_user(&policy.realm, &whole, Lookup::Whole).await?;
    let grant = Grant {
        user: user.id,
        session: session.id,
        generations,
        email: user.email.as_ref(),
        username: user.username.as_ref(),
        roles: &user.roles,
        permissions: &user.permissions,
        authentication: None,
        attributes: whole.as_ref().map(|user| &user.attributes),
        not_after: Some(now.plus(ttl)),
    };
    let token = site.auth.tokens.issue_access(grant, now)?;
    let sid = session.id;
    let new = NewSession {
        session,
        refresh: None,
        generation: user.generation,
        replaces_others: site.auth.one_session,
    };
    let opened_session = opened.store.open_session(new, opened.revoked_until).await?;
    opened_session.context("the account changed meanwhile; try again")?;
    let entry = Entry {
        site: Some(site.auth.host.clone()),
        user: Some(user.id.to_string()),
        session: Some(sid.to_string()),
        name: Some(token.id.to_string()),
        detail: Some(format!("until {}", rfc3339(token.expires_at))),
        reason: args.why.reason,
        ..Entry::of(Event::TokenIssue)
    };
    audit_trail::record(opened.store.as_ref(), entry).await;
    context.output.line(token.text.expose())
}

async fn inspect(args: &InspectArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let token = read_token(&args.token)?;
    let now = context.now.wall;
    let mut refusals = Vec::new();
    for (config, site) in opened.config.sites.iter().zip(&opened.sites) {
        let verified = match site.auth.tokens.verify(&token, now) {
            Ok(verified) => verified,
            Err(error) => {
                refusals.push(format!("{}: {error}", config.host));
                continue;
            }
        };
        let revoked = revoked_by(&verified.revocation, opened, context).await?;
        let principal = &verified.principal;
        let inspection = Inspection {
            accepted: revoked.is_none(),
            site: Some(config.host.to_string()),
            verdict: revoked
                .map_or_else(|| "accepted".to_owned(), |by| format!("revoked: by {by}")),
            subject: Some(principal.subject.clone()),
            session: principal.session.as_ref().map(ToString::to_string),
            token_id: Some(principal.token.to_string()),
            key_id: Some(principal.key.clone()),
            expires_at: Some(rfc3339(principal.expires_at)),
            left_out: verified.left_out.iter().map(ToString::to_string).collect(),
            claims: Some(principal.claims.clone()),
        };
        return context.output.data(&inspection, Inspection::text);
    }
    let inspection = Inspection {
        accepted: false,
        site: None,
        verdict: format!("refused by every site:\n  {}", refusals.join("\n  ")),
        subject: None,
        session: None,
        token_id: None,
        key_id: None,
        expires_at: None,
        left_out: Vec::new(),
        claims: None,
    };
    context.output.data(&inspection, Inspection::text)
}

/// Asks the store for the revocation of a token.
async fn revoked_by(
    keys: &crate::token::RevocationKeys,
    opened: &Opened,
    context: &Context,
) -> anyhow::Result<Option<&'static str>> {
    for revocable in keys.all() {
        let floor = opened.store.find_revocation(revocable.key, context.now.wall).await?;
        if floor.is_some_and(|floor| revocable.is_refused_at(floor)) {
            return Ok(Some(revocable.by.name()));
        }
    }
    Ok(None)
}

/// The token of an argument: itself, or a line of standard input, which `ps` does not show.
pub(crate) fn read_token(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("the token cannot be read")?;
    Ok(line.trim().to_owned())
}

impl Inspection {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.verdict);
        let rows = [
            ("site", &self.site),
            ("subject", &self.subject),
            ("session", &self.session),
            ("token id", &self.token_id),
            ("key id", &self.key_id),
            ("expires", &self.expires_at),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                text.push_str(&format!("  {name:<10}{value}\n"));
            }
        }
        for left_out in &self.left_out {
            text.push_str(&format!("  {:<10}{left_out}\n", "left out"));
        }
        if let Some(claims) = &self.claims {
            let claims = serde_json::Value::Object(claims.clone());
            text.push_str(&format!("  {:<10}{claims}\n", "claims"));
        }
        text
    }
}
