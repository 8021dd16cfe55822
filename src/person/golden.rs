//! The golden record: one Patient composed of all records of a person, each element by a rule that is shown with it.

use crate::clock::Instant;
use crate::fhir::{Node, Object, json};
use std::collections::BTreeMap;

/// One record that takes part.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// `Patient/hg-…`.
    pub reference: String,
    /// When it was last changed.
    pub at: Instant,
    pub patient: Node,
}

/// Where an element of the golden record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub name: &'static str,
    /// The rule by which it was chosen, in words.
    pub rule: &'static str,
    /// References of the records that say so.
    pub sources: Vec<String>,
    /// Whether a record says otherwise.
    pub is_disputed: bool,
}

/// The composed record, and its elements in order.
#[derive(Debug, Clone)]
pub struct Golden {
    pub patient: Node,
    pub elements: Vec<Element>,
}

/// How one element survives.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Everything that any record says, each once, the newest record's first.
    Union,
    /// What most records say; of equals the newest.
    Majority,
    /// The most precise value; of equals what most records say, then the newest.
    MostPrecise,
    /// What the newest record that says anything says.
    Newest,
    /// Whatever record says so; a date says more than a flag.
    AnyTrue,
}

impl Rule {
    fn text(self) -> &'static str {
        match self {
            Rule::Union => "everything any record says, each once, the newest record's first",
            Rule::Majority => "what most records say, the newest among equals; unknown does not count",
            Rule::MostPrecise => "the most precise; among equals what most records say, then the newest",
            Rule::Newest => "what the newest record that has it says",
            Rule::AnyTrue => "any record that says so; a date before a flag",
        }
    }
}

/// The elements of the golden record with their rules, in Patient's order. What is not here is not composed.
const ELEMENTS: [(&str, Rule); 14] = [
    ("identifier", Rule::Union),
    ("name", Rule::Union),
    ("telecom", Rule::Union),
    ("gender", Rule::Majority),
    ("birthDate", Rule::MostPrecise),
    ("deceasedDateTime", Rule::AnyTrue),
    ("deceasedBoolean", Rule::AnyTrue),
    ("address", Rule::Union),
    ("maritalStatus", Rule::Newest),
    ("multipleBirthInteger", Rule::Newest),
    ("multipleBirthBoolean", Rule::Newest),
    ("contact", Rule::Newest),
    ("communication", Rule::Union),
    ("generalPractitioner", Rule::Union),
];

/// Composes the records of one person. The order in which they come does not matter.
pub fn golden(id: &str, records: &[Contribution]) -> Golden {
    let mut newest_first: Vec<&Contribution> = records.iter().collect();
    newest_first.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.reference.cmp(&b.reference)));
    let mut patient = Object::resource("Patient").with("id", id);
    let mut elements = Vec::new();
    for (name, rule) in ELEMENTS {
        let is_said_already = matches!(name, "deceasedBoolean" if patient.get("deceasedDateTime").is_some())
            || matches!(name, "multipleBirthBoolean" if patient.get("multipleBirthInteger").is_some());
        if is_said_already {
            continue;
        }
        if let Some((value, element)) = survive(name, rule, &newest_first) {
            patient.set(name, value);
            elements.push(element);
        }
    }
    let others = newest_first.iter().map(|record| -> Node {
        Object::new().with("other", Object::new().with("reference", record.reference.as_str())).with("type", "refer").into()
    });
    patient.set("link", others.collect::<Vec<Node>>());
    Golden { patient: patient.into(), elements }
}

fn survive(name: &'static str, rule: Rule, records: &[&Contribution]) -> Option<(Node, Element)> {
    let said: Vec<(&str, &Node)> = records
        .iter()
        .filter_map(|record| Some((record.reference.as_str(), record.patient.get(name)?)))
        .filter(|(_, value)| value.as_text() != Some("unknown") && value.as_bool() != Some(false))
        .collect();
    let (_, first) = said.first()?;
    let value = match rule {
        Rule::Union => union(&said),
        Rule::Newest | Rule::AnyTrue => (*first).clone(),
        Rule::Majority => most_said(&said)?.clone(),
        Rule::MostPrecise => {
            let precision = |value: &Node| value.as_text().map_or(0, str::len);
            let best = said.iter().map(|(_, value)| precision(value)).max()?;
            let precise: Vec<(&str, &Node)> = said.iter().copied().filter(|(_, value)| precision(value) == best).collect();
            most_said(&precise)?.clone()
        }
    };
    let agrees = |other: &Node| match rule {
        Rule::Union => true,
        Rule::MostPrecise => value.as_text().zip(other.as_text()).is_some_and(|(value, other)| value.starts_with(other)),
        _ => json::write_canonical(other) == json::write_canonical(&value),
    };
    let sources = said.iter().filter(|(_, other)| agrees(other)).map(|(reference, _)| (*reference).to_owned()).collect();
    let is_disputed = said.iter().any(|(_, other)| !agrees(other));
    Some((value.clone(), Element { name, rule: rule.text(), sources, is_disputed }))
}

fn union(said: &[(&str, &Node)]) -> Node {
    let mut seen = std::collections::BTreeSet::new();
    let items = said.iter().flat_map(|(_, list)| list.as_list().unwrap_or_default());
    items.filter(|item| seen.insert(json::write_canonical(item))).cloned().collect::<Vec<Node>>().into()
}

/// The value most records say; of equals the one said first.
fn most_said<'n>(said: &[(&str, &'n Node)]) -> Option<&'n Node> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    said.iter().for_each(|(_, value)| *counts.entry(json::write_canonical(value)).or_default() += 1);
    let most = counts.values().max().copied()?;
    said.iter().map(|(_, value)| *value).find(|value| counts.get(&json::write_canonical(value)) == Some(&most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reference: &str, seconds: i64, body: &str) -> Contribution {
        let text = format!(r#"{{"resourceType":"Patient",{body}}}"#);
        let patient = json::parse(text.as_bytes(), 32).unwrap();
        Contribution { reference: reference.into(), at: Instant::from_micros(seconds * 1_000_000), patient }
    }

    fn records() -> Vec<Contribution> {
        vec![
            record(
                "Patient/a",
                1,
                r#""identifier":[{"system":"urn:s","value":"1"}],"gender":"female","birthDate":"1970-03-01","maritalStatus":{"text":"S"}"#,
            ),
            record(
                "Patient/b",
                2,
                r#""identifier":[{"system":"urn:s","value":"1"},{"system":"urn:t","value":"2"}],"gender":"unknown","birthDate":"1970","maritalStatus":{"text":"M"},"deceasedBoolean":false"#,
            ),
            record("Patient/c", 3, r#""gender":"male","birthDate":"1970-03-01","deceasedBoolean":true"#),
            record("Patient/d", 0, r#""gender":"female","deceasedDateTime":"2026-01-01""#),
        ]
    }

    #[test]
    fn each_element_survives_by_its_rule() {
        let golden = golden("g", &records());
        let patient = json::write(&golden.patient);
        for said in
            [r#""gender":"female""#, r#""birthDate":"1970-03-01""#, r#""maritalStatus":{"text":"M"}"#, r#""deceasedDateTime":"2026-01-01""#]
        {
            assert!(patient.contains(said), "{said} is not in {patient}");
        }
        assert_eq!(golden.patient.items("identifier").len(), 2);
        assert!(!patient.contains("deceasedBoolean"));
        let element = |name: &str| golden.elements.iter().find(|element| element.name == name).unwrap();
        assert_eq!(element("gender").sources, ["Patient/a", "Patient/d"]);
        assert!(element("gender").is_disputed && !element("birthDate").is_disputed);
        assert_eq!(element("birthDate").sources, ["Patient/c", "Patient/b", "Patient/a"]);
        assert_eq!(element("maritalStatus").sources, ["Patient/b"]);
    }

    #[test]
    fn the_order_does_not_matter_and_one_record_is_itself() {
        let mut turned = records();
        turned.reverse();
        assert_eq!(json::write(&golden("g", &records()).patient), json::write(&golden("g", &turned).patient));
        let one = golden("a", &records()[..1]);
        assert!(one.elements.iter().all(|element| !element.is_disputed && element.sources == ["Patient/a"]));
        let findings =
            crate::validate::check(crate::definitions::Definitions::embedded(), &one.patient, &crate::validate::Options::default());
        assert!(!findings.iter().any(|finding| finding.is_error()), "{findings:?}");
    }
}
