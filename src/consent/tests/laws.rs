//! Laws that hold for every set of consents, tried on many made at random from a small vocabulary. The seed is fixed, so a failure repeats.

use super::*;
use crate::fhir::Value;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

const ROUNDS: usize = 1_500;
const ACTORS: [&str; 4] = ["Practitioner/berg", "Practitioner/holm", "Organization/quay", "https://x.example/Organization/quay"];
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

fn criteria(random: &mut StdRng, mut rule: Object) -> Object {
    if random.random_bool(0.35) {
        let role = concept("v3-ParticipationType", if random.random_bool(0.9) { "IRCP" } else { "CST" });
        rule.set("actor", vec![Object::new().with("role", role).with("reference", actor(random)).into()]);
    }
    if random.random_bool(0.3) {
        rule.set("purpose", vec![coding("v3-ActReason", PURPOSES.choose(random).unwrap())]);
    }
    if random.random_bool(0.3) {
        let (system, code) = LABELS.choose(random).unwrap();
        rule.set("securityLabel", vec![coding(system, code)]);
    }
    if random.random_bool(0.15) {
        rule.set("dataPeriod", period(random));
    }
    if random.random_bool(0.1) {
        let meaning = ["instance", "related", "dependents", "authoredby"].choose(random).unwrap();
        let named = ["Observation/o1", "Encounter/e1", "Practitioner/lind"].choose(random).unwrap();
        rule.set("data", vec![Object::new().with("meaning", *meaning).with("reference", reference(named)).into()]);
    }
    if random.random_bool(0.1) {
        rule.set("action", vec![concept("consentaction", ["access", "disclose", "correct"].choose(random).unwrap())]);
    }
    if random.random_bool(0.05) {
        rule.set("modifierExtension", vec![Object::new().with("url", "http://example.org/x").into()]);
    }
    rule
}

fn rule(random: &mut StdRng, depth: usize) -> Node {
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

fn consent(random: &mut StdRng) -> Node {
    let mut consent = Object::resource("Consent").with("id", format!("c{}", random.random_range(0..1000)));
    consent.set("status", if random.random_bool(0.85) { "active" } else { "inactive" });
    let giver = reference(["Patient/anna", "RelatedPerson/mother"].choose(random).unwrap());
    let date = *DATES.choose(random).unwrap();
    if random.random_bool(0.6) {
        consent.set("scope", concept("consentscope", "patient-privacy"));
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
fn denial(random: &mut StdRng) -> Node {
    let root = criteria(random, Object::new().with("type", "deny"));
    let scope = concept("consentscope", "patient-privacy");
    let performer = vec![reference(["Patient/anna", "RelatedPerson/mother"].choose(random).unwrap())];
    let consent = Object::resource("Consent").with("id", "denial").with("status", "active").with("scope", scope);
    consent.with("dateTime", *DATES.choose(random).unwrap()).with("performer", performer).with("provision", root).into()
}

fn resource(random: &mut StdRng) -> Node {
    let labels: Vec<Node> = LABELS.iter().filter(|_| random.random_bool(0.3)).map(|(system, code)| coding(system, code)).collect();
    let mut resource = Object::resource("Observation").with("id", "o1").with("subject", reference("Patient/anna"));
    resource.set("meta", Object::new().with("security", labels));
    if random.random_bool(0.8) {
        resource.set("effectiveDateTime", *DATES.choose(random).unwrap());
    }
    if random.random_bool(0.8) {
        resource.set("performer", vec![reference("Practitioner/lind")]);
    }
    resource.into()
}

fn asked(random: &mut StdRng) -> Request {
    let mut asked = request("Practitioner/berg", PURPOSES.choose(random).unwrap());
    asked.actors = (0..random.random_range(1..3)).map(|_| Party::from_reference(&actor(random))).collect();
    asked
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

fn try_many(seed: u64, law: impl Fn(&mut StdRng)) {
    for round in 0..ROUNDS {
        law(&mut StdRng::seed_from_u64(seed * 1_000_000 + round as u64));
    }
}

pub(super) fn told(consents: &[Node], resource: &Node) -> String {
    let consents: Vec<String> = consents.iter().map(json::write).collect();
    format!("{}\n{}", consents.join("\n"), json::write(resource))
}

#[test]
fn one_more_denial_never_releases_more() {
    try_many(1, |random| {
        let (mut consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        let before = decide_on(&consents, policy, &asked, &resource);
        consents.push(denial(random));
        let after = decide_on(&consents, policy, &asked, &resource);
        assert!(before.is_permit() || !after.is_permit(), "{}", told(&consents, &resource));
    });
}

/// The same consent with many more rules, so that they are looked up by who is asking.
fn grown(random: &mut StdRng, mut consent: Node) -> Node {
    let more: Vec<Node> = (0..random.random_range(30..60)).map(|_| rule(random, 1)).collect();
    let is_r5 = consent.get("decision").is_some();
    let holder = if is_r5 { Some(&mut consent) } else { consent.get_mut("provision") };
    if let Some(holder) = holder.and_then(Node::as_object_mut) {
        let known = holder.get("provision").and_then(Node::as_list).unwrap_or_default().to_vec();
        holder.set("provision", [known, more].concat());
    }
    consent
}

#[test]
fn looking_rules_up_by_recipient_changes_no_decision() {
    let grown_once = std::cell::Cell::new(0);
    try_many(9, |random| {
        let consents: Vec<Node> = consents(random).into_iter().map(|consent| grown(random, consent)).collect();
        let (asked, resource, policy) = (asked(random), resource(random), policy(random));
        let rules = Rules::compile(&consents, &Directory::default(), policy);
        grown_once.set(grown_once.get() + usize::from(rules.len() > 32));
        let (short, long) = (decide(&rules, &asked, &facts::of(&resource)), explain(&rules, &asked, &facts::of(&resource)));
        let plain = |decision: &Decision| {
            (
                decision.is_permit(),
                decision.is_ambiguous(),
                decision.reason(),
                decision.governing().cloned(),
                decision.obligations().to_vec(),
            )
        };
        assert_eq!(plain(&short), plain(&long), "{}", told(&consents, &resource));
        assert!(short.steps().is_empty() && !long.steps().is_empty());
    });
    assert!(grown_once.get() > ROUNDS / 2, "few consents were large enough");
}

#[test]
fn the_order_of_rules_does_not_matter() {
    try_many(10, |random| {
        let (consent, asked, resource, policy) = (consent(random), asked(random), resource(random), policy(random));
        let mut turned = consent.clone();
        let holder = if consent.get("decision").is_some() { Some(&mut turned) } else { turned.get_mut("provision") };
        if let Some(holder) = holder.and_then(Node::as_object_mut) {
            let mut rules = holder.get("provision").and_then(Node::as_list).unwrap_or_default().to_vec();
            rules.shuffle(random);
            if !rules.is_empty() {
                holder.set("provision", rules);
            }
        }
        let told = |consent: &Node| {
            let decision = decide_on(std::slice::from_ref(consent), policy, &asked, &resource);
            (decision.is_permit(), decision.is_ambiguous())
        };
        assert_eq!(told(&consent), told(&turned), "{}", self::told(&[consent, turned], &resource));
    });
}

#[test]
fn one_more_denying_rule_never_releases_more() {
    try_many(2, |random| {
        let (consent, asked, resource) = (consent(random), asked(random), resource(random));
        if consent.get("decision").is_some() {
            return;
        }
        let before = decide_on(std::slice::from_ref(&consent), Policy::default(), &asked, &resource);
        let mut stricter = consent.clone();
        let root = stricter.get_mut("provision").unwrap().as_object_mut().unwrap();
        let mut nested = root.get("provision").and_then(Node::as_list).unwrap_or_default().to_vec();
        nested.push(criteria(random, Object::new().with("type", "deny")).into());
        root.set("provision", nested);
        let after = decide_on(std::slice::from_ref(&stricter), Policy::default(), &asked, &resource);
        assert!(before.is_permit() || !after.is_permit(), "{}", told(&[stricter], &resource));
    });
}

#[test]
fn without_a_consent_no_more_is_released_than_another_or_the_default_permits() {
    try_many(3, |random| {
        let (mut consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        consents.swap_remove(random.random_range(0..consents.len()));
        let permits = |consents: &[Node]| decide_on(consents, policy, &asked, &resource).is_permit();
        let alone = consents.iter().any(|consent| permits(std::slice::from_ref(consent)));
        assert!(!permits(&consents) || alone || permits(&[]), "{}", told(&consents, &resource));
    });
}

#[test]
fn the_order_of_consents_does_not_matter() {
    try_many(4, |random| {
        let (mut consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        let before = decide_on(&consents, policy, &asked, &resource);
        consents.shuffle(random);
        let after = decide_on(&consents, policy, &asked, &resource);
        let essence = |decision: &Decision| (decision.outcome(), decision.is_ambiguous(), decision.reason());
        assert_eq!(essence(&before), essence(&after), "{}", told(&consents, &resource));
    });
}

#[test]
fn the_end_of_a_consent_never_releases_what_it_withheld() {
    try_many(5, |random| {
        let (mut consent, asked, resource, policy) = (consent(random), asked(random), resource(random), policy(random));
        consent.as_object_mut().unwrap().set("status", "active");
        let before = decide_on(std::slice::from_ref(&consent), policy, &asked, &resource);
        consent.as_object_mut().unwrap().set("status", "inactive");
        let after = decide_on(std::slice::from_ref(&consent), policy, &asked, &resource);
        assert!(before.is_permit() || !after.is_permit(), "{}", told(&[consent], &resource));
    });
}

#[test]
fn a_permit_is_never_ambiguous() {
    try_many(6, |random| {
        let (consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        let decision = decide_on(&consents, policy, &asked, &resource);
        assert!(!(decision.is_permit() && decision.is_ambiguous()), "{}", told(&consents, &resource));
    });
}

/// Replaces nodes here and there by something else.
pub(super) fn spoil(node: &mut Node, random: &mut StdRng) {
    if random.random_bool(0.04) {
        let junk = ["null", "true", "7", "\"\"", "\"x\"", "[]", "{}", "[[{}]]", "{\"reference\":\"#\"}", "{\"coding\":[{}]}", "[null]"];
        *node = parse(junk.choose(random).unwrap());
        return;
    }
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| spoil(item, random)),
        Value::Object(object) => object.members_mut().iter_mut().for_each(|member| spoil(&mut member.node, random)),
        _ => {}
    }
}

#[test]
pub(super) fn spoiled_consents_and_resources_are_decided_without_harm() {
    try_many(7, |random| {
        let (mut consents, asked, mut resource) = (consents(random), asked(random), resource(random));
        consents.iter_mut().for_each(|consent| spoil(consent, random));
        spoil(&mut resource, random);
        let decision = decide_on(&consents, Policy::default(), &asked, &resource);
        assert!(!decision.sentence().is_empty());
        consents.iter().for_each(|consent| assert!(lint(consent, &[]).len() < 1000));
        assert_eq!(release(&decision, resource).is_some(), decision.is_permit());
    });
}
