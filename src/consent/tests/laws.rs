//! Laws that hold for every set of consents, tried on many made at random ([`made`](super::made)). The seed is fixed, so that a failure repeats;
//! `HEARTHGATE_LAWS=N` tries N times as many.

use super::made::{asked, consent, consents, criteria, denial, directory, policy, resource, rule};
use super::*;
use crate::fhir::Value;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

const ROUNDS: usize = 1_500;

/// Decides knowing who belongs to whom.
fn decide_on(consents: &[Node], policy: Policy, request: &Request, resource: &Node) -> Decision {
    decide(&Rules::compile(consents, &Directory::of(&directory()), policy), request, &facts::of(resource))
}

fn try_many(seed: u64, law: impl Fn(&mut StdRng)) {
    let times = std::env::var("HEARTHGATE_LAWS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for round in 0..ROUNDS * times {
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
        let rules = Rules::compile(&consents, &Directory::of(&directory()), policy);
        grown_once.set(grown_once.get() + usize::from(rules.consents.iter().map(|consent| consent.rules.len()).sum::<usize>() > 32));
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
fn what_is_asked_for_several_purposes_is_permitted_for_each() {
    try_many(8, |random| {
        let (consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        let for_each = asked.purposes.iter().map(|one| {
            let one = Request { purposes: vec![one.clone()], ..asked.clone() };
            decide_on(&consents, policy, &one, &resource)
        });
        let each: Vec<Decision> = for_each.collect();
        let are_permitted = each.iter().all(Decision::is_permit);
        assert_eq!(Decision::for_all_purposes(each).unwrap().is_permit(), are_permitted, "{}", told(&consents, &resource));
    });
}

/// A denial that nothing its giver said later supersedes, since it has no date, denies whatever else is there or goes.
#[test]
fn without_any_one_consent_a_denial_of_another_still_denies() {
    try_many(11, |random| {
        let (mut consents, asked, resource, policy) = (consents(random), asked(random), resource(random), policy(random));
        let mut denial = denial(random);
        drop(denial.as_object_mut().map(|denial| denial.remove("dateTime")));
        consents.push(denial);
        let denies = |consents: &[Node]| decide_on(consents, policy, &asked, &resource).reason() == "denied";
        let is_denied = denies(&consents[consents.len() - 1..]);
        consents.swap_remove(random.random_range(0..consents.len() - 1));
        let after = decide_on(&consents, policy, &asked, &resource);
        assert!(!is_denied || !after.is_permit(), "{}", told(&consents, &resource));
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
