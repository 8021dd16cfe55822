//! Consents, requests and resources made at random from a small vocabulary, so that their rules meet.

use super::*;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

const ACTORS: [&str; 8] = [
    "Practitioner/berg",
    "Practitioner/holm",
    "Organization/quay",
    "https://x.example/Organization/quay",
    "Group/ward",
    "CareTeam/team",
    "PractitionerRole/berg-at-quay",
    "RelatedPerson/mother",
];
const NAMING_SYSTEMS: [&str; 3] = ["http://hl7.org/fhir/sid/us-npi", "urn:oid:1.2.3.4", "urn:own"];
const PURPOSES: [&str; 6] = ["TREAT", "ETREAT", "BTG", "HRESCH", "CLINTRCH", "HMARKT"];
const LABELS: [(&str, &str); 6] = [
    ("v3-Confidentiality", "N"),
    ("v3-Confidentiality", "R"),
    ("v3-Confidentiality", "V"),
    ("v3-ActCode", "ETH"),
    ("v3-ActCode", "ETHUD"),
    ("v3-ActCode", "PSY"),
];
const CODES: [(&str, &str); 3] = [("http://loinc.org", "718-7"), ("http://snomed.info/sct", "75544000"), ("http://loinc.org", "4548-4")];
const CLASSES: [&str; 3] = ["Observation", "Condition", "Encounter"];
const DATES: [&str; 6] = ["2024", "2024-06", "2025-01-01", "2025-03", "2025-06-01T12:00:00Z", "2026"];

fn coding(system: &str, code: &str) -> Node {
    Object::new().with("system", format!("http://terminology.hl7.org/CodeSystem/{system}")).with("code", code).into()
}

fn concept(system: &str, code: &str) -> Node {
    Object::new().with("coding", vec![coding(system, code)]).into()
}

fn reference(text: &str) -> Node {
    Object::new().with("reference", text).into()
}

fn period(random: &mut StdRng) -> Node {
    let start = random.random_bool(0.7).then(|| *DATES.choose(random).unwrap());
    let end = random.random_bool(0.7).then(|| *DATES.choose(random).unwrap());
    Object::new().with_some("start", start).with_some("end", end).into()
}

/// Somebody by a reference, or by an identifier of a kind.
fn actor(random: &mut StdRng) -> Node {
    if random.random_bool(0.7) {
        return reference(ACTORS.choose(random).unwrap());
    }
    let identifier =
        Object::new().with("system", *NAMING_SYSTEMS.choose(random).unwrap()).with("value", *["1", "2"].choose(random).unwrap());
    let type_name = [None, None, Some("Organization"), Some("Practitioner"), Some("Group")].choose(random).copied().flatten();
    Object::new().with_some("type", type_name).with("identifier", identifier).into()
}

/// One or two of a kind: within one criterion any of them will do.
fn some(random: &mut StdRng, one: impl Fn(&mut StdRng) -> Node) -> Vec<Node> {
    (0..random.random_range(1..3)).map(|_| one(random)).collect()
}

fn label(random: &mut StdRng) -> Node {
    let (system, code) = LABELS.choose(random).unwrap();
    coding(system, code)
}

fn purpose(random: &mut StdRng) -> Node {
    // One in ten is no purpose anybody knows.
    coding("v3-ActReason", if random.random_bool(0.1) { "NONSENSE" } else { PURPOSES.choose(random).unwrap() })
}

fn party(random: &mut StdRng) -> Node {
    let role = concept("v3-ParticipationType", ["IRCP", "IRCP", "IRCP", "CST", "PRCP", "GRANTEE"].choose(random).unwrap());
    let named = if random.random_bool(0.05) { Object::new().with("display", "Dr Berg").into() } else { actor(random) };
    Object::new().with("role", role).with("reference", named).into()
}

fn record(random: &mut StdRng) -> Node {
    let meaning = ["instance", "related", "dependents", "authoredby"].choose(random).unwrap();
    let named = ["Observation/o1", "Encounter/e1", "Practitioner/lind"].choose(random).unwrap();
    Object::new().with("meaning", *meaning).with("reference", reference(named)).into()
}

pub(super) fn criteria(random: &mut StdRng, mut rule: Object) -> Object {
    if random.random_bool(0.35) {
        rule.set("actor", some(random, party));
    }
    if random.random_bool(0.3) {
        rule.set("purpose", some(random, purpose));
    }
    if random.random_bool(0.3) {
        rule.set("securityLabel", some(random, label));
    }
    if random.random_bool(0.15) {
        rule.set("dataPeriod", period(random));
    }
    if random.random_bool(0.1) {
        rule.set("period", period(random));
    }
    if random.random_bool(0.1) {
        rule.set("data", some(random, record));
    }
    if random.random_bool(0.12) {
        let class = |random: &mut StdRng| {
            Object::new().with("system", "http://hl7.org/fhir/resource-types").with("code", *CLASSES.choose(random).unwrap())
        };
        rule.set("class", some(random, |random| class(random).into()));
    }
    if random.random_bool(0.12) {
        rule.set("code", some(random, |random| code(CODES.choose(random).unwrap())));
    }
    if random.random_bool(0.1) {
        rule.set("action", vec![concept("consentaction", ["access", "disclose", "correct"].choose(random).unwrap())]);
    }
    if random.random_bool(0.05) {
        rule.set("modifierExtension", vec![Object::new().with("url", "http://example.org/x").into()]);
    }
    rule
}

fn code((system, code): &(&str, &str)) -> Node {
    Object::new().with("coding", vec![Object::new().with("system", *system).with("code", *code).into()]).into()
}

pub(super) fn rule(random: &mut StdRng, depth: usize) -> Node {
    let mut rule = criteria(random, Object::new());
    if random.random_bool(0.9) {
        rule.set("type", if random.random_bool(0.5) { "permit" } else { "deny" });
    }
    let nested: Vec<Node> = (0..random.random_range(0..3)).filter(|_| depth > 0).map(|_| self::rule(random, depth - 1)).collect();
    if !nested.is_empty() {
        rule.set("provision", nested);
    }
    rule.into()
}

pub(super) fn consent(random: &mut StdRng) -> Node {
    let mut consent = Object::resource("Consent").with("id", format!("c{}", random.random_range(0..1000)));
    consent.set("status", *["active", "active", "active", "active", "active", "inactive", "proposed", "rejected"].choose(random).unwrap());
    if random.random_bool(0.15) {
        let verified = Object::new().with("verified", random.random_bool(0.5)).with("verificationDate", *DATES.choose(random).unwrap());
        consent.set("verification", vec![verified.into()]);
    }
    let giver = reference(["Patient/anna", "RelatedPerson/mother"].choose(random).unwrap());
    let date = *DATES.choose(random).unwrap();
    if random.random_bool(0.6) {
        let scope = if random.random_bool(0.9) { "patient-privacy" } else { "research" };
        consent.set("scope", concept("consentscope", scope));
        consent.set("dateTime", date);
        consent.set("performer", vec![giver]);
        consent.set("organization", vec![reference("Organization/quay")]);
        if random.random_bool(0.3) {
            consent.set("policyRule", concept("v3-ActCode", ["OPTIN", "OPTOUT"].choose(random).unwrap()));
        }
        let mut root = rule(random, 2);
        if random.random_bool(0.2) {
            root.as_object_mut().unwrap().set("period", period(random));
        }
        consent.set("provision", root);
    } else {
        consent.set("date", date);
        consent.set("grantor", vec![giver]);
        consent.set("controller", vec![reference("Organization/quay")]);
        consent.set("decision", if random.random_bool(0.5) { "permit" } else { "deny" });
        consent.set("provision", (0..random.random_range(0..3)).map(|_| rule(random, 2)).collect::<Vec<_>>());
    }
    consent.into()
}

/// A consent that can only deny.
pub(super) fn denial(random: &mut StdRng) -> Node {
    let root = criteria(random, Object::new().with("type", "deny"));
    let scope = concept("consentscope", "patient-privacy");
    let performer = vec![reference(["Patient/anna", "RelatedPerson/mother"].choose(random).unwrap())];
    let consent = Object::resource("Consent").with("id", "denial").with("status", "active").with("scope", scope);
    consent.with("dateTime", *DATES.choose(random).unwrap()).with("performer", performer).with("provision", root).into()
}

/// A record of one of the classes that rules name, or of another.
pub(super) fn resource(random: &mut StdRng) -> Node {
    let labels: Vec<Node> = LABELS.iter().filter(|_| random.random_bool(0.3)).map(|(system, code)| coding(system, code)).collect();
    let kind = *["Observation", "Observation", "Condition", "Encounter"].choose(random).unwrap();
    let mut resource = Object::resource(kind).with("id", "o1").with("subject", reference("Patient/anna"));
    resource.set("meta", Object::new().with("security", labels));
    if random.random_bool(0.6) {
        let (codes, dated) = if kind == "Encounter" { ("type", "period") } else { ("code", "effectiveDateTime") };
        let named = code(CODES.choose(random).unwrap());
        resource.set(codes, if kind == "Encounter" { Node::from(vec![named]) } else { named });
        if kind != "Condition" {
            let date = *DATES.choose(random).unwrap();
            resource.set(dated, if kind == "Encounter" { Object::new().with("start", date).into() } else { Node::from(date) });
        }
    } else if kind == "Observation" {
        resource.set("effectiveDateTime", *DATES.choose(random).unwrap());
    }
    if kind == "Observation" && random.random_bool(0.8) {
        resource.set("performer", vec![reference("Practitioner/lind")]);
    }
    if kind == "Observation" && random.random_bool(0.3) {
        resource.set("encounter", reference("Encounter/e1"));
    }
    resource.into()
}

/// Somebody who asks, for one purpose or for any of several.
pub(super) fn asked(random: &mut StdRng) -> Request {
    let mut asked = request("Practitioner/berg", PURPOSES.choose(random).unwrap());
    asked.actors = (0..random.random_range(1..3)).map(|_| Party::from_reference(&actor(random))).collect();
    if random.random_bool(0.3) {
        asked.purposes.extend(request("Practitioner/berg", PURPOSES.choose(random).unwrap()).purposes);
    }
    asked
}

/// Who belongs to whom, and what is related to what.
pub(super) fn directory() -> Vec<Node> {
    [
        r#"{"resourceType":"Group","id":"ward","active":true,"type":"practitioner","actual":true,"member":[{"entity":{"reference":"Practitioner/berg"}}]}"#,
        r#"{"resourceType":"CareTeam","id":"team","status":"active","participant":[{"member":{"reference":"Organization/quay"}},{"member":{"reference":"Practitioner/holm"}}]}"#,
        r#"{"resourceType":"PractitionerRole","id":"berg-at-quay","active":true,"practitioner":{"reference":"Practitioner/berg"},"organization":{"reference":"Organization/quay"}}"#,
        r#"{"resourceType":"Organization","id":"quay","identifier":[{"system":"urn:own","value":"1"}]}"#,
        r#"{"resourceType":"Practitioner","id":"berg","identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"1"}]}"#,
        r#"{"resourceType":"Patient","id":"anna","birthDate":"2012-03-04"}"#,
        r#"{"resourceType":"Encounter","id":"e1","subject":{"reference":"Patient/anna"}}"#,
    ]
    .map(parse)
    .to_vec()
}

pub(super) fn policy(random: &mut StdRng) -> Policy {
    use ImplicitPolicy::{AllNormal, BasicNormal, BreakGlassOnly, Deny};
    let glass = random.random_bool(0.3).then(|| {
        let ceiling = *[Confidentiality::Normal, Confidentiality::Restricted].choose(random).unwrap();
        BrokenGlass::reaching(ceiling, &["PSY".to_owned()])
    });
    let mut chosen = || *[Deny, BreakGlassOnly, BasicNormal, AllNormal].choose(random).unwrap();
    let (implicit, psychiatry, substances) = (chosen(), chosen(), chosen());
    let mut by_sensitivity = BySensitivity::default();
    if random.random_bool(0.3) {
        by_sensitivity.set("PSY", psychiatry);
        by_sensitivity.set("ETH", substances);
    }
    Policy { implicit, by_sensitivity, glass, ..Policy::default() }
}

pub(super) fn consents(random: &mut StdRng) -> Vec<Node> {
    (0..random.random_range(1..5)).map(|_| consent(random)).collect()
}
