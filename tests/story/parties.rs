//! Whom a consent names is more than who bears the name: departments that are part of others by name, members of teams, guardians, very many.

use crate::support::data::{ORGANISATIONS, bundle, creates, observation, patient, permit, permit_to, person};
use crate::support::world::OFFICER;
use crate::support::{Call, Party, Setup, World};
use serde_json::{Value, json};

struct Scene {
    world: World,
    a: Party,
    b: Party,
}

async fn scene() -> Scene {
    Scene::of(Setup::default()).await
}

impl Scene {
    async fn of(setup: Setup) -> Scene {
        let world = setup.start().await;
        let (a, b) = (world.party("hospital-a").await, world.party("hospital-b").await);
        Scene { world, a, b }
    }

    /// A patient with a consent of which the provision is given; answers the id of an Observation of theirs.
    async fn seen_under(&self, patient: &Value, provision: Value, more: Value) -> String {
        let id = self.a.create(patient).await;
        let seen = format!("Observation/{}", self.a.create(&observation(&format!("Patient/{id}"))).await);
        let mut consent = permit(&id);
        consent["provision"] = provision;
        consent.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.a.create(&consent).await;
        seen
    }

    /// What hospital B gets where everybody is permitted but one actor.
    async fn seen_but_by(&self, number: &str, actor: Value) -> String {
        self.seen_under(&patient(number), json!({"type": "permit", "provision": [{"type": "deny", "actor": [of(actor)]}]}), json!({})).await
    }
}

fn of(reference: Value) -> Value {
    json!({
        "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
        "reference": reference
    })
}

fn organisation(name: &str, more: Value) -> Value {
    let mut organisation = json!({"resourceType": "Organization", "name": name, "identifier": [{"system": ORGANISATIONS, "value": name}]});
    organisation.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    organisation
}

fn by_name(name: &str) -> Value {
    json!({"identifier": {"system": ORGANISATIONS, "value": name}})
}

fn to(kind: &str, id: &str) -> Value {
    json!({"reference": format!("{kind}/{id}")})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_to_a_hospital_holds_for_its_departments() {
    let scene = scene().await;
    let laboratory = scene.world.party("laboratory").await;
    let trust = scene.a.create(&organisation("trust", json!({}))).await;
    let hospital = scene.a.create(&organisation("hospital", json!({"partOf": to("Organization", &trust)}))).await;
    let mut both = to("Organization", &trust);
    both["identifier"] = by_name("trust")["identifier"].clone();
    let mut seen = Vec::new();
    for (number, actor) in
        [to("Organization", &hospital), by_name("hospital"), to("Organization", &trust), by_name("trust"), both].into_iter().enumerate()
    {
        seen.push(scene.seen_but_by(&number.to_string(), actor).await);
    }
    let open = scene.seen_but_by("open", by_name("another")).await;
    for path in seen.iter().chain([&open]) {
        scene.b.get(path).await.expect(200);
    }
    // Its own record says whose department hospital B is, by reference or by identifier.
    let department = scene.a.create(&organisation("hospital-b", json!({}))).await;
    for whole in [Some(to("Organization", &hospital)), None, Some(by_name("hospital"))] {
        let mut record = organisation("hospital-b", json!({"id": department}));
        if let Some(whole) = &whole {
            record["partOf"] = whole.clone();
        }
        scene.a.put(&format!("Organization/{department}"), &record).await.expect(200);
        for path in &seen {
            // Twice, so that what the first one compiled is there for the second; another organisation is none of its departments.
            for _ in 0..2 {
                scene.b.get(path).await.expect(if whole.is_some() { 404 } else { 200 });
            }
            laboratory.get(path).await.expect(200);
        }
        scene.b.get(&open).await.expect(200);
    }
    scene.a.delete(&format!("Organization/{department}")).await;
    scene.b.get(&seen[0]).await.expect(200);
    // Departments that are part of each other end nothing.
    let other = scene.a.create(&organisation("hospital-b", json!({"partOf": to("Organization", &trust)}))).await;
    let around = organisation("trust", json!({"id": trust, "partOf": to("Organization", &other)}));
    scene.a.put(&format!("Organization/{trust}"), &around).await.expect(200);
    scene.b.get(&seen[2]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_teams_are_known_by_their_records() {
    let scene = scene().await;
    let b = scene.a.create(&organisation("hospital-b", json!({}))).await;
    let other = scene.a.create(&organisation("another", json!({}))).await;
    let team = |member: Value| json!({"resourceType": "CareTeam", "status": "active", "participant": [{"member": member}]});
    for (number, (id, is_member)) in [(&b, true), (&other, false)].into_iter().enumerate() {
        let direct = scene.a.create(&team(to("Organization", id))).await;
        let within = scene.a.create(&team(to("CareTeam", &direct))).await;
        for (way, actor) in [to("CareTeam", &direct), to("CareTeam", &within)].into_iter().enumerate() {
            let permitted = scene
                .seen_under(&patient(&format!("p{number}{way}")), json!({"type": "permit", "actor": [of(actor.clone())]}), json!({}))
                .await;
            assert_eq!(scene.b.get(&permitted).await.status, if is_member { 200 } else { 404 }, "permit {actor}");
            let denied = scene.seen_but_by(&format!("d{number}{way}"), actor.clone()).await;
            assert_eq!(scene.b.get(&denied).await.status, if is_member { 404 } else { 200 }, "deny {actor}");
        }
    }
}

/// A guardian's consent of long ago for a patient with some members.
async fn given_by_a_guardian(scene: &Scene, patient: &Value, actors: usize) -> String {
    let others = (0..actors).map(|number| of(to("Organization", &format!("AA{number}"))));
    let actors: Vec<Value> = others.chain([of(by_name("hospital-b"))]).collect();
    let giver = json!({"type": "RelatedPerson", "identifier": {"system": "urn:oid:1.3.6.1.9", "value": "mother"}});
    scene.seen_under(patient, json!({"type": "permit", "actor": actors}), json!({"dateTime": "2010-01-01", "performer": [giver]})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guardians_permit_ends_with_majority_whatever_else_the_consent_names() {
    let scene = scene().await;
    let born = |number: String, date: Option<&str>| {
        let mut child = patient(&number);
        child["birthDate"] = json!(date);
        if date.is_none() {
            child.as_object_mut().unwrap().remove("birthDate");
        }
        child
    };
    for (number, (date, actors, status)) in [
        (Some("2020-01-01"), 0, 200),
        (Some("2000-01-01"), 0, 404),
        (Some("2000-01-01"), 210, 404),
        (Some("2020-01-01"), 210, 200),
        (None, 0, 404),
    ]
    .into_iter()
    .enumerate()
    {
        let path = given_by_a_guardian(&scene, &born(number.to_string(), date), actors).await;
        assert_eq!(scene.b.get(&path).await.status, status, "{date:?} {actors}");
    }
}

/// What is known of the person by another record of theirs counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guardians_permit_ends_by_any_record_of_the_person() {
    let scene = scene().await;
    let lab = scene.world.party("laboratory").await;
    let mut unborn = person("7");
    unborn.as_object_mut().unwrap().remove("birthDate");
    let path = given_by_a_guardian(&scene, &unborn, 0).await;
    scene.b.get(&path).await.expect(404);
    let mut child = person("7");
    child["birthDate"] = json!("2020-01-01");
    let other = lab.create(&child).await;
    // What others say makes nobody a child again of whom their own record does not say it.
    scene.b.get(&path).await.expect(404);
    child["birthDate"] = json!("2000-01-01");
    child["id"] = json!(other);
    lab.put(&format!("Patient/{other}"), &child).await.expect(200);
    scene.b.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_names_more_than_can_be_looked_up_permits_nothing() {
    let scene = scene().await;
    for (number, (names, status)) in [(1_990, 200), (2_010, 404)].into_iter().enumerate() {
        let data: Vec<Value> =
            (0..names).map(|id| json!({"meaning": "related", "reference": to("Condition", &format!("f{id}"))})).collect();
        let provision = json!({"type": "permit", "provision": [{"type": "deny", "actor": [of(by_name("another"))], "data": data}]});
        let path = scene.seen_under(&patient(&number.to_string()), provision, json!({})).await;
        assert_eq!(scene.b.get(&path).await.status, status, "{names}");
    }
}

/// What a search gives is what readings give, however many roles are named in what it finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_gives_what_was_done_in_many_roles() {
    let scene = scene().await;
    let id = scene.a.create(&patient("1")).await;
    let make = async |kind: &str, family: &str| scene.a.create(&json!({"resourceType": kind, "name": [{"family": family}]})).await;
    let (denied, other) = (make("Practitioner", "Xa").await, make("Practitioner", "Ya").await);
    let mut consent = permit_to(&id, "hospital-b");
    let data = json!([{"meaning": "authoredby", "reference": to("Practitioner", &denied)}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "data": data}]);
    scene.a.create(&consent).await;
    let put = |resource: Value| {
        let url = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    };
    let mut entries = Vec::new();
    for number in 0..250 {
        let practitioner = if number == 0 { &denied } else { &other };
        let role =
            json!({"resourceType": "PractitionerRole", "id": format!("r{number}"), "practitioner": to("Practitioner", practitioner)});
        let mut result = observation(&format!("Patient/{id}"));
        result["id"] = json!(format!("o{number}"));
        result["performer"] = json!([to("PractitionerRole", &format!("r{number}"))]);
        result["effectiveDateTime"] = json!(format!("2018-{:02}-{:02}", 1 + number / 28 % 12, 1 + number % 28));
        entries.extend([put(role), put(result)]);
    }
    scene.a.post("", &bundle("batch", entries)).await.expect(200);
    let found = scene.b.get(&format!("Observation?patient={id}&_count=0")).await.expect(200);
    assert_eq!(found.json()["total"], 249);
}

/// Nor by how many who are known by their numbers, up to as many as are looked for: what further ones made is left out where somebody's is denied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_gives_what_was_done_by_many_who_are_known_by_numbers() {
    const LOOKED_FOR: usize = 1_000;
    let scene = scene().await;
    let id = scene.a.create(&patient("1")).await;
    let number = |number: usize| json!({"system": NPI, "value": format!("2{number:09}")});
    let by = |number: Value| json!({"type": "Practitioner", "identifier": number});
    let mut consent = permit_to(&id, "hospital-b");
    let data = json!([{"meaning": "authoredby", "reference": by(number(0))}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "data": data}]);
    scene.a.create(&consent).await;
    for (authors, shown) in [(0..300, 299), (300..LOOKED_FOR, LOOKED_FOR - 1), (LOOKED_FOR..LOOKED_FOR + 3, LOOKED_FOR - 1)] {
        let mut entries = Vec::new();
        for author in authors {
            let person = json!({"resourceType": "Practitioner", "name": [{"family": "Xa"}], "identifier": [number(author)]});
            let mut result = observation(&format!("Patient/{id}"));
            result["performer"] = json!([by(number(author))]);
            result["effectiveDateTime"] = json!(format!("{}-{:02}-{:02}", 2018 + author / 336, 1 + author / 28 % 12, 1 + author % 28));
            entries.extend([creates(&format!("urn:uuid:p{author}"), person), creates(&format!("urn:uuid:r{author}"), result)]);
        }
        scene.a.post("", &bundle("batch", entries)).await.expect(200);
        let found = scene.b.get(&format!("Observation?patient={id}&_count=0")).await.expect(200);
        assert_eq!(found.json()["total"], shown);
    }
}

/// What lies between a hospital and what it is part of may be gone, or called otherwise: a denial to the whole goes on holding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_to_a_trust_outlives_what_leads_to_it() {
    async fn erase(scene: &Scene, record: &str) {
        let officer = scene.world.party_with("officer", "system/*.r").await;
        officer.call(Call::new("POST", &format!("{record}/$erase?shared=true"))).await.expect(200);
    }
    for (number, change) in ["erase mid", "change mid", "delete mid", "erase trust", "rename trust"].into_iter().enumerate() {
        let scene = Scene::of(Setup::configured(OFFICER.replace("system/Patient.r", "system/*.r"))).await;
        let laboratory = scene.world.party("laboratory").await;
        let trust = scene.a.create(&organisation("trust", json!({}))).await;
        let mid = scene.a.create(&organisation("mid", json!({"partOf": to("Organization", &trust)}))).await;
        let own = organisation("hospital-b", json!({"partOf": to("Organization", &mid)}));
        scene.b.create(&own).await;
        let by_reference = scene.seen_but_by(&format!("r{number}"), to("Organization", &trust)).await;
        let by_identifier = scene.seen_but_by(&format!("i{number}"), by_name("trust")).await;
        let team = json!({"resourceType": "CareTeam", "status": "active", "participant": [{"member": to("Organization", &trust)}]});
        let team = scene.a.create(&team).await;
        let by_team = scene.seen_but_by(&format!("g{number}"), to("CareTeam", &team)).await;
        let seen = [by_reference, by_identifier, by_team];
        for path in &seen {
            scene.b.get(path).await.expect(404);
            laboratory.get(path).await.expect(200);
        }
        let (mid, trust) = (format!("Organization/{mid}"), format!("Organization/{trust}"));
        match change {
            "erase mid" => erase(&scene, &mid).await,
            "erase trust" => erase(&scene, &trust).await,
            "delete mid" => _ = scene.a.delete(&mid).await.expect(204),
            "change mid" => _ = scene.a.put(&mid, &organisation("mid", json!({"id": mid.split_once('/').unwrap().1}))).await.expect(200),
            _ => _ = scene.a.put(&trust, &organisation("other", json!({"id": trust.split_once('/').unwrap().1}))).await.expect(200),
        }
        for path in &seen {
            for _ in 0..2 {
                assert_eq!(scene.b.get(path).await.status, 404, "{change}: {path}");
                // Of what is gone nobody can tell any more that it was another.
                if change != "erase trust" {
                    assert_eq!(laboratory.get(path).await.status, 200, "{change}: {path}");
                }
            }
        }
    }
}

/// Who is part of what is known is denied what is denied to that, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hospital_of_a_known_trust_is_no_other_trusts() {
    let scene = scene().await;
    let trust = scene.a.create(&organisation("trust", json!({}))).await;
    let other = scene.seen_but_by("1", by_name("another")).await;
    scene.b.create(&organisation("hospital-b", json!({"partOf": to("Organization", &trust)}))).await;
    scene.b.get(&other).await.expect(200);
    scene.a.put(&format!("Organization/{trust}"), &organisation("renamed", json!({"id": trust}))).await.expect(200);
    scene.b.get(&other).await.expect(200);
}

/// What an institution wrote is what its departments and the teams that it is in did, too, whoever is named as having done it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_of_what_an_institution_wrote_reaches_its_departments_and_teams() {
    let scene = scene().await;
    let clinic = scene.a.create(&organisation("clinic", json!({}))).await;
    let department = scene.a.create(&organisation("department", json!({"partOf": to("Organization", &clinic)}))).await;
    let ward = scene.a.create(&organisation("ward", json!({"partOf": by_name("department")}))).await;
    let other = scene.a.create(&organisation("other", json!({}))).await;
    let team = |member: Value| json!({"resourceType": "CareTeam", "status": "active", "participant": [{"member": member}]});
    let mut teams = Vec::new();
    for member in [to("Organization", &clinic), to("Organization", &department), by_name("clinic"), to("Organization", &other)] {
        teams.push(to("CareTeam", &scene.a.create(&team(member)).await));
    }
    let mut typed = by_name("ward");
    typed["type"] = json!("Organization");
    let performers = [
        (to("Organization", &clinic), false),
        (to("Organization", &department), false),
        (to("Organization", &ward), false),
        (typed, false),
        (teams[0].clone(), false),
        (teams[1].clone(), false),
        (teams[2].clone(), false),
        (teams[3].clone(), true),
        (to("Organization", &other), true),
    ];
    let id = scene.a.create(&patient("1")).await;
    let mut consent = permit_to(&id, "hospital-b");
    let data = json!([{"meaning": "authoredby", "reference": to("Organization", &clinic)}]);
    consent["provision"]["provision"] = json!([{"type": "deny", "data": data}]);
    scene.a.create(&consent).await;
    let mut shown = Vec::new();
    for (performer, is_shown) in &performers {
        let mut result = observation(&format!("Patient/{id}"));
        result["performer"] = json!([performer]);
        let made = scene.a.create(&result).await;
        let status = scene.b.get(&format!("Observation/{made}")).await.status;
        assert_eq!(status, if *is_shown { 200 } else { 404 }, "{performer}");
        shown.extend(is_shown.then_some(made));
    }
    let mut found: Vec<String> =
        scene.b.search(&format!("Observation?patient={id}")).await.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    found.sort();
    shown.sort();
    assert_eq!(found, shown, "a search gives what readings give");
}

fn numbered(type_name: &str, number: &str) -> Value {
    json!({"type": type_name, "identifier": {"system": NPI, "value": number}})
}

const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
/// Numbers that are NPIs by their check digit.
const MEANT: &str = "1234567893";
const OTHER: &str = "1245319599";

/// What a consent contains says who is meant by it: a role, a team or a group of named people is these and not everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contained_role_team_or_group_is_who_is_named_in_it() {
    let scene = scene().await;
    let npi = json!({"identifier": {"system": NPI, "value": MEANT}});
    let role = |who: Value| json!({"resourceType": "PractitionerRole", "id": "r", "practitioner": who});
    let post = |whose: &str| json!({"resourceType": "PractitionerRole", "id": "r", "organization": by_name(whose)});
    let team = |who: Value| json!({"resourceType": "CareTeam", "id": "r", "participant": [{"member": who}]});
    let group = |who: Value| json!({"resourceType": "Group", "id": "r", "type": "person", "actual": true, "member": [{"entity": who}]});
    scene.a.create(&organisation("trust", json!({}))).await;
    let department = scene.a.create(&organisation("hospital-b", json!({"partOf": by_name("trust")}))).await;
    scene.b.get(&format!("Organization/{department}")).await.expect(200);
    let within = |outer: Value, mut inner: Value| {
        inner["id"] = json!("i");
        vec![outer, inner]
    };
    let behind = json!({"reference": "#i"});
    let nobody = json!({"resourceType": "CareTeam", "id": "r", "name": "Somebody"});
    for (number, (contained, is_shown)) in [
        (vec![role(npi.clone())], true),
        (vec![post("another")], true),
        (vec![post("hospital-b")], false),
        (vec![team(by_name("another"))], true),
        (vec![team(by_name("hospital-b"))], false),
        (vec![team(to("Organization", &department))], false),
        (vec![group(by_name("another"))], true),
        (vec![group(by_name("hospital-b"))], false),
        (vec![group(by_name("trust"))], false),
        (vec![json!({"resourceType": "Organization", "id": "r", "identifier": [by_name("trust")["identifier"]]})], false),
        (within(team(behind.clone()), team(by_name("another"))), true),
        (within(team(behind.clone()), team(by_name("hospital-b"))), false),
        (vec![team(json!({"display": "Somebody"}))], false),
        (vec![nobody], false),
    ]
    .into_iter()
    .enumerate()
    {
        let provision = json!({"type": "permit", "provision": [{"type": "deny", "actor": [of(json!({"reference": "#r"}))]}]});
        let seen = scene.seen_under(&patient(&format!("c{number}")), provision, json!({"contained": contained})).await;
        assert_eq!(scene.b.get(&seen).await.status, if is_shown { 200 } else { 404 }, "{contained:?}");
    }
    // Nothing is permitted to whom a contained one names.
    let provision = json!({"type": "permit", "actor": [of(json!({"reference": "#r"}))]});
    let seen = scene.seen_under(&patient("permit"), provision, json!({"contained": [team(by_name("hospital-b"))]})).await;
    scene.b.get(&seen).await.expect(404);
}

/// Authors and records are known by their identifiers, too; who is here and goes by another is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_by_identifier_is_what_bears_it() {
    let scene = scene().await;
    let named = |family: &str, number: &str| json!({"resourceType": "Practitioner", "name": [{"family": family}], "identifier": [{"system": NPI, "value": number}]});
    let meant = scene.a.create(&named("Meant", MEANT)).await;
    let other = scene.a.create(&named("Other", OTHER)).await;
    let clinic = scene.a.create(&organisation("clinic", json!({}))).await;
    let elsewhere = to("Practitioner", "nowhere");
    let by_number = |system: &str, value: &str| json!({"identifier": {"system": system, "value": value}});
    let document = "urn:oid:1.3.6.1.4.1.99999.9";
    let data = |meaning: &str, reference: Value| json!([{"meaning": meaning, "reference": reference}]);
    let contained = |resource: Value| json!({ "contained": [resource] });
    let inner = json!({"reference": "#r"});
    let of_practitioner = json!({"performer": [to("Practitioner", &meant)]});
    let of_other = json!({"performer": [to("Practitioner", &other)]});
    let by_npi = json!({"performer": [numbered("Practitioner", MEANT)]});
    let by_other_npi = json!({"performer": [numbered("Practitioner", OTHER)]});
    let unknown = json!({"performer": [elsewhere]});
    let by_clinic = json!({"performer": [to("Organization", &clinic)]});
    let bearing = json!({"identifier": [{"system": document, "value": "D-1"}]});
    let plain = json!({});
    let role = json!({"resourceType": "PractitionerRole", "id": "r", "practitioner": numbered("Practitioner", MEANT)});
    let organisation = json!({"resourceType": "Organization", "id": "r", "identifier": [by_name("clinic")["identifier"]]});
    for (number, (data, more, record, is_shown)) in [
        (data("authoredby", by_number(NPI, MEANT)), json!({}), &of_practitioner, false),
        (data("authoredby", by_number(NPI, MEANT)), json!({}), &by_npi, false),
        (data("authoredby", by_number(NPI, MEANT)), json!({}), &of_other, true),
        (data("authoredby", by_number(NPI, MEANT)), json!({}), &by_other_npi, true),
        (data("authoredby", by_number(NPI, MEANT)), json!({}), &unknown, false),
        (data("authoredby", by_name("clinic")), json!({}), &by_clinic, false),
        (data("authoredby", by_name("clinic")), json!({}), &of_other, true),
        (data("authoredby", inner.clone()), contained(organisation.clone()), &by_clinic, false),
        (data("authoredby", inner.clone()), contained(organisation), &of_other, true),
        (data("authoredby", inner.clone()), contained(role.clone()), &of_practitioner, false),
        (data("authoredby", inner.clone()), contained(role), &of_other, true),
        (data("instance", by_number(document, "D-1")), json!({}), &bearing, false),
        (data("instance", by_number(document, "D-1")), json!({}), &plain, true),
        (data("instance", by_number(document, "D-2")), json!({}), &bearing, true),
        (data("instance", json!({"identifier": {"value": "D-1"}})), json!({}), &bearing, false),
        // By reference, whose Practitioner is here is somebody else; so is one by identifier.
        (data("authoredby", to("Organization", &clinic)), json!({}), &by_npi, true),
        (
            data("authoredby", to("Organization", &clinic)),
            json!({}),
            &json!({"performer": [numbered("Practitioner", "1679576722")]}),
            false,
        ),
        (data("authoredby", to("Practitioner", &meant)), json!({}), &by_npi, false),
        (data("dependents", by_number(document, "D-1")), json!({}), &plain, false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = scene.a.create(&patient(&format!("i{number}"))).await;
        let mut consent = permit(&id);
        consent["provision"]["provision"] = json!([{"type": "deny", "data": data}]);
        consent.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        scene.a.create(&consent).await;
        let mut result = observation(&format!("Patient/{id}"));
        result.as_object_mut().unwrap().extend(record.as_object().cloned().unwrap());
        let path = format!("Observation/{}", scene.a.create(&result).await);
        assert_eq!(scene.b.get(&path).await.status, if is_shown { 200 } else { 404 }, "{number}: {data} {record}");
    }
}

/// Who wrote something is one person in every record of theirs, and no other for want of a number in their record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_author_is_known_in_whoevers_record() {
    let scene = scene().await;
    let laboratory = scene.world.party("laboratory").await;
    let staff = "urn:oid:1.3.6.1.4.1.99999.3";
    let doctor = |names: &[(&str, &str)]| {
        let names: Vec<Value> = names.iter().map(|(system, value)| json!({"system": system, "value": value})).collect();
        json!({"resourceType": "Practitioner", "name": [{"family": "Rowe"}], "identifier": names})
    };
    let nameless = json!({"resourceType": "Practitioner", "name": [{"family": "Rowe"}]});
    let meant = to("Practitioner", &scene.a.create(&doctor(&[(NPI, MEANT)])).await);
    let twin = laboratory.create(&doctor(&[(NPI, MEANT), (staff, "7")])).await;
    let other = to("Practitioner", &laboratory.create(&doctor(&[(NPI, OTHER)])).await);
    let bare = to("Practitioner", &laboratory.create(&nameless).await);
    let of_staff = to("Practitioner", &laboratory.create(&doctor(&[(staff, "8")])).await);
    let by_staff = json!({"type": "Practitioner", "identifier": {"system": staff, "value": "8"}});
    let by_number = json!({"identifier": {"system": NPI, "value": MEANT}});
    let with_number = |reference: &str| json!({"reference": reference, "identifier": {"system": NPI, "value": MEANT}});
    let typed = numbered("Practitioner", MEANT);
    let twin = to("Practitioner", &twin);
    let all = [(&meant, false), (&twin, false), (&typed, false), (&other, true)];
    for (denied, unknown) in [
        (meant.clone(), [(&bare, true), (&of_staff, true)]),
        (by_number.clone(), [(&bare, false), (&of_staff, false)]),
        (typed.clone(), [(&bare, false), (&by_staff, false)]),
        (with_number("Practitioner/ghost"), [(&bare, false), (&by_staff, false)]),
        (with_number("https://x.example/fhir/Practitioner/9"), [(&bare, false), (&of_staff, false)]),
    ] {
        let id = scene.a.create(&patient("author")).await;
        let mut consent = permit(&id);
        consent["provision"]["provision"] = json!([{"type": "deny", "data": [{"meaning": "authoredby", "reference": denied}]}]);
        scene.a.create(&consent).await;
        for (performer, is_shown) in all.iter().chain(&unknown) {
            let mut result = observation(&format!("Patient/{id}"));
            result["performer"] = json!([performer]);
            let path = format!("Observation/{}", scene.a.create(&result).await);
            assert_eq!(scene.b.get(&path).await.status, if *is_shown { 200 } else { 404 }, "{denied}: {performer}");
        }
        // What somebody remarked is theirs, whoever made the rest.
        let mut result = observation(&format!("Patient/{id}"));
        result["performer"] = json!([other]);
        result["note"] = json!([{"authorReference": twin, "text": "Remarked"}]);
        let path = format!("Observation/{}", scene.a.create(&result).await);
        let read = scene.b.get(&path).await.expect(200).text();
        assert!(!read.contains("Remarked"), "{denied}: {read}");
        let report = json!({"resourceType": "DiagnosticReport", "status": "final", "subject": to("Patient", &id), "performer": [other],
            "resultsInterpreter": [twin], "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}]}});
        let path = format!("DiagnosticReport/{}", scene.a.create(&report).await);
        assert_eq!(scene.b.get(&path).await.status, 404, "{denied}");
    }
}

/// A number beside a reference means what bears it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_named_twice_is_whatever_bears_the_number() {
    let scene = scene().await;
    let number = json!({"system": "urn:oid:1.3.6.1.4.1.99999.9", "value": "D-1"});
    for (reference, type_name) in [
        (json!({"reference": "Observation/ghost", "identifier": number}), "Observation"),
        (json!({"reference": "https://x.example/fhir/Observation/9", "identifier": number}), "Observation"),
        (json!({"reference": "DocumentReference/ghost", "identifier": number}), "DocumentReference"),
        (json!({"identifier": number}), "DocumentReference"),
    ] {
        let id = scene.a.create(&patient("twice")).await;
        let mut consent = permit(&id);
        consent["provision"]["provision"] = json!([{"type": "deny", "data": [{"meaning": "instance", "reference": reference}]}]);
        scene.a.create(&consent).await;
        let bearing = |number: &Value| match type_name {
            "Observation" => {
                let mut result = observation(&format!("Patient/{id}"));
                result["identifier"] = json!([number]);
                result
            }
            _ => {
                json!({"resourceType": "DocumentReference", "status": "current", "subject": to("Patient", &id), "masterIdentifier": number,
                "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]}, "content": [{"attachment": {"title": "x"}}]})
            }
        };
        let meant = format!("{type_name}/{}", scene.a.create(&bearing(&number)).await);
        assert_eq!(scene.b.get(&meant).await.status, 404, "{reference}");
        let mut other = number.clone();
        other["value"] = json!("D-2");
        let other = format!("{type_name}/{}", scene.a.create(&bearing(&other)).await);
        assert_eq!(scene.b.get(&other).await.status, 200, "{reference}");
        let mut pointing = observation(&format!("Patient/{id}"));
        pointing["derivedFrom"] = json!([{"type": type_name, "identifier": number}, {"reference": meant}, {"reference": other}]);
        let pointing = format!("Observation/{}", scene.a.create(&pointing).await);
        let read = scene.b.get(&pointing).await.expect(200).json();
        assert_eq!(read["derivedFrom"], json!([{"reference": other}]), "{reference}");
    }
}

/// Whoever asks makes nobody another by a record of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_known_by_what_the_asker_says() {
    let scene = scene().await;
    let clinic = scene.a.create(&organisation("clinic", json!({}))).await;
    let id = scene.a.create(&patient("own")).await;
    let mut consent = permit(&id);
    consent["provision"]["provision"] =
        json!([{"type": "deny", "data": [{"meaning": "authoredby", "reference": to("Organization", &clinic)}]}]);
    scene.a.create(&consent).await;
    let mut result = observation(&format!("Patient/{id}"));
    result["performer"] = json!([numbered("Practitioner", MEANT)]);
    let path = format!("Observation/{}", scene.a.create(&result).await);
    let record = json!({"resourceType": "Practitioner", "identifier": [{"system": NPI, "value": MEANT}]});
    scene.b.create(&record).await;
    scene.b.get(&path).await.expect(404);
    scene.a.create(&record).await;
    scene.b.get(&path).await.expect(200);
}

/// An Encounter is by whoever took part in it and by whoever provided it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_by_whoever_took_part_in_it() {
    let scene = scene().await;
    let denied = scene.a.create(&organisation("denied", json!({}))).await;
    let other = scene.a.create(&organisation("other", json!({}))).await;
    let doctor = scene.a.create(&json!({"resourceType": "Practitioner", "name": [{"family": "Rowe"}]})).await;
    let id = scene.a.create(&patient("visit")).await;
    let mut consent = permit(&id);
    consent["provision"]["provision"] =
        json!([{"type": "deny", "data": [{"meaning": "authoredby", "reference": to("Organization", &denied)}]}]);
    scene.a.create(&consent).await;
    let individual = json!([{"individual": to("Practitioner", &doctor)}]);
    for (more, is_shown) in [
        (json!({"participant": individual, "serviceProvider": to("Organization", &other)}), true),
        (json!({"serviceProvider": to("Organization", &other)}), true),
        (json!({"participant": individual, "serviceProvider": to("Organization", &denied)}), false),
        (json!({"participant": [{"individual": {"display": "Somebody"}}]}), false),
        (json!({}), false),
    ] {
        let mut visit = json!({"resourceType": "Encounter", "status": "finished", "subject": to("Patient", &id),
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}});
        visit.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let path = format!("Encounter/{}", scene.a.create(&visit).await);
        assert_eq!(scene.b.get(&path).await.status, if is_shown { 200 } else { 404 }, "{more}");
    }
}

/// What kind of insurance, sample, device or visit something is, in words, is no code of what somebody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_of_a_code_leaves_what_has_its_kind_in_words() {
    let scene = scene().await;
    let id = scene.a.create(&patient("kinds")).await;
    let subject = to("Patient", &id);
    let icd = "http://hl7.org/fhir/sid/icd-10-cm";
    let mut consent = permit(&id);
    consent["provision"]["provision"] = json!([{"type": "deny", "code": [{"coding": [{"system": icd, "code": "E10.9"}]}]}]);
    scene.a.create(&consent).await;
    let kind = json!({"text": "Aetna"});
    let claim = |code: &str| {
        json!({"resourceType": "ExplanationOfBenefit", "status": "active", "use": "claim", "outcome": "complete", "patient": subject,
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
            "created": "2026-01-01", "insurer": {"display": "Aetna"}, "provider": {"display": "Somebody"},
            "contained": [{"resourceType": "Coverage", "id": "c", "status": "active", "type": kind, "beneficiary": subject, "payor": [{"display": "Aetna"}]}],
            "insurance": [{"focal": true, "coverage": {"reference": "#c"}}],
            "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": icd, "code": code}]}}]})
    };
    for (record, is_shown) in [
        (claim("J45.909"), true),
        (
            json!({"resourceType": "Coverage", "status": "active", "type": kind, "beneficiary": subject, "payor": [{"display": "Aetna"}]}),
            true,
        ),
        (json!({"resourceType": "Specimen", "type": {"text": "Blood"}, "subject": subject}), true),
        (
            json!({"resourceType": "Encounter", "status": "finished", "type": [{"text": "Check-up"}], "subject": subject,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}),
            true,
        ),
        (json!({"resourceType": "Condition", "code": {"text": "Something"}, "subject": subject}), false),
        (
            json!({"resourceType": "DocumentReference", "status": "current", "type": {"text": "Letter"}, "subject": subject,
            "content": [{"attachment": {"contentType": "text/plain", "url": "https://ehr.example/letter"}}]}),
            false,
        ),
    ] {
        let path = format!("{}/{}", record["resourceType"].as_str().unwrap(), scene.a.create(&record).await);
        assert_eq!(scene.b.get(&path).await.status, if is_shown { 200 } else { 404 }, "{record}");
    }
    let path = format!("ExplanationOfBenefit/{}", scene.a.create(&claim("E10.9")).await);
    let read = scene.b.get(&path).await;
    assert!(!read.text().contains("E10.9"), "{}", read.text());
}
