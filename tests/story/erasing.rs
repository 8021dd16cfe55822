//! Erasing whom a record was about before it was corrected to be another's.

use super::trail::resources;
use crate::support::data::{observation, patient};
use crate::support::two_patients::TwoPatients;
use hearthgate::anchor::verify_receipt;
use hearthgate::evidence::{Kept, Report, verify};
use serde_json::{Value, json};

pub(super) struct Case(TwoPatients);

impl std::ops::Deref for Case {
    type Target = TwoPatients;

    fn deref(&self) -> &TwoPatients {
        &self.0
    }
}

impl Case {
    pub(super) async fn new() -> Case {
        Case(TwoPatients::new().await)
    }

    pub(super) fn of(inner: TwoPatients) -> Case {
        Case(inner)
    }

    pub(super) fn into_inner(self) -> TwoPatients {
        self.0
    }

    pub(super) fn noted(&self, about: &str, note: &str) -> Value {
        let mut resource = observation(&format!("Patient/{about}"));
        resource["note"] = json!([{ "text": note }]);
        resource
    }

    /// A record that says one thing after another, each about somebody.
    pub(super) async fn record(&self, versions: &[(&str, &str)]) -> String {
        let id = self.a.create(&self.noted(versions[0].0, versions[0].1)).await;
        for (about, note) in &versions[1..] {
            let mut next = self.noted(about, note);
            (next["id"], next["status"]) = (json!(id), json!("corrected"));
            self.a.put(&format!("Observation/{id}"), &next).await.expect(200);
        }
        id
    }

    /// The path of a new record.
    pub(super) async fn created(&self, resource: &Value) -> String {
        format!("{}/{}", resource["resourceType"].as_str().unwrap(), self.a.create(resource).await)
    }

    pub(super) async fn package(&self, of: &str) -> Vec<u8> {
        self.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await.expect(200).bytes
    }

    pub(super) async fn report(&self, of: &str) -> Report {
        let report = verify(&self.package(of).await, &self.world.policy(), &Kept::default()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "{of}");
        report
    }

    pub(super) async fn verify(&self, of: &str) -> usize {
        self.report(of).await.closed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_corrected_to_be_anothers_stays_and_what_was_before_goes() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let moved = case.record(&[(one, "unmistakable-1"), (one, "unmistakable-2"), (two, "rightly filed")]).await;
    let deleted = case.record(&[(one, "unmistakable-3"), (two, "deleted later")]).await;
    case.a.delete(&format!("Observation/{deleted}")).await.expect(204);
    let back = case.record(&[(one, "unmistakable-4"), (two, "the second's once"), (one, "unmistakable-6")]).await;
    let mut receipts = Vec::new();
    for number in [1, 3] {
        receipts.push(case.a.get(&format!("Observation/{moved}/_history/{number}/$receipt")).await.expect(200).text());
    }
    let told = case.erase(one, "").await.expect(200).text();
    assert!(told.contains("5 version(s)"), "{told}");
    for (path, status) in [
        (format!("Observation/{moved}"), 200),
        (format!("Observation/{moved}/_history/3"), 200),
        (format!("Observation/{moved}/_history/2"), 404),
        (format!("Observation/{moved}/_history/1"), 404),
        (format!("Observation/{moved}/_history/1/$receipt"), 404),
        (format!("Observation/{deleted}"), 410),
        (format!("Observation/{deleted}/_history/2"), 200),
        (format!("Observation/{deleted}/_history/1"), 404),
        (format!("Observation/{back}"), 410),
        (format!("Observation/{back}/_history/1"), 404),
        (format!("Observation/{back}/_history/2"), 200),
        (format!("Observation/{back}/_history/3"), 404),
        (format!("Patient/{one}"), 404),
        (format!("Patient/{two}"), 200),
    ] {
        assert_eq!(case.a.get(&path).await.status, status, "{path}");
    }
    let history = case.a.get(&format!("Observation/{moved}/_history")).await.expect(200).json();
    assert_eq!(resources(&history, "Observation").len(), 1);
    for receipt in receipts {
        verify_receipt(&receipt, &case.world.policy(), None).unwrap();
    }
    for word in ["unmistakable", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    let trail = case.regulator.get(&format!("Patient/{two}/$provenance-trail")).await.expect(200).json();
    assert!(trail.to_string().contains(&format!("Observation/{moved}/_history/3")));
    for of in [format!("Patient/{two}"), format!("Observation/{moved}"), format!("Observation/{deleted}")] {
        assert!(case.verify(&of).await > 0, "{of}: the leaf that says that something was erased");
    }
    goes_on(case, &moved).await;
}

/// The record is written on, and goes with whose it is now; after a start all of it still fits.
async fn goes_on(case: Case, moved: &str) {
    let two = case.second.clone();
    let mut next = case.noted(&two, "more of the second");
    next["id"] = json!(moved);
    case.a.put(&format!("Observation/{moved}"), &next).await.expect(200);
    let TwoPatients { world, first, .. } = case.0;
    let case = Case(TwoPatients::of(world.restart(|_| ()).await, first, two.clone()).await);
    case.verify(&format!("Observation/{moved}")).await;
    case.erase(&two, "").await.expect(200);
    case.a.get(&format!("Observation/{moved}")).await.expect(404);
    assert_eq!(super::trail::holds(&case.world.data(), "more of the second"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_about_both_goes_only_when_that_is_said() {
    let case = Case::new().await;
    let (one, two) = (&case.first, &case.second);
    let member = |id: &str| json!({"entity": {"reference": format!("Patient/{id}")}});
    let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "member": [member(one), member(two)]});
    let id = case.a.create(&group).await;
    (group["id"], group["member"]) = (json!(id), json!([member(two)]));
    case.a.put(&format!("Group/{id}"), &group).await.expect(200);
    case.erase(one, "").await.expect(422);
    case.erase(one, "?shared=true").await.expect(200);
    case.a.get(&format!("Group/{id}")).await.expect(200);
    case.a.get(&format!("Group/{id}/_history/1")).await.expect(404);
}

/// What a record says, version by version, and what of it is left once the first is erased.
struct Told {
    /// Whom each version is about: `1`, `2`, both, or nobody; `-` is a deletion.
    versions: &'static [&'static str],
    /// Whether it must be said that what is about others too goes.
    asks: bool,
    /// The versions that stay.
    stay: &'static [usize],
    /// What reading the record answers.
    current: u16,
}

const TOLD: [Told; 12] = [
    Told { versions: &["1", "2"], asks: false, stay: &[2], current: 200 },
    Told { versions: &["1", "-"], asks: false, stay: &[], current: 404 },
    Told { versions: &["1", ""], asks: false, stay: &[], current: 404 },
    Told { versions: &["1", "", "2"], asks: false, stay: &[3], current: 200 },
    Told { versions: &["1", "2", ""], asks: false, stay: &[2, 3], current: 200 },
    Told { versions: &["2", "1"], asks: false, stay: &[1], current: 410 },
    Told { versions: &["2", "1", "-"], asks: false, stay: &[1], current: 410 },
    Told { versions: &["2", "1", "-", "2"], asks: false, stay: &[1, 4], current: 200 },
    Told { versions: &["12", "-"], asks: true, stay: &[], current: 404 },
    Told { versions: &["12", "1"], asks: true, stay: &[], current: 404 },
    Told { versions: &["2", "12"], asks: true, stay: &[1], current: 410 },
    Told { versions: &["2", "12", "2"], asks: true, stay: &[1, 3], current: 200 },
];

impl Told {
    async fn check(&self, case: &Case, number: usize) {
        let (one, two) = (case.a.create(&patient(&format!("{number}-1"))).await, case.a.create(&patient(&format!("{number}-2"))).await);
        let group = |about: &str, word: &str| {
            let ids = [("1", &one), ("2", &two)].into_iter().filter(|(sign, _)| about.contains(sign)).map(|(_, id)| id);
            let members: Vec<Value> = ids.map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
            let mut group = json!({"resourceType": "Group", "type": "person", "actual": true, "name": word});
            if !members.is_empty() {
                group["member"] = json!(members);
            }
            group
        };
        let word = |version: usize| format!("said-{number}-{version}.");
        let id = case.a.create(&group(self.versions[0], &word(1))).await;
        let path = format!("Group/{id}");
        for (about, version) in self.versions.iter().zip(1..).skip(1) {
            if *about == "-" {
                case.a.delete(&path).await.expect(204);
            } else {
                let mut next = group(about, &word(version));
                next["id"] = json!(id);
                assert!(case.a.put(&path, &next).await.status < 300, "{:?}", self.versions);
            }
        }
        let history = async || case.a.get(&format!("{path}/_history")).await.json();
        if self.asks {
            let before = history().await;
            case.erase(&one, "").await.expect(422);
            assert_eq!(history().await["entry"], before["entry"], "{:?}", self.versions);
        }
        case.erase(&one, if self.asks { "?shared=true" } else { "" }).await.expect(200);
        assert_eq!(case.a.get(&path).await.status, self.current, "{:?}", self.versions);
        let named = |version: usize| super::trail::holds(&case.world.data(), &word(version)).is_some();
        for version in (1..=self.versions.len()).filter(|version| self.versions[version - 1] != "-") {
            let (status, stays) = (case.a.get(&format!("{path}/_history/{version}")).await.status, self.stay.contains(&version));
            assert_eq!((status == 200, named(version)), (stays, stays), "{:?} {version}: {status}", self.versions);
        }
        assert_eq!(super::trail::holds(&case.world.data(), &one), None, "{:?}", self.versions);
        case.verify(&format!("Patient/{two}")).await;
        if !self.stay.is_empty() {
            case.verify(&path).await;
            let mut next = group("2", "goes on");
            next["id"] = json!(id);
            assert!(case.a.put(&path, &next).await.status < 300, "{:?}", self.versions);
            case.verify(&path).await;
            case.verify(&format!("Patient/{two}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_a_version_is_decides_whether_it_goes() {
    let case = Case::new().await;
    for (told, number) in TOLD.iter().zip(0..) {
        told.check(&case, number).await;
    }
    case.0.world.restart(|_| ()).await;
}

/// Wherever a record of another's names who goes, in whichever version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_version_of_anothers_record_names_who_was_erased() {
    let case = Case::new().await;
    let (one, two) = (case.first.as_str(), case.second.as_str());
    let person = |display: &str| json!({"reference": format!("Patient/{one}"), "display": display});
    let plain = || case.noted(two, "plain");
    let performed = || {
        let mut resource = plain();
        resource["performer"] = json!([person("Named-1")]);
        resource
    };
    let mut authored = plain();
    authored["note"][0]["authorReference"] = person("Named-2");
    let mut linked = patient("linked");
    linked["link"] = json!([{"type": "seealso", "other": person("Named-3")}]);
    let mut ids = Vec::new();
    for (first, then) in [(performed(), Some(plain())), (performed(), None), (authored, Some(plain())), (linked, Some(patient("linked")))] {
        let id = case.a.create(&first).await;
        let path = format!("{}/{id}", first["resourceType"].as_str().unwrap());
        match then {
            Some(mut next) => {
                next["id"] = json!(id);
                case.a.put(&path, &next).await.expect(200);
            }
            None => drop(case.a.delete(&path).await.expect(204)),
        }
        ids.push(path);
    }
    case.erase(one, "").await.expect(422);
    for path in &ids {
        assert_eq!(case.a.get(&format!("{path}/_history/1")).await.status, 200, "{path}: nothing was done");
    }
    case.erase(one, "?shared=true").await.expect(200);
    for word in ["Named-", one] {
        assert_eq!(super::trail::holds(&case.world.data(), word), None, "{word}");
    }
    for (path, status) in ids.iter().zip([200, 404, 200, 200]) {
        assert_eq!(case.a.get(path).await.status, status, "{path}");
        assert_eq!(case.a.get(&format!("{path}/_history/1")).await.status, 404, "{path}");
    }
    for path in [&ids[0], &ids[2], &ids[3], &format!("Patient/{two}")] {
        case.verify(path).await;
    }
}
