//! The label of a Bundle: of everything that lies in it the most restrictive, in HL7's way (DS4P).
//!
//! It stands on what the gateway puts together itself. Records keep the labels they came with: what leaves must be what was anchored.

use super::code::Code;
use super::facts;
use super::label::{Confidence, Labelled, Labeller, level};
use super::permitted::is_administrative;
use super::vocabulary::{ACT_CODE, Concept, Confidentiality, is_sensitivity};
use crate::fhir::{Node, Object};
use compact_str::CompactString;
use std::collections::BTreeMap;

/// DS4P's extension for the law or policy a label rests on.
const BASIS: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis";
/// How sure labelling is.
const CONFIDENCE: &str = "urn:hearthgate:fhir:label-confidence";
/// The one law on which sensitivity lists rest that v3-ActCode has a code for.
const PART_2: (&str, &str) = ("42 CFR Part 2", "42CFRPart2");

/// What has been met so far.
pub struct HighWater<'l> {
    labeller: &'l Labeller,
    level: Option<Confidentiality>,
    /// Each sensitivity, and why it stands where labelling found it.
    sensitivities: BTreeMap<CompactString, Option<Labelled>>,
}

impl<'l> HighWater<'l> {
    /// The label of nothing.
    pub fn new(labeller: &'l Labeller) -> HighWater<'l> {
        HighWater { labeller, level: None, sensitivities: BTreeMap::new() }
    }

    /// Takes in what the setting tells in which something took place.
    pub fn add_setting(&mut self, labels: &[Concept]) {
        self.level = self.level.max(labels.iter().filter_map(Concept::level).max());
        for label in labels.iter().filter(|label| is_sensitivity(label)) {
            self.sensitivities.entry(label.code.code.clone()).or_default();
        }
    }

    /// Takes in a resource as it is shown. A record of which nothing tells counts as restricted.
    pub fn add(&mut self, resource: &Node) {
        let mut facts = facts::of(resource);
        self.labeller.label(resource, &mut facts);
        let is_free = resource.resource_type().is_some_and(is_administrative);
        let least = if is_free { None } else { Some(Confidentiality::Restricted) };
        self.level = self.level.max(facts.confidentiality().or(least));
        for label in facts.labels().iter().filter(|label| is_sensitivity(label)) {
            self.sensitivities.entry(label.code.code.clone()).or_default();
        }
        for found in self.labeller.explain(resource) {
            let known = self.sensitivities.entry(found.code.clone()).or_default();
            if known.as_ref().is_none_or(|known| known.confidence < found.confidence) {
                *known = Some(found);
            }
        }
    }

    /// The `meta` of the Bundle; `None` where nothing in it has a label.
    pub fn meta(&self) -> Option<Node> {
        let level = self.level.map(|found| coding(&level(found.code()).code));
        let sensitivities = self.sensitivities.iter().map(|(code, why)| {
            let extensions = why.as_ref().map(|why| vec![confidence(why.confidence)].into_iter().chain(why.basis.as_deref().map(basis)));
            let extensions = extensions.map(Iterator::collect::<Vec<Node>>);
            Object::new().with_some("extension", extensions).with("system", ACT_CODE).with("code", code.as_str()).into()
        });
        let labels: Vec<Node> = level.into_iter().chain(sensitivities).collect();
        (!labels.is_empty()).then(|| Object::new().with("security", labels).into())
    }
}

fn coding(code: &Code) -> Node {
    Object::new().with("system", code.system.as_str()).with("code", code.code.as_str()).into()
}

fn confidence(confidence: Confidence) -> Node {
    Object::new().with("url", CONFIDENCE).with("valueCode", confidence.code()).into()
}

fn basis(law: &str) -> Node {
    let coding = if law == PART_2.0 { Object::new().with("system", ACT_CODE).with("code", PART_2.1) } else { Object::new() };
    Object::new().with("url", BASIS).with("valueCoding", coding.with("display", law)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn the_most_restrictive_wins() {
        let plain = r#"{"resourceType":"Observation","id":"a","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}}"#;
        let labelled = |code: &str| {
            format!(
                r#"{{"resourceType":"Patient","id":"b","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"{code}"}}]}}}}"#
            )
        };
        let opioid = r#"{"resourceType":"Condition","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}}"#;
        let worded =
            r#"{"resourceType":"Condition","code":{"coding":[{"system":"http://loinc.org","code":"1"}],"text":"Opioid dependence"}}"#;
        let silent = r#"{"resourceType":"DocumentReference"}"#;
        let organisation = r#"{"resourceType":"Organization"}"#;
        for (resources, expected) in [
            (vec![], ""),
            (vec![organisation], ""),
            (vec![plain], "N"),
            (vec![plain, silent, organisation], "R"),
            (vec![plain, worded], "R OPIOIDUD/medium"),
            (vec![worded, opioid, &labelled("N")], "R OPIOIDUD/high"),
            (vec![&labelled("V"), opioid], "V OPIOIDUD/high"),
            (vec![&labelled("M")], "M"),
        ] {
            let mut mark = HighWater::new(Labeller::built_in());
            for text in &resources {
                mark.add(&json::parse(text.as_bytes(), json::DEFAULT_DEPTH).unwrap());
            }
            let labels = mark.meta().map(|meta| meta.items("security").to_vec()).unwrap_or_default();
            let told: Vec<String> = labels
                .iter()
                .map(|label| match label.items("extension") {
                    [sure, on] => {
                        assert_eq!(on.text_at(&["valueCoding", "code"]), Some("42CFRPart2"));
                        format!("{}/{}", label.text("code").unwrap(), sure.text("valueCode").unwrap())
                    }
                    _ => label.text("code").unwrap().to_owned(),
                })
                .collect();
            assert_eq!(told.join(" "), expected, "{resources:?}");
        }
    }
}
