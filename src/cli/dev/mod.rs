//! `munjigi dev`: the whole gateway on this machine, with nothing else installed.
//!
//! State lives under `data/dev`, the local CA under `certs/dev`, both in the current folder. The
//! configuration that runs is written to `data/dev/munjigi.toml`, so that every verb works on it,
//! until its user edits it.

mod banner;
mod file;
mod mails;
mod settings;
mod tour;
mod whoami;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::app::App;
use crate::auth::passwords::pool::PasswordPool;
use crate::clock::Timestamp;
use crate::config;
use crate::config::{Config, HostPort, Origin, UpstreamUrl};
use crate::drain::Drain;
use crate::edge::dev_certificate;
use crate::operation::{Identifier, Input, Operation, Password};
use crate::path::PathPattern;
use crate::secret::Secret;
use crate::store::User;

use super::context::Context;
use super::run;
use super::run::Signals;

use banner::Banner;
use file::File;
use mails::CaughtMails;
use settings::{Settings, WHOAMI};
use whoami::{AccountLinks, Shows, Whoami};

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Contract of the auth API: a name, or the path of a contract file [default: standard]
    #[arg(long)]
    contract: Option<String>,
    /// Your own application, instead of the built-in one that shows what it receives
    #[arg(long, value_name = "URL")]
    to: Option<UpstreamUrl>,
    /// A front end of another origin whose pages may use the API: `http://localhost:5173`
    #[arg(long, value_name = "URL")]
    origin: Vec<Origin>,
    /// A path that needs no token, beside /public/*: `/`, `/assets/*`
    #[arg(long, value_name = "PATH")]
    open: Vec<PathPattern>,
    /// Forget accounts, sessions and keys of earlier runs first
    #[arg(long)]
    fresh: bool,
    /// Keep everything in memory; nothing outlives the run
    #[arg(long, conflicts_with = "fresh")]
    memory: bool,
    /// First port to try
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// First port to try for the admin listener
    #[arg(long, default_value_t = 9901)]
    admin_port: u16,
}

pub(crate) async fn dev(args: DevArgs, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let signals = Signals::listen()?;
    let state = PathBuf::from("data/dev");
    std::fs::create_dir_all(&state).context("data/dev cannot be made")?;
    let file = File::find(&state)?;
    if args.fresh {
        file.forget_all_else()?;
    }
    let certificate = dev_certificate::ensure(Path::new("certs/dev"), context.now.wall)?;

    let edited = if args.memory { None } else { file.edited(&args)? };
    let asked_port = args.port;
    let (mut settings, config, whoami) = match edited {
        Some(config) => {
            let whoami = match whoami_port(&config) {
                Some(port) => Some(bind_whoami(port).await?),
                None => None,
            };
            (Settings::of(&config), config, whoami)
        }
        None => prepare(args, &file).await?,
    };
    run::start_log(&config.log)?;
    let mails = CaughtMails::of(&config.mail).map(Arc::new);
    forget_if_in_memory(&settings, mails.as_deref())?;
    let app = App::start(config.clone(), run::access_log(&config.log)).await?;
    let background = Drain::new();
    if let Some(whoami) = whoami {
        let snapshot = app.gateway().snapshot.load_full();
        let account = snapshot.first_look().map(AccountLinks::new).unwrap_or_default();
        let shows = Arc::new(Shows::new(account, mails.clone())?);
        // It ends with the drain whose guard it holds; so does the next one.
        drop(tokio::spawn(whoami.serve(shows, background.guard())));
    }
    tokio::time::timeout(run::READY_DEADLINE, app.ready())
        .await
        .context("the store did not tell its revocations in time")?;
    settings.listen = app.listening().first().copied().unwrap_or(settings.listen);

    if settings.memory {
        make_account(&app, &config, context.now.wall).await?;
    }
    let banner = Banner {
        settings: &settings,
        is_edited: file.is_edited && !settings.memory,
        asked_port: if file.is_edited { settings.listen.port() } else { asked_port },
        ca: &certificate.ca,
        file: &file.path,
        mails: mails.as_deref().map(CaughtMails::folder),
        ready_in: begun.elapsed(),
    };
    context.output.line(&banner.text(&app).await?)?;
    if let Some(mails) = mails.clone() {
        let (output, guard) = (context.output, background.guard());
        drop(tokio::spawn(async move { mails.announce(output, guard).await }));
    }
    run::serve(app, signals, &file.path).await;
    // The backend outlives the gateway, so that requests in flight are answered.
    background.finish(Duration::from_secs(1)).await;
    forget_if_in_memory(&settings, mails.as_deref())
}

/// Writes the configuration of a run, and binds the built-in backend where it is asked for.
async fn prepare(args: DevArgs, file: &File) -> anyhow::Result<(Settings, Config, Option<Whoami>)> {
    let built_in_upstream = args.to.is_none();
    let (upstream, whoami) = match args.to {
        Some(url) => (url.to_string(), None),
        None => {
            let whoami = bind_whoami(0).await?;
            (format!("http://{}", whoami.address()?), Some(whoami))
        }
    };
    let public = "/public/*".parse()?;
    let settings = Settings {
        listen: free_address(args.port)?,
        admin: Some(free_address(args.admin_port)?),
        contract: args.contract.unwrap_or_else(|| "standard".to_owned()),
        upstream,
        built_in_upstream,
        origins: args.origin,
        open: std::iter::once(public).chain(args.open).collect(),
        memory: args.memory,
    };
    let config = bring_into_force(&settings, file)?;
    Ok((settings, config, whoami))
}

/// Binds the built-in backend to a port of loopback, 0 for a free one.
async fn bind_whoami(port: u16) -> anyhow::Result<Whoami> {
    Whoami::bind(port).await.context("the built-in backend cannot listen")
}

/// The place of the built-in backend in an edited file.
fn whoami_port(config: &Config) -> Option<u16> {
    let target = config.upstreams.get(WHOAMI)?.targets.first()?;
    let HostPort { host, port } = &target.address;
    (host == "127.0.0.1").then_some(*port)
}

/// Removes the mails of a run that keeps nothing, at its end and of one that was killed.
fn forget_if_in_memory(settings: &Settings, mails: Option<&CaughtMails>) -> anyhow::Result<()> {
    match mails {
        Some(mails) if settings.memory => mails.forget(),
        _ => Ok(()),
    }
}

/// Writes the configuration (unless nothing is to be kept) and reads it as any other.
fn bring_into_force(settings: &Settings, file: &File) -> anyhow::Result<Config> {
    let text = settings.text();
    if settings.memory {
        return Ok(config::parse(&text, &file.path, &BTreeMap::new())?);
    }
    file.write(&text)?;
    Ok(config::load(&file.path)?)
}

/// Makes the tour's account if only an operator could, in a store in memory that no verb reaches.
async fn make_account(app: &App, config: &Config, now: Timestamp) -> anyhow::Result<()> {
    let snapshot = app.gateway().snapshot.load_full();
    let (contract, realm) = snapshot.first_site().context("no site")?;
    if contract.endpoint(Operation::SignUp).is_some() || contract.login_input().is_none() {
        return Ok(());
    }
    let (email, username) = match tour::account(contract)? {
        Identifier::Email(email) => (Some(email), None),
        Identifier::Username(username) => (None, Some(username)),
        Identifier::Id(_) => (None, None),
    };
    let password = Password { text: Secret::from(tour::PASSWORD), may_be_hashed: false };
    let pool = PasswordPool::new(&config.password)?;
    let verifier = Some(pool.hash(&password, Input::Password).await?);
    let new = User { email, username, verifier, ..User::new(realm, now) };
    app.gateway().auth.store.create_user(new).await?;
    Ok(())
}

/// The first free port on loopback from `port` on, within a hundred.
fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let candidates = port..=port.saturating_add(100);
    candidates
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find_map(|address| TcpListener::bind(address).ok()?.local_addr().ok())
        .with_context(|| format!("no free port from {port} on"))
}
