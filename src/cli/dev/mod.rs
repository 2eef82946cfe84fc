//! `munjigi dev`: the whole gateway on this machine, with nothing else installed.
//!
//! State lives under `data/dev`, the local CA under `certs/dev`, both in the current folder. The
//! configuration that runs is written to `data/dev/munjigi.toml`, so that every verb works on it,
//! until its user edits it.

mod banner;
mod file;
mod settings;
mod tour;
mod whoami;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
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
use crate::secret::Secret;
use crate::store::User;

use super::context::Context;
use super::run;
use super::run::Signals;

use banner::Banner;
use file::File;
use settings::{Settings, WHOAMI};
use whoami::Whoami;

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

    let background = Drain::new();
    let edited = if args.memory { None } else { file.edited(&args)? };
    let (mut settings, config) = match edited {
        Some(config) => {
            if let Some(port) = whoami_port(&config) {
                start_whoami(port, &background).await?;
            }
            (Settings::of(&config), config)
        }
        None => {
            let built_in_upstream = args.to.is_none();
            let upstream = match args.to {
                Some(url) => url.to_string(),
                None => start_whoami(0, &background).await?,
            };
            let settings = Settings {
                listen: free_address(args.port)?,
                admin: Some(free_address(args.admin_port)?),
                contract: args.contract.unwrap_or_else(|| "standard".to_owned()),
                upstream,
                built_in_upstream,
                origins: args.origin,
                memory: args.memory,
            };
            let config = bring_into_force(&settings, &file)?;
            (settings, config)
        }
    };
    run::start_log(&config.log)?;
    let app = App::start(config.clone(), run::access_log(&config.log)).await?;
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
        asked_port: if file.is_edited { settings.listen.port() } else { args.port },
        ca: &certificate.ca,
        file: &file.path,
        ready_in: begun.elapsed(),
    };
    context.output.line(&banner.text(&app).await?)?;
    run::serve(app, signals, &file.path).await;
    // The backend outlives the gateway, so that requests in flight are answered.
    background.finish(Duration::from_secs(1)).await;
    Ok(())
}

/// Starts the built-in backend on a port of loopback, 0 for a free one; answers its URL.
async fn start_whoami(port: u16, background: &Drain) -> anyhow::Result<String> {
    let whoami = Whoami::bind(port).await.context("the built-in backend cannot listen")?;
    let url = format!("http://{}", whoami.address()?);
    // It ends with the drain whose guard it holds.
    drop(tokio::spawn(whoami.serve(background.guard())));
    Ok(url)
}

/// The place of the built-in backend in an edited file.
fn whoami_port(config: &Config) -> Option<u16> {
    let target = config.upstreams.get(WHOAMI)?.targets.first()?;
    let HostPort { host, port } = &target.address;
    (host == "127.0.0.1").then_some(*port)
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
