//! `hearthgate serve`.

use super::{FAULT, FINE, USAGE, complain};
use crate::api::Reload;
use crate::clock::{Clock, Entropy};
use crate::config::Settings;
use crate::identity::check_key_files;
use crate::outcome::Fault;
use crate::wire::{Gateway, Listeners, Running, Watched};
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The folder of a gateway without a configuration.
const EMBEDDED_FOLDER: &str = "hearthgate-data";

#[derive(Args)]
pub struct ServeArguments {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Issues tokens without proof to callers on this machine. For trying things out only.
    #[arg(long)]
    dev: bool,
    /// Writes the log as JSON lines.
    #[arg(long)]
    log_json: bool,
}

pub fn serve(arguments: &ServeArguments) -> u8 {
    start_logging(arguments.log_json);
    let settings = match settings(arguments) {
        Ok(settings) => settings,
        Err(text) => return complain(USAGE, text),
    };
    // A port that is taken is a matter of the configuration, and known before anything is opened.
    let listeners = match Listeners::bind(&settings) {
        Ok(listeners) => listeners,
        Err(fault) => return complain(USAGE, fault.detail),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAULT, error),
    };
    let file = arguments.config.clone().map(|path| Watched { path, is_dev: arguments.dev });
    match runtime.block_on(run(settings, listeners, file)) {
        Ok(()) => FINE,
        Err(fault) => complain(FAULT, fault),
    }
}

fn settings(arguments: &ServeArguments) -> Result<Settings, String> {
    let mut settings = match &arguments.config {
        Some(path) => Settings::load(path).map_err(|error| error.to_string())?,
        None => Settings::embedded(EMBEDDED_FOLDER),
    };
    check_key_files(&settings).map_err(|error| error.to_string())?;
    if arguments.dev {
        settings.enable_dev().map_err(|error| error.to_string())?;
    }
    Ok(settings)
}

fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("HEARTHGATE_LOG").unwrap_or_else(|_| EnvFilter::new("hearthgate=info,warn"));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A logger that is already there (in a test) is as good.
    let _ = if json { logger.json().try_init() } else { logger.try_init() };
}

async fn run(settings: Settings, listeners: Listeners, file: Option<Watched>) -> Result<(), Fault> {
    if settings.dev {
        tracing::warn!(
            "DEVELOPMENT MODE: anybody on this machine gets a token for any registered client. Never run a real gateway like this."
        );
    }
    if !settings.dev && settings.ledger_register_file().starts_with(&settings.storage.data_dir) {
        tracing::warn!(
            "what was signed last ([storage] keys_dir, [ledger] register_file) lies in the data folder: one that is put back whole is not noticed to be behind"
        );
    }
    let stop = asked_to_stop();
    let origin = settings.server.origin();
    let gateway = Gateway::build(settings, Clock::system(), Entropy::system())?;
    let gateway = match file {
        Some(file) => gateway.watching(file),
        None => gateway,
    };
    let running = gateway.start(listeners).await?;
    tracing::info!(public = %running.public, admin = %running.admin, %origin, ledger_key = %running.verifier_keys.trim_end().replace('\n', " "), "serving");
    tokio::select! {
        () = stop => {}
        () = reload_when_asked(&running) => {}
    }
    tracing::info!("draining");
    running.shut_down().await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the configuration again at every SIGHUP. What comes of it is in the log and the audit record.
async fn reload_when_asked(running: &Running) {
    let Ok(mut asked) = signal(SignalKind::hangup()) else { return std::future::pending().await };
    while asked.recv().await.is_some() {
        let _ = running.reload(Reload::File, "signal").await;
    }
    std::future::pending().await
}

/// Begins to listen for whoever asks the process to stop: from now on that is not lost. What it gives ends when somebody does.
pub(super) fn asked_to_stop() -> impl Future<Output = ()> {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async move {
        let [terminated, interrupted] = signals.map(async |listening| match listening {
            Ok(mut asked) => asked.recv().await.unwrap_or_default(),
            Err(_) => std::future::pending().await,
        });
        tokio::select! {
            () = terminated => {}
            () = interrupted => {}
        }
    }
}
