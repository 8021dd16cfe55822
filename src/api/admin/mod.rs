//! For operators: health and metrics, and behind the operator's key the work lists, who is who, replay and reload; on a listener of their own.

mod desk;
mod guard;
mod reload;
mod replay;
mod sheet;

pub use reload::{Reload, ReloadRequest, Reloaded};

use crate::config::Secret;
use crate::outcome::FaultKind;
use crate::pipeline::Pipeline;
use crate::store::{DeliveryState, Store};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// The most outbox rows counted for one metric.
const COUNTED_DELIVERIES: u32 = 10_000;

/// What the admin interface works with.
#[derive(Clone)]
pub struct AdminState {
    pub store: Store,
    pub pipeline: Pipeline,
    /// The operator's key: whoever has it may do everything below `/desk`.
    pub key: Arc<Secret>,
    /// Where reloads are asked for.
    pub reload: mpsc::Sender<ReloadRequest>,
    pub metrics: PrometheusHandle,
    /// Set when draining has begun.
    pub draining: Arc<AtomicBool>,
}

/// `/health/live`, `/health/ready`, `/metrics`, and `/desk/…` for who has the operator's key.
pub fn router(state: AdminState) -> Router {
    let open = Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).route("/metrics", get(metrics_text));
    let guarded = desk::router().merge(replay::router()).merge(reload::router());
    let guarded = guarded.layer(from_fn_with_state(state.clone(), guard::guard));
    open.nest("/desk", guarded).with_state(state)
}

async fn live() -> &'static str {
    "live\n"
}

/// Ready when not draining, the store answers a reading, the log can be published, and a commit would find room: without one, reads are refused
/// like writes, since they are put on record. What is wrong is for the operator: a folder's place, never what lies in it.
async fn ready(State(state): State<AdminState>) -> (StatusCode, String) {
    let unready = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text);
    if state.draining.load(Ordering::Relaxed) {
        return unready("draining\n".to_owned());
    }
    if !state.store.is_writable() {
        return unready("storage refuses writes\n".to_owned());
    }
    if let Some(fault) = state.store.unpublished() {
        return unready(format!("the log cannot be published: {}\n", fault.detail));
    }
    match state.store.has_room().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(fault) if fault.kind == FaultKind::StorageFull => unready(format!("storage is full: {}\n", fault.detail)),
        Err(_) => unready("storage does not answer\n".to_owned()),
    }
}

async fn metrics_text(State(state): State<AdminState>) -> impl IntoResponse {
    let counted = state.store.counted();
    metrics::counter!("hearthgate_store_units_total").absolute(counted.units);
    metrics::counter!("hearthgate_store_groups_total").absolute(counted.groups);
    metrics::counter!("hearthgate_store_syncs_total").absolute(counted.syncs);
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; the log would need 2^53 leaves to lose one")]
    metrics::gauge!("hearthgate_ledger_size").set(state.store.ledger_head().size() as f64);
    for delivery in [DeliveryState::Waiting, DeliveryState::Held, DeliveryState::Dead] {
        if let Ok(found) = state.store.read(move |reader| reader.deliveries_in(delivery, COUNTED_DELIVERIES)).await {
            #[expect(clippy::cast_precision_loss, reason = "at most the counted limit")]
            metrics::gauge!("hearthgate_outbox", "state" => delivery.label()).set(found.len() as f64);
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}
