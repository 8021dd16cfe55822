//! A record that was one person's with others, until its source gave it other identifiers: what was filed about it, or about them, goes on denying.

use crate::support::data::{observation, permit, person};
use crate::support::party::ids;
use crate::support::world::OFFICER;
use crate::support::{Call, Party, Setup, World};
use serde_json::{Value, json};

/// One person with a record at each of two hospitals; everything is permitted of hospital A's.
struct Case {
    world: World,
    a: Party,
    b: Party,
    at_a: String,
    at_b: String,
    /// A measurement that hospital A made.
    seen: String,
}

impl Case {
    async fn new() -> Case {
        let world = World::start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let (at_a, at_b) = (a.create(&person("17")).await, b.create(&person("17")).await);
        let seen = a.create(&observation(&format!("Patient/{at_a}"))).await;
        a.create(&permit(&at_a)).await;
        Case { world, a, b, at_a, at_b, seen }
    }

    /// The same, where a consent about hospital B's record denies it everything.
    async fn denied() -> (Case, String) {
        let case = Case::new().await;
        assert_eq!(case.read().await, 200);
        let denial = case.a.create(&denial(&case.at_b)).await;
        assert_eq!(case.read().await, 404);
        (case, denial)
    }

    /// How hospital B's reading of the measurement is answered.
    async fn read(&self) -> u16 {
        self.b.get(&format!("Observation/{}", self.seen)).await.status
    }

    /// Hospital B gives its record another identifier of persons.
    async fn renumber(&self, number: &str) {
        put(&self.b, &self.at_b, person(number)).await;
    }

    async fn decide(&self, decision: &str, patients: &[&String]) -> u16 {
        self.world.desk("POST", "/people", &json!({"decision": decision, "patients": patients})).await.status
    }

    async fn questions(&self) -> Vec<Value> {
        let listed = self.world.desk("GET", "/work?kind=uncertain-match&status=requested", &json!(null)).await.expect(200).json();
        listed.as_array().unwrap().clone()
    }
}

fn denial(patient: &str) -> Value {
    let mut consent = permit(patient);
    consent["provision"] = json!({"type": "deny"});
    consent
}

async fn put(party: &Party, id: &str, mut record: Value) {
    record["id"] = json!(id);
    party.put(&format!("Patient/{id}"), &record).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_renumbers_a_record_is_still_denied() {
    let (case, denial) = Case::denied().await;
    for number in ["998", "997", "17", "996"] {
        case.renumber(number).await;
        assert_eq!(case.read().await, 404, "{number}");
    }
    // Nothing of the one is shown with the other.
    let theirs = case.b.create(&observation(&format!("Patient/{}", case.at_b))).await;
    assert_eq!(ids(&case.a.search(&format!("Observation?patient={}", case.at_a)).await), std::slice::from_ref(&case.seen));
    assert_eq!(ids(&case.b.search(&format!("Observation?patient={}", case.at_b)).await), [theirs]);
    // A denial that is taken back denies nothing any more.
    case.a.delete(&format!("Consent/{denial}")).await.expect(204);
    assert_eq!(case.read().await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_joins_another_person_is_not_out_of_reach_of_the_first() {
    let (case, _) = Case::denied().await;
    let laboratory = case.world.party("laboratory").await;
    laboratory.create(&person("18")).await;
    case.renumber("18").await;
    assert_eq!(case.world.party("operator").await.search("Linkage").await.len(), 2, "it was linked anew");
    assert_eq!(case.read().await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_filed_about_a_record_that_was_theirs_permits_nothing() {
    let case = Case::new().await;
    let of_b = case.b.create(&observation(&format!("Patient/{}", case.at_b))).await;
    let laboratory = case.world.party("laboratory").await;
    laboratory.get(&format!("Observation/{of_b}")).await.expect(200);
    case.renumber("998").await;
    laboratory.get(&format!("Observation/{of_b}")).await.expect(404);
    laboratory.get(&format!("Observation/{}", case.seen)).await.expect(200);
    // Nor does it stand in the way of what permits.
    case.a.create(&permit(&case.at_b)).await;
    laboratory.get(&format!("Observation/{of_b}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_may_says_that_they_are_two_persons() {
    // By the question that the change raised.
    let (case, _) = Case::denied().await;
    case.renumber("998").await;
    let asked = case.questions().await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    let both = asked[0].to_string();
    assert!(both.contains(&case.at_a) && both.contains(&case.at_b), "{both}");
    case.world.desk("POST", &format!("/work/{}", asked[0]["task"].as_str().unwrap()), &json!({"decision": "apart"})).await.expect(200);
    assert_eq!(case.read().await, 200);
    // Whoever sent the record cannot take it back, and brings no further denial with it.
    case.renumber("17").await;
    assert_eq!(case.read().await, 200);
    let audited = case.world.party("health-department").await.search(&format!("AuditEvent?patient=Patient/{}", case.at_b)).await;
    assert!(Value::from(audited).to_string().contains("kept apart"));

    // By the operator's own decision, from either side.
    for side in [0, 1] {
        let (case, _) = Case::denied().await;
        case.renumber("998").await;
        assert_eq!(case.decide("unlink", &[[&case.at_a, &case.at_b][side]]).await, 200);
        assert_eq!(case.read().await, 200);
        assert_eq!(case.decide("unlink", &[&case.at_b]).await, 404, "there is nothing left of the link");
    }
}

/// Each further record that was a person's is looked at with every decision: there is an end to it, and beyond it nothing is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_records_were_a_persons_has_an_end() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    for number in 100..166 {
        assert_eq!(case.read().await, 200, "{number}");
        // One identifier that very many have borne names nobody any more.
        put(&case.a, &case.at_a, person(&number.to_string())).await;
        let id = laboratory.create(&person(&number.to_string())).await;
        // Those count about which something was filed.
        case.a.create(&permit(&id)).await;
        put(&laboratory, &id, person(&format!("9{number}"))).await;
    }
    assert_eq!(case.read().await, 404);
    assert_eq!(case.decide("unlink", &[&case.at_a]).await, 200);
    assert_eq!(case.read().await, 200);
}

/// A denial about hospital A's record, and another source's record of the same person, of which hospital B may see everything. Who sends in between?
async fn denied_through(between: impl AsyncFn(&World)) -> u16 {
    let world = World::start().await;
    let (a, b, laboratory) = (world.party("hospital-a").await, world.party("hospital-b").await, world.party("laboratory").await);
    let at_a = a.create(&person("17")).await;
    a.create(&denial(&at_a)).await;
    between(&world).await;
    let there = laboratory.create(&person("17")).await;
    a.create(&permit(&there)).await;
    let seen = laboratory.create(&observation(&format!("Patient/{there}"))).await;
    b.get(&format!("Observation/{seen}")).await.status
}

/// Records of its own that a recipient sends of the same person keep others from being linked, and no denial from counting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_a_record_several_times_is_still_denied() {
    for sent in [0, 1, 2, 3, 5, 33] {
        let status = denied_through(async |world: &World| {
            let b = world.party("hospital-b").await;
            for _ in 0..sent {
                b.create(&person("17")).await;
            }
        });
        assert_eq!(status.await, 404, "{sent}");
    }
}

/// What a source says is one person's is denied together: a merge leaves no denial behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_goes_with_whoever_is_merged() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (before, after) = (a.create(&person("17")).await, a.create(&person("18")).await);
    a.create(&denial(&before)).await;
    a.create(&permit(&after)).await;
    let seen = a.create(&observation(&format!("Patient/{after}"))).await;
    assert_eq!(b.get(&format!("Observation/{seen}")).await.status, 200);
    let mut merged = person("17");
    (merged["active"], merged["link"]) =
        (json!(false), json!([{"other": {"reference": format!("Patient/{after}")}, "type": "replaced-by"}]));
    put(&a, &before, merged).await;
    assert_eq!(b.get(&format!("Observation/{seen}")).await.status, 404);
    // Nobody else's word does that.
    let theirs = b.create(&person("19")).await;
    let mut claimed = person("19");
    claimed["link"] = json!([{"other": {"reference": format!("Patient/{after}")}, "type": "refer"}]);
    put(&b, &theirs, claimed).await;
    a.create(&denial(&theirs)).await;
    assert_eq!(world.desk("POST", "/people", &json!({"decision": "unlink", "patients": [before]})).await.status, 200);
    assert_eq!(b.get(&format!("Observation/{seen}")).await.status, 200);
}

/// What was filed about a record goes with it: whoever erases it is told for whom else it counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_erases_one_record_of_a_person_is_told_what_stops_counting_for_the_others() {
    let world = Setup::configured(OFFICER).start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let officer = world.party_with("officer", "system/Patient.r").await;
    let laboratory = world.party("laboratory").await;
    let (at_a, at_laboratory) = (a.create(&person("17")).await, laboratory.create(&person("17")).await);
    let denied = a.create(&denial(&at_a)).await;
    a.create(&permit(&at_laboratory)).await;
    let seen = format!("Observation/{}", laboratory.create(&observation(&format!("Patient/{at_laboratory}"))).await);
    b.get(&seen).await.expect(404);
    let erase = async |patient: &str, more: &str| officer.call(Call::new("POST", &format!("Patient/{patient}/$erase{more}"))).await;
    let told = erase(&at_a, "").await.expect(422).text();
    for named in [format!("Consent/{denied}"), format!("Patient/{at_laboratory}")] {
        assert!(told.contains(&named), "{named}: {told}");
    }
    assert!(!told.contains("other patients"), "{told}");
    a.get(&format!("Patient/{at_a}")).await.expect(200);
    b.get(&seen).await.expect(404);
    // A record about which nothing was filed ends nothing, nor does one that is nobody else's.
    let alone = a.create(&person("18")).await;
    a.create(&denial(&alone)).await;
    erase(&alone, "").await.expect(200);
    let silent = b.create(&person("17")).await;
    erase(&silent, "").await.expect(200);
    a.delete(&format!("Consent/{denied}")).await.expect(204);
    let another = a.create(&denial(&at_a)).await;
    assert!(erase(&at_a, "").await.expect(422).text().contains(&another));
    erase(&at_a, "?shared=true").await.expect(200);
    let left = crate::support::world::documents(&world.data(), "Consent");
    assert!(!json!(left).to_string().contains(&at_a), "{left:#?}");
    b.get(&seen).await.expect(200);
}

/// Of very many records that one says are the same person's, so many are followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_records_one_is_merged_with_has_an_end() {
    for (denied, status) in [(0, 404), (31, 404), (32, 200)] {
        let world = World::start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        let kept = a.create(&person("99")).await;
        a.create(&permit(&kept)).await;
        let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{kept}"))).await);
        let mut links = Vec::new();
        for number in 0..33 {
            let merged = a.create(&person(&format!("{}", 100 + number))).await;
            if number == denied {
                a.create(&denial(&merged)).await;
            }
            links.push(json!({"other": {"reference": format!("Patient/{merged}")}, "type": "replaces"}));
        }
        let mut linking = person("99");
        linking["link"] = json!(links);
        put(&a, &kept, linking).await;
        assert_eq!(b.get(&seen).await.status, status, "{denied}");
    }
}

/// Whoever knows a number of somebody's does not take them out of the exchange by writing and deleting records of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_number_that_come_and_go_hide_nobody() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    for round in 0..3 {
        let mut written = Vec::new();
        for _ in 0..28 {
            written.push(laboratory.create(&person("17")).await);
        }
        assert_eq!(case.read().await, 200, "{round}");
        for id in written {
            laboratory.delete(&format!("Patient/{id}")).await.expect(204);
        }
    }
    assert_eq!(case.read().await, 200);
}

/// What was signed under the number of a record that was merged and deleted may be filed after another was merged into the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_of_a_merged_and_deleted_record_is_heard_after_another_merge() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let (merged, kept, other) = (a.create(&person("1")).await, a.create(&person("2")).await, a.create(&person("3")).await);
    a.create(&permit(&kept)).await;
    let seen = format!("Observation/{}", a.create(&observation(&format!("Patient/{kept}"))).await);
    let linking = |replaced: &[&String]| {
        let mut kept = person("2");
        let links = replaced.iter().map(|id| json!({"other": {"reference": format!("Patient/{id}")}, "type": "replaces"}));
        kept["link"] = links.collect();
        kept
    };
    put(&a, &kept, linking(&[&merged])).await;
    a.delete(&format!("Patient/{merged}")).await.expect(204);
    put(&a, &kept, linking(&[&merged, &other])).await;
    assert_eq!(b.get(&seen).await.status, 200);
    a.create(&denial(&merged)).await;
    assert_eq!(b.get(&seen).await.status, 404);
}

/// Two records of one source that come together are as those that come one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_reaches_the_other_of_two_records_that_came_together() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    for kind in ["transaction", "batch"] {
        let entry = |id: &str| {
            let mut patient = person(&format!("17{kind}"));
            patient["id"] = json!(id);
            json!({"resource": patient, "request": {"method": "PUT", "url": format!("Patient/{id}")}})
        };
        let (one, other) = (format!("x{kind}"), format!("y{kind}"));
        a.post("", &json!({"resourceType": "Bundle", "type": kind, "entry": [entry(&one), entry(&other)]})).await.expect(200);
        a.create(&denial(&one)).await;
        a.create(&permit(&other)).await;
        let seen = a.create(&observation(&format!("Patient/{other}"))).await;
        assert_eq!(b.get(&format!("Observation/{seen}")).await.status, 404, "{kind}");
    }
}

/// One number and another birth date: until somebody has said that they are two persons a denial counts for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_holds_while_it_is_asked_whether_two_are_one() {
    let case = Case::new().await;
    let laboratory = case.world.party("laboratory").await;
    let mut other = person("17");
    other["birthDate"] = json!("1971-03-01");
    let there = laboratory.create(&other).await;
    let seen = laboratory.create(&observation(&format!("Patient/{there}"))).await;
    case.a.create(&permit(&there)).await;
    assert_eq!(case.b.get(&format!("Observation/{seen}")).await.status, 200);
    case.a.create(&denial(&case.at_a)).await;
    assert_eq!(case.b.get(&format!("Observation/{seen}")).await.status, 404);
    for asked in case.questions().await {
        case.world.desk("POST", &format!("/work/{}", asked["task"].as_str().unwrap()), &json!({"decision": "apart"})).await.expect(200);
    }
    assert_eq!(case.b.get(&format!("Observation/{seen}")).await.status, 200);
}

/// A source's word that two records are one person's, however it says it and whenever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_is_understood_however_it_is_said() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    let record = |id: &str, links: Value| {
        let mut patient = person(id);
        (patient["id"], patient["link"]) = (json!(id), links);
        if patient["link"] == json!([]) {
            patient.as_object_mut().unwrap().remove("link");
        }
        patient
    };
    let link = |kind: &str, id: &str| json!([{"type": kind, "other": {"reference": format!("Patient/{id}")}}]);
    let write = async |id: &str, links: Value| {
        let answer = a.put(&format!("Patient/{id}"), &record(id, links)).await;
        assert!(answer.status < 300, "{id}: {}", answer.text());
    };
    for how in ["chain", "before", "deleted", "identifier", "contained", "person", "none"] {
        let [x, m, y] = ["x", "m", "y"].map(|name| format!("{name}-{how}"));
        if how != "before" {
            write(&x, json!([])).await;
            a.create(&denial(&x)).await;
        }
        if how != "deleted" {
            write(&y, json!([])).await;
        }
        match how {
            "chain" => {
                write(&m, json!([])).await;
                write(&x, link("replaced-by", &m)).await;
                write(&m, link("replaced-by", &y)).await;
            }
            "before" => {
                write(&y, link("replaces", &x)).await;
                write(&x, json!([])).await;
                a.create(&denial(&x)).await;
            }
            "deleted" => {
                a.delete(&format!("Patient/{x}")).await.expect(204);
                write(&y, link("replaces", &x)).await;
            }
            "identifier" => write(&x, json!([{"type": "replaced-by", "other": {"identifier": person(&y)["identifier"][0]}}])).await,
            "contained" => {
                let mut merged = record(&x, json!([{"type": "replaced-by", "other": {"reference": "#p"}}]));
                merged["contained"] = json!([{"resourceType": "Patient", "id": "p", "identifier": person(&y)["identifier"]}]);
                a.put(&format!("Patient/{x}"), &merged).await.expect(200);
            }
            "person" => {
                let target = |id: &str| json!({"target": {"reference": format!("Patient/{id}")}});
                a.create(&json!({"resourceType": "Person", "link": [target(&x), target(&y)]})).await;
            }
            _ => {}
        }
        a.create(&permit(&y)).await;
        let seen = a.create(&observation(&format!("Patient/{y}"))).await;
        let expected = if how == "none" { 200 } else { 404 };
        assert_eq!(b.get(&format!("Observation/{seen}")).await.status, expected, "{how}");
    }
}
