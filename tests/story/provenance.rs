//! Where every version came from, signed by the gateway, and by whoever sent it where they sign; checked by others with no more than keys.

use crate::support::data::{bundle, creates, observation, patient, person};
use crate::support::process::hearthgate;
use crate::support::signing::Signer;
use crate::support::world::documents;
use crate::support::{Call, Party, Setup, World};
use data_encoding::BASE64URL_NOPAD;
use hearthgate::anchor::{Leaf, change_commitment, change_key};
use hearthgate::fhir::json::{parse, write_canonical};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A world in which hospital A may also sign with a key of its own.
async fn world(signer: &Signer) -> (World, Party) {
    let signer = signer.clone();
    let world = Setup::default().prepared(move |folder| signer.register(folder, "hospital-a")).start().await;
    let party = world.party("hospital-a").await;
    (world, party)
}

/// The gateway's own Provenance of a resource, or of one of its versions.
async fn provenance_of(party: &Party, reference: &str) -> Value {
    let resource = reference.split_once("/_history").map_or(reference, |(resource, _)| resource);
    let found = party.search(&format!("Provenance?target={resource}")).await;
    let is_meant = |one: &Value| {
        let target = one["target"][0]["reference"].as_str().unwrap();
        one["activity"].is_object() && (target == reference || resource == reference && target.starts_with(&format!("{resource}/")))
    };
    let mut meant: Vec<Value> = found.into_iter().filter(is_meant).collect();
    assert_eq!(meant.len(), 1, "{meant:?}");
    meant.remove(0)
}

/// Writes what is checked into files and runs the offline check.
fn verify(world: &World, provenance: &Value, keys: &Value, record: Option<&[u8]>, received: Option<&str>) -> (Option<i32>, String) {
    let folder = world.folder.path();
    std::fs::write(folder.join("provenance.json"), provenance.to_string()).unwrap();
    std::fs::write(folder.join("keys.json"), keys.to_string()).unwrap();
    let mut arguments = vec!["provenance", "verify", "provenance.json", "--key", "keys.json"];
    if let Some(record) = record {
        std::fs::write(folder.join("signed.json"), record).unwrap();
        arguments.extend(["--record", "signed.json"]);
    }
    if let Some(received) = received {
        std::fs::write(folder.join("received"), received).unwrap();
        arguments.extend(["--received", "received"]);
    }
    let run = hearthgate(&arguments, folder);
    (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned())
}

async fn gateway_keys(world: &World) -> Value {
    world.stranger().get(&format!("{}/.well-known/jwks.json", world.origin)).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_check_the_gateways_signature_with_its_published_key() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let created = a.post("Patient", &patient("1")).await.expect(201);
    let here = format!("Patient/{}", created.json()["id"].as_str().unwrap());
    let provenance = provenance_of(&a, &format!("{here}/_history/1")).await;
    let keys = gateway_keys(&world).await;

    assert_eq!(provenance["target"], json!([{"reference": format!("{here}/_history/1")}]));
    assert!(provenance["occurredDateTime"].is_string() && provenance["recorded"].is_string());
    assert_eq!(provenance["policy"], json!(["http://hl7.org/fhir/StructureDefinition/Patient|4.0.1"]));
    let roles: Vec<&str> =
        provenance["agent"].as_array().unwrap().iter().map(|agent| agent["type"]["coding"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(roles, ["author", "transmitter", "assembler"]);
    assert_eq!(provenance["agent"][1]["who"]["identifier"]["value"], "hospital-a");
    let validated = a.post("Provenance/$validate", &provenance).await.expect(200).json();
    assert!(!validated.to_string().contains("\"error\""), "{validated}");

    let (status, told) = verify(&world, &provenance, &keys, Some(&created.bytes), None);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("holds for the version and this Provenance"), "{told}");
    // Another version, another Provenance, another key: nothing of it passes.
    let mut other = created.json();
    other["gender"] = json!("male");
    assert_eq!(verify(&world, &provenance, &keys, Some(other.to_string().as_bytes()), None).0, Some(1));
    let mut forged = provenance.clone();
    forged["agent"][0]["who"] = json!({"display": "somebody else"});
    assert_eq!(verify(&world, &forged, &keys, Some(&created.bytes), None).0, Some(1));
    let strange = gateway_keys(&World::start().await).await;
    assert_eq!(verify(&world, &provenance, &strange, Some(&created.bytes), None).0, Some(1));

    // An update names what it revises; a deletion, which leaves nothing to sign, is signed with its Provenance.
    a.put(&here, &other).await.expect(200);
    let second = provenance_of(&a, &format!("{here}/_history/2")).await;
    assert_eq!(second["entity"][1], json!({"role": "revision", "what": {"reference": format!("{here}/_history/1")}}));
    a.delete(&here).await.expect(204);
    let third = provenance_of(&a, &format!("{here}/_history/3")).await;
    assert_eq!(verify(&world, &third, &keys, None, None).0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_request_is_evidence_and_a_badly_signed_one_leaves_nothing() {
    let signer = Signer::new("signing-1");
    let (world, a) = world(&signer).await;
    let sent = patient("1");
    let created = a.call(signer.post("Patient", &sent)).await.expect(201);
    let here = format!("Patient/{}", created.json()["id"].as_str().unwrap());
    let provenance = provenance_of(&a, &here).await;
    assert_eq!(provenance["signature"].as_array().unwrap().len(), 2);
    let mut keys = gateway_keys(&world).await;
    keys["keys"].as_array_mut().unwrap().push(signer.jwk());
    let (status, told) = verify(&world, &provenance, &keys, Some(&created.bytes), Some(&sent.to_string()));
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("the request and the bytes received"), "{told}");
    assert_eq!(verify(&world, &provenance, &keys, Some(&created.bytes), Some("{}")).0, Some(1));

    // A signature of a request says nothing of the Provenance it is kept in, nor of any record.
    let (status, told) = verify(&world, &provenance, &keys, Some(&created.bytes), None);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("is not proved. The signature needs the bytes received"), "{told}");
    let mut forged = provenance.clone();
    forged["signature"].as_array_mut().unwrap().retain(|signature| signature["sigFormat"] != "application/jose");
    forged["target"] = json!([{"reference": "Patient/somebody-else/_history/1"}]);
    let other = patient("2").to_string();
    let (status, told) = verify(&world, &forged, &keys, Some(other.as_bytes()), Some(&sent.to_string()));
    assert_eq!(status, Some(1), "{told}");
    for expected in
        ["holds for the request and the bytes received", "not signed: no signature", "signed.json: no signature that holds is over it"]
    {
        assert!(told.contains(expected), "{told}");
    }
    let (status, told) = verify(&world, &provenance, &keys, Some(other.as_bytes()), Some(&sent.to_string()));
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("this key did not sign these bytes.") && !told.contains("stored"), "{told}");
    // As XML it is the same.
    let xml = a.get(&format!("Provenance/{}?_format=xml", provenance["id"].as_str().unwrap())).await.expect(200).text();
    let folder = world.folder.path();
    std::fs::write(folder.join("provenance.xml"), xml).unwrap();
    let arguments = ["provenance", "verify", "provenance.xml", "--key", "keys.json", "--received", "received", "--record", "stored.json"];
    std::fs::write(folder.join("stored.json"), &created.bytes).unwrap();
    let run = hearthgate(&arguments, folder);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));

    let before = documents(&world.data(), "Patient").len();
    let stranger = Signer::new("unknown");
    let old = hearthgate::clock::Clock::system().now().seconds() - 3600;
    for (what, call, code) in [
        ("a changed body", signer.post("Patient", &sent).body("application/fhir+json", "{}"), "structure"),
        ("an expired signature", signer.signed_at("Patient", &sent, old), "expired"),
        ("a signature of tomorrow", signer.signed_at("Patient", &sent, old + 90_000), "value"),
        ("an unknown key", stranger.post("Patient", &sent), "security"),
        ("a digest twice", signer.post("Patient", &sent).header("content-digest", "sha-256=:AAAA:"), "duplicate"),
        ("half a signature", Call::post("Patient", &sent).header("signature", "sig1=:AAAA:"), "required"),
        ("a wrong digest alone", Call::post("Patient", &sent).header("content-digest", "sha-256=:AAAA:"), "security"),
        ("a header that is none", Call::post("Patient", &sent).header("signature-input", "((").header("signature", "x"), "structure"),
    ] {
        let answer = a.call(call).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        if what != "a changed body" {
            assert_eq!(answer.issue(), code, "{what}");
        }
    }
    assert_eq!(documents(&world.data(), "Patient").len(), before);
    // Whoever holds the key must also be the client it is registered for.
    let b = world.party("hospital-b").await;
    assert_eq!(b.call(signer.post("Patient", &sent)).await.expect(400).issue(), "security");
}

/// Whoever has a key that is believed as a submitter's says in its header what the gateway says in its own: that the signature is over the Provenance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_submitters_key_nothing_vouches_for_a_provenance() {
    let signer = Signer::new("signing-1");
    let (world, a) = world(&signer).await;
    let created = a.call(signer.post("Patient", &patient("1"))).await.expect(201);
    let honest = provenance_of(&a, &format!("Patient/{}", created.json()["id"].as_str().unwrap())).await;
    let never = patient("never");
    let mut forged = honest.clone();
    forged["target"] = json!([{"reference": "Patient/never/_history/1"}]);
    forged.as_object_mut().unwrap().remove("signature");
    let canonical = write_canonical(&parse(forged.to_string().as_bytes(), 64).unwrap());
    let digest = BASE64URL_NOPAD.encode(&Sha256::digest(canonical.as_bytes()));
    let header = json!({"canon": "http://hl7.org/fhir/canonicalization/json", "urn:hearthgate:provenance-digest": digest});
    let mut signature = honest["signature"].as_array().unwrap().iter().find(|one| one["sigFormat"] == "application/jose").unwrap().clone();
    signature["data"] = json!(signer.detached(header, &never));
    forged["signature"] = json!([signature]);

    let gateway = gateway_keys(&world).await;
    let kid = gateway["keys"][0]["kid"].as_str().unwrap();
    let folder = world.folder.path();
    let written: [(&str, &Value); 6] = [
        ("forged.json", &forged),
        ("never.json", &never),
        ("honest.json", &honest),
        ("stored.json", &created.json()),
        ("jwks.json", &gateway),
        ("partner.json", &json!({"keys": [signer.jwk()]})),
    ];
    for (name, value) in written {
        std::fs::write(folder.join(name), value.to_string()).unwrap();
    }
    std::fs::write(folder.join("received"), patient("1").to_string()).unwrap();
    for keys in [&["--key", "jwks.json", "--key", "partner.json"][..], &["--key", "partner.json", "--gateway-key", "jwks.json"]] {
        let run = |more: &[&str]| {
            let run = hearthgate(&[&["provenance", "verify"], more, keys].concat(), folder);
            (run.status.code(), String::from_utf8(run.stdout).unwrap())
        };
        let (status, told) = run(&["forged.json", "--record", "never.json"]);
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains("holds for the record alone") && told.contains("not signed: no signature of the gateway's"), "{told}");
        let (status, told) = run(&["honest.json", "--record", "stored.json", "--received", "received"]);
        assert_eq!(status, Some(0), "{told}");
        for named in ["bytes received (key \"signing-1\")".to_owned(), format!("this Provenance (key \"{kid}\")")] {
            assert!(told.contains(&named), "{told}");
        }
    }
    let none = hearthgate(&["provenance", "verify", "honest.json"], folder);
    assert_eq!(none.status.code(), Some(2), "without keys nothing is checked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provenance_may_sign_what_it_comes_with() {
    let signer = Signer::new("signing-1");
    let (world, a) = world(&signer).await;
    let keys = json!({"keys": [gateway_keys(&world).await["keys"][0], signer.jwk()]});

    // In a header, over the resource in the body: the gateway fills in the target.
    let sent = patient("1");
    let with = |provenance: &Value| Call::post("Patient", &sent).header("x-provenance", &provenance.to_string());
    let created = a.call(with(&signer.provenance(&[], &sent))).await.expect(201);
    let here = format!("Patient/{}", created.json()["id"].as_str().unwrap());
    let theirs = a.search(&format!("Provenance?target={here}")).await;
    assert_eq!(theirs.len(), 2, "the sender's and the gateway's: {theirs:?}");
    let ours = provenance_of(&a, &here).await;
    assert_eq!(ours["signature"].as_array().unwrap().len(), 2);
    let both = json!({"resourceType": "Bundle"}).to_string();
    let (status, told) = verify(&world, &ours, &keys, Some(&created.bytes), Some(&both));
    assert_eq!(status, Some(1), "what was sent is not what is stored, and was not given: {told}");

    for (what, call) in [
        ("another resource signed", with(&signer.provenance(&[], &patient("2")))),
        ("an unknown key", with(&Signer::new("unknown").provenance(&[], &sent))),
        ("the header twice", with(&signer.provenance(&[], &sent)).header("x-provenance", "{}")),
        ("no Provenance", Call::post("Patient", &sent).header("x-provenance", "{\"resourceType\":\"Patient\"}")),
        ("no JSON", Call::post("Patient", &sent).header("x-provenance", "{")),
    ] {
        assert_eq!(a.call(call).await.status, 400, "{what}");
    }

    // In a transaction, over another of its entries.
    let (one, two) = (patient("3"), observation("urn:uuid:00000000-0000-4000-8000-00000000000a"));
    let entries = |signed: &Value| {
        let target = "urn:uuid:00000000-0000-4000-8000-00000000000b";
        bundle(
            "transaction",
            vec![
                creates("urn:uuid:00000000-0000-4000-8000-00000000000a", one.clone()),
                creates(target, two.clone()),
                creates("urn:uuid:00000000-0000-4000-8000-00000000000c", signer.provenance(&[target], signed)),
            ],
        )
    };
    let refused = a.post("", &entries(&one)).await.expect(400);
    assert_eq!(refused.issue(), "security");
    let answer = a.post("", &entries(&two)).await.expect(200).json();
    let reference = |index: usize| {
        let location = answer["entry"][index]["response"]["location"].as_str().unwrap();
        let (_, reference) = location.split_once("/fhir/").unwrap();
        reference.split_once("/_history").unwrap().0.to_owned()
    };
    assert_eq!(provenance_of(&a, &reference(0)).await["signature"].as_array().unwrap().len(), 1);
    assert_eq!(provenance_of(&a, &reference(1)).await["signature"].as_array().unwrap().len(), 2);

    // Afterwards, over a version as it is stored; in a batch each entry stands for itself.
    let stored = a.get(&reference(1)).await.expect(200).json();
    let version = format!("{}/_history/1", reference(1));
    a.post("Provenance", &signer.provenance(&[&version], &stored)).await.expect(201);
    assert_eq!(a.post("Provenance", &signer.provenance(&[&version], &two)).await.expect(400).issue(), "security");
    assert_eq!(a.post("Provenance", &signer.provenance(&["Patient/none"], &two)).await.expect(400).issue(), "required");
    let good = creates("urn:uuid:1", signer.provenance(&[&version], &stored));
    let bad = creates("urn:uuid:2", signer.provenance(&[&version], &two));
    let answer = a.post("", &bundle("batch", vec![good, bad, creates("urn:uuid:3", patient("4"))])).await.expect(200).json();
    let statuses: Vec<&str> =
        answer["entry"].as_array().unwrap().iter().map(|entry| entry["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "400", "201"]);
}

/// The parts of each change that a Provenance says normalisation made: path, before, after.
fn changes(provenance: &Value) -> Vec<[String; 3]> {
    let extensions = provenance["extension"].as_array().unwrap().iter();
    let changes = extensions.filter(|one| one["url"] == "urn:hearthgate:extension:normalisation-change");
    let part = |change: &Value, name: &str| {
        let parts = change["extension"].as_array().unwrap();
        parts.iter().find(|part| part["url"] == name).map_or(String::new(), |part| part["valueString"].as_str().unwrap().to_owned())
    };
    changes.map(|change| ["path", "before", "after"].map(|name| part(change, name))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_is_committed_to_and_opened_by_the_records_key_alone() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut ada = patient("1");
    ada["birthDate"] = json!(" 1970-03-01");
    let id = a.create(&ada).await;
    let regulator = world.party("health-department").await;
    let provenance = provenance_of(&regulator, &format!("Patient/{id}/_history/1")).await;
    let change = changes(&provenance).into_iter().find(|[path, ..]| path == "Patient.birthDate").unwrap_or_else(|| panic!("{provenance}"));

    // Whoever tries all birth dates, or all that may have been sent, finds nothing.
    let guesses = [r#"" 1970-03-01""#.to_owned(), r#""1970-03-01""#.to_owned(), ada.to_string()];
    for guess in &guesses {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(guess));
        assert!(!provenance.to_string().contains(&digest), "{guess} can be guessed");
    }
    // The key in the receipt, which goes to whoever may see the record, opens them.
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let extra = receipt.parse::<hearthgate::ledger::LogProof>().unwrap().extra.unwrap();
    let opening: hearthgate::anchor::Opening = serde_json::from_slice(&extra).unwrap();
    let key: [u8; 32] = data_encoding::BASE64.decode(opening.key.unwrap().as_bytes()).unwrap().try_into().unwrap();
    let opened = guesses[..2].iter().map(|value| {
        let value = hearthgate::fhir::json::parse(value.as_bytes(), 9).unwrap();
        data_encoding::HEXLOWER.encode(&change_commitment(&change_key(&key), "Patient.birthDate", &value))
    });
    assert_eq!(opened.collect::<Vec<_>>(), change[1..]);
    // The bytes received are named by the commitment of the version's leaf.
    let leaf = Leaf::decode(&data_encoding::BASE64.decode(opening.leaf.as_bytes()).unwrap()).unwrap();
    let named = format!("urn:hearthgate:commitment:{}", data_encoding::HEXLOWER.encode(&leaf.raw));
    assert_eq!(provenance["entity"][0]["what"]["identifier"]["value"], named);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_checked_of_a_signature_is_said() {
    let signer = Signer::new("signing-1");
    let (_world, a) = world(&signer).await;
    let sent = patient("1");
    let created = a.post("Patient", &sent).await.expect(201).json();
    let here = format!("Patient/{}", created["id"].as_str().unwrap());
    let with = |format: Option<&str>, data: Option<&str>| {
        let mut provenance = signer.provenance(&[&here], &created);
        let signature = provenance["signature"][0].as_object_mut().unwrap();
        signature.remove("sigFormat");
        signature.extend(format.map(|format| ("sigFormat".to_owned(), json!(format))));
        if let Some(data) = data {
            signature.insert("data".to_owned(), json!(data));
        }
        Call::post("Provenance", &provenance).header("prefer", "return=OperationOutcome")
    };
    // However a JWS is called, it is checked.
    for format in ["application/jose", "application/JOSE", "application/jose; charset=utf-8"] {
        let told = a.call(with(Some(format), None)).await.expect(201).text();
        assert!(!told.contains("signature-not-judged"), "{format}: {told}");
        assert_eq!(a.call(with(Some(format), Some("AAAA"))).await.expect(400).issue(), "structure", "{format}");
    }
    for format in [Some("application/jose+x"), Some("application/signature+xml"), Some("image/png"), None] {
        let told = a.call(with(format, Some("AAAA"))).await.expect(201).text();
        assert!(told.contains("signature-not-judged") && told.contains("Provenance.signature[0]"), "{format:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_says_of_who_is_who_is_signed_too() {
    let world = World::start().await;
    let (a, b, regulator) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("health-department").await);
    let (at_a, at_b) = (a.create(&person("17")).await, b.create(&person("17")).await);
    let keys = gateway_keys(&world).await;
    let linkage = world.party("operator").await.search("Linkage").await.pop().unwrap();
    let here = format!("Linkage/{}", linkage["id"].as_str().unwrap());
    let provenance = provenance_of(&regulator, &here).await;
    assert_eq!(provenance["activity"]["coding"][0]["code"], "CREATE", "{provenance:#}");
    assert!(provenance["activity"]["text"].is_string() && provenance["occurredDateTime"].is_string());
    let (status, told) = verify(&world, &provenance, &keys, Some(linkage.to_string().as_bytes()), None);
    assert_eq!(status, Some(0), "{told}");
    let mut other = linkage.clone();
    other["active"] = json!(false);
    assert_eq!(verify(&world, &provenance, &keys, Some(other.to_string().as_bytes()), None).0, Some(1));
    // Whoever takes the link back says so under a signature as well.
    let decision = json!({"decision": "unlink", "patients": [at_b]});
    world.desk("POST", "/people", &decision).await.expect(200);
    let trail = regulator.get(&format!("Patient/{at_a}/$provenance-trail")).await.expect(200).json();
    let stated = trail["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let of_linkage = stated.filter(|one| one["resourceType"] == "Provenance" && one["target"].to_string().contains("Linkage/"));
    let signed: Vec<bool> = of_linkage.map(|one| one["signature"].as_array().is_some_and(|all| all.len() == 1)).collect();
    assert_eq!(signed, [true, true], "{trail:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_is_found_by_the_version_it_is_about() {
    let world = World::start().await;
    let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
    let mut mine = patient("1");
    mine["id"] = json!("mine");
    let here = format!("Patient/{}", a.put("Patient/mine", &mine).await.expect(201).json()["id"].as_str().unwrap());
    mine["gender"] = json!("male");
    a.put("Patient/mine", &mine).await.expect(200);
    a.get(&format!("{here}/_history/1")).await.expect(200);
    for version in ["1", "2"] {
        let wanted = format!("{here}/_history/{version}");
        let found = regulator.search(&format!("Provenance?target={wanted}")).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0]["target"][0]["reference"], json!(wanted));
        // By the sender's own id as well.
        assert_eq!(a.search(&format!("Provenance?target=Patient/mine/_history/{version}")).await, found);
        let events = regulator.search(&format!("AuditEvent?entity={wanted}")).await;
        assert!(!events.is_empty() && events.iter().all(|event| event["entity"].to_string().contains(&wanted)), "{events:#?}");
    }
    assert!(regulator.search(&format!("Provenance?target={here}/_history/3")).await.is_empty());
    assert_eq!(regulator.search(&format!("Provenance?target={here}")).await.len(), 2);
    regulator.get(&format!("Provenance?target={here}/_history/")).await.expect(400);
    for (since, status) in
        [("2026", 200), ("2026-01", 200), ("2026-01-31", 200), ("2026-01-31T00:00:00Z", 200), ("2026-13", 400), ("x", 400)]
    {
        regulator.get(&format!("{here}/$disclosures?_since={since}")).await.expect(status);
    }
}
