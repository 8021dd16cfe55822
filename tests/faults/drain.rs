//! A gateway that is asked to stop finishes what it has begun, and then stops.

use crate::support::data::{observation, patient, permit_to};
use crate::support::holder::{Behaviour, Holder};
use crate::support::process::{DRAIN_MS, Site};
use crate::support::world::documents;
use crate::support::{Call, Party, until};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const SENDERS: usize = 8;
/// A drain without anything that hangs takes no longer than this.
const PROMPT: Duration = Duration::from_secs(3);

/// Sends until the gateway takes no more; the ids it acknowledged.
async fn send(party: Party, sender: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        match party.try_call(Call::post("Patient", &patient(&format!("{sender}-{number}")))).await {
            Ok(answer) if answer.status == 201 => acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned()),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.text());
                answer.issue();
            }
            Err(_) => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_it_stops() {
    let site = Site::new("");
    let mut process = site.start().await;
    let party = site.party("hospital-a").await;
    let senders: Vec<_> = (0..SENDERS).map(|sender| tokio::spawn(send(party.clone(), sender))).collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let asked = Instant::now();
    process.terminate();
    let status = process.ended(Duration::from_secs(15)).await.expect("it stops");
    let took = asked.elapsed();
    assert!(status.success(), "{status}\n{}", site.log());
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.extend(sender.await.unwrap());
    }
    assert!(took < PROMPT, "the drain took {took:?}");
    assert!(!acknowledged.is_empty());
    let stored: Vec<String> = documents(&site.data(), "Patient").iter().map(|patient| patient["id"].as_str().unwrap().to_owned()).collect();
    for id in &acknowledged {
        assert_eq!(stored.iter().filter(|stored| *stored == id).count(), 1, "{id} was acknowledged");
    }

    // And it starts again where it stopped.
    let process = site.start().await;
    let again = site.party("hospital-a").await;
    again.get(&format!("Patient/{}", acknowledged.last().unwrap())).await.expect(200);
    process.kill();
}

/// What hangs, a caller or a destination, is not waited for longer than was configured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_keep_it_from_stopping() {
    let clinic = Holder::start(Vec::new()).await;
    clinic.behave(Behaviour::Hang);
    let site = Site::new(&format!(
        "[[destination]]\nname = \"clinic\"\nbase_url = \"{}\"\norganisation = {{ identifier = {{ system = \"urn:oid:1.3.6.1.4.1.99999.1\", value = \"clinic\" }} }}\n\
         purpose = \"TREAT\"\ntypes = [\"Observation\"]\ntimeout_ms = 60000\n",
        clinic.base
    ));
    let mut process = site.start().await;
    let party = site.party("hospital-a").await;
    let patient = party.create(&patient("1")).await;
    party.create(&permit_to(&patient, "clinic")).await;
    let id = party.create(&observation(&format!("Patient/{patient}"))).await;
    until("the delivery hangs", async || (!clinic.delivered().is_empty()).then_some(())).await;
    let address = site.origin.strip_prefix("http://").unwrap();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /fhir/Patient HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.unwrap();
    let asked = Instant::now();
    process.terminate();
    let status = process.ended(Duration::from_secs(20)).await.expect("it stops");
    assert!(status.success(), "{status}\n{}", site.log());
    assert!(asked.elapsed() < Duration::from_millis(DRAIN_MS) + PROMPT, "the drain took {:?}", asked.elapsed());

    // What was not delivered is delivered after the next start.
    clinic.behave(Behaviour::Honest);
    let before = clinic.delivered().len();
    let process = site.start().await;
    let seen = until("the delivery", async || Some(clinic.delivered()).filter(|seen| seen.len() > before)).await;
    assert_eq!(seen.last().unwrap().path, format!("Observation/{id}"));
    process.kill();
}
