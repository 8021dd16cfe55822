//! Rule 20. The same thing sent twice: recognised by what it is, linked or answered with nothing to do, never dropped.
//!
//! In scope: the key by which two results are one result, the link from the later to the earlier, and what of one batch is there twice.
//! Out of scope: looking keys up in the store. Deciding is pure; whoever holds the earlier records asks by [`result_key`] and calls [`link`].
//!
//! The key set is ReportStream's for laboratory reports: specimen or accession, collection time, patient, report status, performer, test, value.
//! A result without a patient, a test, a time or a value has no key: there is no telling whether it is another.

use super::path::Path;
use super::record::Change;
use super::rule::DUPLICATES;
use super::vocabulary::DUPLICATE_OF;
use super::{Context, Normalisation, primary_coding};
use crate::fhir::decimal::Decimal;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object, json};
use crate::outcome::{Finding, IssueType, Severity};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How many resources one [`Batch`] remembers. Beyond it nothing is compared any more, and a finding says so.
pub const MAX_REMEMBERED: usize = 1_000_000;

/// What two results have in common when they are one: a digest, so that it can be stored without what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResultKey(pub [u8; 32]);

/// What stands beside a result: its patient and its specimen, where they are at hand. Without them the result's own references count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'n> {
    pub patient: Option<&'n Node>,
    pub specimen: Option<&'n Node>,
}

/// The key of an Observation; `None` when it is no result that could be recognised.
pub fn result_key(observation: &Node, beside: Beside<'_>) -> Option<ResultKey> {
    if observation.resource_type() != Some("Observation") {
        return None;
    }
    let parts = [
        beside.patient.and_then(person).or_else(|| reference(observation.get("subject")))?,
        beside.specimen.and_then(specimen).or_else(|| reference(observation.get("specimen"))).unwrap_or_default(),
        time(observation)?,
        observation.text("status").unwrap_or_default().to_owned(),
        performers(observation),
        test(observation.get("code")?)?,
        result(observation)?,
    ];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    Some(ResultKey(hash.finalize().into()))
}

/// Name and birth date, without which a patient is not recognised from one source to the next.
fn person(patient: &Node) -> Option<String> {
    let name = patient.items("name").first()?;
    let given: Vec<String> = name.items("given").iter().filter_map(Node::as_text).map(str::to_lowercase).collect();
    Some(format!("{}|{}|{}", name.text("family")?.to_lowercase(), given.join(" "), patient.text("birthDate")?))
}

fn specimen(specimen: &Node) -> Option<String> {
    let accession = specimen.get("accessionIdentifier").or_else(|| specimen.items("identifier").first())?;
    Some(format!("{}|{}", accession.text("system").unwrap_or_default(), accession.text("value")?))
}

fn reference(node: Option<&Node>) -> Option<String> {
    let node = node?;
    let logical =
        || Some(format!("{}|{}", node.text_at(&["identifier", "system"]).unwrap_or_default(), node.text_at(&["identifier", "value"])?));
    node.text("reference").map(str::to_owned).or_else(logical)
}

/// When the specimen was taken, else when the result was issued; the same instant in another offset is the same. A date alone is no time: results of
/// one day, or whose time was cut off for want of an offset, may well be several.
fn time(observation: &Node) -> Option<String> {
    let text = observation
        .text("effectiveDateTime")
        .or_else(|| observation.text("effectiveInstant"))
        .or_else(|| observation.text_at(&["effectivePeriod", "start"]))
        .or_else(|| observation.text("issued"))
        .filter(|text| text.contains('T'))?;
    let Ok(time) = DateTime::parse(text) else { return Some(text.to_owned()) };
    Some(format!("{:?}", time.interval()))
}

fn performers(observation: &Node) -> String {
    let mut all: Vec<String> = observation.items("performer").iter().filter_map(|performer| reference(Some(performer))).collect();
    all.sort_unstable();
    all.join(" ")
}

fn test(code: &Node) -> Option<String> {
    match primary_coding(code) {
        Some(coding) => Some(format!("{}|{}", coding.text("system").unwrap_or_default(), coding.text("code")?)),
        None => code.text("text").map(str::to_lowercase),
    }
}

/// The value with its unit, numbers by what they are worth; of a panel, those of its components.
fn result(observation: &Node) -> Option<String> {
    let own = observation.as_object()?.members().iter().find(|member| member.name.starts_with("value"));
    if let Some(member) = own {
        return Some(value(&member.node));
    }
    let components = observation.items("component");
    let each: Option<Vec<String>> = components.iter().map(|part| Some(format!("{}={}", test(part.get("code")?)?, result(part)?))).collect();
    each.filter(|each| !each.is_empty()).map(|each| each.join(";"))
}

fn value(node: &Node) -> String {
    let number = node.get("value").and_then(Node::as_number).and_then(Decimal::parse);
    match number {
        Some(number) => {
            let number = number.normalised();
            let unit = node.text("code").or_else(|| node.text("unit")).unwrap_or_default();
            format!("{}{}e-{} {unit}", node.text("comparator").unwrap_or_default(), number.mantissa(), number.scale())
        }
        None => json::write_canonical(node),
    }
}

/// Links a result to the earlier one it repeats (`Observation/id`), and answers the step of lineage; `None` when it is linked already.
pub fn link(resource: &mut Object, earlier: &str) -> Option<Change> {
    let listed = resource.get("extension").and_then(Node::as_list).unwrap_or_default();
    let linked = |node: &Node| node.text("url") == Some(DUPLICATE_OF) && node.text_at(&["valueReference", "reference"]) == Some(earlier);
    if listed.iter().any(linked) {
        return None;
    }
    let index = listed.len();
    let extension: Node = Object::new().with("url", DUPLICATE_OF).with("valueReference", Object::new().with("reference", earlier)).into();
    let mut all = listed.to_vec();
    all.push(extension.clone());
    resource.set("extension", all);
    let root = Path::root("Observation");
    let place = root.member("extension");
    Some(Change { rule: DUPLICATES, path: place.item(index).to_string(), before: None, after: Some(extension) })
}

/// Takes away what only the gateway may say of a resource that is sent to it: that it repeats an earlier one. `None` where nothing was claimed.
pub fn without_claims(resource: &mut Node) -> Option<(Change, Finding)> {
    let type_name = resource.resource_type().unwrap_or("Resource").to_owned();
    let object = resource.as_object_mut()?;
    let listed = object.get("extension").and_then(Node::as_list)?;
    let kept: Vec<Node> = listed.iter().filter(|extension| extension.text("url") != Some(DUPLICATE_OF)).cloned().collect();
    if kept.len() == listed.len() {
        return None;
    }
    let path = Path::root(&type_name).member("extension").to_string();
    let before = object.get("extension").cloned();
    let after: Option<Node> = (!kept.is_empty()).then(|| kept.into());
    match &after {
        Some(kept) => object.set("extension", kept.clone()),
        None => drop(object.remove("extension")),
    }
    let text = "the resource says that it repeats another, which only the gateway says here; that was left out, and is said where the gateway finds it so";
    let finding = Finding::new(Severity::Warning, IssueType::BusinessRule, "claim-not-taken", text).at(path.clone());
    Some((Change { rule: DUPLICATES, path, before, after }, finding))
}

/// The earlier result that a result is linked to as its repeat.
pub fn repeats(resource: &Node) -> Option<&str> {
    let link = resource.items("extension").iter().find(|extension| extension.text("url") == Some(DUPLICATE_OF))?;
    link.text_at(&["valueReference", "reference"])
}

/// What one batch of resources has brought so far.
#[derive(Debug, Default)]
pub struct Batch {
    results: HashMap<ResultKey, String>,
    contents: HashMap<String, [u8; 32]>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Compares a normalised resource with the batch so far: a repeated result is linked, a repeated id is told.
    pub fn examine(&mut self, done: &mut Normalisation, context: &Context<'_>) {
        if !context.source.switches.is_on(DUPLICATES) {
            return;
        }
        let Some((type_name, id)) = done.resource.resource_type().zip(done.resource.text("id")) else { return };
        let name = format!("{type_name}/{id}");
        let digest: [u8; 32] = Sha256::digest(json::write_canonical(&done.resource)).into();
        let finding = match self.contents.get(&name) {
            Some(earlier) if *earlier == digest => Some((
                Severity::Information,
                "duplicate-identical",
                "the resource was sent before with the same content; there is nothing to do",
            )),
            Some(_) => Some((
                Severity::Warning,
                "duplicate-id",
                "the id was sent before with other content; both were kept, the later as the newer version",
            )),
            None => None,
        };
        if let Some((severity, message_id, text)) = finding {
            done.findings
                .push(Finding::new(severity, IssueType::Duplicate, message_id, text).at(name.split('/').next().unwrap_or_default()));
        } else if self.contents.len() < MAX_REMEMBERED {
            self.link_result(done, &name);
        }
        if self.contents.len() < MAX_REMEMBERED {
            self.contents.insert(name, digest);
        }
    }

    fn link_result(&mut self, done: &mut Normalisation, name: &str) {
        let Some(key) = result_key(&done.resource, Beside::default()) else { return };
        let Some(earlier) = self.results.get(&key) else {
            self.results.insert(key, name.to_owned());
            return;
        };
        let Some(change) = done.resource.as_object_mut().and_then(|object| link(object, earlier)) else { return };
        done.changes.push(change);
        let text = "the result repeats one that was sent under another id; the two were linked and both kept";
        done.findings.push(Finding::new(Severity::Information, IssueType::Duplicate, "duplicate-result", text).at("Observation"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::tests::{run, source};
    use crate::normalise::{GatewayIds, Links};

    const RESULT: &str = r#"{"resourceType":"Observation","id":"1","status":"final","subject":{"reference":"Patient/p"},
        "code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"effectiveDateTime":"2024-01-02T10:00:00+01:00",
        "valueQuantity":{"value":5.0,"unit":"g/dL"}}"#;

    fn key(text: &str) -> Option<ResultKey> {
        result_key(&json::parse(text.as_bytes(), 64).unwrap(), Beside::default())
    }

    #[test]
    fn keys() {
        let first = key(RESULT).unwrap();
        for (from, to, same) in [
            ("\"1\"", "\"2\"", true),
            ("5.0", "5.00", true),
            ("10:00:00+01:00", "09:00:00Z", true),
            ("5.0", "5.1", false),
            ("final", "corrected", false),
            ("Patient/p", "Patient/q", false),
            ("718-7", "2339-0", false),
            ("g/dL", "g/L", false),
            ("10:00:00", "11:00:00", false),
        ] {
            assert_eq!(key(&RESULT.replace(from, to)) == Some(first), same, "{from} -> {to}");
        }
        let on_a_day = RESULT.replace("T10:00:00+01:00", "");
        assert_eq!(key(&on_a_day), None, "results of one day may be several");
        for gone in [r#""subject":{"reference":"Patient/p"},"#, r#""effectiveDateTime":"2024-01-02T10:00:00+01:00","#] {
            assert_eq!(key(&RESULT.replace(gone, "")), None, "without {gone} there is no telling");
        }
    }

    #[test]
    fn a_patient_is_one_under_two_ids() {
        let patient =
            json::parse(br#"{"resourceType":"Patient","name":[{"family":"DOE","given":["Jane"]}],"birthDate":"1970-01-01"}"#, 64).unwrap();
        let specimen = json::parse(br#"{"resourceType":"Specimen","accessionIdentifier":{"system":"s","value":"1"}}"#, 64).unwrap();
        let beside = Beside { patient: Some(&patient), specimen: Some(&specimen) };
        let of = |text: &str| result_key(&json::parse(text.as_bytes(), 64).unwrap(), beside);
        assert_eq!(of(RESULT), of(&RESULT.replace("Patient/p", "Patient/q")));
        assert_ne!(of(RESULT), key(RESULT));
    }

    #[test]
    fn a_batch_links_and_tells() {
        let (source, ids, links, types) = (source(), GatewayIds::new([7; 32]), Links::new(), crate::fhir::types::TypeTable::default());
        let context = Context { source: &source, ids: &ids, links: &links, types: &types, declared: None };
        let mut batch = Batch::new();
        for (text, said, changed) in [
            (RESULT.to_owned(), None, false),
            (RESULT.to_owned(), Some("duplicate-identical"), false),
            (RESULT.replace("5.0", "6.0"), Some("duplicate-id"), false),
            (RESULT.replace("\"1\"", "\"2\""), Some("duplicate-result"), true),
        ] {
            let mut done = run(&text, &source);
            let before = done.changes.len();
            batch.examine(&mut done, &context);
            assert_eq!(done.findings.last().map(|finding| finding.message_id).filter(|id| id.starts_with("duplicate")), said);
            assert_eq!(done.changes.len() > before, changed);
            if changed {
                let earlier = done.resource.items("extension")[0].text_at(&["valueReference", "reference"]).unwrap().to_owned();
                let again = link(done.resource.as_object_mut().unwrap(), &earlier);
                assert!(again.is_none(), "linked twice");
            }
        }
    }
}
