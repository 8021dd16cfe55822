//! A gateway that is asked to stop finishes what it has begun, and then stops.

use crate::support::data::patient;
use crate::support::process::Site;
use crate::support::world::documents;
use crate::support::{Call, Party};
use std::time::{Duration, Instant};

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
