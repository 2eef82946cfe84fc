//! `munjigi user`: accounts, made and changed beside a running gateway.

use std::io::BufRead;
use std::io::IsTerminal;

use anyhow::Context as _;
use anyhow::anyhow;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use serde::Serialize;

use crate::operation::Email;
use crate::operation::ErrorCode;
use crate::operation::Input;
use crate::operation::Password;
use crate::operation::Username;
use crate::secret::Secret;
use crate::store::NewUser;
use crate::store::User;
use crate::store::UserChange;

use super::context::Context;
use super::context::Opened;
use super::output::table;

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Make an account; the password is asked for, or read with --password-stdin
    Add(AddArgs),
    /// List accounts
    List(RealmArgs),
    /// Show one account
    Show(WhoArgs),
    /// Set a new password; all the user's sessions end
    Passwd(PasswdArgs),
    /// Let a disabled account log in again
    Enable(WhoArgs),
    /// Shut an account out; all its sessions end
    Disable(WhoArgs),
    /// Set an account's roles and permissions; taking one away ends its access tokens
    Rights(RightsArgs),
    /// Remove an account; all its sessions end
    Remove(WhoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RealmArgs {
    /// Realm of the accounts
    #[arg(long, default_value = "default")]
    realm: String,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// Email address, user name or number
    user: String,
    #[command(flatten)]
    realm: RealmArgs,
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
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Permission; may be given again
    #[arg(long = "permission")]
    permissions: Vec<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    realm: RealmArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RightsArgs {
    #[command(flatten)]
    who: WhoArgs,
    /// Role from now on; may be given again
    #[arg(long = "role")]
    roles: Vec<String>,
    /// Permission from now on; may be given again
    #[arg(long = "permission")]
    permissions: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// An account as the command line shows it.
#[derive(Debug, Serialize)]
struct Shown {
    id: i64,
    realm: String,
    email: Option<String>,
    email_verified: bool,
    username: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    enabled: bool,
}

pub(crate) async fn user(verb: UserVerb, context: &Context) -> anyhow::Result<()> {
    let opened = context.open().await?;
    match verb {
        UserVerb::Add(args) => add(args, context, &opened).await,
        UserVerb::List(args) => list(&args.realm, context, &opened).await,
        UserVerb::Show(who) => {
            let user = opened.user(&who.realm.realm, &who.user).await?;
            context.output.data(&Shown::from(&user), Shown::text)
        }
        UserVerb::Passwd(args) => {
            let password = args.password.read()?;
            let verifier = verifier(&opened, &password).await?;
            change(&args.who, UserChange::SetPassword { verifier }, context, &opened).await
        }
        UserVerb::Enable(who) => change(&who, UserChange::SetEnabled(true), context, &opened).await,
        UserVerb::Disable(who) => {
            change(&who, UserChange::SetEnabled(false), context, &opened).await
        }
        UserVerb::Rights(args) => {
            let (roles, permissions) = (args.roles, args.permissions);
            let rights = UserChange::SetRights { roles, permissions };
            change(&args.who, rights, context, &opened).await
        }
        UserVerb::Remove(who) => change(&who, UserChange::Remove, context, &opened).await,
    }
}

async fn add(args: AddArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let password = args.password.read()?;
    let new = NewUser {
        realm: args.realm.realm,
        email: args.email,
        username: args.username,
        verifier: Some(verifier(opened, &password).await?),
        roles: args.roles,
        permissions: args.permissions,
        attributes: std::collections::BTreeMap::new(),
        created_at: context.now.wall,
    };
    let user = opened.store.create_user(new).await?;
    context.output.data(&Shown::from(&user), Shown::text)
}

async fn list(realm: &str, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    const PAGE: usize = 500;
    let mut users = Vec::new();
    loop {
        let after = users.last().map(|user: &User| user.id);
        let page = opened.store.list_users(realm, after, PAGE).await?;
        let last = page.len() < PAGE;
        users.extend(page);
        if last {
            break;
        }
    }
    let shown: Vec<Shown> = users.iter().map(Shown::from).collect();
    context.output.data(&shown, |shown| {
        let rows: Vec<Vec<String>> = shown.iter().map(Shown::row).collect();
        table(&["ID", "EMAIL", "USERNAME", "ROLES", "PERMISSIONS", "STATE"], &rows)
    })
}

async fn change(
    who: &WhoArgs,
    change: UserChange,
    context: &Context,
    opened: &Opened,
) -> anyhow::Result<()> {
    let realm = &who.realm.realm;
    let user = opened.user(realm, &who.user).await?;
    let changed = opened.store.change_user(realm, user.id, change, opened.revoked_until).await?;
    let (user, _) = changed.with_context(|| format!("user `{}` is gone", who.user))?;
    context.output.data(&Shown::from(&user), Shown::text)
}

/// Makes the verifier under the configuration's own parameters and limits.
async fn verifier(opened: &Opened, password: &Password) -> anyhow::Result<String> {
    let limits = &opened.config.password;
    opened.passwords.hash(password, Input::Password).await.map_err(|rejection| {
        match rejection.code {
            ErrorCode::InvalidInput => anyhow!(
                "the password needs {} characters or more, and at most {} bytes",
                limits.min_length,
                limits.max_length
            ),
            _ => anyhow!("the password cannot be hashed: {}", rejection.reason),
        }
    })
}

impl PasswordArgs {
    fn read(&self) -> anyhow::Result<Password> {
        let stdin = std::io::stdin();
        if !self.password_stdin && !stdin.is_terminal() {
            bail!("no terminal to ask for the password on; use --password-stdin");
        }
        let text = if self.password_stdin { first_line(&mut stdin.lock())? } else { ask(&stdin)? };
        Ok(Password { text: Secret::new(text), may_be_hashed: false })
    }
}

/// Asks on the terminal, without showing what is typed.
fn ask(stdin: &std::io::Stdin) -> anyhow::Result<String> {
    use rustix::termios::LocalModes;
    use rustix::termios::OptionalActions;
    use rustix::termios::tcgetattr;
    use rustix::termios::tcsetattr;
    eprint("Password: ")?;
    let before = tcgetattr(stdin)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(stdin, OptionalActions::Now, &quiet)?;
    let line = first_line(&mut stdin.lock());
    tcsetattr(stdin, OptionalActions::Now, &before)?;
    eprint("\n")?;
    line
}

fn eprint(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    Ok(stderr.flush()?)
}

fn first_line(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("the password cannot be read")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password was given");
    }
    Ok(password)
}

impl From<&User> for Shown {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            realm: user.realm.clone(),
            email: user.email.as_ref().map(ToString::to_string),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(ToString::to_string),
            roles: user.roles.clone(),
            permissions: user.permissions.clone(),
            enabled: user.enabled,
        }
    }
}

impl Shown {
    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let list = |items: &[String]| if items.is_empty() { dash() } else { items.join(",") };
        vec![
            self.id.to_string(),
            self.email.clone().unwrap_or_else(dash),
            self.username.clone().unwrap_or_else(dash),
            list(&self.roles),
            list(&self.permissions),
            if self.enabled { "enabled" } else { "disabled" }.to_owned(),
        ]
    }

    fn text(&self) -> String {
        table(&["ID", "EMAIL", "USERNAME", "ROLES", "PERMISSIONS", "STATE"], &[self.row()])
    }
}
