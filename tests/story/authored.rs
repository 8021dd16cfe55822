//! What the gateway writes itself (Provenances, AuditEvents, Tasks, notices, links, its own extensions) is valid by the definitions that it ships.

use crate::suites::files;
use crate::support::data::{MRN, observation, patient, permit, person};
use crate::support::signing::Signer;
use crate::support::world::{EMERGENCY, documents};
use crate::support::{Call, Setup};
use hearthgate::definitions::Definitions;
use hearthgate::fhir::json;
use hearthgate::outcome::Severity;
use hearthgate::validate::{self, Options};
use serde_json::{Value, json};
use std::path::Path;

/// What is wrong with a document; that an extension is not known is an error, too.
fn complaints(document: &Value) -> Vec<String> {
    let resource = json::parse(document.to_string().as_bytes(), json::DEFAULT_DEPTH).unwrap();
    let options = Options { refuse_unknown_extensions: true, ..Options::default() };
    let found = validate::check(Definitions::embedded(), &resource, &options);
    let wrong = found.iter().filter(|finding| finding.severity >= Severity::Error);
    wrong.map(|finding| format!("{} {}: {}", document["resourceType"], finding.expression, finding.text)).collect()
}

/// The gateway's own extensions of everything but its value sets.
fn extensions_of_records() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/hearthgate/StructureDefinition.ndjson");
    let shipped = std::fs::read_to_string(path).unwrap();
    let definitions = shipped.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_records = definitions.filter(|one| !one["context"][0]["expression"].as_str().unwrap().starts_with("ValueSet"));
    of_records.map(|one| one["url"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_writes_is_valid() {
    let signer = Signer::new("signing-1");
    let signing = signer.clone();
    let world = Setup::configured(EMERGENCY).prepared(move |folder| signing.register(folder, "hospital-a")).start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    // Two records that are one person's, two that may be, a result twice, a code that only its source understands.
    let at_a = a.create(&person("17")).await;
    b.create(&person("17")).await;
    a.create(&patient("18")).await;
    b.create(&patient("18")).await;
    let subject = format!("Patient/{}", laboratory.create(&person("17")).await);
    let mut padded = patient("19");
    padded["identifier"].as_array_mut().unwrap().push(json!({"system": MRN, "value": "  19"}));
    a.create(&padded).await;
    let mut result = observation(&subject);
    result["valueQuantity"]["value"] = json!("13.2");
    result["code"]["coding"].as_array_mut().unwrap().insert(0, json!({"system": "urn:oid:1.3.6.1.4.1.99999.7", "code": "HB"}));
    laboratory.create(&result).await;
    laboratory.create(&result).await;
    result["code"] = json!({"coding": [{"system": "urn:oid:1.3.6.1.4.1.99999.7", "code": "CREA"}], "text": "Creatinine"});
    laboratory.create(&result).await;
    // A signed request, and a signed Provenance.
    a.call(signer.post("Patient", &patient("20"))).await.expect(201);
    let signed = patient("21");
    let provenance = signer.provenance(&[], &signed).to_string();
    a.call(Call::post("Patient", &signed).header("x-provenance", &provenance)).await.expect(201);
    a.create(&permit(&at_a)).await;
    b.search(&format!("Observation?patient={at_a}")).await;
    let emergency = world.party_with("emergency", "system/*.rs").await;
    let reason = json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "Unconscious after a fall"}]});
    emergency.call(Call::post(&format!("Patient/{at_a}/$break-glass"), &reason)).await.expect(200);

    let sensitive = json!({"resourceType": "Condition", "subject": {"reference": format!("Patient/{at_a}")},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}});
    a.create(&sensitive).await;
    // A Bundle that is kept whole, about somebody in its sender's words.
    let mut known = patient("22");
    known["id"] = json!("local-22");
    a.put("Patient/local-22", &known).await.expect(201);
    let mut result = observation("Patient/local-22");
    result["id"] = json!("o");
    let entry = json!({"fullUrl": "https://ehr.hospital-a.example/fhir/Observation/o", "resource": result});
    a.create(&json!({"resourceType": "Bundle", "type": "collection", "entry": [entry]})).await;

    let mut seen = vec![
        world.stranger().get("metadata").await.expect(200).json(),
        a.get(&format!("Condition?patient={at_a}")).await.expect(200).json(),
    ];
    for type_name in ["Provenance", "AuditEvent", "Task", "Communication", "Linkage", "Patient", "Observation", "Bundle"] {
        let written = documents(&world.data(), type_name);
        assert!(!written.is_empty(), "no {type_name} was written");
        seen.extend(written);
    }
    let whole = serde_json::to_string(&seen).unwrap();
    for own in extensions_of_records() {
        assert!(whole.contains(&format!("\"{own}\"")), "{own} was not written");
    }
    assert_eq!(seen.iter().flat_map(complaints).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn what_ships_in_profiles_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut shipped = Vec::new();
    for package in ["hearthgate", "sensitivity"] {
        for path in files(&folder.join(package)) {
            let text = std::fs::read_to_string(&path).unwrap();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("ndjson") => shipped.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap())),
                Some("json") if !path.ends_with("package.json") => shipped.push(serde_json::from_str(&text).unwrap()),
                _ => {}
            }
        }
    }
    assert!(shipped.len() > 20, "only {} documents", shipped.len());
    assert_eq!(shipped.iter().flat_map(complaints).collect::<Vec<_>>(), [""; 0]);
}
