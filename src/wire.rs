//! Builds every room once and joins them to a running gateway.

use crate::anchor::Anchor;
use crate::api::{AdminState, FhirState, LedgerState, TokenState, admin_router, fhir_router, ledger_router, token_router};
use crate::clock::{Clock, Entropy, Instant};
use crate::config::{Settings, Tls};
use crate::definitions::Definitions;
use crate::forward::{Courier, Upstream};
use crate::identity::{Identity, ReplayGuard, ReplayRecord, http_client, smart_configuration};
use crate::intake::Limits;
use crate::normalise::{GatewayIds, canonical_system};
use crate::outcome::{Fault, FaultKind};
use crate::pipeline::Pipeline;
use crate::query::{ConsentJudge, Pager, QueryPath};
use crate::registry::Registry;
use crate::store::{Assumption, Committed, Store, StoreSettings, Unit};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use replay::SharedReplay;
use sha2::{Digest, Sha256};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod files;
mod keys;
mod layers;
mod publish;
mod remote;
mod replay;
mod sources;

pub use sources::rules_of;

pub use keys::{adopt_ledger, rotate_ledger_key};
pub use remote::{RemoteLog, log_client};

/// What a listener or worker gets beyond its time to end by itself.
const LAST_WORK: Duration = Duration::from_secs(1);

/// A gateway, built and not yet listening.
pub struct Gateway {
    settings: Settings,
    store: Store,
    public: Router,
    admin: Router,
    courier: Courier<ConsentJudge>,
    draining: Arc<AtomicBool>,
    verifier_key: Arc<str>,
}

/// A gateway that serves.
pub struct Running {
    /// Where the public interface listens.
    pub public: SocketAddr,
    /// Where the admin interface listens.
    pub admin: SocketAddr,
    /// The verifier key of the log.
    pub verifier_key: Arc<str>,
    pub store: Store,
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
        // Another part of the process may have installed the provider before; either way there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let definitions = Definitions::embedded();
        let folder = settings.storage.data_dir.clone();
        let keyring = keys::keyring(&settings, &entropy)?;
        let log_keys = keys::log_keys(&settings, &entropy)?;
        let verifier_key: Arc<str> = log_keys.verifier().to_string().into();
        let store = Store::open(store_settings(&settings, false), log_keys.clone(), keyring.clone())?;
        publish::refuse_set_back(&folder.join("ledger"), &store.ledger_head(), &settings.ledger.origin, log_keys.history())?;
        let registry = Arc::new(Registry::new(&settings, |system| canonical_system(system).unwrap_or_else(|| system.to_owned())));
        let ids = GatewayIds::new(keyring.derived("ids"));
        let base_url: Arc<str> = settings.server.fhir_base().into();
        let anchor = Anchor {
            keyring: keyring.clone(),
            entropy: entropy.clone(),
            definitions,
            ids: ids.clone(),
            base_url: base_url.to_string(),
            origin: settings.ledger.origin.clone(),
        };
        let pipeline = Pipeline {
            store: store.clone(),
            registry: Arc::clone(&registry),
            definitions,
            anchor,
            ids,
            clock: clock.clone(),
            rules: Arc::new(sources::source_rules(&registry, &base_url)?),
            overtaken: Arc::default(),
        };
        let upstream = Upstream::new(clock.clone(), entropy.clone())?;
        let query = QueryPath {
            pipeline: pipeline.clone(),
            upstream: upstream.clone(),
            pager: Pager::new(&keyring.derived("paging"))?,
            holder_rules: Arc::new(sources::holder_rules(&registry)?),
            base_url: Arc::clone(&base_url),
        };
        let replay = Arc::new(SharedReplay::new(store.clone(), settings.redis.as_ref())?);
        let identity = Arc::new(Identity::new(&settings, Arc::clone(&registry), replay, http_client()?, clock.clone(), entropy.clone())?);
        let token = TokenState {
            identity: Arc::clone(&identity),
            pipeline: pipeline.clone(),
            clock: clock.clone(),
            smart_configuration: Arc::new(smart_configuration(&settings)),
            dev: settings.dev,
        };
        let fhir = FhirState {
            pipeline: pipeline.clone(),
            query,
            identity,
            definitions,
            clock: clock.clone(),
            limits: limits(&settings),
            settings: settings.clone(),
            base_url,
        };
        let ledger = LedgerState {
            store: store.clone(),
            verifier_key: Arc::clone(&verifier_key),
            key_history: log_keys.history().to_string().into(),
        };
        let draining = Arc::new(AtomicBool::new(false));
        let admin = AdminState { store: store.clone(), metrics: recorder()?, draining: Arc::clone(&draining) };
        let routes = Router::new().nest_service("/fhir", fhir_router(fhir)).merge(token_router(token)).merge(ledger_router(ledger));
        let courier = Courier {
            store: store.clone(),
            registry,
            upstream,
            clock: clock.clone(),
            entropy: entropy.clone(),
            judge: ConsentJudge { pipeline },
        };
        Ok(Gateway {
            public: layers::public(routes, &settings, entropy),
            admin: admin_router(admin),
            settings,
            store,
            courier,
            draining,
            verifier_key,
        })
    }

    /// Begins to serve.
    pub async fn start(self, listeners: Listeners) -> Result<Running, Fault> {
        let internal = |error: std::io::Error| Fault::new(FaultKind::Internal, error.to_string());
        let (public, admin) = (listeners.public.local_addr().map_err(internal)?, listeners.admin.local_addr().map_err(internal)?);
        let (public_handle, admin_handle) = (Handle::new(), Handle::new());
        let mut servers = vec![serve(listeners.public, self.public, self.settings.server.tls.as_ref(), public_handle.clone()).await?];
        servers.push(serve(listeners.admin, self.admin, None, admin_handle.clone()).await?);
        let (stop, stopped) = watch::channel(false);
        let mut workers = vec![tokio::spawn(self.courier.run(stopped.clone()))];
        workers.push(tokio::spawn(publish::run(self.store.clone(), self.settings.storage.data_dir.join("ledger"), stopped)));
        Ok(Running {
            public,
            admin,
            verifier_key: self.verifier_key,
            store: self.store,
            handles: vec![public_handle, admin_handle],
            stop,
            servers,
            workers,
            draining: self.draining,
            drain_timeout: self.settings.server.drain_timeout(),
        })
    }
}

impl Running {
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
        adopt,
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
