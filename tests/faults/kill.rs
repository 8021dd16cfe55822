//! The process is killed a hundred times under load; whatever it had acknowledged is there afterwards, once.

use crate::support::data::{MRN, patient};
use crate::support::party::FHIR_JSON;
use crate::support::process::Site;
use crate::support::world::{audit_events, policy};
use crate::support::{Call, Party};
use hearthgate::anchor::{Subject, verify_receipt};
use hearthgate::clock::Entropy;
use hearthgate::ledger::{Checkpoint, Folder as LogFolder, Note, fsck, reader};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const KILLS: usize = 100;
const CLIENTS: usize = 4;
/// The longest a gateway runs before it is killed.
const MAX_LIFE_MS: u64 = 250;

/// A version the gateway said it has.
#[derive(Clone)]
pub struct Acknowledged {
    /// `Patient/hg-…/_history/1`.
    version: String,
    marker: String,
    sent: Vec<u8>,
}

/// What one client has sent and heard.
#[derive(Default)]
pub struct Client {
    number: usize,
    sequence: usize,
    /// A creation that was sent and not answered: it is sent again under its key.
    unanswered: Option<(String, Vec<u8>)>,
    pub acknowledged: Vec<Acknowledged>,
}

impl Client {
    pub fn numbered(number: usize) -> Client {
        Client { number, ..Client::default() }
    }

    /// Sends until the gateway is gone.
    pub async fn send(mut self, party: Party) -> Client {
        while self.create(&party).await && self.replace(&party).await {}
        self
    }

    /// Creates under an idempotency key. `false` when there was no answer.
    async fn create(&mut self, party: &Party) -> bool {
        let (marker, sent) = self.unanswered.take().unwrap_or_else(|| {
            let marker = format!("c{}-{}", self.number, self.sequence);
            self.sequence += 1;
            let body = patient(&marker).to_string().into_bytes();
            (marker, body)
        });
        let call = Call::new("POST", "Patient").body(FHIR_JSON, sent.clone()).header("idempotency-key", &marker);
        match party.try_call(call).await {
            Ok(answer) if answer.status == 201 => self.heard(answer.header("location").unwrap(), marker, sent),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(_) => {
                self.unanswered = Some((marker, sent));
                return false;
            }
        }
        true
    }

    /// Writes the client's one resource anew. What was not answered may or may not have been done.
    async fn replace(&mut self, party: &Party) -> bool {
        let id = format!("own-{}", self.number);
        let marker = format!("r{}-{}", self.number, self.sequence);
        self.sequence += 1;
        let mut body = patient(&marker);
        body["id"] = json!(id);
        let sent = body.to_string().into_bytes();
        let call = Call::new("PUT", &format!("Patient/{id}")).body(FHIR_JSON, sent.clone());
        match party.try_call(call).await {
            Ok(answer) if matches!(answer.status, 200 | 201) => self.heard(answer.header("location").unwrap(), marker, sent),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(_) => return false,
        }
        true
    }

    fn heard(&mut self, location: &str, marker: String, sent: Vec<u8>) {
        let version = location.split_once("/fhir/").unwrap().1.to_owned();
        self.acknowledged.push(Acknowledged { version, marker, sent });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled() {
    let site = Site::new("");
    let random = Entropy::seeded(20);
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::numbered).collect();
    let mut checkpoints: Vec<String> = Vec::new();
    let mut party = None;
    for _ in 0..KILLS {
        let process = site.start().await;
        let party = match &party {
            Some(party) => party,
            None => party.insert(site.party("hospital-a").await),
        };
        checkpoints.push(site.checkpoint().await.unwrap());
        check_newest(&site, party, &clients).await;
        let senders: Vec<_> = clients.drain(..).map(|client| tokio::spawn(client.send(party.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(u64::from_le_bytes(random.bytes()) % MAX_LIFE_MS)).await;
        checkpoints.push(site.checkpoint().await.unwrap());
        process.kill();
        for sender in senders {
            clients.push(sender.await.unwrap());
        }
    }
    let mut process = site.start().await;
    let key = site.verifier_key().await;
    check_newest(&site, party.as_ref().unwrap(), &clients).await;
    process.terminate();
    assert!(process.ended(Duration::from_secs(10)).await.is_some_and(|status| status.success()));

    let acknowledged: Vec<Acknowledged> = clients.iter().flat_map(|client| client.acknowledged.clone()).collect();
    assert!(acknowledged.len() > KILLS, "the load was no load: {} acknowledgements", acknowledged.len());
    check_versions(&site, &acknowledged);
    check_audit(&site, &acknowledged);
    check_log(&site, &key, &checkpoints);
}

/// What was acknowledged last before the kill is the most at risk: it reads as sent, and its receipt holds.
pub async fn check_newest(site: &Site, party: &Party, clients: &[Client]) {
    let newest: Vec<&Acknowledged> = clients.iter().filter_map(|client| client.acknowledged.last()).collect();
    if newest.is_empty() {
        return;
    }
    let policy = policy(&site.verifier_key().await);
    for known in newest {
        let stored = party.get(&known.version).await.expect(200).json();
        assert_eq!(stored["identifier"][0]["value"], json!(known.marker), "{}", known.version);
        let receipt = party.get(&format!("{}/$receipt", known.version)).await.expect(200).text();
        let verified = verify_receipt(&receipt, &policy, Some(&known.sent)).unwrap_or_else(|error| panic!("{}: {error}", known.version));
        assert_eq!((verified.target.as_str(), verified.subject), (known.version.as_str(), Some(Subject::Received)));
    }
}

/// Every acknowledged version is in the data once, with a leaf of its own; nothing that was sent was stored twice.
pub fn check_versions(site: &Site, acknowledged: &[Acknowledged]) {
    let connection = rusqlite::Connection::open(site.data().join("data.db")).unwrap();
    let sql = "SELECT r.id, v.version, v.document, v.leaf FROM version v JOIN resource r ON r.rid = v.rid WHERE r.type = 'Patient'";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?, row.get::<_, u64>(3)?)));
    let mut by_version: HashMap<String, String> = HashMap::new();
    let (mut leaves, mut created) = (HashSet::new(), HashSet::new());
    for row in rows.unwrap() {
        let (id, version, document, leaf) = row.unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let marker = document["identifier"][0]["value"].as_str().unwrap().to_owned();
        assert_eq!(document["identifier"][0]["system"], MRN);
        assert!(leaves.insert(leaf), "leaf {leaf} belongs to two versions");
        assert!(marker.starts_with('r') || created.insert(marker.clone()), "{marker} was stored twice");
        assert!(by_version.insert(format!("Patient/{id}/_history/{version}"), marker).is_none());
    }
    for known in acknowledged {
        assert_eq!(by_version.get(&known.version), Some(&known.marker), "{} was acknowledged", known.version);
    }
}

/// Every acknowledged version has one record of its acceptance.
pub fn check_audit(site: &Site, acknowledged: &[Acknowledged]) {
    let mut records: HashMap<String, usize> = HashMap::new();
    for event in audit_events(&site.data()) {
        // A resend that was answered from memory leaves a record of its own, which says so.
        if !matches!(event["action"].as_str(), Some("C" | "U")) || event["outcome"] != "0" || event["outcomeDesc"].is_string() {
            continue;
        }
        for entity in event["entity"].as_array().unwrap() {
            if let Some(reference) = entity["what"]["reference"].as_str().filter(|reference| reference.contains("/_history/")) {
                *records.entry(reference.to_owned()).or_default() += 1;
            }
        }
    }
    for known in acknowledged {
        assert_eq!(records.get(&known.version), Some(&1), "audit records of {}", known.version);
    }
}

/// The log is whole, and every checkpoint that was ever seen is the beginning of it.
pub fn check_log(site: &Site, key: &str, checkpoints: &[String]) {
    let (files, policy) = (LogFolder::new(site.data().join("ledger")), policy(key));
    let report = fsck::fsck(&files, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let mut size = 0;
    for text in checkpoints {
        let note: Note = text.parse().unwrap();
        let seen: Checkpoint = policy.accept(&note).unwrap().checkpoint().clone();
        assert!(seen.size >= size, "the log went back from {size} to {}", seen.size);
        size = seen.size;
        if size > 0 {
            reader::prove_consistency(&files, &seen, &policy).unwrap_or_else(|error| panic!("a checkpoint of {size}: {error}"));
        }
    }
    assert_eq!(report.leaves, leaves(site), "what is published is what is stored");
    assert!(report.leaves >= size);
}

fn leaves(site: &Site) -> u64 {
    let connection = rusqlite::Connection::open(site.data().join("data.db")).unwrap();
    connection.query_row("SELECT count(*) FROM leaf", [], |row| row.get(0)).unwrap()
}
