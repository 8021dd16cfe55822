//! What stays while a gateway runs, and what is built anew from each configuration.

use super::judged_by;
use super::replay::SharedReplay;
use super::sources::{holder_rules, source_rules};
use super::{files, keys, layers, limits, logs, publish, recorder, store_settings};
use crate::anchor::{Anchor, Leaf, LedgerTime};
use crate::api::{
    AdminState, FhirState, LedgerState, ReloadRequest, Room, TokenState, admin_router, cds_router, fhir_router, ledger_router, token_router,
};
use crate::clock::{Clock, Entropy};
use crate::config::{Secret, Settings};
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::forward::{Courier, Upstream};
use crate::identity::{Identity, http_client, smart_configuration};
use crate::normalise::{GatewayIds, canonical_system};
use crate::outcome::{Fault, FaultKind};
use crate::pipeline::Pipeline;
use crate::query::{ConsentJudge, Pager, QueryPath};
use crate::registry::Registry;
use crate::sign::GatewaySigner;
use crate::store::{Store, StoreSettings};
use crate::trail::{Indexer, Trail};
use axum::Router;
use data_encoding::HEXLOWER;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc;

/// What stays: the store, keys, everything derived from them, and what callers hold on to across a reload.
pub(super) struct Durable {
    pub store: Store,
    pub verifier_key: Arc<str>,
    /// The keys in use, one a line.
    pub verifier_keys: Arc<str>,
    key_history: Arc<str>,
    policy: Arc<str>,
    pub others: logs::Others,
    pub draining: Arc<AtomicBool>,
    pub reload: mpsc::Sender<ReloadRequest>,
    pub clock: Clock,
    entropy: Entropy,
    definitions: &'static Definitions,
    ids: GatewayIds,
    anchor: Anchor,
    pager: Pager,
    identity: Identity,
    overtaken: Arc<tokio::sync::Mutex<()>>,
    pub indexer: Arc<Indexer>,
    admin_key: Arc<Secret>,
    metrics: PrometheusHandle,
    base_url: Arc<str>,
}

/// What one configuration makes.
pub(super) struct Assembled {
    pub public: Router,
    pub admin: Router,
    pub courier: Courier<ConsentJudge>,
    pub pipeline: Pipeline,
    pub trail: Trail,
}

impl Durable {
    /// Opens the store and draws or reads the keys.
    pub fn open(settings: &Settings, clock: Clock, entropy: Entropy, reload: mpsc::Sender<ReloadRequest>) -> Result<Durable, Fault> {
        // Another part of the process may have installed the provider before; either way there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let definitions = judged_by::definitions(settings)?;
        let keyring = keys::keyring(settings, &entropy)?;
        let admin_key = files::secret(&settings.keys_dir().join("operator.key"), &entropy)?;
        let log_keys = keys::log_keys(settings, &entropy)?;
        let verifier_key: Arc<str> = log_keys.verifier().to_string().into();
        let published = publish::published(settings, log_keys.history())?;
        let store_settings = StoreSettings { published: published.into_iter().collect(), ..store_settings(settings, false) };
        let store = Store::open(store_settings, log_keys.clone(), keyring.clone())?;
        let others = logs::Others::build(settings, &store, &log_keys, &clock, &entropy)?;
        let ids = GatewayIds::new(keyring.derived("ids"));
        let base_url: Arc<str> = settings.server.fhir_base().into();
        let anchor = Anchor {
            keyring: keyring.clone(),
            entropy: entropy.clone(),
            definitions,
            ids: ids.clone(),
            base_url: base_url.to_string(),
            origin: settings.ledger.origin.clone(),
            time: ledger_time(&store)?,
            signer: GatewaySigner::from_seed(&keyring.derived("provenance"))
                .ok_or_else(|| Fault::new(FaultKind::Internal, "the key that signs versions cannot be made"))?,
        };
        let indexer = Arc::new(Indexer::open(store.clone(), clock.clone(), anchor.time.clone())?);
        let replay = Arc::new(SharedReplay::new(store.clone(), settings.redis.as_ref())?);
        let registry = Arc::new(registry(settings));
        let identity = Identity::new(settings, registry, replay, http_client()?, clock.clone(), entropy.clone())?;
        Ok(Durable {
            store,
            verifier_key,
            verifier_keys: log_keys.texts().into(),
            key_history: log_keys.history().to_string().into(),
            policy: logs::own_policy(settings, &log_keys)?.into(),
            others,
            draining: Arc::new(AtomicBool::new(false)),
            reload,
            clock,
            entropy,
            definitions,
            ids,
            anchor,
            pager: Pager::new(&keyring.derived("paging"))?,
            identity,
            overtaken: Arc::default(),
            indexer,
            admin_key: Arc::new(Secret::new(HEXLOWER.encode(&admin_key))),
            metrics: recorder()?,
            base_url,
        })
    }

    /// Builds every room from a configuration, with what operators have given.
    pub fn assemble(&self, settings: &Settings) -> Result<Assembled, Fault> {
        judged_by::profiles_are_in_hand(settings, self.definitions)?;
        let registry = Arc::new(registry(settings));
        let maps = self.store.read_now(given_maps)?;
        let pipeline = Pipeline {
            store: self.store.clone(),
            registry: Arc::clone(&registry),
            definitions: self.definitions,
            anchor: self.anchor.clone(),
            ids: self.ids.clone(),
            clock: self.clock.clone(),
            rules: Arc::new(source_rules(&registry, &self.base_url, &maps)?),
            limits: limits(settings),
            consent: Arc::new(settings.consent.clone()),
            kept_rules: Arc::default(),
            overtaken: Arc::clone(&self.overtaken),
            terminology: judged_by::terminology(settings, &self.clock)?,
            labeller: judged_by::labeller(settings)?,
        };
        let upstream = Upstream::new(self.clock.clone(), self.entropy.clone())?;
        let query = QueryPath {
            pipeline: pipeline.clone(),
            upstream: upstream.clone(),
            pager: self.pager.clone(),
            holder_rules: Arc::new(holder_rules(&registry, &maps)?),
            base_url: Arc::clone(&self.base_url),
        };
        let identity = Arc::new(self.identity.renewed(settings, Arc::clone(&registry), http_client()?));
        let courier = Courier {
            store: self.store.clone(),
            registry,
            upstream,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            judge: ConsentJudge { query: query.clone() },
        };
        let trail = Trail {
            query,
            indexer: Arc::clone(&self.indexer),
            keys: Arc::clone(&self.key_history),
            policy: self.policy.clone(),
            is_witnessed: settings.ledger.witnesses_file.is_some(),
        };
        let public = self.public(settings, &pipeline, trail.clone(), identity);
        Ok(Assembled { public, admin: admin_router(self.admin(&pipeline)), courier, pipeline, trail })
    }

    fn admin(&self, pipeline: &Pipeline) -> AdminState {
        AdminState {
            store: self.store.clone(),
            pipeline: pipeline.clone(),
            key: Arc::clone(&self.admin_key),
            reload: self.reload.clone(),
            metrics: self.metrics.clone(),
            draining: Arc::clone(&self.draining),
        }
    }

    fn public(&self, settings: &Settings, pipeline: &Pipeline, trail: Trail, identity: Arc<Identity>) -> Router {
        let token = TokenState {
            identity: Arc::clone(&identity),
            pipeline: pipeline.clone(),
            clock: self.clock.clone(),
            smart_configuration: Arc::new(smart_configuration(settings)),
            dev: settings.dev,
            key_set: json::write(&self.anchor.signer.key_set()).into(),
        };
        let fhir = Arc::new(FhirState {
            pipeline: pipeline.clone(),
            query: trail.query.clone(),
            trail,
            identity,
            definitions: self.definitions,
            clock: self.clock.clone(),
            limits: limits(settings),
            room: Room::new(limits(settings).body_bytes),
            settings: settings.clone(),
            base_url: Arc::clone(&self.base_url),
        });
        let ledger = LedgerState {
            store: self.store.clone(),
            verifier_keys: Arc::clone(&self.verifier_keys),
            key_history: Arc::clone(&self.key_history),
            open_entries: settings.ledger.open_entries,
            open_add: settings.ledger.open_add,
        };
        let routes = Router::new()
            .nest_service("/fhir", fhir_router(Arc::clone(&fhir)))
            .merge(cds_router(fhir))
            .merge(token_router(token))
            .merge(ledger_router(ledger));
        let routes = routes.merge(self.others.routes());
        layers::public(routes, settings, self.entropy.clone())
    }
}

fn registry(settings: &Settings) -> Registry {
    Registry::new(settings, |system| canonical_system(system).unwrap_or_else(|| system.to_owned()))
}

/// How many leaves at the log's end are looked at for its newest hour: what others may have added after the gateway's own.
const NEWEST_LEAVES: u64 = 16 * 256;

/// The time of the log as it is stored. Its first leaf counts too, when the newest ones are all others'.
fn ledger_time(store: &Store) -> Result<LedgerTime, Fault> {
    let from = store.ledger_head().size().saturating_sub(NEWEST_LEAVES);
    let leaves: Vec<Leaf> = store.read_now(|reader| {
        let entries = [reader.leaves(0, 1)?, reader.leaves(from, NEWEST_LEAVES as usize)?].concat();
        Ok(entries.iter().filter_map(|entry| Leaf::read(reader, entry)).collect())
    })?;
    Ok(LedgerTime::after(&leaves))
}

/// The ConceptMaps operators gave, with their sources, oldest first so that newer ones win.
fn given_maps(reader: &crate::store::Reader<'_>) -> Result<Vec<(String, Node)>, Fault> {
    let mut maps = Vec::new();
    for (source, id) in reader.source_maps()? {
        if let Some(version) = reader.current("ConceptMap", &id)?.filter(|version| !version.deleted()) {
            maps.push((version.seq, source, version.parse()?));
        }
    }
    maps.sort_by_key(|(seq, ..)| *seq);
    Ok(maps.into_iter().map(|(_, source, map)| (source, map)).collect())
}
