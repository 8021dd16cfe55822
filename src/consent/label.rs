//! Labelling (HL7 DS4P): what a resource's codes and words tell of its sensitivity, before a decision is taken on it.
//!
//! The source's own labels are kept. Sensitive material is labelled with its sensitivity and as restricted. What is plainly not sensitive is
//! labelled as normal; what cannot be told stays without a level, and a decision takes that for restricted.

use super::code::Code;
use super::facts::ResourceFacts;
use super::vocabulary::{ACT_CODE, CONFIDENTIALITY, Concept, Confidentiality};
use crate::fhir::{Node, Value};
use compact_str::CompactString;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// The list that is built in.
const BUILT_IN: &str = include_str!("sensitivities.txt");

/// How much of one text is searched for words. Longer ones are not labelled normal.
const TEXT_LIMIT_BYTES: usize = 64 * 1024;

/// Types that are documents, conversations or containers: their codes do not tell what is in them.
const OPAQUE: [&str; 12] = [
    "Binary",
    "Bundle",
    "Communication",
    "CommunicationRequest",
    "Composition",
    "DocumentManifest",
    "DocumentReference",
    "List",
    "Media",
    "Parameters",
    "QuestionnaireResponse",
    "Task",
];

/// Why a line of a sensitivity list could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// From 1.
    pub line: usize,
    pub problem: &'static str,
}

/// A sensitivity list, ready for use.
#[derive(Debug, Clone, Default)]
pub struct Labeller {
    systems: HashMap<CompactString, CompactString>,
    codes: HashMap<Code, BTreeSet<CompactString>>,
    prefixes: HashMap<CompactString, Vec<(CompactString, CompactString)>>,
    /// Phrases in lower case, by their first word.
    phrases: HashMap<CompactString, Vec<(CompactString, CompactString)>>,
}

/// What labelling found in one resource.
#[derive(Debug, Default)]
struct Found {
    labels: BTreeSet<CompactString>,
    is_too_long: bool,
}

impl Labeller {
    /// The list that comes with the gateway.
    pub fn built_in() -> &'static Labeller {
        static LIST: LazyLock<Labeller> = LazyLock::new(|| Labeller::parse(BUILT_IN).unwrap_or_default());
        &LIST
    }

    /// Reads a list: `system NAME URI` and `LABEL NAME CODE`, `LABEL NAME PREFIX*`, `LABEL words PHRASE`; `#` begins a comment line.
    pub fn parse(list: &str) -> Result<Labeller, ListError> {
        let mut labeller = Labeller::default();
        let lines = || list.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (_, line) in lines() {
            if let Some((name, uri)) = line.strip_prefix("system ").and_then(|rest| rest.split_once(' ')) {
                labeller.systems.insert(name.into(), Code::new(uri, "").system);
            }
        }
        for (number, line) in lines().filter(|(_, line)| !line.is_empty() && !line.starts_with(['#']) && !line.starts_with("system ")) {
            labeller.add(line).map_err(|problem| ListError { line: number, problem })?;
        }
        Ok(labeller)
    }

    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let mut parts = line.splitn(3, ' ');
        let (Some(label), Some(system), Some(pattern)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a line is a label, a system and a code, prefix or phrase");
        };
        if system == "words" {
            let phrase = pattern.to_lowercase();
            let first = phrase.split(' ').next().unwrap_or_default();
            self.phrases.entry(first.into()).or_default().push((phrase.as_str().into(), label.into()));
            return Ok(());
        }
        let uri = self.systems.get(system).cloned().ok_or("the system has no 'system' line")?;
        match pattern.strip_suffix('*') {
            Some("") => return Err("a prefix must not be empty"),
            Some(prefix) => self.prefixes.entry(uri).or_default().push((prefix.into(), label.into())),
            None => _ = self.codes.entry(Code { system: uri, code: pattern.into() }).or_default().insert(label.into()),
        }
        Ok(())
    }

    /// Adds to the facts what the resource's codes and words tell. Labels are only ever added, and the level only ever rises.
    pub fn label(&self, resource: &Node, facts: &mut ResourceFacts) {
        let mut found = Found::default();
        facts.all_codes.iter().for_each(|code| self.look_up(code, &mut found));
        self.read(resource, &mut found);
        let is_plain = !found.is_too_long && self.is_plain(resource, facts);
        let is_sensitive = !found.labels.is_empty();
        for label in found.labels {
            facts.add_label(Concept::new(Code { system: ACT_CODE.into(), code: label }));
        }
        let level = |code: &str| Concept::new(Code { system: CONFIDENTIALITY.into(), code: code.into() });
        if is_sensitive && facts.confidentiality < Some(Confidentiality::Restricted) {
            facts.add_label(level("R"));
        } else if facts.confidentiality.is_none() && is_plain && !facts.labels.iter().any(super::vocabulary::is_sensitivity) {
            facts.add_label(level("N"));
        }
    }

    fn look_up(&self, code: &Code, found: &mut Found) {
        // A code without a system is looked up in all of them: where it may be sensitive it is taken for sensitive.
        let systems: &mut dyn Iterator<Item = &CompactString> =
            if code.system.is_empty() { &mut self.systems.values() } else { &mut std::iter::once(&code.system) };
        for system in systems {
            let named = self.codes.get(&Code { system: system.clone(), code: code.code.clone() });
            found.labels.extend(named.into_iter().flatten().cloned());
            let prefixes = self.prefixes.get(system).into_iter().flatten();
            found.labels.extend(prefixes.filter(|(prefix, _)| code.code.starts_with(prefix.as_str())).map(|(_, label)| label.clone()));
        }
    }

    /// Searches every text that people read: displays, texts, titles, names, notes and the narrative.
    fn read(&self, node: &Node, found: &mut Found) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.read(item, found)),
            Value::Object(object) => {
                for member in object.members() {
                    match &member.node.value {
                        Value::Text(text) if is_readable(&member.name) => self.search(text, found),
                        Value::List(_) | Value::Object(_) => self.read(&member.node, found),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn search(&self, text: &str, found: &mut Found) {
        let end = text.floor_char_boundary(TEXT_LIMIT_BYTES);
        found.is_too_long |= end < text.len();
        let lower = text.get(..end).unwrap_or_default().to_lowercase();
        let is_word = |letter: char| letter.is_alphanumeric();
        let mut rest = lower.as_str();
        while let Some(start) = rest.find(is_word) {
            let here = rest.get(start..).unwrap_or_default();
            let word_end = here.find(|letter| !is_word(letter)).unwrap_or(here.len());
            for (phrase, label) in here.get(..word_end).and_then(|word| self.phrases.get(word)).into_iter().flatten() {
                let after = here.strip_prefix(phrase.as_str());
                if after.is_some_and(|after| !after.starts_with(is_word)) {
                    found.labels.insert(label.clone());
                }
            }
            rest = here.get(word_end..).unwrap_or_default();
        }
    }

    /// Whether the resource is coded well enough that finding nothing sensitive means that it is not.
    fn is_plain(&self, resource: &Node, facts: &ResourceFacts) -> bool {
        if OPAQUE.contains(&facts.type_name.as_str()) || resource.get("presentedForm").is_some() || resource.get("contained").is_some() {
            return false;
        }
        let is_known = |code: &Code| self.systems.values().any(|system| *system == code.system);
        facts.is_timeless || (!facts.has_uncoded && !facts.main_codes.is_empty() && facts.main_codes.iter().any(is_known))
    }
}

fn is_readable(name: &str) -> bool {
    matches!(
        name,
        "text" | "display" | "title" | "name" | "description" | "div" | "valueString" | "summary" | "conclusion" | "patientInstruction"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::facts;
    use crate::fhir::json::{DEFAULT_DEPTH, parse};

    fn labels(resource: &str) -> Vec<String> {
        let resource = parse(resource.as_bytes(), DEFAULT_DEPTH).unwrap();
        let mut facts = facts::of(&resource);
        Labeller::built_in().label(&resource, &mut facts);
        facts.labels().iter().map(|label| label.code.code.to_string()).collect()
    }

    #[test]
    fn what_comes_with_the_gateway_can_be_read() {
        let list = Labeller::parse(BUILT_IN).unwrap();
        assert!(list.codes.len() > 50 && list.prefixes.len() >= 4 && list.phrases.len() > 30);
    }

    #[test]
    fn lines_that_cannot_be_used_are_named() {
        for (list, line) in [("# x\nETH", 2), ("ETH nowhere F10", 1), ("system a urn:a\nETH a *", 2)] {
            assert_eq!(Labeller::parse(list).unwrap_err().line, line, "{list}");
        }
    }

    #[test]
    fn sensitive_material_is_found_under_its_names() {
        let check = |body: &str, expected: &[&str]| {
            let resource = format!(r#"{{"resourceType":"Condition","id":"1","subject":{{"reference":"Patient/1"}},{body}}}"#);
            assert_eq!(labels(&resource), expected, "{resource}");
        };
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.90","code":" F11.20 "}]}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm|2024","code":"B20"}]}"#, &["HIV", "R"]);
        check(r#""code":{"coding":[{"code":"B20"}]}"#, &["HIV", "R"]);
        check(r#""code":{"text":"Opioid dependence, in remission"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"urn:local","code":"X1","display":"SUBSTANCE USE visit"}]}"#, &["SUD", "R"]);
        check(
            r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003"}]},"text":{"div":"<div>On methadone.</div>"}"#,
            &["OPIOIDUD", "R"],
        );
        check(r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003"}]}"#, &["N"]);
        check(
            r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"chivalry; HIV-negative"}]}"#,
            &["HIV", "R"],
        );
        check(r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"chivalry"}]}"#, &["N"]);
        check(r#""code":{"coding":[{"system":"urn:local","code":"X1"}]}"#, &[]);
        check(r#""code":{"text":"Hypertension"}"#, &[]);
        check(
            r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]},"code":{"text":"HIV"}"#,
            &["V", "HIV"],
        );
    }

    #[test]
    fn only_what_is_plain_is_normal() {
        let check = |resource: &str, expected: &[&str]| assert_eq!(labels(resource), expected, "{resource}");
        check(r#"{"resourceType":"Patient","id":"1"}"#, &["N"]);
        check(r#"{"resourceType":"Encounter","id":"1"}"#, &[]);
        check(r#"{"resourceType":"DocumentReference","id":"1","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]}}"#, &[]);
        let coded = r#""code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}"#;
        check(&format!(r#"{{"resourceType":"Observation",{coded}}}"#), &["N"]);
        check(&format!(r#"{{"resourceType":"DiagnosticReport",{coded},"presentedForm":[{{}}]}}"#), &[]);
        let long = "word ".repeat(TEXT_LIMIT_BYTES);
        check(&format!(r#"{{"resourceType":"Observation",{coded},"text":{{"div":"{long}"}}}}"#), &[]);
    }
}
