//! Rule 10. A local code becomes a portable one only through its source's ConceptMap; what has no map goes on the work list as it is.
//!
//! Mapping by name or by likeness puts a wrong LOINC on one result in twenty or worse, so it is not done at all.

use super::super::concept_map::MappedCode;
use super::super::path::Path;
use super::super::record::{MAX_UNMAPPED, Work};
use super::super::rule::LOCAL_CODES;
use super::super::{Context, Unmapped};
use super::primary_coding::has_portable;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Stands for the system of what has none, where keys are made; it is no URI and no type.
const UNNAMED: &str = "unmapped";
/// What the systems of keys end in.
const KEYS: &str = ":keys";

/// How many codings of one concept are looked up. Vendors send up to a dozen.
const MAX_CODINGS: usize = 64;

/// Adds the equivalents of a CodeableConcept's local codings behind them.
pub(in super::super) fn apply(concept: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let maps = &work.context.source.concept_maps;
    if maps.is_empty() || !work.on(LOCAL_CODES) {
        return;
    }
    let codings = concept.get("coding").and_then(Node::as_list).unwrap_or_default();
    let mut missing: Vec<MappedCode> = Vec::new();
    let by_coding = codings.iter().take(MAX_CODINGS).filter_map(|coding| mapped(coding, work.context));
    for mapped in by_coding.chain(mapped_text(concept, work.context)) {
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

/// What a ConceptMap says of a local coding, by its own system and code or by its key.
fn mapped<'c>(coding: &Node, context: &Context<'c>) -> Option<&'c MappedCode> {
    let maps = &context.source.concept_maps;
    let code = coding.text("code")?;
    let found = match coding.text("system") {
        Some(system) => maps.get(system, code),
        None => maps.get(&unnamed_system(context), code),
    };
    found.or_else(|| {
        let keys = key_system(context);
        maps.has(&keys).then(|| maps.get(&keys, &key(coding.text("system"), code, context))).flatten()
    })
}

/// The same of a concept that is nothing but text.
fn mapped_text<'c>(concept: &Object, context: &Context<'c>) -> Option<&'c MappedCode> {
    let codings = concept.get("coding").and_then(Node::as_list).unwrap_or_default();
    let keys = key_system(context);
    if codings.iter().any(|coding| coding.get("code").is_some()) || !context.source.concept_maps.has(&keys) {
        return None;
    }
    let text = concept.get("text").and_then(Node::as_text).or_else(|| codings.first()?.text("display"))?;
    context.source.concept_maps.get(&keys, &key(None, text, context))
}

/// The system of a source's codes that come without one, by which maps name them. The record keeps them as they came.
fn unnamed_system(context: &Context<'_>) -> String {
    format!("{}:codes", context.source.urn())
}

/// Whether a system is one of keys: what stands beside such a code was typed by somebody.
pub fn is_key_system(system: &str) -> bool {
    system.ends_with(KEYS)
}

/// The system of the keys.
fn key_system(context: &Context<'_>) -> String {
    format!("{}{KEYS}", context.source.urn())
}

/// A name for a code or text that may carry what people typed: the same for the same, and telling nothing of it.
fn key(system: Option<&str>, text: &str, context: &Context<'_>) -> String {
    context.ids.id(context.source.id_scope(), system.unwrap_or(UNNAMED), text)
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
    let context = work.context;
    let coding = concept.items("coding").iter().find(|coding| coding.text("code").is_some());
    let (system, code) = (coding.and_then(|coding| coding.text("system")), coding.and_then(|coding| coding.text("code")));
    let text = concept.text("text").or_else(|| coding.or(concept.items("coding").first())?.text("display"));
    if let Some(word) = code.or(text) {
        work.unmapped.push(Unmapped {
            path: path.to_string(),
            coding: code.map(|code| (system.map_or_else(|| unnamed_system(context), str::to_owned), code.to_owned())),
            text: text.map(str::to_owned),
            key: (key_system(context), key(system, word, context)),
        });
    }
    let text = "the test has no code that other systems understand; it was kept as sent and put on the list of unmapped codes";
    work.flag(Severity::Information, IssueType::Incomplete, "unmapped", path, text);
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, run_typed, source};
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

    /// A map made from the list applies on the next arrival, to codes without a system and to bare texts too.
    #[test]
    fn what_is_listed_can_be_mapped() {
        for concept in [
            r#"{"coding":[{"system":"urn:lab","code":"CREA"}]}"#,
            r#"{"coding":[{"code":"CREA"}]}"#,
            r#"{"coding":[{"display":"Creatinine"}]}"#,
            r#"{"coding":[{"system":"urn:lab","display":"Creatinine"},{"code":"CREA"}],"text":"Creatinine"}"#,
            r#"{"text":"Creatinine"}"#,
        ] {
            let text = format!(r#"{{"resourceType":"Observation","status":"final","code":{concept}}}"#);
            let listed = run_typed(&text, &source()).unmapped.remove(0);
            for (system, code) in listed.coding.into_iter().chain([listed.key]) {
                let map = format!(
                    r#"{{"group":[{{"source":"{system}","target":"http://loinc.org","element":[{{"code":"{code}","target":[{{"code":"2160-0","equivalence":"equivalent"}}]}}]}}]}}"#
                );
                let mut source = source();
                source.concept_maps.add(&json::parse(map.as_bytes(), 32).unwrap());
                let done = run_typed(&text, &source);
                assert!(done.unmapped.is_empty(), "{text} by {system}");
                let again = run_typed(&json::write(&done.resource), &source);
                assert_eq!((again.resource, again.changes.len()), (done.resource, 0), "{text} by {system}");
                let other = text.replace("CREA", "GLU").replace("Creatinine", "Glucose");
                assert_eq!(run_typed(&other, &source).unmapped.len(), 1, "{other} by {system}");
            }
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
