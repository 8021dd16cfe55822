//! Who acts for a patient: guardians until the patient comes of age, and delegates whom the patient or the law has named.

use super::code::{Code, Identifier, Reference, codings, items};
use super::compile::of_age;
use super::directory::Directory;
use super::period::{Period, date_interval};
use super::policy::Policy;
use super::request::Party;
use super::rules::{Rules, Standing, Window};
use crate::clock::Instant;
use crate::fhir::Node;

/// As what somebody acts for a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// A parent or guardian of somebody who is not of age.
    Guardian,
    /// Named by the patient, a court or the law, at any age.
    Delegate,
}

const ROLE_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
const ROLE_CLASS: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleClass";

/// Relationships that give the care of a child. A stepparent has none by that alone.
const PARENTAL: [&str; 13] =
    ["ADOPTF", "ADOPTM", "ADOPTP", "FTH", "FTHFOST", "GUARD", "MTH", "MTHFOST", "NFTH", "NMTH", "NPRN", "PRN", "PRNFOST"];
/// Powers to act for somebody of any age.
const POWERS: [&str; 7] = ["DELEGATEE", "DPOWATT", "GUADLTM", "HPOWATT", "POWATT", "RESPRSN", "SPOWATT"];

/// How deep a provision may stand to name a delegate.
const DEPTH: usize = 4;

/// As what a person, by system and value of an identifier, acts for a patient.
///
/// `related` are RelatedPersons and `consents` Consents of that patient, from whoever is believed about them. A guardian is one only while the
/// patient is surely under age: where no day of birth is known there is none. A consent that names somebody and denies them anything makes no
/// delegate of them.
pub fn capacity(
    (system, value): (&str, &str),
    patient: &Node,
    related: &[Node],
    consents: &[Node],
    majority_years: u16,
    now: Instant,
) -> Option<Capacity> {
    let person = Identifier { system: system.into(), value: value.into() };
    if !person.has_system() {
        return None;
    }
    let own: Vec<&Node> = related.iter().filter(|record| bears(record, &person)).collect();
    let standing: Vec<&Node> = own.iter().copied().filter(|record| stands(record, now)).collect();
    let holds =
        |codes: &[&str]| standing.iter().any(|record| items(record, "relationship").iter().any(|relation| is_one_of(relation, codes)));
    let names = Party {
        references: own.iter().filter_map(|record| Reference::of_resource(record)).collect(),
        identifiers: vec![person],
        ..Party::default()
    };
    let policy = Policy { majority_years, ..Policy::default() };
    if holds(&POWERS) || delegated(&names, consents, policy, now) {
        Some(Capacity::Delegate)
    } else if holds(&PARENTAL) && is_minor(patient, majority_years, now) {
        Some(Capacity::Guardian)
    } else {
        None
    }
}

fn bears(record: &Node, person: &Identifier) -> bool {
    record.resource_type() == Some("RelatedPerson")
        && items(record, "identifier").iter().filter_map(Identifier::from_node).any(|own| own == *person)
}

/// Whether a relationship is in force: active, and within its period where it has one.
fn stands(record: &Node, now: Instant) -> bool {
    let is_active = record.get("active").is_none_or(|active| active.as_bool() == Some(true));
    let is_now = record.get("period").is_none_or(|period| Period::from_node(period).is_ok_and(|period| period.contains(now)));
    is_active && is_now && items(record, "modifierExtension").is_empty()
}

fn is_one_of(concept: &Node, codes: &[&str]) -> bool {
    let read = codings(concept).iter().filter_map(Code::from_coding);
    read.into_iter().any(|code| matches!(code.system.as_str(), ROLE_CODE | ROLE_CLASS) && codes.contains(&code.code.as_str()))
}

fn is_minor(patient: &Node, majority_years: u16, now: Instant) -> bool {
    let born = patient.text("birthDate").and_then(date_interval);
    born.and_then(|born| of_age(born, majority_years)).is_some_and(|of_age| now < of_age)
}

/// Whether a consent in force gives one of these names a power, and none takes anything from them.
fn delegated(names: &Party, consents: &[Node], policy: Policy, now: Instant) -> bool {
    let in_force = consents.iter().filter(|consent| is_in_force(consent, policy, now));
    let roots: Vec<&Node> = in_force.filter_map(|consent| consent.get("provision")).collect();
    roots.iter().any(|root| names_as(root, names, "permit", now, DEPTH))
        && !roots.iter().any(|root| names_as(root, names, "deny", now, DEPTH))
}

/// As strictly as the decision: a consent whose permits would not count gives no power.
fn is_in_force(consent: &Node, policy: Policy, now: Instant) -> bool {
    let rules = Rules::compile(std::slice::from_ref(consent), &Directory::default(), policy);
    let [compiled] = &*rules.consents else { return false };
    let is_now = match compiled.window {
        Window::Open => true,
        Window::Bounded(period) => period.contains(now),
        Window::Unreadable => false,
    };
    compiled.standing == Standing::InForce && is_now && compiled.outgrown.is_none_or(|of_age| now < of_age)
}

/// Whether a rule of this type names one of these: for a permit with a power as the role, for a denial in any role.
fn names_as(rule: &Node, names: &Party, wanted: &str, now: Instant, depth: usize) -> bool {
    let declared = rule.text("type").unwrap_or("deny");
    let is_now = rule.get("period").is_none_or(|period| Period::from_node(period).map_or(wanted == "deny", |period| period.contains(now)));
    let is_plain = wanted == "deny" || items(rule, "modifierExtension").is_empty();
    let is_meant = |actor: &Node| {
        let has_role = wanted == "deny" || items(actor, "role").iter().any(|role| is_one_of(role, &POWERS));
        let party = actor.get("reference").map(Party::from_reference).unwrap_or_default();
        let same = |identifier: &Identifier| identifier.has_system() && names.identifiers.contains(identifier);
        has_role && (party.references.iter().any(|name| names.references.contains(name)) || party.identifiers.iter().any(same))
    };
    let is_here = declared == wanted && is_now && is_plain && items(rule, "actor").iter().any(is_meant);
    is_here || (depth > 0 && items(rule, "provision").iter().any(|nested| names_as(nested, names, wanted, now, depth - 1)))
}
