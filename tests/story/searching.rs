//! Searching one type: parameters, order, pages, totals, and what is refused.

use crate::support::data::{MRN, observation, patient};
use crate::support::party::ids;
use crate::support::world::escape;
use crate::support::{Call, Setup, World};
use hearthgate::clock::{Instant, ScriptedTime};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_find_what_matches_and_nothing_else() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    let mut ada = patient("1");
    ada["meta"] = json!({
        "profile": ["http://example.org/StructureDefinition/x"],
        "tag": [{"system": "http://example.org/tags", "code": "red"}],
        "security": [{"system": "http://example.org/labels", "code": "quiet"}]
    });
    let ada = a.create(&ada).await;
    let mut bob = patient("2");
    (bob["name"], bob["gender"], bob["birthDate"]) = (json!([{"family": "Möller", "given": ["Bob"]}]), json!("male"), json!("1985"));
    bob["link"] = json!([{"other": {"reference": format!("Patient/{ada}")}, "type": "seealso"}]);
    let bob = a.create(&bob).await;
    let seen = a.create(&observation(&format!("Patient/{ada}"))).await;
    let mut high = observation(&format!("Patient/{bob}"));
    (high["valueQuantity"]["value"], high["effectiveDateTime"]) = (json!(17.5), json!("2025-01"));
    let high = a.create(&high).await;
    let (ada, bob, seen, high) = (ada.as_str(), bob.as_str(), seen.as_str(), high.as_str());

    let cases: Vec<(String, Vec<&str>)> = vec![
        ("Patient".into(), vec![ada, bob]),
        (format!("Patient?_id={ada}"), vec![ada]),
        (format!("Patient?_id={ada},{bob}"), vec![ada, bob]),
        (format!("Patient?identifier={MRN}|1"), vec![ada]),
        ("Patient?identifier=2".into(), vec![bob]),
        (format!("Patient?identifier={MRN}|"), vec![ada, bob]),
        ("Patient?family=moo".into(), vec![ada]),
        ("Patient?family=moller".into(), vec![bob]),
        ("Patient?family:exact=Moor".into(), vec![ada]),
        ("Patient?family:exact=moor".into(), vec![]),
        ("Patient?family:contains=ll".into(), vec![bob]),
        ("Patient?name=bob".into(), vec![bob]),
        ("Patient?gender=male".into(), vec![bob]),
        ("Patient?gender:not=male".into(), vec![ada]),
        ("Patient?gender=male,female".into(), vec![ada, bob]),
        ("Patient?gender=male&family=moor".into(), vec![]),
        ("Patient?birthdate=1970-03-01".into(), vec![ada]),
        ("Patient?birthdate=1985".into(), vec![bob]),
        ("Patient?birthdate=lt1980".into(), vec![ada]),
        ("Patient?birthdate=ge1980&birthdate=le1990".into(), vec![bob]),
        ("Patient?_profile=http://example.org/StructureDefinition/x".into(), vec![ada]),
        ("Patient?_tag=http://example.org/tags|red".into(), vec![ada]),
        ("Patient?_tag:not=http://example.org/tags|red".into(), vec![bob]),
        ("Patient?_security=quiet".into(), vec![ada]),
        ("Patient?_lastUpdated=gt2020-01-01".into(), vec![ada, bob]),
        ("Patient?_lastUpdated=lt2020-01-01".into(), vec![]),
        (format!("Patient?link=Patient/{ada}"), vec![bob]),
        ("Patient?link:missing=false".into(), vec![bob]),
        ("Patient?link:missing=true".into(), vec![ada]),
        (format!("Observation?subject=Patient/{ada}"), vec![seen]),
        (format!("Observation?patient={bob}"), vec![high]),
        (format!("Observation?subject:Patient={bob}"), vec![high]),
        (format!("Observation?subject={}/fhir/Patient/{bob}", world.origin), vec![high]),
        ("Observation?code=http://loinc.org|718-7".into(), vec![seen, high]),
        ("Observation?code=urn:oid:2.16.840.1.113883.6.1|718-7".into(), vec![seen, high]),
        ("Observation?code=http://example.org|718-7".into(), vec![]),
        ("Observation?value-quantity=13.2|http://unitsofmeasure.org|g/dL".into(), vec![seen]),
        ("Observation?value-quantity=gt15".into(), vec![high]),
        ("Observation?value-quantity=lt15||g/dL".into(), vec![seen]),
        ("Observation?date=2026-11-20".into(), vec![seen]),
        ("Observation?date=2025".into(), vec![high]),
        ("Observation?date=sa2025-06".into(), vec![seen]),
        ("Observation?status=final".into(), vec![seen, high]),
        ("Observation?status=amended".into(), vec![]),
    ];
    for (query, expected) in cases {
        let got = a.get(&query).await.expect(200);
        let mut found = ids(&got.matches());
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(|&id| id.to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected, "GET {query}");
        assert_eq!(got.json()["total"], json!(expected.len()), "total of {query}");
        assert!(got.link("self").unwrap().starts_with(&format!("{}/fhir/", world.origin)));
        // The same by POST, in a form.
        let (type_name, form) = query.split_once('?').unwrap_or((&query, ""));
        let posted = a.call(Call::new("POST", &format!("{type_name}/_search")).form(&encoded(form))).await.expect(200);
        assert_eq!(ids(&posted.matches()).len(), expected.len(), "POST {query}");
    }
}

fn encoded(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_sealed_and_belong_to_who_asked() {
    let world = World::start().await;
    let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
    for number in 0..7 {
        let mut one = patient(&number.to_string());
        one["birthDate"] = json!(format!("198{number}-01-01"));
        a.create(&one).await;
    }
    let born = |answer: &crate::support::Answer| -> Vec<String> {
        answer.matches().iter().map(|patient| patient["birthDate"].as_str().unwrap()[..4].to_owned()).collect()
    };
    let mut pages = Vec::new();
    let mut next = Some("Patient?_count=3&_sort=-birthdate".to_owned());
    let mut links = Vec::new();
    while let Some(path) = next {
        let page = a.get(&path).await.expect(200);
        assert_eq!(page.json()["total"], 7);
        pages.push(born(&page));
        next = page.link("next");
        links.extend(next.clone());
        assert!(pages.len() < 5, "pages that never end");
    }
    assert_eq!(pages, [vec!["1986", "1985", "1984"], vec!["1983", "1982", "1981"], vec!["1980"]]);

    let link = &links[0];
    assert!(!link.contains("birthdate"), "a page link shows nothing of the query: {link}");
    assert_eq!(b.get(link).await.expect(400).issue(), "expired", "it belongs to who asked");
    let tampered = format!("{}A", &link[..link.len() - 1]);
    let tampered = if tampered == *link { format!("{}B", &link[..link.len() - 1]) } else { tampered };
    a.get(&tampered).await.expect(400).issue();
    a.get(&link.replace("/Patient?", "/Observation?")).await.expect(400).issue();
    a.get("Patient?_page=").await.expect(400).issue();
    assert_eq!(a.get(&format!("{link}&birthdate=1986-01-01")).await.expect(400).issue(), "not-supported", "it says all that is asked");
    a.get(&format!("{link}&_format=json")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_totals_and_counts_are_as_asked() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    for (number, family) in [("1", "Cole"), ("2", "Abel"), ("3", "Bond")] {
        let mut one = patient(number);
        one["name"] = json!([{"family": family}]);
        a.create(&one).await;
    }
    let families = async |query: &str| -> Vec<String> {
        let found = a.search(query).await;
        found.iter().map(|patient| patient["name"][0]["family"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(families("Patient?_sort=family").await, ["Abel", "Bond", "Cole"]);
    assert_eq!(families("Patient?_sort=-family").await, ["Cole", "Bond", "Abel"]);
    assert_eq!(families("Patient?_sort=gender,-family").await, ["Cole", "Bond", "Abel"]);

    let counted = a.get("Patient?_summary=count").await.expect(200).json();
    assert_eq!((counted["total"].as_u64(), counted["entry"].is_null()), (Some(3), true));
    let none = a.get("Patient?_count=0").await.expect(200).json();
    assert_eq!((none["total"].as_u64(), none["entry"].is_null()), (Some(3), true));
    assert!(a.get("Patient?_total=none").await.expect(200).json()["total"].is_null());
    assert_eq!(a.get("Patient?_total=accurate").await.expect(200).json()["total"], 3);
    let one = a.get("Patient?_count=1").await.expect(200);
    assert_eq!(one.matches().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_refused_or_said() {
    let world = World::start().await;
    let a = world.party("hospital-a").await;
    a.create(&patient("1")).await;

    let refused = a.get("Patient?frobnicate=1").await.expect(400);
    assert_eq!(refused.issue(), "not-supported");
    assert_eq!(refused.json()["issue"][0]["expression"][0], "frobnicate");
    let lenient = a.call(Call::get("Patient?frobnicate=1&gender=female").header("prefer", "handling=lenient")).await.expect(200);
    assert_eq!(lenient.matches().len(), 1);
    let used = lenient.link("self").unwrap();
    assert!(used.contains("gender=female") && !used.contains("frobnicate"), "the self link says what was used: {used}");
    let entries = lenient.json()["entry"].as_array().unwrap().clone();
    assert!(entries.iter().any(|entry| entry["search"]["mode"] == "outcome"), "and an outcome says what was not");

    // Leaving one of these out would change the answer, so even lenient handling refuses.
    for query in [
        "_include=Patient:name",
        "_revinclude=Observation:code",
        "_has:Observation:patient=1",
        "general-practitioner.colour=x",
        "_filter=name eq x",
        "_text=x",
        "_content=x",
        "_list=1",
        "_query=x",
        "gender:frobnicate=male",
        "birthdate=yesterday",
        "birthdate=zz2020",
        "_lastUpdated=x",
        "_count=-1",
        "_count=many",
        "_sort=frobnicate",
        "_summary=maybe",
        "_total=perhaps",
        "link:missing=perhaps",
        "_summary=true&_elements=name",
    ] {
        for handling in ["strict", "lenient"] {
            let call = Call::get(&format!("Patient?{query}")).header("prefer", &format!("handling={handling}"));
            let answer = a.call(call).await;
            assert_eq!(answer.status, 400, "{query}, {handling}: {}", answer.text());
            answer.issue();
        }
    }
    a.get("?_type=Patient").await.expect(400).issue();
    a.call(Call::new("POST", "_search").form("_type=Patient")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_link_ends() {
    let time = ScriptedTime::starting_at(Instant::from_fhir_instant("2026-06-01T12:00:00Z").unwrap());
    let world = Setup::default().at(&time).start().await;
    let a = world.party("hospital-a").await;
    for number in 0..3 {
        a.create(&patient(&number.to_string())).await;
    }
    let link = a.get("Patient?_count=2").await.expect(200).link("next").unwrap();
    // It outlives the token with which it was asked for, and not much else.
    time.advance(Duration::from_secs(600));
    let a = world.party("hospital-a").await;
    assert_eq!(a.search(&link).await.len(), 1);
    time.advance(Duration::from_secs(301));
    let a = world.party("hospital-a").await;
    assert_eq!(a.get(&link).await.expect(400).issue(), "expired");
}
