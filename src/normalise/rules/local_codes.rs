//! Rule 10. A local code becomes a portable one only through its source's ConceptMap; what has no map goes on the work list as it is.
//!
//! Mapping by name or by likeness puts a wrong LOINC on one result in twenty or worse, so it is not done at all.

use super::super::Unmapped;
use super::super::concept_map::MappedCode;
use super::super::path::Path;
use super::super::record::{MAX_UNMAPPED, Work};
use super::super::rule::LOCAL_CODES;
use super::primary_coding::has_portable;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// How many codings of one concept are looked up. Vendors send up to a dozen.
const MAX_CODINGS: usize = 64;

/// Adds the equivalents of a CodeableConcept's local codings behind them.
pub(in super::super) fn apply(concept: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let maps = &work.context.source.concept_maps;
    if maps.is_empty() || !work.on(LOCAL_CODES) {
        return;
    }
    let Some(codings) = concept.get("coding").and_then(Node::as_list) else { return };
    let mut missing: Vec<MappedCode> = Vec::new();
    for mapped in codings.iter().take(MAX_CODINGS).filter_map(|coding| maps.get(coding.text("system")?, coding.text("code")?)) {
        let same = |coding: &Node| coding.text("system") == Some(&mapped.system) && coding.text("code") == Some(&mapped.code);
        if !codings.iter().any(same) && !missing.contains(mapped) {
            missing.push(mapped.clone());
        }
    }
    for mapped in missing {
        let coding = Object::new().with("system", mapped.system.as_str()).with("code", mapped.code.as_str());
        work.append(LOCAL_CODES, concept, path, "coding", coding.with_some("display", mapped.display.as_deref()).into());
    }
}

/// Puts the test codes of an Observation or DiagnosticReport that nobody else would understand on the work list.
pub(in super::super) fn list_unmapped(resource: &Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(LOCAL_CODES) {
        return;
    }
    list_one(resource.get("code"), &path.member("code"), work);
    let components = resource.get("component").and_then(Node::as_list).unwrap_or_default();
    for (index, component) in components.iter().enumerate() {
        list_one(component.get("code"), &path.member("component").item(index).member("code"), work);
    }
}

fn list_one(concept: Option<&Node>, path: &Path<'_>, work: &mut Work<'_>) {
    let Some(concept) = concept.filter(|concept| concept.as_object().is_some() && !has_portable(concept)) else { return };
    if work.unmapped.len() >= MAX_UNMAPPED {
        return;
    }
    let coding = concept.items("coding").first();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    work.unmapped.push(Unmapped {
        path: path.to_string(),
        system: owned(coding.and_then(|coding| coding.text("system"))),
        code: owned(coding.and_then(|coding| coding.text("code"))),
        text: owned(concept.text("text").or_else(|| coding?.text("display"))),
    });
    let text = "the test has no code that other systems understand; it was kept as sent and put on the list of unmapped codes";
    work.flag(Severity::Information, IssueType::Incomplete, "unmapped", path, text);
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use crate::fhir::json;

    const LOCAL: &str = r#"{"resourceType":"Observation","code":{"coding":[{"system":"urn:lab","code":"CREA"}],"text":"Creatinine"}}"#;

    #[test]
    fn unmapped_codes_are_listed() {
        for (text, listed) in [
            (LOCAL, 1),
            (r#"{"resourceType":"Observation","code":{"text":"Creatinine"}}"#, 1),
            (r#"{"resourceType":"Observation","code":{"coding":[{"system":"LN","code":"2160-0"}]}}"#, 0),
            (r#"{"resourceType":"Patient","id":"1"}"#, 0),
        ] {
            let done = run(text, &source());
            assert_eq!(done.unmapped.len(), listed, "{text}");
            assert_eq!(done.findings.iter().filter(|finding| finding.message_id == "unmapped").count(), listed);
        }
    }

    #[test]
    fn only_an_exact_map_is_followed() {
        for (equivalence, mapped) in [("equivalent", true), ("equal", true), ("wider", false), ("inexact", false)] {
            let map = format!(
                r#"{{"group":[{{"source":"urn:lab","target":"http://loinc.org","element":[{{"code":"CREA","target":[{{"code":"2160-0","equivalence":"{equivalence}"}}]}}]}}]}}"#
            );
            let mut source = source();
            source.concept_maps.add(&json::parse(map.as_bytes(), 32).unwrap());
            let done = run(LOCAL, &source);
            let codes: Vec<&str> =
                done.resource.get("code").unwrap().items("coding").iter().filter_map(|coding| coding.text("code")).collect();
            assert_eq!(codes, if mapped { vec!["CREA", "2160-0"] } else { vec!["CREA"] });
            assert_eq!(done.unmapped.is_empty(), mapped);
        }
    }
}
