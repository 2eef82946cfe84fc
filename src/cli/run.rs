//! `munjigi run`: serves until a signal stops it.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::config::{LogConfig, LogFormat};
use crate::drain::Drained;
use crate::journal::OnDamage;
use crate::reload;
use crate::telemetry::log::Shape;
use crate::telemetry::{audit, log};

use super::context::Context;

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// Start although the journal is damaged: what still reads is taken, the file is set aside
    #[arg(long)]
    accept_loss: bool,
}

pub(crate) async fn run(args: RunArgs, context: &Context) -> anyhow::Result<()> {
    let file = context.file()?;
    let config = context.config()?;
    start_log(&config.log)?;
    let signals = Signals::listen()?;
    let access_log = access_log(&config.log);
    let on_damage = if args.accept_loss { OnDamage::AcceptLoss } else { OnDamage::Refuse };
    let app = App::start_on(config, access_log, on_damage).await?;
    let listening: Vec<String> = app.listening().iter().map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        file = %file.display(),
        listening = listening.join(" "),
        admin = app.admin().map_or_else(|| "off".to_owned(), |admin| admin.to_string()),
        store = %app.gateway().auth.store.describe(),
        "listening"
    );
    serve(app, signals, &file).await;
    tokio::task::spawn_blocking(audit::flush).await?;
    Ok(())
}

/// The signals of a gateway; handled before it reports that it is ready, so that none
/// comes too early.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    stop: StopSignals,
}

#[derive(Debug)]
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { hangup, stop: StopSignals { terminate, interrupt } })
    }
}

impl StopSignals {
    async fn given(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves a started gateway until SIGTERM or SIGINT, then drains; a second one ends at once.
pub(crate) async fn serve(app: App, signals: Signals, file: &Path) {
    let Signals { mut hangup, mut stop } = signals;
    tokio::select! {
        () = stop.given() => {}
        () = reload::on_hangup(&app, file, &mut hangup) => {}
    }
    tracing::info!("stopping: requests in flight may end");
    tokio::select! {
        drained = app.stop() => match drained {
            Drained::Complete => tracing::info!("stopped"),
            Drained::Late => tracing::warn!("stopped; some requests did not end within the grace"),
        },
        () = stop.given() => tracing::warn!("stopped at once"),
    }
}

/// Sets the log up as the configuration says.
pub(crate) fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    log::init(&config.level, shape(config.format, std::io::stderr().is_terminal()))?;
    audit::open(&config.audit).context("[log] audit")
}

/// The access log's shape as the configuration says; `None`: it is off.
pub(crate) fn access_log(config: &LogConfig) -> Option<Shape> {
    config.access.then(|| shape(config.format, std::io::stdout().is_terminal()))
}

const fn shape(format: LogFormat, terminal: bool) -> Shape {
    match format {
        LogFormat::Auto if terminal => Shape::Text { colour: true },
        LogFormat::Auto | LogFormat::Json => Shape::Json,
        LogFormat::Text => Shape::Text { colour: terminal },
    }
}

/// Longest wait of a verb for the first reading of revocations.
pub(crate) const READY_DEADLINE: Duration = Duration::from_secs(10);
