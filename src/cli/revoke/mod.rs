//! `munjigi revoke`: ends tokens, sessions and keys; running gateways read it from the store's
//! feed.

mod import;
mod key;
mod site;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Revocation, Revoked, SessionId, SessionName};
use crate::store::UserChange;
use crate::telemetry::audit::{Entry, Event};

use super::audit_trail;
use super::context::{Context, Opened};
use super::token::read_token;
use super::why::Why;

#[derive(Debug, Subcommand)]
pub(crate) enum RevokeVerb {
    /// End one access token
    #[command(after_help = "Example:\n  munjigi revoke token - < token.txt")]
    Token(TokenArgs),
    /// End one session: its refresh token and its access tokens
    #[command(
        after_help = "Example:\n  munjigi revoke session 6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5"
    )]
    Session(SessionArgs),
    /// End all of a user's sessions, on every site of the realm
    #[command(after_help = "Example:\n  munjigi revoke user you@example.com --reason \"left\"")]
    User(UserArgs),
    /// End everything that a signing key signed, and sign with a new one
    #[command(after_help = key::HELP)]
    Key(key::KeyArgs),
    /// End all sessions and tokens of a site
    #[command(after_help = site::HELP)]
    Site(site::SiteArgs),
    /// End tokens by a file of their ids (`jti`), one a line
    #[command(after_help = import::HELP)]
    Import(import::ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The token, or `-` for the first line of standard input
    token: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The session's id (`munjigi session list` shows it), or another issuer's `sid`
    session: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// Email address, user name, or `id:NUMBER`
    user: String,
    /// Realm of the account
    #[arg(long, default_value = "default")]
    realm: String,
    #[command(flatten)]
    why: Why,
}

/// The result of a revocation.
#[derive(Debug, Serialize)]
struct RevocationReport {
    revoked: &'static str,
    name: String,
}

pub(crate) async fn revoke(verb: RevokeVerb, context: &Context) -> anyhow::Result<()> {
    let opened = context.open().await?;
    let done = match verb {
        RevokeVerb::Token(args) => token(args, context, &opened).await?,
        RevokeVerb::Session(args) => session(args, &opened).await?,
        RevokeVerb::User(args) => user(args, &opened).await?,
        RevokeVerb::Key(args) => return key::key(args, context, &opened).await,
        RevokeVerb::Site(args) => return site::site(args, context, &opened).await,
        RevokeVerb::Import(args) => return import::import(args, context, &opened).await,
    };
    context.output.data(&done, |done| format!("revoked {} {}", done.revoked, done.name))
}

async fn token(
    args: TokenArgs,
    context: &Context,
    opened: &Opened,
) -> anyhow::Result<RevocationReport> {
    let token = read_token(&args.token)?;
    let mut refusals = Vec::new();
    for (config, site) in opened.config.sites.iter().zip(&opened.sites) {
        match site.auth.tokens.verify(&token, context.now.wall) {
            Ok(verified) => {
                let principal = &verified.principal;
                let revoked = Revoked::Token {
                    issuer: principal.issuer.clone(),
                    token: principal.token.clone(),
                };
                let leeway = site.auth.tokens.policy().leeway;
                let expires_at = Revocation::until(principal.expires_at, leeway);
                let revocation = Revocation { revoked, expires_at };
                opened.store.revoke(&[revocation]).await?;
                let entry = Entry {
                    site: Some(config.host.to_string()),
                    name: Some(principal.token.to_string()),
                    ..audit_entry("token", args.why)
                };
                audit_trail::record(opened.store.as_ref(), entry).await;
                return Ok(RevocationReport {
                    revoked: "token",
                    name: principal.token.to_string(),
                });
            }
            Err(error) => refusals.push(format!("{}: {error}", config.host)),
        }
    }
    bail!("no site accepts this token, so there is nothing to revoke\n  {}", refusals.join("\n  "))
}

/// The store is asked to end it whether or not it is still there: access tokens may outlive it.
async fn session(args: SessionArgs, opened: &Opened) -> anyhow::Result<RevocationReport> {
    let own = Uuid::parse_str(&args.session).ok().map(SessionId);
    let mut revocations = Vec::new();
    for site in &opened.sites {
        let issuer = &site.auth.tokens.policy().issuer;
        let mut names: Vec<_> = own.map(SessionName::Own).into_iter().collect();
        let foreign = SessionName::from(args.session.as_str());
        // Others may write a UUID as the gateway never does.
        if !site.auth.tokens.keys_are_stored() && !names.contains(&foreign) {
            names.push(foreign);
        }
        revocations.extend(names.iter().map(|name| Revocation {
            revoked: Revoked::session(issuer, name),
            expires_at: opened.revoked_until,
        }));
    }
    if revocations.is_empty() {
        bail!("that is no session's id; `munjigi session list USER` shows them");
    }
    match own {
        Some(session) => {
            opened.store.end_session(session, &revocations).await?;
        }
        None => opened.store.revoke(&revocations).await?,
    }
    let name = own.map_or(args.session, |session| session.to_string());
    let entry = Entry { name: Some(name.clone()), ..audit_entry("session", args.why) };
    audit_trail::record(opened.store.as_ref(), entry).await;
    Ok(RevocationReport { revoked: "session", name })
}

async fn user(args: UserArgs, opened: &Opened) -> anyhow::Result<RevocationReport> {
    let user = opened.user(&args.realm, &args.user).await?;
    let ended = opened
        .store
        .change_user(
            &args.realm,
            user.id,
            UserChange::EndSessions,
            opened.now,
            opened.revoked_until,
        )
        .await?;
    if ended.is_none() {
        bail!("user `{}` is gone", args.user);
    }
    let entry = Entry {
        realm: Some(args.realm),
        user: Some(user.id.to_string()),
        ..audit_entry("user", args.why)
    };
    audit_trail::record(opened.store.as_ref(), entry).await;
    Ok(RevocationReport { revoked: "user", name: args.user })
}

/// The audit event of a revocation.
fn audit_entry(kind: &'static str, why: Why) -> Entry {
    Entry { kind: Some(kind.into()), reason: why.reason, ..Entry::of(Event::Revocation) }
}
