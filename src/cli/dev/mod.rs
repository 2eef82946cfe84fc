//! `munjigi dev`: the gateway's main job on this machine, with nothing else installed.
//!
//! State lives under `data/dev`, the local CA under `certs/dev`, both in the current folder. The
//! configuration that runs is written to `data/dev/munjigi.toml`, so that every verb works on it.

mod banner;
mod settings;
mod walk;
mod whoami;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use crate::app::App;
use crate::auth::password::PasswordPool;
use crate::clock::Timestamp;
use crate::config;
use crate::config::Config;
use crate::config::UpstreamUrl;
use crate::drain::Drain;
use crate::edge::dev_certificate;
use crate::operation::Identifier;
use crate::operation::Input;
use crate::operation::Operation;
use crate::operation::Password;
use crate::secret::Secret;
use crate::store::NewUser;

use super::context::Context;
use super::run;
use super::run::Signals;

use banner::Banner;
use settings::Settings;
use whoami::Whoami;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Contract of the auth API: a name, or the path of a contract file
    #[arg(long, default_value = "standard")]
    contract: String,
    /// Your own application, instead of the built-in one that shows what it receives
    #[arg(long, value_name = "URL")]
    to: Option<UpstreamUrl>,
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
    if args.fresh && state.exists() {
        std::fs::remove_dir_all(&state).context("data/dev cannot be removed")?;
    }
    std::fs::create_dir_all(&state).context("data/dev cannot be made")?;
    let certificate = dev_certificate::ensure(Path::new("certs/dev"), context.now.wall)?;

    let beside = Drain::new();
    let (upstream, whoami) = match args.to {
        Some(url) => (url.to_string(), None),
        None => {
            let whoami = Whoami::bind().await?;
            let url = format!("http://{}", whoami.address()?);
            (url, Some(tokio::spawn(whoami.serve(beside.guard()))))
        }
    };
    let settings = Settings {
        listen: free_address(args.port)?,
        admin: free_address(args.admin_port)?,
        contract: &args.contract,
        upstream: &upstream,
        built_in_upstream: whoami.is_some(),
        memory: args.memory,
    };
    let file = state.join("munjigi.toml");
    let config = bring_into_force(&settings, &file)?;
    run::start_log(&config.log)?;
    let app = App::start(config.clone(), run::access_log(&config.log)).await?;
    tokio::time::timeout(run::READY_DEADLINE, app.ready())
        .await
        .context("the store did not tell its revocations in time")?;

    if settings.memory {
        make_account(&app, &config, context.now.wall).await?;
    }
    let banner = Banner {
        settings: &settings,
        asked_port: args.port,
        ca: &certificate.ca,
        file: &file,
        ready_in: begun.elapsed(),
    };
    context.output.line(&banner.text(&app).await?)?;
    run::serve(app, signals, &file).await;
    // The backend outlives the gateway, so that requests in flight are answered.
    beside.finish(Duration::from_secs(1)).await;
    Ok(())
}

/// Writes the configuration (unless nothing is to be kept) and reads it as any other.
fn bring_into_force(settings: &Settings<'_>, file: &Path) -> anyhow::Result<Config> {
    let text = settings.text();
    if settings.memory {
        return Ok(config::parse(&text, file, &BTreeMap::new())?);
    }
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(config::load(file)?)
}

/// Makes the walk's account where only an operator could, in a memory that no verb reaches.
async fn make_account(app: &App, config: &Config, now: Timestamp) -> anyhow::Result<()> {
    let snapshot = app.gateway().snapshot.load_full();
    let (contract, realm) = snapshot.first_site().context("no site")?;
    if contract.endpoint(Operation::SignUp).is_some() || contract.login_input().is_none() {
        return Ok(());
    }
    let (email, username) = match walk::account(contract)? {
        Identifier::Email(email) => (Some(email), None),
        Identifier::Username(username) => (None, Some(username)),
        Identifier::Id(_) => (None, None),
    };
    let password = Password { text: Secret::from(walk::PASSWORD), may_be_hashed: false };
    let pool = PasswordPool::new(&config.password)?;
    let new = NewUser {
        realm: realm.to_owned(),
        email,
        email_verified: false,
        username,
        verifier: Some(pool.hash(&password, Input::Password).await?),
        roles: Vec::new(),
        permissions: Vec::new(),
        enabled: true,
        attributes: BTreeMap::new(),
        created_at: now,
    };
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
