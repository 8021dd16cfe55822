//! Hot reload: a new configuration takes over between two requests, whole, or not at all.
//!
//! A request is answered by the parts it began with. What a running process cannot change (where it listens, where its data lie, the log's and the
//! tokens' keys) keeps its value and is named. A configuration that cannot be used changes nothing.

use super::parts::Durable;
use crate::anchor::LeafKind;
use crate::api::{Reload, ReloadRequest, Reloaded};
use crate::audit::{Action, Closing, Opened, Outcome};
use crate::clock::Instant;
use crate::config::Settings;
use crate::forward::Courier;
use crate::identity::check_key_files;
use crate::pipeline::{EXPIRY_PASS, Pipeline};
use crate::query::ConsentJudge;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How many reloads may wait.
pub(super) const WAITING: usize = 16;

/// Routes that can be changed under the listener that serves them.
#[derive(Clone)]
pub(super) struct Live(Arc<RwLock<Router>>);

impl Live {
    pub fn new(routes: Router) -> Live {
        Live(Arc::new(RwLock::new(routes)))
    }

    fn change(&self, routes: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// The router to serve: each request goes to the routes of its moment.
    pub fn router(&self) -> Router {
        let live = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let routes = live.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            routes.oneshot(request)
        });
        Router::new().fallback_service(service)
    }
}

/// The configuration file, and how it is read.
#[derive(Debug, Clone)]
pub struct Watched {
    pub path: PathBuf,
    /// Whether development tokens were asked for on the command line.
    pub is_dev: bool,
}

impl Watched {
    fn read(&self) -> Result<Settings, String> {
        let mut settings = Settings::load(&self.path).map_err(|error| error.to_string())?;
        check_key_files(&settings).map_err(|error| error.to_string())?;
        if self.is_dev {
            settings.enable_dev().map_err(|error| error.to_string())?;
        }
        Ok(settings)
    }
}

/// The deliveries under way, and the passes over what was not signed in time, by the configuration in force.
pub(super) struct Deliveries {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    expiry: JoinHandle<()>,
}

impl Deliveries {
    pub fn start(courier: Courier<ConsentJudge>) -> Deliveries {
        let (stop, stopped) = watch::channel(false);
        let expiry = tokio::spawn(expire(courier.judge.query.pipeline.clone(), stopped.clone()));
        Deliveries { stop, task: tokio::spawn(courier.run(stopped)), expiry }
    }

    /// A delivery under way is finished first.
    async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
        let _ = self.expiry.await;
    }
}

/// Ends submissions that were not signed in time, for as long as a configuration is in force. One that could not be ended is tried again.
async fn expire(pipeline: Pipeline, mut stopped: watch::Receiver<bool>) {
    if let Err(fault) = pipeline.forget_signatures().await {
        tracing::warn!(fault = fault.kind.label(), detail = %fault.detail, "signatures of what no longer waits are still kept");
    }
    loop {
        if let Err(fault) = pipeline.expire().await {
            tracing::warn!(fault = fault.kind.label(), detail = %fault.detail, "submissions past their time could not be ended");
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EXPIRY_PASS) => {}
        }
    }
}

/// Whoever carries reloads out, one after the other.
pub(super) struct Supervisor {
    pub durable: Durable,
    /// In force.
    pub settings: Settings,
    pub file: Option<Watched>,
    pub public: Live,
    pub admin: Live,
    pub pipeline: Pipeline,
    pub requests: mpsc::Receiver<ReloadRequest>,
}

impl Supervisor {
    /// Serves until told to stop, and ends the deliveries then.
    pub async fn run(mut self, mut deliveries: Deliveries, mut stop: watch::Receiver<bool>) {
        let mut seen = self.file.as_ref().and_then(|file| stamp(&file.path));
        let mut tick = tokio::time::interval(LOOK);
        while !*stop.borrow() {
            tokio::select! {
                // Whoever holds the other end may be gone without a word; that is a stop too.
                changed = stop.changed() => if changed.is_err() { break },
                request = self.requests.recv() => match request {
                    Some(request) => deliveries = self.serve(request, deliveries).await,
                    None => break,
                },
                _ = tick.tick() => {
                    let now = self.file.as_ref().and_then(|file| stamp(&file.path));
                    if now.is_some() && now != seen {
                        seen = now;
                        let request = ReloadRequest { what: Reload::File, opened: opened(self.durable.clock.now(), "file"), answer: oneshot::channel().0 };
                        deliveries = self.serve(request, deliveries).await;
                    }
                }
            }
        }
        deliveries.stop().await;
    }

    async fn serve(&mut self, request: ReloadRequest, deliveries: Deliveries) -> Deliveries {
        let ReloadRequest { what, opened, answer } = request;
        let (outcome, deliveries) = self.reload(what, deliveries).await;
        match &outcome {
            Ok(reloaded) if reloaded.at_restart.is_empty() => tracing::info!("the configuration was read again"),
            Ok(reloaded) => {
                tracing::warn!(at_restart = ?reloaded.at_restart, "the configuration was read again; some of it waits for a restart")
            }
            Err(text) => tracing::error!(%text, "the configuration was refused; the old one stays"),
        }
        let (ending, kind, description) = match &outcome {
            Ok(reloaded) if reloaded.at_restart.is_empty() => (Outcome::Success, LeafKind::Audit, "configuration in force".to_owned()),
            Ok(reloaded) => {
                (Outcome::Success, LeafKind::Audit, format!("configuration in force, but for {}", reloaded.at_restart.join(", ")))
            }
            Err(_) => (Outcome::Refused("configuration"), LeafKind::Refuse, "the old one stays".to_owned()),
        };
        let closing = Closing { description: Some(description), ..Closing::default() };
        if let Err(fault) = self.pipeline.record(&opened, &ending, kind, &closing).await {
            tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "a reload could not be recorded");
        }
        // Nobody may be waiting.
        let _ = answer.send(outcome);
        deliveries
    }

    async fn reload(&mut self, what: Reload, deliveries: Deliveries) -> (Result<Reloaded, String>, Deliveries) {
        let wanted = match (what, &self.file) {
            (Reload::Same, _) => Ok(self.settings.clone()),
            (Reload::Settings(settings), _) => settings.check().map(|()| *settings).map_err(|error| error.to_string()),
            (Reload::File, Some(file)) => file.read(),
            (Reload::File, None) => Err("this gateway was started without a configuration file".to_owned()),
        };
        let mut wanted = match wanted {
            Ok(wanted) => wanted,
            Err(text) => return (Err(text), deliveries),
        };
        let at_restart = keep_fixed(&self.settings, &mut wanted);
        match self.durable.assemble(&wanted) {
            Ok(assembled) => {
                self.public.change(assembled.public);
                self.admin.change(assembled.admin);
                self.pipeline = assembled.pipeline;
                self.settings = wanted;
                deliveries.stop().await;
                (Ok(Reloaded { at_restart }), Deliveries::start(assembled.courier))
            }
            Err(fault) => (Err(fault.detail), deliveries),
        }
    }
}

/// An audit record of a reload nobody asked for over the admin interface.
pub(super) fn opened(at: Instant, peer: &str) -> Opened {
    let request_id = format!("reload-{}", at.micros());
    Opened { interaction: "reload", action: Action::Execute, request_id, at, peer: peer.to_owned(), caller: None, query: None }
}

/// When the file was last written, and how long it is.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Puts back what a running gateway cannot change, and names what differs.
fn keep_fixed(running: &Settings, wanted: &mut Settings) -> Vec<&'static str> {
    let mut differing = Vec::new();
    macro_rules! fixed {
        ($($name:literal: $($field:ident).+),* $(,)?) => {
            $(if wanted.$($field).+ != running.$($field).+ {
                differing.push($name);
                wanted.$($field).+ = running.$($field).+.clone();
            })*
        };
    }
    fixed! {
        "[server] listen": server.listen,
        "[server] admin_listen": server.admin_listen,
        "[server] base_url": server.base_url,
        "[server] tls": server.tls,
        "[server] drain_timeout_ms": server.drain_timeout_ms,
        "[storage]": storage,
        "[ledger]": ledger,
        "[redis]": redis,
        "[identity] issuer": identity.issuer,
        "[identity] token_endpoint": identity.token_endpoint,
        "[identity] token_key_file": identity.token_key_file,
    }
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_is_named_and_keeps_its_value() {
        let running = Settings::embedded("data");
        let mut wanted = Settings::embedded("elsewhere");
        wanted.ledger.origin = "other.example/log".into();
        wanted.server.body_limit_bytes += 1;
        let body_limit = wanted.server.body_limit_bytes;
        assert_eq!(keep_fixed(&running, &mut wanted), ["[storage]", "[ledger]"]);
        assert_eq!((&wanted.storage, &wanted.ledger), (&running.storage, &running.ledger));
        assert_eq!(wanted.server.body_limit_bytes, body_limit, "what can change does");
    }
}
