//! The regulator's trail and what it proves, the patient's accounting, and erasure.

use crate::support::data::{bundle, creates, observation, patient, permit_to};
use crate::support::folder::Folder;
use crate::support::party::Answer;
use crate::support::process::hearthgate;
use crate::support::world::OFFICER;
use crate::support::{Call, Party, World};
use hearthgate::evidence::{Kept, verify, verify_accounting};
use hearthgate::ledger::{Checkpoint, Folder as LogFolder, Note, fsck};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// What a patient's application is registered as.
const APP: &str = r#"
[[client]]
id = "app"
organisation = { identifier = { system = "urn:oid:1.3.6.1.4.1.99999.1", value = "app" }, name = "Patient App" }
jwks_file = "hospital-a.jwks.json"
scopes = "system/AuditEvent.rs"
purposes = ["PATRQT"]
acts_for = ["http://hospital-a.example/mrn|1"]
"#;

pub(super) struct Case {
    pub(super) world: World,
    pub(super) regulator: Party,
    pub(super) a: Party,
    pub(super) b: Party,
    pub(super) patient: String,
    pub(super) seen: String,
}

impl Case {
    /// A patient with an observation, whom hospital B reads before and after a consent.
    pub(super) async fn new() -> Case {
        let world = World::start().await;
        let (a, b, regulator) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("health-department").await);
        let patient = a.create(&patient("1")).await;
        let seen = a.create(&observation(&format!("Patient/{patient}"))).await;
        b.get(&format!("Patient/{patient}")).await.expect(404);
        a.create(&permit_to(&patient, "hospital-b")).await;
        b.get(&format!("Patient/{patient}")).await.expect(200);
        assert_eq!(b.search(&format!("Observation?patient={patient}")).await.len(), 1);
        Case { world, regulator, a, b, patient, seen }
    }

    pub(super) async fn package(&self, of: &str, seen: Option<u64>) -> Vec<u8> {
        let seen = seen.map(|size| format!("&seen={size}")).unwrap_or_default();
        let path = format!("{of}/$provenance-trail?_format=application/zip{seen}");
        let answer = self.regulator.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/zip"));
        answer.bytes
    }

    async fn checkpoint(&self) -> Checkpoint {
        let note = self.regulator.call(Call::get(&format!("{}/ledger/checkpoint", self.world.origin))).await.expect(200).text();
        note.parse::<Note>().unwrap().unverified_text().parse().unwrap()
    }
}

pub(super) fn resources<'b>(bundle: &'b Value, type_name: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    entries.map(|entry| &entry["resource"]).filter(|resource| resource["resourceType"] == type_name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_tells_everything_in_order_and_no_content() {
    let case = Case::new().await;
    let path = format!("Patient/{}/$provenance-trail", case.patient);
    let trail = case.regulator.get(&path).await.expect(200).json();
    assert_eq!(trail["type"], "collection");
    // Three versions (patient, observation, consent) with their Provenance; reads, a refusal and a search with their events.
    assert_eq!(resources(&trail, "Provenance").len(), 3, "{trail:#}");
    let events = resources(&trail, "AuditEvent");
    let told: Vec<(&str, &str)> =
        events.iter().map(|event| (event["subtype"][0]["code"].as_str().unwrap(), event["outcome"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [("create", "0"), ("create", "0"), ("read", "4"), ("create", "0"), ("read", "0"), ("search-type", "0"), ("operation", "0")],
    );
    assert!(events[5].to_string().contains("Consent/"), "the consent that governed is named");
    // Every leaf has its receipt, in the log's order.
    let positions: Vec<u64> = trail["entry"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["fullUrl"].as_str()?.strip_prefix("urn:hearthgate:leaf:")?.parse().ok())
        .collect();
    assert_eq!(positions.len(), 10);
    assert!(positions.is_sorted());
    for type_name in ["Patient", "Observation", "Consent"] {
        assert!(resources(&trail, type_name).is_empty(), "a trail without a grant shows no {type_name}");
    }
    assert!(!trail.to_string().contains("Moor"));
    // A record's own trail.
    let one = case.regulator.get(&format!("Observation/{}/$provenance-trail", case.seen)).await.expect(200).json();
    assert_eq!(resources(&one, "Provenance").len(), 1);
    // Nobody else may ask, and nobody learns whether there is such a patient.
    for (id, party) in [(case.patient.as_str(), &case.a), (case.patient.as_str(), &case.b), ("nobody", &case.b)] {
        assert_eq!(party.get(&format!("Patient/{id}/$provenance-trail")).await.expect(403).issue(), "forbidden");
    }
    case.regulator.get("Patient/nobody/$provenance-trail").await.expect(404);
    for wrong in ["?frob=1", "?_format=application/fhir%2Bxml", "?_format=application/zip&seen=x", "?_format=application/zip&seen=999999"] {
        let answer = case.regulator.get(&format!("{path}{wrong}")).await;
        assert!(matches!(answer.status, 400 | 406), "{wrong}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_about_a_patient_is_in_the_patients_trail() {
    let case = Case::new().await;
    let here = format!("Patient/{}", case.patient);
    let wrong = |subject: &str| {
        let mut wrong = observation(subject);
        wrong["status"] = json!("frobnicated");
        wrong
    };
    let mut renamed = patient("1");
    (renamed["id"], renamed["gender"]) = (case.patient.as_str().into(), json!("frobnicated"));
    let mut replaced = wrong("Patient/nobody");
    (replaced["id"], replaced["status"]) = (case.seen.as_str().into(), "final".into());
    replaced.as_object_mut().unwrap().remove("code");
    let both = bundle("transaction", vec![creates("urn:uuid:1", observation(&here)), creates("urn:uuid:2", wrong(&here))]);
    // What is refused, and whether it names the patient.
    let refused = [
        (Call::post("Observation", &wrong(&here)), 422, true),
        (Call::post("Observation", &wrong("Patient?identifier=urn:oid:1.3.6.1.4.1.99999.2|1")), 422, true),
        (Call::put(&here, &renamed), 422, true),
        (Call::put(&format!("Observation/{}", case.seen), &replaced), 422, true),
        (Call::post("", &both), 422, true),
        (Call::post("Observation", &wrong("Patient/nobody")), 422, false),
        (Call::post("Observation", &wrong("Patient?identifier=urn:oid:1.3.6.1.4.1.99999.2|none")), 422, false),
    ];
    for (call, status, is_named) in refused {
        check_refused(&case, &case.a, call, (status, is_named)).await;
    }
}

/// The refusal stands in the patient's trail and accounting, if the patient was named, and the sender is not told whom it is about.
async fn check_refused(case: &Case, sender: &Party, call: Call, (status, is_named): (u16, bool)) {
    let here = format!("Patient/{}", case.patient);
    let trail = format!("{here}/$provenance-trail");
    let what = format!("{call:?}");
    let before = resources(&case.regulator.get(&trail).await.expect(200).json(), "AuditEvent").len();
    let answer = sender.call(call).await;
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert!(!answer.text().contains(&case.patient), "the sender is not told whom it is about: {}", answer.text());
    let after = case.regulator.get(&trail).await.expect(200).json();
    // The trail that was asked for before is in it too.
    let new = resources(&after, "AuditEvent").split_off(before).len();
    assert_eq!(new, 1 + usize::from(is_named), "{what}");
    if is_named {
        let event = resources(&after, "AuditEvent")[before];
        assert_eq!(event["outcome"], "4", "{event}");
        let told = case.regulator.get(&format!("{here}/$disclosures")).await.expect(200).json();
        assert!(resources(&told, "AuditEvent").iter().any(|told| told["id"] == event["id"]), "{what}: {told:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_before_it_was_planned_is_in_the_trail_of_whom_it_named() {
    let case = Case::new().await;
    let (id, seen) = (&case.patient, &case.seen);
    let here = format!("Patient/{id}");
    let consent = case.a.search(&format!("Consent?patient={here}")).await[0]["id"].as_str().unwrap().to_owned();
    let mut other_id = patient("1");
    other_id["id"] = json!("other");
    let mut own_id = patient("1");
    own_id["id"] = json!(id);
    let filed = permit_to(id, "hospital-b");
    let parameters = |consent: &Value| {
        let given = |name: &str| json!({"name": name, "resource": consent});
        json!({"resourceType": "Parameters", "parameter": [given("consent"), given("second")]})
    };
    let json_body = |method: &str, path: &str, body: &str| Call::new(method, path).body("application/fhir+json", body.as_bytes());
    let twice = filed.to_string().replacen('{', "{\"status\":\"active\",", 1);
    let entry = |request: Value| json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": request, "resource": observation(&here)}]});
    let nobody = permit_to("nobody", "hospital-b");
    let signed = |call: Call| call.header("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");
    let refused = [
        // The id in the URL, and the one in the body.
        (Call::put(&here, &other_id), 400, true),
        (Call::put("Patient/other", &own_id), 400, true),
        (Call::put(&here, &observation("Patient/nobody")), 400, true),
        (Call::put("Patient/other", &patient("1")), 400, false),
        // What cannot be read, and what can be in part.
        (json_body("PUT", &here, "{"), 400, true),
        (json_body("PUT", &format!("Observation/{seen}"), "not even json"), 400, true),
        (json_body("POST", "Consent", &twice), 400, true),
        (json_body("POST", "Consent", "{"), 400, false),
        (Call::new("PUT", &here).body("text/plain", own_id.to_string()), 415, true),
        (Call::put(&here, &own_id).header("idempotency-key", ""), 400, true),
        (signed(Call::put(&here, &own_id)), 400, true),
        (Call::put(&format!("{here}?frob=1"), &own_id), 400, true),
        (Call::new("PATCH", &here).json(&own_id), 400, true),
        // Filing and taking back.
        (Call::post("Consent/$fileConsent", &parameters(&filed)), 400, true),
        (Call::post("Consent/$fileConsent", &parameters(&nobody)), 400, false),
        (Call::post("Consent/$fileConsent?x=1", &filed), 400, true),
        (Call::post(&format!("Consent/{consent}/$revokeConsent"), &filed), 400, true),
        (Call::new("POST", "Consent/nobody/$revokeConsent"), 404, false),
        (Call::post(&format!("{here}/$break-glass"), &filed), 400, true),
        (Call::post(&format!("{here}/$consent-decide"), &filed), 400, true),
        (Call::new("POST", &format!("{here}/$erase")), 403, true),
        (Call::get(&format!("{here}/$provenance-trail?frob=1")), 400, true),
        // A purpose that the token does not allow, and one that is no code.
        (Call::get(&here).header("x-purpose-of-use", "HRESCH"), 403, true),
        (Call::get(&here).header("x-purpose-of-use", "curiosity"), 400, true),
        (Call::get(&format!("{here}/$everything?frob=1")), 400, true),
        // Bundles, whole and entry by entry.
        (Call::post("", &json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": filed}]})), 400, true),
        (Call::post("", &json!({"resourceType": "Bundle", "type": "document", "entry": [{"resource": filed}]})), 400, true),
        (Call::post("", &entry(json!({"method": "POST"}))), 200, true),
        (Call::post("", &entry(json!({"method": "GET", "url": format!("{here}/$everything")}))), 200, true),
    ];
    for (call, status, is_named) in refused {
        check_refused(&case, &case.a, call, (status, is_named)).await;
    }
    // Whoever may not take it back is told what whoever names nothing is told, and it is in the trail.
    let (told, of_nothing) = (revoke(&case.b, &consent).await, revoke(&case.b, "nobody").await);
    assert_eq!((told.status, told.json()["issue"].clone()), (of_nothing.status, of_nothing.json()["issue"].clone()));
    check_refused(&case, &case.b, Call::new("POST", &format!("Consent/{consent}/$revokeConsent")), (404, true)).await;
    check_refused(&case, &case.b, Call::post(&format!("{here}/$break-glass"), &reason()), (403, true)).await;
    // What a stranger names is in nobody's trail.
    check_refused(&case, &case.world.stranger(), Call::put(&here, &other_id), (401, false)).await;
}

/// A search that is refused is about whom it names, like a read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_search_is_in_the_trail_of_whom_it_named() {
    let case = Case::new().await;
    let id = &case.patient;
    let refused = [
        (Call::get(&format!("Observation?patient={id}&frob=1")), 400, true),
        (Call::get(&format!("Observation?subject=Patient/{id}&date=notadate")), 400, true),
        (Call::get(&format!("Patient?_id={id}&_count=abc")), 400, true),
        (Call::get(&format!("Observation?patient={id}")).header("accept", "text/turtle"), 406, true),
        (Call::get("Observation?patient=nobody&frob=1"), 400, false),
        (Call::get(&format!("Observation?_id={id}&frob=1")), 400, false),
    ];
    for (call, status, is_named) in refused {
        check_refused(&case, &case.a, call, (status, is_named)).await;
    }
}

/// That a record is gone, or somebody else's from now on, is in the trail of whom it was about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_or_moved_is_in_the_trail_of_whom_it_was_about() {
    let case = Case::new().await;
    let (id, a) = (&case.patient, &case.a);
    let here = format!("Patient/{id}");
    let other = a.create(&patient("moved-to")).await;
    let (gone, moved) = (a.create(&observation(&here)).await, a.create(&observation(&here)).await);
    a.call(Call::new("DELETE", &format!("Observation/{gone}"))).await.expect(204);
    let mut corrected = observation(&format!("Patient/{other}"));
    (corrected["id"], corrected["status"]) = (json!(moved), json!("corrected"));
    a.call(Call::put(&format!("Observation/{moved}"), &corrected)).await.expect(200);
    let trail = trail_of(&case, &here).await;
    for last in [format!("Observation/{gone}/_history/2"), format!("Observation/{moved}/_history/2")] {
        assert!(trail.to_string().contains(&last), "{last} is in the trail");
    }
    let record = trail_of(&case, &format!("Observation/{gone}")).await;
    assert!(record.to_string().contains(&format!("Observation/{gone}/_history/2")), "{record}");
}

pub(super) async fn trail_of(case: &Case, subject: &str) -> Value {
    case.regulator.get(&format!("{subject}/$provenance-trail")).await.expect(200).json()
}

/// A Provenance tells of whom its target is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_shown_a_provenance_is_in_the_accounting() {
    let case = Case::new().await;
    let accounted = async || {
        let account = case.regulator.get(&format!("Patient/{}/$disclosures", case.patient)).await.expect(200).json();
        resources(&account, "AuditEvent").iter().filter(|event| event.to_string().contains("Provenance/")).count()
    };
    let before = accounted().await;
    let found = case.b.get(&format!("Provenance?target=Observation/{}", case.seen)).await.expect(200).json();
    assert!(!resources(&found, "Provenance").is_empty(), "{found}");
    assert_eq!(accounted().await, before + 1);
}

async fn revoke(party: &Party, consent: &str) -> Answer {
    party.call(Call::new("POST", &format!("Consent/{consent}/$revokeConsent"))).await
}

fn reason() -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "unconscious"}]})
}

/// What the Provenances of a trail say that validation found: severity, path.
fn found(trail: &Value) -> Vec<(String, String)> {
    let extensions = resources(trail, "Provenance").into_iter().flat_map(|one| one["extension"].as_array().unwrap().clone());
    let found = extensions.filter(|extension| extension["url"] == "urn:hearthgate:extension:validation-finding");
    let part = |extension: &Value, name: &str| {
        let parts = extension["extension"].as_array().unwrap();
        let part = parts.iter().find(|part| part["url"] == name).unwrap_or_else(|| panic!("{name} is missing: {extension}"));
        part["valueString"].as_str().or(part["valueCode"].as_str()).unwrap().to_owned()
    };
    found
        .map(|extension| {
            assert!(!part(&extension, "text").is_empty() && !part(&extension, "rule").is_empty() && !part(&extension, "code").is_empty());
            (part(&extension, "severity"), part(&extension, "path"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_shows_what_validation_found_of_what_was_accepted() {
    let case = Case::new().await;
    let path = format!("Patient/{}/$provenance-trail", case.patient);
    let before = found(&case.regulator.get(&path).await.expect(200).json());
    // A display that is not one of its code is remarked on, and no error.
    let mut odd = observation(&format!("Patient/{}", case.patient));
    let system = "http://terminology.hl7.org/CodeSystem/observation-category";
    odd["category"] = json!([{"coding": [{"system": system, "code": "laboratory", "display": "Zanthor"}]}]);
    let odd = case.a.create(&odd).await;
    let trail = case.regulator.get(&path).await.expect(200).json();
    let new = found(&trail).len() - before.len();
    assert!(new > 0, "nothing was found: {:?}", found(&trail));
    assert!(found(&trail).iter().any(|(severity, path)| severity == "warning" && path.contains("category[0]")), "{:?}", found(&trail));
    assert!(!trail.to_string().contains("Zanthor"), "a finding quotes what it was found in");
    // The same in the package, where the leaf of the version vouches for it, and on its page.
    let package = case.package(&format!("Observation/{odd}"), None).await;
    let report = verify(&package, &case.world.policy(), &Kept::default()).unwrap();
    assert_eq!((report.problems.as_slice(), report.provenances, report.unproved), (&[][..], 1, 0));
    let page = file(&package, "index.html");
    assert!(page.contains("found: warning") && page.contains("category[0]"), "{page}");
    // Whoever sent it finds it too, and it goes with the record.
    let told = case.a.search(&format!("Provenance?target=Observation/{odd}")).await;
    assert!(told[0].to_string().contains("validation-finding"));
}

/// A file of a package, as text.
pub(super) fn file(package: &[u8], name: &str) -> String {
    let archive = rawzip::ZipArchive::from_slice(package).unwrap();
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().unwrap() {
        if entry.file_path().as_ref() == name.as_bytes() {
            let found = archive.get_entry(entry.wayfinder()).unwrap();
            let mut text = String::new();
            flate2::read::DeflateDecoder::new(found.data()).read_to_string(&mut text).unwrap();
            return text;
        }
    }
    panic!("{name} is missing")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_says_of_a_version_is_not_taken_for_what_the_gateway_said() {
    let case = Case::new().await;
    let statement = json!({"resourceType": "Provenance", "target": [{"reference": format!("Observation/{}/_history/1", case.seen)}],
        "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"display": "Somebody Else"}}]});
    case.a.create(&statement).await;
    let path = format!("Observation/{}/$provenance-trail", case.seen);
    let trail = case.regulator.get(&path).await.expect(200).json();
    let own: Vec<&Value> = resources(&trail, "Provenance").into_iter().filter(|one| one["signature"].is_array()).collect();
    assert_eq!(own.len(), 1, "{trail:#}");
    let report = verify(&case.package(&format!("Observation/{}", case.seen), None).await, &case.world.policy(), &Kept::default()).unwrap();
    assert_eq!((report.problems.as_slice(), report.provenances), (&[][..], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evidence_package_verifies_with_a_policy_and_nothing_else() {
    let case = Case::new().await;
    let policy = case.world.policy();
    let seen = case.checkpoint().await;
    let of = format!("Patient/{}", case.patient);
    let package = case.package(&of, Some(seen.size)).await;
    let report = verify(&package, &policy, &Kept { seen: Some(&seen), ..Kept::default() }).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.leaves, report.extends), (10, Some(seen.size)));
    // Every AuditEvent opens; the versions stay closed, because nobody permitted their content to oversight.
    assert_eq!((report.opened, report.closed), (7, 3));
    // Where they came from is proved all the same.
    assert_eq!((report.provenances, report.unproved), (3, 0));
    assert!(report.covers >= seen.size);
    // The export is in the package itself, and in the next one. Whoever saw the log without leaves needs no proof that it grew.
    let again = verify(&case.package(&of, Some(0)).await, &policy, &Kept::default()).unwrap();
    assert_eq!((again.problems.len(), again.leaves, again.extends), (0, 11, None));

    // The same with the command, in another folder.
    let folder = Folder::new("evidence");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("e.zip", &package);
    write("policy", format!("log {}\nquorum none\n", case.world.running.verifier_key).as_bytes());
    let run = |arguments: &[&str]| hearthgate(&[&["evidence", "verify"], arguments].concat(), folder.path());
    let done = run(&["e.zip", "--policy", "policy"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).contains("complete: these 10 leaves"));
    // Another log's key believes nothing of it; a missing policy is a usage error.
    let other = World::start().await;
    write("other", format!("log {}\nquorum none\n", other.running.verifier_key).as_bytes());
    assert_eq!(run(&["e.zip", "--policy", "other"]).status.code(), Some(1));
    assert_eq!(run(&["e.zip", "--policy", "nowhere"]).status.code(), Some(2));
    assert_eq!(run(&["nowhere", "--policy", "policy"]).status.code(), Some(2));
    write("not.zip", b"PK nonsense");
    assert_eq!(run(&["not.zip", "--policy", "policy"]).status.code(), Some(1));
    // A checkpoint of a log that went another way is noticed.
    let forked = Checkpoint { root: hearthgate::ledger::Hash([7; 32]), ..seen.clone() };
    assert!(!verify(&package, &policy, &Kept { seen: Some(&forked), ..Kept::default() }).unwrap().problems.is_empty());
    assert!(
        !verify(&case.package(&of, None).await, &policy, &Kept { seen: Some(&seen), ..Kept::default() }).unwrap().problems.is_empty(),
        "no consistency proof where one is wanted"
    );

    // Where the patient permits it, content is in the package and opens.
    case.a.create(&permit_to(&case.patient, "health-department")).await;
    // Anybody with the leaves and their key makes the index again.
    let (data, leaf_key) = (case.world.data(), case.world.leaf_key_file());
    let (keep, _) = case.world.stop().await;
    let [log, policy_file, leaf_key] =
        [data.join("ledger"), folder.path().join("policy"), leaf_key].map(|path| path.to_str().unwrap().to_owned());
    let checked = hearthgate(&["evidence", "index", &log, "--policy", &policy_file, "--leaf-key", &leaf_key], keep.path());
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && said.contains("3 anchored roots, 0 problems"),
        "{said}{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_has_a_package_of_its_own() {
    let case = Case::new().await;
    case.b.get(&format!("Observation/{}", case.seen)).await.expect(200);
    let report = verify(&case.package(&format!("Observation/{}", case.seen), None).await, &case.world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    // Its version, the act of sending it, the read, the search that found it alone, and the export.
    assert_eq!(report.leaves, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounting_is_for_the_patient() {
    let world = crate::support::world::Setup::configured(format!("{APP}{OFFICER}")).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut ada = patient("1");
    ada["identifier"] = json!([{"system": "http://hospital-a.example/mrn", "value": "1"}]);
    let id = a.create(&ada).await;
    let other = a.create(&patient("2")).await;
    b.get(&format!("Patient/{id}")).await.expect(404);
    a.create(&permit_to(&id, "hospital-b")).await;
    b.get(&format!("Patient/{id}")).await.expect(200);
    let app = party(&world, "app", "system/AuditEvent.rs").await;
    let told = app.get(&format!("Patient/{id}/$disclosures")).await.expect(200).json();
    let events = resources(&told, "AuditEvent");
    let b_events: Vec<&&Value> = events.iter().filter(|event| event.to_string().contains("Hospital B")).collect();
    let outcomes: Vec<&str> = b_events.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["4", "0"], "who was refused and who received: {events:#?}");
    assert_eq!(b_events[1]["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
    assert!(b_events[1].to_string().contains("Consent/"));
    for hidden in ["\"hospital-b\",\"requestor", "127.0.0.1", "not-found", "\"query\""] {
        assert!(!told.to_string().contains(hidden) || hidden.contains("requestor"), "{hidden}");
    }
    // It is complete: the claims' leaves are the receipts'.
    let receipts =
        told["entry"].as_array().unwrap().iter().filter(|entry| entry["fullUrl"].as_str().unwrap().starts_with("urn:hearthgate:leaf:"));
    assert!(receipts.count() > events.len());
    assert!(app.get(&format!("Patient/{id}/$disclosures?years=3")).await.expect(200).json()["entry"].is_array());
    app.get(&format!("Patient/{id}/$disclosures?_since=2199-01-01T00:00:00Z")).await.expect(400);
    app.get(&format!("Patient/{id}/$disclosures?_since=2020-01-01T00:00:00Z&years=6")).await.expect(400);
    // Of other patients the application learns as much as of nobody; those who were told something may not ask at all.
    assert_eq!(app.get(&format!("Patient/{other}/$disclosures")).await.status, 404);
    assert_eq!(app.get("Patient/nobody/$disclosures").await.status, 404);
    for staff in [&a, &b] {
        staff.get(&format!("Patient/{id}/$disclosures")).await.expect(403);
    }
    app.get(&format!("Patient/{id}/$disclosures?frob=1")).await.expect(400);
    let regulator = world.party("health-department").await;
    regulator.get(&format!("Patient/{other}/$disclosures")).await.expect(200);
}

/// What is asked of a record's Provenance, or of everybody's versions at once, is asked of the patient; and they learn of it when the record is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounting_tells_of_all_that_was_refused_and_outlives_the_record() {
    let world = crate::support::world::Setup::configured(APP).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let mut ada = patient("1");
    ada["identifier"] = json!([{"system": "http://hospital-a.example/mrn", "value": "1"}]);
    let id = a.create(&ada).await;
    let of = a.create(&observation(&format!("Patient/{id}"))).await;
    let found = a.get(&format!("Provenance?target=Observation/{of}")).await.expect(200).json();
    let provenance = resources(&found, "Provenance")[0]["id"].as_str().unwrap().to_owned();
    let app = party(&world, "app", "system/AuditEvent.rs").await;
    let refusals = async || {
        let told = app.get(&format!("Patient/{id}/$disclosures")).await.expect(200).json();
        resources(&told, "AuditEvent").iter().filter(|event| event.to_string().contains("Hospital B")).count()
    };
    for (number, (path, status)) in [
        (format!("Provenance/{provenance}"), 404),
        (format!("Provenance/{provenance}/_history"), 404),
        (format!("Provenance?target=Observation/{of}"), 200),
        (format!("Provenance?_id={provenance}"), 200),
        ("Observation/_history".to_owned(), 200),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = b.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.text().contains("\"fullUrl\""), "{path}");
        assert_eq!(refusals().await, number + 1, "{path}");
    }
    a.delete(&format!("Patient/{id}")).await.expect(204);
    assert_eq!(refusals().await, 5);
    // Whose identifier it no longer is may not look on, and whose it is now does not see who was told of the other before.
    ada["id"] = json!(id);
    ada["identifier"][0]["value"] = json!("2");
    assert!(a.put(&format!("Patient/{id}"), &ada).await.status < 300);
    app.get(&format!("Patient/{id}/$disclosures")).await.expect(404);
    // Once more it is of whoever bears the first: of the time before they learn from oversight, which tells all of it.
    ada["identifier"][0]["value"] = json!("1");
    assert!(a.put(&format!("Patient/{id}"), &ada).await.status < 300);
    assert_eq!(refusals().await, 0);
    b.get(&format!("Observation?patient={id}")).await.expect(200);
    assert_eq!(refusals().await, 1);
    let told = app.get(&format!("Patient/{id}/$disclosures?_since=2020-01-01T00:00:00Z")).await.expect(200);
    let account = verify_accounting(&told.bytes, &world.policy(), &Kept::default());
    assert_eq!(account.report.problems, Vec::<String>::new());
    assert!(
        account.since.is_some_and(|since| since > hearthgate::clock::Clock::system().now() - std::time::Duration::from_secs(3600)),
        "{:?}",
        account.since
    );
    let regulator = world.party("health-department").await;
    let told = regulator.get(&format!("Patient/{id}/$disclosures")).await.expect(200).json();
    assert_eq!(resources(&told, "AuditEvent").iter().filter(|event| event.to_string().contains("Hospital B")).count(), 6);
}

pub(super) async fn party(world: &World, client: &str, scope: &str) -> Party {
    let assertion = world.assertion(client);
    let answer = world.send_assertion(&assertion, scope).await.expect(200);
    Party { token: Some(answer.json()["access_token"].as_str().unwrap().to_owned()), ..world.stranger() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversight_finds_records_by_whom_and_what_and_when() {
    let case = Case::new().await;
    let (id, seen) = (&case.patient, &case.seen);
    let agent = "agent:identifier=urn:oid:1.3.6.1.4.1.99999.1|hospital-b";
    let audits = [
        (format!("AuditEvent?patient=Patient/{id}&_count=100"), 6),
        (format!("AuditEvent?entity=Observation/{seen}"), 2),
        (format!("AuditEvent?patient=Patient/{id}&{agent}"), 3),
        (format!("AuditEvent?patient=Patient/{id}&{agent}&outcome=4"), 1),
        (format!("AuditEvent?patient=Patient/{id}&{agent}&date=ge2000"), 3),
        (format!("AuditEvent?patient=Patient/{id}&{agent}&date=lt2000"), 0),
        (format!("Provenance?target=Observation/{seen}"), 1),
        (format!("Provenance?target=Observation/{seen}&recorded=ge2000"), 1),
        ("Provenance?agent:identifier=urn:oid:1.3.6.1.4.1.99999.1|hospital-a".to_owned(), 3),
    ];
    for (search, expected) in &audits {
        assert_eq!(case.regulator.search(search).await.len(), *expected, "{search}");
    }
    for (search, _) in audits.iter().filter(|(search, _)| search.starts_with("AuditEvent")) {
        assert!(case.b.search(search).await.is_empty(), "{search}");
    }
    // That hospital B asked is on record too, as a refusal.
    let after = case.regulator.search(&format!("AuditEvent?patient=Patient/{id}&{agent}")).await;
    assert!(after.len() > 3, "{}", after.len());
}

/// Whether any file below a folder holds a word.
pub(super) fn holds(folder: &Path, word: &str) -> Option<String> {
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // One that is gone by now holds nothing.
        let held = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            held => held.unwrap(),
        };
        if held.windows(word.len()).any(|window| window == word.as_bytes()) {
            return Some(path.display().to_string());
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_patient_leaves_nothing_that_leads_back() {
    let world = crate::support::world::Setup::configured(format!("{APP}{OFFICER}")).start().await;
    let (a, b, officer) =
        (world.party("hospital-a").await, world.party("hospital-b").await, party(&world, "officer", "system/Patient.r").await);
    let regulator = world.party("health-department").await;
    let mut zora = patient("77");
    zora["name"] = json!([{"family": "Quennell", "given": ["Zora"]}]);
    zora["identifier"] = json!([{"system": "http://hospital-a.example/mrn", "value": "MRN-77-QQ"}]);
    zora["birthDate"] = json!("1961-04-09");
    zora["telecom"] = json!([{"system": "phone", "value": "+44 20 7946-0958"}]);
    zora["address"] = json!([{"line": ["7 Elm Row"], "city": "Springfield", "postalCode": "ZQ1 7XY"}]);
    let other = a.create(&patient("2")).await;
    let id = a.create(&zora).await;
    zora["id"] = json!(id);
    zora["name"][0]["given"] = json!(["Zoraya"]);
    a.put(&format!("Patient/{id}"), &zora).await.expect(200);
    let seen = a.create(&observation(&format!("Patient/{id}"))).await;
    let gone = a.create(&observation(&format!("Patient/{id}"))).await;
    a.delete(&format!("Observation/{gone}")).await.expect(204);
    a.create(&permit_to(&id, "hospital-b")).await;
    b.get(&format!("Patient/{id}")).await.expect(200);
    b.search("Patient?identifier=http://hospital-a.example/mrn|MRN-77-QQ").await;
    b.search("Patient?identifier=MRN-77-QQ&gender=male").await;
    // Questions that found nobody name the person all the same; what many have in common does not.
    let asked = ["birthdate=1961-04-09", "phone=02079460958", "address=7 Elm Row", "address-postalcode=ZQ1 7XY"]
        .map(|asked| format!("Patient?{asked}&gender=male"));
    let common = "Patient?address-city=Springfield&gender=male";
    for question in asked.iter().map(String::as_str).chain([common]) {
        assert!(b.search(question).await.is_empty());
    }
    let written = |question: &str| data_encoding::BASE64.encode(question.as_bytes());
    // The record of this search is another patient's too, and names the one who goes.
    assert_eq!(a.search("Patient?family=Quennell,Moor").await.len(), 2);
    let both =
        bundle("transaction", vec![creates("urn:uuid:1", patient("3")), creates("urn:uuid:2", observation(&format!("Patient/{id}")))]);
    a.post("", &both).await.expect(200);
    let receipt = a.get(&format!("Patient/{id}/$receipt")).await.expect(200).text();
    let kept = a.get(&format!("Patient/{other}/$receipt")).await.expect(200).text();
    let query = data_encoding::BASE64.encode(b"Patient?identifier=MRN-77-QQ");
    for question in &asked {
        assert!(holds(&world.data(), &written(question)).is_some(), "{question} is there before");
    }
    for word in ["Quennell", "MRN-77-QQ", &id, &seen] {
        assert!(holds(&world.data(), word).is_some(), "{word} is there before");
    }
    // Only whoever was given the role may.
    for party in [&a, &b, &regulator] {
        party.call(Call::new("POST", &format!("Patient/{id}/$erase"))).await.expect(403);
    }
    officer.call(Call::new("POST", "Patient/nobody/$erase")).await.expect(404);
    let before = world.running.store.ledger_head().size();
    let answer: Answer = officer.call(Call::new("POST", &format!("Patient/{id}/$erase"))).await.expect(200);
    assert!(answer.text().contains("Erased"), "{}", answer.text());
    assert!(world.running.store.ledger_head().size() > before);

    // Nobody finds anything, the regulator neither, and others' records are as they were.
    for party in [&a, &b] {
        party.get(&format!("Patient/{id}")).await.expect(404);
        party.get(&format!("Observation/{seen}")).await.expect(404);
        party.get(&format!("Patient/{id}/_history")).await.expect(404);
    }
    regulator.get(&format!("Patient/{id}/$provenance-trail")).await.expect(404);
    assert!(regulator.search(&format!("AuditEvent?patient=Patient/{id}")).await.is_empty());
    a.get(&format!("Patient/{other}")).await.expect(200);
    // Others' evidence stands; what lost a name in one of its records stays closed, and so does the leaf that names it as shortened.
    let others = regulator.get(&format!("Patient/{other}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let others = verify(&others, &world.policy(), &Kept::default()).unwrap();
    assert_eq!((others.problems.as_slice(), others.closed, others.provenances), (&[][..], 3, 1));
    let named = others.shortened.get(&hearthgate::anchor::Erased::Named);
    assert!(named.is_some() && named == others.lacking.get(&hearthgate::evidence::Why::Shortened), "{:?}", others.shortened);
    // Old proofs verify; the log is whole.
    let policy = world.policy();
    for receipt in [&receipt, &kept] {
        hearthgate::anchor::verify_receipt(receipt, &policy, None).unwrap();
    }
    let (data, leaf_key) = (world.data(), world.leaf_key_file());
    let key = world.running.verifier_key.to_string();
    let (keep, settings) = world.stop().await;
    let log = LogFolder::new(data.join("ledger"));
    let report = fsck::fsck(&log, &policy, &mut |_| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    for word in ["Quennell", "Zora", "MRN-77-QQ", "mrn-77-qq", "1961-04-09", "Elm Row", &seen, &gone, &query] {
        assert_eq!(holds(&data, word), None, "{word} is left");
    }
    for question in &asked {
        assert_eq!(holds(&data, &written(question)), None, "{question} is left");
    }
    assert!(holds(&data, &written(common)).is_some(), "{common} leads to nobody");
    let policy_file = keep.write("policy", &format!("log {key}\nquorum none\n"));
    let [place, policy_file, leaf_key] = [data.join("ledger"), policy_file, leaf_key].map(|path| path.to_str().unwrap().to_owned());
    let index = hearthgate(&["evidence", "index", &place, "--policy", &policy_file, "--leaf-key", &leaf_key], keep.path());
    assert!(index.status.success(), "{}", String::from_utf8_lossy(&index.stdout));
    // The gateway starts on what is left.
    let world = World::try_open(keep, settings, hearthgate::clock::Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    world.party("hospital-a").await.get(&format!("Patient/{other}")).await.expect(200);
}

/// What is on record of what others did is not erased by itself: neither who read something, nor who sent it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_noted_is_not_erased_alone() {
    let world = crate::support::world::Setup::configured(format!("{APP}{OFFICER}")).start().await;
    let (a, officer, regulator) =
        (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await, world.party("health-department").await);
    let id = a.create(&patient("1")).await;
    a.get(&format!("Patient/{id}")).await.expect(200);
    let path = format!("Patient/{id}/$provenance-trail");
    let kinds = ["AuditEvent", "Provenance"];
    let trail = regulator.get(&path).await.expect(200).json();
    let noted = trail["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let noted: Vec<String> = noted
        .filter(|one| kinds.iter().any(|kind| one["resourceType"] == *kind))
        .map(|one| format!("{}/{}", one["resourceType"].as_str().unwrap(), one["id"].as_str().unwrap()))
        .collect();
    assert!(kinds.iter().all(|kind| noted.iter().any(|one| one.starts_with(kind))), "{noted:?}");
    for one in &noted {
        officer.call(Call::new("POST", &format!("{one}/$erase"))).await.expect(405);
    }
    let again = regulator.get(&path).await.expect(200).text();
    assert!(noted.iter().all(|one| again.contains(one.split_once('/').unwrap().1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_record_stays_in_the_trail_without_what_it_was() {
    let world = crate::support::world::Setup::configured(format!("{APP}{OFFICER}")).start().await;
    let (a, officer, regulator) =
        (world.party("hospital-a").await, party(&world, "officer", "system/Patient.r").await, world.party("health-department").await);
    let id = a.create(&patient("1")).await;
    let mut noted = observation(&format!("Patient/{id}"));
    noted["note"] = json!([{"text": "unmistakable"}]);
    let seen = a.create(&noted).await;
    officer.call(Call::new("POST", &format!("Observation/{seen}/$erase"))).await.expect(200);
    a.get(&format!("Observation/{seen}")).await.expect(404);
    assert_eq!(holds(&world.data(), "unmistakable"), None);
    let package = regulator.get(&format!("Patient/{id}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let report = verify(&package, &world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.closed >= 3, "two versions and the erasure: {report:?}");
    // What names another patient too goes only when that is said.
    let other = a.create(&patient("2")).await;
    let group = json!({"resourceType": "Group", "type": "person", "actual": true,
        "member": [{"entity": {"reference": format!("Patient/{id}")}}, {"entity": {"reference": format!("Patient/{other}")}}]});
    a.create(&group).await;
    officer.call(Call::new("POST", &format!("Patient/{id}/$erase"))).await.expect(422);
    for unclear in ["shared=yes", "shared=TRUE", "shared=1", "shared=", "shared=false&shared=true"] {
        officer.call(Call::new("POST", &format!("Patient/{id}/$erase?{unclear}"))).await.expect(400);
    }
    officer.call(Call::new("POST", &format!("Patient/{id}/$erase?shared=true"))).await.expect(200);
    a.get(&format!("Patient/{other}")).await.expect(200);
    assert_eq!(holds(&world.data(), &format!("Patient/{id}")), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_whole_after_the_index_was_lost_and_beside_others_entries() {
    let world = crate::support::Setup::adjusted(|settings| settings.ledger.open_add = true).start().await;
    let add = async |world: &World, entry: &str| {
        let call = Call::new("POST", &format!("{}/ledger/add", world.origin)).bare_body(entry);
        world.stranger().call(call).await.expect(200);
    };
    add(&world, "before everything").await;
    let a = world.party("hospital-a").await;
    let patient = a.create(&patient("1")).await;
    for number in 0..300 {
        add(&world, &format!("entry {number}")).await;
    }
    a.create(&observation(&format!("Patient/{patient}"))).await;
    let (folder, settings) = world.stop().await;
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(settings.storage.data_dir.join(file));
    }
    let world = World::try_open(folder, settings, hearthgate::clock::Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    let regulator = world.party("health-department").await;
    let zip = regulator.get(&format!("Patient/{patient}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let report = verify(&zip, &world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.leaves >= 4 && report.covers > 300, "{} {}", report.leaves, report.covers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_leaves_no_gap() {
    const MONTHS_S: u64 = 90 * 24 * 3600;
    let time = hearthgate::clock::ScriptedTime::starting_at(hearthgate::clock::Instant::from_seconds(1_795_000_000));
    let world = crate::support::Setup::default().at(&time).start().await;
    let patient = world.party("hospital-a").await.create(&patient("1")).await;
    time.advance(std::time::Duration::from_secs(MONTHS_S));
    world.party("hospital-a").await.create(&observation(&format!("Patient/{patient}"))).await;
    let (folder, settings) = world.stop().await;
    // The clock was put right, which is to say back, and the gateway started again.
    let right = hearthgate::clock::ScriptedTime::starting_at(hearthgate::clock::Instant::from_seconds(1_795_000_100));
    let world = World::try_open(folder, settings, right.clock()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"));
    world.party("hospital-a").await.create(&permit_to(&patient, "hospital-b")).await;
    let regulator = world.party("health-department").await;
    let zip = regulator.get(&format!("Patient/{patient}/$provenance-trail?_format=application/zip")).await.expect(200).bytes;
    let report = verify(&zip, &world.policy(), &Kept::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    // Three versions, their audit records, and the export.
    assert_eq!(report.leaves, 7);
}
