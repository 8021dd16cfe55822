//! A package that is made while something of its trail is erased proves what it has, and a Bundle tells it as it was at one time, or says that it does not.

use super::erasing::Case;
use crate::support::two_patients::TwoPatients;
use crate::support::world::{OFFICER, ORIGIN};
use crate::support::{Call, Folder, Setup};
use data_encoding::BASE64;
use hearthgate::anchor::{LeafKind, Opening};
use hearthgate::ledger::{Algorithm, LogProof, SigningKey};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many packages are made meanwhile.
const PACKAGES: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_made_while_something_is_erased_verifies() {
    let case = Case::new().await;
    let of = format!("Patient/{}", case.first);
    let is_done = AtomicBool::new(false);
    let erasing = async {
        let mut erased = 0;
        while !is_done.load(Ordering::Relaxed) {
            let path = case.created(&case.noted(&case.first, "meanwhile")).await;
            case.officer.call(Call::new("POST", &format!("{path}/$erase"))).await.expect(200);
            erased += 1;
        }
        erased
    };
    let packing = async {
        for _ in 0..PACKAGES {
            // Where too much was erased meanwhile it is asked for again.
            let made = case.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await;
            if made.status != 503 {
                let report = hearthgate::evidence::verify(&made.expect(200).bytes, &case.world.policy(), &Default::default()).unwrap();
                assert_eq!(report.problems, Vec::<String>::new());
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let (erased, ()) = tokio::join!(erasing, packing);
    assert!(erased > 0);
    case.report(&of).await;
}

/// A package of a record waits for witnesses who do not answer, and meanwhile somebody is erased whose it was for a time: it is begun anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_waits_while_an_earlier_owner_is_erased_is_begun_anew() {
    let files = Folder::new("silent-witness");
    let key = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[4; 32]).unwrap();
    let silent = SigningKey::from_seed("w.test", Algorithm::CosignatureV1, &[6; 32]).unwrap();
    let key_file = files.write("log.key", &key.to_secret_text());
    let witnesses = format!("log {}\nwitness w {} http://127.0.0.1:9/witness\nquorum w\n", key.verifier(), silent.verifier());
    let policy = files.write("witnesses.policy", &witnesses);
    let setup = Setup::configured(OFFICER).with(move |settings| {
        settings.ledger.key_file = Some(key_file);
        settings.ledger.witnesses_file = Some(policy);
    });
    let case = Case::of(TwoPatients::in_world(setup.start().await).await);
    let (stays, goes) = (case.first.as_str(), case.second.as_str());
    let of = format!("Observation/{}", case.record(&[(stays, "first"), (goes, "misfiled"), (stays, "again")]).await);
    let packing = async {
        let made = case.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200);
        let report = hearthgate::evidence::verify(&made.bytes, &case.world.policy(), &Default::default()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        report
    };
    let erasing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        case.erase(goes, "?shared=true").await.expect(200);
    };
    let (report, ()) = tokio::join!(packing, erasing);
    assert_eq!(report.erased_versions, 1);
}

/// How many Bundles are asked for meanwhile.
const BUNDLES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_read_while_something_is_erased_is_of_one_state_or_says_so() {
    let case = Case::new().await;
    let of = format!("Patient/{}", case.first);
    let is_done = AtomicBool::new(false);
    let erasing = async {
        let mut erased = 0;
        while !is_done.load(Ordering::Relaxed) {
            let path = case.created(&case.noted(&case.first, "meanwhile")).await;
            case.officer.call(Call::new("POST", &format!("{path}/$erase"))).await.expect(200);
            erased += 1;
        }
        erased
    };
    let reading = async {
        for _ in 0..BUNDLES {
            let told = case.regulator.get(&format!("{of}/$provenance-trail")).await;
            if told.status != 503 {
                check_bundle(&told.expect(200).json());
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let (erased, ()) = tokio::join!(erasing, reading);
    assert!(erased > 0);
    check_bundle(&case.regulator.get(&format!("{of}/$provenance-trail")).await.expect(200).json());
}

/// What a leaf stood for is gone only where a later leaf of the same Bundle erases, unless the Bundle says that it is of no one state.
fn check_bundle(bundle: &Value) {
    let entries = bundle["entry"].as_array().unwrap();
    if entries.last().unwrap()["fullUrl"] == "urn:hearthgate:overtaken" {
        assert_eq!(entries.last().unwrap()["resource"]["issue"][0]["code"], "incomplete");
        return;
    }
    let leaves: Vec<(u64, LeafKind, bool)> = entries
        .iter()
        .filter(|entry| entry["fullUrl"].as_str().is_some_and(|url| url.starts_with("urn:hearthgate:leaf:")))
        .map(|entry| {
            let proof = BASE64.decode(entry["resource"]["data"].as_str().unwrap().as_bytes()).unwrap();
            let proof: LogProof = String::from_utf8(proof).unwrap().parse().unwrap();
            let opening: Opening = serde_json::from_slice(proof.extra.as_deref().unwrap()).unwrap();
            let (_, leaf) = opening.entry().unwrap();
            (proof.index, leaf.kind, opening.target.is_empty())
        })
        .collect();
    let newest_erasure = leaves.iter().filter(|(_, kind, _)| *kind == LeafKind::Erase).map(|(position, ..)| *position).max();
    for (position, kind, is_gone) in leaves {
        let is_explained = newest_erasure.is_some_and(|erasure| erasure > position);
        assert!(kind == LeafKind::Erase || !is_gone || is_explained, "what leaf {position} stood for is gone");
    }
}
