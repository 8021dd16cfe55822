//! What an accounting of disclosures tells the patient of an AuditEvent: what was done, when, which organisation asked or received, why, under which
//! consent. It names neither the people and programs that acted nor any rule, and no other patient.

use crate::fhir::{Node, Object};
use data_encoding::BASE64;
use std::borrow::Cow;

/// The elements that are told as they stand, in the order of an accounting.
const KEPT: [&str; 8] = ["id", "type", "subtype", "action", "recorded", "outcome", "purposeOfEvent", "source"];
/// What stands in the place of an entity that led to an erased person: the commitment to it.
const ERASED_EXTENSION: &str = "urn:hearthgate:extension:erased-entity";

/// The part of an AuditEvent that one patient is told.
pub struct Told<'a> {
    elements: Vec<(&'static str, Cow<'a, Node>)>,
    entities: Vec<&'a Node>,
}

impl<'a> Told<'a> {
    /// What of an event is told to a patient, `Patient/…`. Of what was told already that is all of it.
    pub fn of(event: &'a Node, patient: &str) -> Told<'a> {
        let mut elements: Vec<_> = KEPT.iter().filter_map(|name| Some((*name, Cow::Borrowed(event.get(name)?)))).collect();
        let organisations: Vec<Node> = event.items("agent").iter().filter(|agent| is_organisation(agent)).map(bare_agent).collect();
        if !organisations.is_empty() {
            elements.push(("agent", Cow::Owned(organisations.into())));
        }
        Told { elements, entities: event.items("entity").iter().filter(|entity| is_told(entity, patient)).collect() }
    }

    /// Each element but the entities, always in the same order.
    pub fn elements(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        self.elements.iter().map(|(name, element)| (*name, element.as_ref()))
    }

    /// This patient, records, consents; of each that was erased what stands in its place.
    pub fn entities(&self) -> &[&'a Node] {
        &self.entities
    }

    /// As an accounting shows it.
    pub fn into_event(self) -> Node {
        let entities: Vec<Node> = self.entities.into_iter().cloned().collect();
        let event = Object::resource("AuditEvent");
        let event = self.elements.into_iter().fold(event, |event, (name, element)| event.with(name, element.into_owned()));
        event.with_some("entity", (!entities.is_empty()).then_some(entities)).into()
    }
}

/// Whether an entity of an event is told to a patient.
pub fn is_told(entity: &Node, patient: &str) -> bool {
    match entity.text_at(&["what", "reference"]) {
        Some(of) => of == patient || !of.starts_with("Patient/"),
        None => erased_entity(entity).is_some(),
    }
}

/// What stands in the place of an entity that was erased.
pub fn in_place_of(commitment: &[u8; 32]) -> Node {
    let extension = Object::new().with("url", ERASED_EXTENSION).with("valueBase64Binary", BASE64.encode(commitment));
    Object::new().with("extension", vec![extension.into()]).into()
}

/// The commitment that stands in the place of an entity that was erased, if that is what it is and nothing else.
pub fn erased_entity(entity: &Node) -> Option<[u8; 32]> {
    let commitment = BASE64.decode(entity.items("extension").first()?.text("valueBase64Binary")?.as_bytes()).ok()?.try_into().ok()?;
    (*entity == in_place_of(&commitment)).then_some(commitment)
}

/// The organisation that asked (custodian) or received; not the client, the program, or the gateway.
fn is_organisation(agent: &Node) -> bool {
    let codings = agent.get("type").map(|concept| concept.items("coding")).unwrap_or_default();
    codings.iter().any(|coding| matches!(coding.text("code"), Some("CST" | "IRCP")))
}

fn bare_agent(agent: &Node) -> Node {
    Object::new()
        .with_some("type", agent.get("type").cloned())
        .with_some("who", agent.get("who").cloned())
        .with("requestor", agent.get("requestor").and_then(Node::as_bool).unwrap_or(false))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn what_is_told_names_organisations_and_this_patient_alone() {
        let event = json::parse(
            br#"{"resourceType":"AuditEvent","id":"e","recorded":"2026-01-01T00:00:00Z","outcome":"4","outcomeDesc":"not-found: psychiatry",
            "agent":[{"type":{"coding":[{"code":"110153"}]},"who":{"identifier":{"value":"dr-who"}},"requestor":true,"network":{"address":"10.0.0.1"}},
              {"type":{"coding":[{"code":"CST"}]},"who":{"display":"Hospital B"},"requestor":false,"role":[{"text":"psychiatrist"}]}],
            "entity":[{"what":{"reference":"Patient/a"}},{"what":{"reference":"Patient/b"}},{"what":{"reference":"Observation/o"}},
              {"query":"c2VjcmV0"},{"what":{"identifier":{"value":"request"}}}]}"#,
            usize::MAX,
        )
        .unwrap();
        let shown = Told::of(&event, "Patient/a").into_event();
        let told = json::write(&shown);
        for kept in ["Hospital B", "Patient/a", "Observation/o", "2026-01-01"] {
            assert!(told.contains(kept), "{kept} is missing: {told}");
        }
        for hidden in ["dr-who", "10.0.0.1", "psychiatr", "Patient/b", "c2VjcmV0", "request\"}"] {
            assert!(!told.contains(hidden), "{hidden} is told: {told}");
        }
        assert_eq!(json::write(&Told::of(&shown, "Patient/a").into_event()), told, "what is told is told whole");
    }

    #[test]
    fn what_stands_in_the_place_of_something_erased_is_that_alone() {
        let erased = in_place_of(&[7; 32]);
        assert_eq!((erased_entity(&erased), is_told(&erased, "Patient/a")), (Some([7; 32]), true));
        for other in [
            r#"{"what":{"identifier":{"value":"request"}}}"#,
            r#"{"extension":[{"url":"urn:hearthgate:extension:erased-entity","valueBase64Binary":"AAAA"}]}"#,
            r#"{"extension":[{"url":"urn:other","valueBase64Binary":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}]}"#,
            r#"{"extension":[{"url":"urn:hearthgate:extension:erased-entity","valueBase64Binary":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}],"name":"x"}"#,
        ] {
            assert_eq!(erased_entity(&json::parse(other.as_bytes(), usize::MAX).unwrap()), None, "{other}");
        }
    }
}
