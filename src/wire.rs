//! Builds every room once and joins them to a running gateway.

use crate::anchor::LeafKeys;
use crate::api::{Reload, ReloadRequest, Reloaded};
use crate::clock::{Clock, Entropy, Instant};
use crate::config::{Settings, Tls};
use crate::identity::{ReplayGuard, ReplayRecord};
use crate::intake::Limits;
use crate::outcome::{Fault, FaultKind};
use crate::store::{Assumption, Committed, Store, StoreSettings, Unit};
use crate::trail::Trail;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parts::{Assembled, Durable};
use reload::{Deliveries, Live, Supervisor};
use sha2::{Digest, Sha256};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod files;
mod judged_by;
mod keys;
mod layers;
mod logs;
mod mirror;
mod parts;
mod publish;
mod published;
mod reload;
mod remote;
mod replay;
mod sources;
mod witnesses;

pub use keys::{adopt_ledger, leaf_secret_of, recount_ledger, rotate_ledger_key};
pub use publish::{StoredLog, publish_folder};
pub use remote::{RemoteLog, log_client};
pub use sources::{check_rules, rules_of};

pub use reload::Watched;

/// What a listener or worker gets beyond its time to end by itself.
const LAST_WORK: Duration = Duration::from_secs(1);

/// A gateway, built and not yet listening.
pub struct Gateway {
    settings: Settings,
    durable: Durable,
    assembled: Assembled,
    file: Option<Watched>,
    requests: mpsc::Receiver<ReloadRequest>,
}

/// A gateway that serves.
pub struct Running {
    /// Where the public interface listens.
    pub public: SocketAddr,
    /// Where the admin interface listens.
    pub admin: SocketAddr,
    /// The verifier key of the log.
    pub verifier_key: Arc<str>,
    /// The same and, beside it, the second one where there is one, a line each.
    pub verifier_keys: Arc<str>,
    pub store: Store,
    reload: mpsc::Sender<ReloadRequest>,
    clock: Clock,
    handles: Vec<Handle<SocketAddr>>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    draining: Arc<AtomicBool>,
    drain_timeout: Duration,
}

/// The listeners, bound before anything else is done, so that a taken port is known at once.
pub struct Listeners {
    public: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    pub fn bind(settings: &Settings) -> Result<Listeners, Fault> {
        let bind = |name: &str, address: SocketAddr| {
            let listener = TcpListener::bind(address)
                .map_err(|error| Fault::new(FaultKind::Internal, format!("[server] {name} {address}: {error}")))?;
            listener.set_nonblocking(true).map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
            Ok::<_, Fault>(listener)
        };
        Ok(Listeners { public: bind("listen", settings.server.listen)?, admin: bind("admin_listen", settings.server.admin_listen)? })
    }

    /// The address the public listener got.
    pub fn public_address(&self) -> Option<SocketAddr> {
        self.public.local_addr().ok()
    }
}

impl Gateway {
    /// Opens the store and builds every room. Must run inside a tokio runtime.
    pub fn build(settings: Settings, clock: Clock, entropy: Entropy) -> Result<Gateway, Fault> {
        let (reload, requests) = mpsc::channel(reload::WAITING);
        let durable = Durable::open(&settings, clock, entropy, reload)?;
        let assembled = durable.assemble(&settings)?;
        Ok(Gateway { settings, durable, assembled, file: None, requests })
    }

    /// Has the gateway read its configuration from a file again when it is asked to, or the file changes.
    pub fn watching(self, file: Watched) -> Gateway {
        Gateway { file: Some(file), ..self }
    }

    /// The trail's path, for work on a gateway that does not serve, with the store to be closed after it.
    pub fn into_trail(self) -> (Trail, Store) {
        (self.assembled.trail, self.durable.store)
    }

    /// Begins to serve.
    pub async fn start(self, listeners: Listeners) -> Result<Running, Fault> {
        let Gateway { settings, mut durable, assembled, file, requests } = self;
        if settings.ledger.open_add {
            durable.indexer.begin().await?;
        }
        let internal = |error: std::io::Error| Fault::new(FaultKind::Internal, error.to_string());
        let (public, admin) = (listeners.public.local_addr().map_err(internal)?, listeners.admin.local_addr().map_err(internal)?);
        let (public_handle, admin_handle) = (Handle::new(), Handle::new());
        let (public_routes, admin_routes) = (Live::new(assembled.public), Live::new(assembled.admin));
        let tls = settings.server.tls.as_ref();
        let mut servers = vec![serve(listeners.public, public_routes.router(), tls, public_handle.clone()).await?];
        servers.push(serve(listeners.admin, admin_routes.router(), None, admin_handle.clone()).await?);
        let (stop, stopped) = watch::channel(false);
        let mut workers = durable.others.start(&stopped);
        workers.push(tokio::spawn(logs::publisher(&settings, &durable.store)?.run(stopped.clone())));
        workers.push(tokio::spawn(Arc::clone(&durable.indexer).run(stopped.clone())));
        let running = Running {
            public,
            admin,
            verifier_key: Arc::clone(&durable.verifier_key),
            verifier_keys: Arc::clone(&durable.verifier_keys),
            store: durable.store.clone(),
            reload: durable.reload.clone(),
            clock: durable.clock.clone(),
            handles: vec![public_handle, admin_handle],
            stop,
            servers,
            workers: Vec::new(),
            draining: Arc::clone(&durable.draining),
            drain_timeout: settings.server.drain_timeout(),
        };
        let pipeline = assembled.pipeline;
        let supervisor = Supervisor { durable, settings, file, public: public_routes, admin: admin_routes, pipeline, requests };
        workers.push(tokio::spawn(supervisor.run(Deliveries::start(assembled.courier), stopped)));
        Ok(Running { workers, ..running })
    }
}

impl Running {
    /// Has the configuration read again, on behalf of `peer`; a refusal says why the old one stays.
    pub async fn reload(&self, what: Reload, peer: &str) -> Result<Reloaded, String> {
        let (answer, receive) = oneshot::channel();
        let request = ReloadRequest { what, opened: reload::opened(self.clock.now(), peer), answer };
        let gone = || "the gateway is stopping".to_owned();
        self.reload.send(request).await.map_err(|_| gone())?;
        receive.await.map_err(|_| gone())?
    }

    /// Stops taking work, finishes what is under way within the drain timeout, publishes the log once more, and closes the store.
    pub async fn shut_down(self) {
        self.draining.store(true, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + self.drain_timeout;
        for handle in &self.handles {
            handle.graceful_shutdown(Some(self.drain_timeout));
        }
        finish(self.servers, deadline + LAST_WORK).await;
        self.stop.send_replace(true);
        finish(self.workers, deadline.max(tokio::time::Instant::now() + LAST_WORK)).await;
        self.store.close().await;
    }
}

/// Waits for tasks until a deadline, and ends those that are still at it. A delivery that is cut off so is made again after the next start.
async fn finish(tasks: Vec<JoinHandle<()>>, deadline: tokio::time::Instant) {
    for mut task in tasks {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
            let _ = task.await;
        }
    }
}

async fn serve(listener: TcpListener, router: Router, tls: Option<&Tls>, handle: Handle<SocketAddr>) -> Result<JoinHandle<()>, Fault> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let failed = |error: std::io::Error| Fault::new(FaultKind::Internal, error.to_string());
    let task = match tls {
        None => {
            let server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle);
            tokio::spawn(async move { log_end(server.serve(service).await) })
        }
        Some(tls) => {
            let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
                .await
                .map_err(|error| Fault::new(FaultKind::Internal, format!("[server.tls]: {error}")))?;
            let server = axum_server::from_tcp_rustls(listener, config).map_err(failed)?.handle(handle);
            tokio::spawn(async move { log_end(server.serve(service).await) })
        }
    };
    Ok(task)
}

fn log_end(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a listener ended");
    }
}

fn limits(settings: &Settings) -> Limits {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        body_bytes: size(settings.server.body_limit_bytes),
        depth: size(settings.server.max_document_depth),
        bundle_entries: size(settings.server.max_bundle_entries),
    }
}

fn store_settings(settings: &Settings, adopt: bool) -> StoreSettings {
    StoreSettings {
        folder: settings.storage.data_dir.clone(),
        max_bytes: settings.storage.max_bytes,
        max_group_units: usize::try_from(settings.storage.max_group_units).unwrap_or(usize::MAX),
        max_waiting_units: usize::try_from(settings.storage.max_queued_units).unwrap_or(usize::MAX),
        readers: usize::try_from(settings.storage.readers).unwrap_or(1),
        cache_bytes: settings.storage.cache_bytes,
        origin: settings.ledger.origin.clone(),
        register: settings.ledger_register_file(),
        anchor_within: Duration::from_millis(settings.ledger.anchor_within_ms),
        grows_by: settings.ledger.grows_by,
        adopt,
        published: Vec::new(),
        leaf_form: LeafKeys::form,
    }
}

/// One recorder for the process; a second gateway in it (tests, the demonstration) shares it.
fn recorder() -> Result<PrometheusHandle, Fault> {
    static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = RECORDER.get_or_init(|| recorder.handle()).clone();
    let _ = metrics::set_global_recorder(recorder);
    Ok(handle)
}
