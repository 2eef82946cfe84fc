//! `munjigi user`: accounts, made and changed while gateways run.

mod export;
mod import;
mod mfa;
mod password;
mod record;
mod rights;
mod rows;
mod shown;

use std::io::Write;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::auth::throttle;
use crate::cli::audit_trail;
use crate::cli::context::{Context, Opened, named_id};
use crate::cli::output::{count, table};
use crate::cli::why::Why;
use crate::operation::{Email, Username};
use crate::store::{StoreError, Unreadable, User, UserChange};
use crate::telemetry::audit::{Entry, Event};
use crate::telemetry::escaped;

use mfa::MfaVerb;
use password::PasswordArgs;
use shown::Shown;

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Make an account; the password is asked for, or read with --password-stdin
    #[command(after_help = ADD)]
    Add(AddArgs),
    /// List accounts
    #[command(after_help = "Example:\n  munjigi user list")]
    List(RealmArgs),
    /// Show one account
    #[command(after_help = "Example:\n  munjigi --json user show you@example.com")]
    Show(WhoArgs),
    /// Set a new password; all the user's sessions end
    #[command(
        after_help = "Example:\n  munjigi user passwd you@example.com --password-stdin < password.txt"
    )]
    Passwd(PasswdArgs),
    /// Forget the wrong passwords and codes of an account, so that its owner may try again at once
    #[command(after_help = "Example:\n  munjigi user unlock you@example.com")]
    Unlock(ChangeArgs),
    /// The second factor of an account
    #[command(subcommand, after_help = "Example:\n  munjigi user mfa reset you@example.com")]
    Mfa(MfaVerb),
    /// Let a disabled account log in again
    #[command(after_help = "Example:\n  munjigi user enable you@example.com")]
    Enable(ChangeArgs),
    /// Shut an account out; all its sessions end
    #[command(after_help = "Example:\n  munjigi user disable you@example.com")]
    Disable(ChangeArgs),
    /// Set an account's roles and permissions, or show them; taking one away ends its access tokens
    #[command(after_help = RIGHTS)]
    Rights(RightsArgs),
    /// Remove an account; all its sessions end
    #[command(after_help = "Example:\n  munjigi user remove you@example.com")]
    Remove(ChangeArgs),
    /// Make accounts from a CSV or JSON lines file, with the password hashes that they have
    #[command(after_help = import::HELP)]
    Import(import::ImportArgs),
    /// Write accounts as JSON lines or CSV, which `import` takes
    #[command(after_help = "Example:\n  munjigi user export --with-hashes > users.jsonl")]
    Export(export::ExportArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RealmArgs {
    /// Realm of the accounts
    #[arg(long, default_value = "default")]
    realm: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WhoArgs {
    /// Email address, user name, or `id:NUMBER`
    user: String,
    #[command(flatten)]
    realm: RealmArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Email address
    #[arg(long, required_unless_present = "username")]
    email: Option<Email>,
    /// User name
    #[arg(long)]
    username: Option<Username>,
    /// Role; may be given again
    #[arg(long = "role", value_name = "NAME", value_parser = rights::one_name)]
    roles: Vec<String>,
    /// Permission; may be given again
    #[arg(long = "permission", value_name = "NAME", value_parser = rights::one_name)]
    permissions: Vec<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    realm: RealmArgs,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RightsArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Role from now on; may be given again
    #[arg(long = "role", value_name = "NAME", value_parser = rights::one_name)]
    roles: Vec<String>,
    /// Permission from now on; may be given again
    #[arg(long = "permission", value_name = "NAME", value_parser = rights::one_name)]
    permissions: Vec<String>,
    /// Take all roles and permissions away
    #[arg(long, conflicts_with_all = ["roles", "permissions"])]
    none: bool,
}

pub(crate) async fn user(verb: UserVerb, context: &Context) -> anyhow::Result<()> {
    let opened = context.open().await?;
    match verb {
        UserVerb::Add(args) => add(args, context, &opened).await,
        UserVerb::List(args) => list(&args.realm, context, &opened).await,
        UserVerb::Show(who) => {
            let user = opened.user(&who.realm.realm, &who.user).await?;
            let (store, login) = (opened.store.as_ref(), &opened.config.login);
            let locks = throttle::locks(store, login, &user, opened.now).await?;
            context.output.data(&Shown::from(&user).locked(locks), Shown::text)
        }
        UserVerb::Passwd(args) => {
            let password = args.password.read()?;
            let verifier = password::verifier(&opened, &password).await?;
            let who = args.change.who.clone();
            change(args.change, UserChange::SetPassword { verifier }, context, &opened).await?;
            unlock(&who, &opened).await.map(drop)
        }
        UserVerb::Unlock(args) => {
            let user = unlock(&args.who, &opened).await?;
            let entry = Entry {
                realm: Some(args.who.realm.realm),
                user: Some(user.id.to_string()),
                kind: Some("unlocked".into()),
                reason: args.why.reason,
                ..Entry::of(Event::AccountChange)
            };
            audit_trail::record(opened.store.as_ref(), entry).await;
            context.output.data(&Shown::from(&user), Shown::text)
        }
        UserVerb::Mfa(verb) => mfa::mfa(verb, context, &opened).await,
        UserVerb::Enable(args) => {
            change(args, UserChange::SetEnabled(true), context, &opened).await
        }
        UserVerb::Disable(args) => {
            change(args, UserChange::SetEnabled(false), context, &opened).await
        }
        UserVerb::Rights(args) => rights(args, context, &opened).await,
        UserVerb::Remove(args) => change(args, UserChange::Remove, context, &opened).await,
        UserVerb::Import(args) => import::import(args, context, &opened).await,
        UserVerb::Export(args) => export::export(args, &opened).await,
    }
}

async fn add(args: AddArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let password = args.password.read()?;
    let new = User {
        email: args.email,
        username: args.username,
        verifier: Some(password::verifier(opened, &password).await?),
        roles: args.roles,
        permissions: args.permissions,
        ..User::new(args.realm.realm, context.now.wall)
    };
    let names = (new.email.as_ref(), new.username.as_ref());
    let rights = (&new.roles[..], &new.permissions[..]);
    opened.check_rights(&new.realm, names, rights, context.now.wall)?;
    let user = opened.store.create_user(new).await?;
    let entry = Entry {
        realm: Some(user.realm.clone()),
        user: Some(user.id.to_string()),
        kind: Some("added".into()),
        detail: rights::difference((&[], &[]), (&user.roles, &user.permissions)),
        reason: args.why.reason,
        ..Entry::of(Event::AccountChange)
    };
    audit_trail::record(opened.store.as_ref(), entry).await;
    context.output.data(&Shown::from(&user), Shown::text)
}

async fn list(realm: &str, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    const PAGE: usize = 500;
    let (mut users, mut unreadable) = (Vec::new(), UnreadableAccounts::default());
    let mut after = None;
    loop {
        let page = opened.store.list_users(realm, after, PAGE).await?;
        users.extend(page.users);
        unreadable.name_all(&page.unreadable)?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let shown: Vec<Shown> = users.iter().map(Shown::from).collect();
    context.output.data(&shown, |shown| {
        let rows: Vec<Vec<String>> = shown.iter().map(Shown::row).collect();
        table(&Shown::HEADINGS, &rows)
    })?;
    unreadable.end()
}

/// Names accounts that do not read as they are found, and fails at the end if there were any.
#[derive(Debug, Default)]
pub(super) struct UnreadableAccounts(usize);

impl UnreadableAccounts {
    fn name(&mut self, Unreadable { id, what }: &Unreadable) -> anyhow::Result<()> {
        self.0 += 1;
        Ok(writeln!(std::io::stderr().lock(), "account {id} does not read: {}", escaped(what))?)
    }

    fn name_all(&mut self, unreadable: &[Unreadable]) -> anyhow::Result<()> {
        unreadable.iter().try_for_each(|unreadable| self.name(unreadable))
    }

    fn end(self) -> anyhow::Result<()> {
        match self.0 {
            0 => Ok(()),
            found => bail!(
                "{} that does not read; `munjigi user remove id:NUMBER` removes one",
                count(found, "account")
            ),
        }
    }
}

/// Sets the rights that are named; without any named, shows those that the account has.
async fn rights(args: RightsArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let RightsArgs { change: ChangeArgs { who, why }, roles, permissions, none } = args;
    if none || !roles.is_empty() || !permissions.is_empty() {
        let rights = UserChange::SetRights { roles, permissions };
        return change(ChangeArgs { who, why }, rights, context, opened).await;
    }
    if why.reason.is_some() {
        bail!("--reason is for a change: name --role, --permission or --none");
    }
    let user = opened.user(&who.realm.realm, &who.user).await?;
    context.output.data(&Shown::from(&user), Shown::text)
}

/// Forgets the failed tries of an account.
async fn unlock(who: &WhoArgs, opened: &Opened) -> anyhow::Result<User> {
    let user = opened.user(&who.realm.realm, &who.user).await?;
    throttle::forget_failures(opened.store.as_ref(), &user).await?;
    Ok(user)
}

async fn change(
    args: ChangeArgs,
    change: UserChange,
    context: &Context,
    opened: &Opened,
) -> anyhow::Result<()> {
    let ChangeArgs { who, why } = args;
    let realm = &who.realm.realm;
    let mut detail = None;
    let user = match opened.user(realm, &who.user).await {
        // An account that does not read can be removed by its number.
        Err(error) if matches!(change, UserChange::Remove) => {
            let is_unreadable = error.chain().any(|cause| {
                matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Corrupt(_)))
            });
            named_id(&who.user).filter(|_| is_unreadable).ok_or(error)?
        }
        user => {
            let user = user?;
            if let UserChange::SetRights { roles, permissions } = &change {
                let names = (user.email.as_ref(), user.username.as_ref());
                opened.check_rights(realm, names, (roles, permissions), context.now.wall)?;
                let before = (&user.roles[..], &user.permissions[..]);
                detail = rights::difference(before, (roles, permissions));
            }
            user.id
        }
    };
    let kind = kind_of(&change);
    let changed =
        opened.store.change_user(realm, user, change, opened.now, opened.revoked_until).await?;
    let (user, _) = changed.with_context(|| format!("user `{}` is gone", who.user))?;
    let entry = Entry {
        realm: Some(realm.clone()),
        user: Some(user.id.to_string()),
        kind: Some(kind.into()),
        detail,
        reason: why.reason,
        ..Entry::of(Event::AccountChange)
    };
    audit_trail::record(opened.store.as_ref(), entry).await;
    context.output.data(&Shown::from(&user), Shown::text)
}

/// The event of a change in the audit trail.
const fn kind_of(change: &UserChange) -> &'static str {
    match change {
        UserChange::SetPassword { .. } => "password",
        UserChange::SetEnabled(true) => "enabled",
        UserChange::SetEnabled(false) => "disabled",
        UserChange::SetRights { .. } => "rights",
        UserChange::Remove => "removed",
        _ => "other",
    }
}

const ADD: &str = "\
Examples:
  munjigi user add --email you@example.com
  munjigi user add --username robot --role admin --permission SMS
  munjigi user add --email you@example.com --password-stdin < password.txt";
const RIGHTS: &str = "\
What is named replaces all roles and permissions that the account had.

Examples:
  munjigi user rights you@example.com                                    show them
  munjigi user rights you@example.com --role editor --permission SMS
  munjigi user rights you@example.com --none --reason \"left the team\"";
