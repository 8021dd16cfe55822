//! Revocation while everybody asks: what was decided after it was acknowledged never permits.

use crate::support::data::{observation, patient, permit_to};
use crate::support::folder::Folder;
use crate::support::world::{configuration, write_key_sets};
use hearthgate::audit::{Action, Opened};
use hearthgate::clock::{Clock, Entropy};
use hearthgate::config::{DataKind, Purpose, Scopes, Settings};
use hearthgate::fhir::json;
use hearthgate::forward::{DeliveryJudge, Release};
use hearthgate::identity::Caller;
use hearthgate::intake::{Evidence, Format, Interaction, Received};
use hearthgate::query::{ConsentJudge, QueryPath};
use hearthgate::registry::{Destination, Organisation, Patients, Retry};
use hearthgate::store::{Delivery, DeliveryState, Store};
use hearthgate::wire::Gateway;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many ask at once.
const ASKERS: usize = 8;
/// How many are answered before the next consent is filed, and before it is revoked.
const BETWEEN: u64 = 100;
/// How many are asked in the ordinary run. The whole million: `cargo test --release --test gateway a_million -- --ignored --nocapture`.
const ORDINARY: u64 = 5_000;

/// A gateway's rooms without its listeners, and who files and who receives.
struct Rooms {
    _folder: Folder,
    store: Store,
    query: QueryPath,
    caller: Caller,
    destination: Destination,
}

impl Rooms {
    fn open() -> Rooms {
        let folder = Folder::new("revocation");
        write_key_sets(&folder);
        let settings = Settings::from_toml(&configuration(""), folder.path()).unwrap();
        let client = settings.clients[0].clone();
        let recipient: Organisation = settings.clients[1].organisation.clone();
        let gateway = Gateway::build(settings, Clock::system(), Entropy::system()).unwrap();
        let (trail, store) = gateway.into_trail();
        let caller = Caller {
            client_id: client.id,
            organisation: client.organisation,
            purposes: client.purposes,
            names_purposes: false,
            scopes: Scopes::every(),
            roles: Vec::new(),
            data: DataKind::Identified,
            files_consent: true,
            source: client.source,
            acts_for: None,
            person: None,
            token_id: String::new(),
        };
        let destination = Destination {
            name: "b".to_owned(),
            base_url: "https://b.example.org/fhir".parse_url(),
            allow_plain_http: false,
            organisation: recipient,
            purpose: Purpose::TREATMENT,
            data: DataKind::Identified,
            types: vec!["*".to_owned()],
            patients: Patients::All,
            auth: Default::default(),
            timeout_ms: 1_000,
            retry: Retry::default(),
        };
        Rooms { _folder: folder, store, query: trail.query, caller, destination }
    }

    fn opened(&self) -> Opened {
        Opened {
            interaction: "create",
            action: Action::Create,
            request_id: String::new(),
            at: self.query.pipeline.clock.now(),
            peer: String::new(),
            caller: Some(self.caller.clone()),
            query: None,
        }
    }

    /// Creates a resource, or replaces the one whose id it bears.
    async fn send(&self, resource: &Value) -> String {
        let bytes = resource.to_string().into_bytes();
        let node = json::parse(&bytes, 64).unwrap();
        let type_name = resource["resourceType"].as_str().unwrap().to_owned();
        let interaction = match resource["id"].as_str() {
            Some(id) => Interaction::Update { type_name, id: id.to_owned(), if_match: None, only_new: false },
            None => Interaction::Create { type_name, if_none_exist: None },
        };
        let evidence = Evidence::new(bytes.into(), Format::Json, self.query.pipeline.clock.now());
        let received = Received::single(evidence, interaction, Some(node), None).unwrap();
        self.query.pipeline.accept(&self.caller, received, self.opened()).await.unwrap()[0].id.clone()
    }
}

/// A base URL as settings have it.
trait ParseUrl {
    fn parse_url(self) -> hearthgate::config::BaseUrl;
}

impl ParseUrl for &str {
    fn parse_url(self) -> hearthgate::config::BaseUrl {
        hearthgate::config::BaseUrl::parse(self).unwrap()
    }
}

/// Asks until so many were answered while consents come and go; answers how often the consent stood, and how often it did not any more.
async fn race(total: u64) -> (u64, u64, u64) {
    let rooms = Arc::new(Rooms::open());
    let patient = rooms.send(&patient("1")).await;
    let seen = rooms.send(&observation(&format!("Patient/{patient}"))).await;
    // Odd while a revocation has been acknowledged and nothing was filed since.
    let turn = Arc::new(AtomicU64::new(1));
    let counts: Arc<[AtomicU64; 3]> = Arc::default();
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let (rooms, turn, counts, seen, patient) =
                (Arc::clone(&rooms), Arc::clone(&turn), Arc::clone(&counts), seen.clone(), patient.clone());
            tokio::spawn(async move {
                let judge = ConsentJudge { query: rooms.query.clone() };
                let asked = Delivery {
                    row: 1,
                    destination: "b".to_owned(),
                    type_name: "Observation".to_owned(),
                    id: seen,
                    version: 1,
                    patient,
                    state: DeliveryState::Waiting,
                    attempts: 0,
                    next_at: rooms.query.pipeline.clock.now(),
                    reason: String::new(),
                };
                while counts[0].load(Ordering::SeqCst) < total {
                    let before = turn.load(Ordering::SeqCst);
                    let is_permitted = matches!(judge.permit(&asked, &rooms.destination).await.unwrap(), Release::Permitted(_));
                    let after = turn.load(Ordering::SeqCst);
                    let is_revoked = before == after && before % 2 == 1;
                    assert!(!(is_revoked && is_permitted), "a stale permit");
                    counts[0].fetch_add(1, Ordering::SeqCst);
                    counts[1].fetch_add(u64::from(is_permitted), Ordering::SeqCst);
                    counts[2].fetch_add(u64::from(is_revoked), Ordering::SeqCst);
                }
            })
        })
        .collect();
    let wait = async |more: u64| {
        let until = (counts[0].load(Ordering::SeqCst) + more).min(total);
        while counts[0].load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
    };
    let mut consent = permit_to(&patient, "hospital-b");
    let mut revocations = 0;
    while counts[0].load(Ordering::SeqCst) < total {
        turn.fetch_add(1, Ordering::SeqCst);
        let id = rooms.send(&consent).await;
        consent["id"] = Value::from(id.as_str());
        wait(BETWEEN).await;
        rooms.query.pipeline.revoke_consent(&rooms.caller, &id, &rooms.opened()).await.unwrap();
        turn.fetch_add(1, Ordering::SeqCst);
        revocations += 1;
        wait(BETWEEN).await;
    }
    for asker in askers {
        asker.await.unwrap();
    }
    let (permitted, revoked) = (counts[1].load(Ordering::SeqCst), counts[2].load(Ordering::SeqCst));
    rooms.store.close().await;
    (revocations, permitted, revoked)
}

fn check(total: u64, (revocations, permitted, revoked): (u64, u64, u64)) {
    println!(
        "{total} racing decisions, {revocations} revocations: {permitted} permitted, {revoked} after a revocation, none of them stale"
    );
    assert!(permitted > total / 10 && revoked > total / 10, "the race was hardly run: {permitted} permitted, {revoked} after a revocation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_permit_outlives_its_revocation() {
    check(ORDINARY, race(ORDINARY).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million decisions take minutes; the gate asks for them by themselves"]
async fn no_permit_outlives_its_revocation_in_a_million_racing_requests() {
    check(1_000_000, race(1_000_000).await);
}
