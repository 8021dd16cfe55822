//! Labelling (HL7 DS4P): what a resource's codes and words tell of its sensitivity, before a decision is taken on it.
//!
//! The source's own labels are kept. Sensitive material is labelled with its sensitivity and as restricted. What is plainly not sensitive is
//! labelled as normal; what cannot be told stays without a level, and a decision takes that for restricted.

use super::code::{Code, items};
use super::facts::{ResourceFacts, of};
use super::permitted::is_administrative;
use super::vocabulary::{ACT_CODE, CONFIDENTIALITY, Concept, Confidentiality, is_sensitivity};
use crate::fhir::{Node, Value};
use compact_str::CompactString;
use data_encoding::BASE64;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// The list that is built in.
const BUILT_IN: &str = include_str!("sensitivities.txt");

/// The name under which a list names profiles, as if they were the codes of a system.
const PROFILES: &str = "profile";

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

/// A sensitivity list, ready for use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Labeller(Arc<List>);

#[derive(Debug, Default)]
struct List {
    systems: HashMap<CompactString, CompactString>,
    codes: HashMap<Code, BTreeSet<CompactString>>,
    prefixes: HashMap<CompactString, Vec<(CompactString, CompactString)>>,
    /// Phrases by their first word.
    phrases: HashMap<CompactString, Vec<Phrase>>,
}

/// The words after the first, in lower case, and what they tell.
#[derive(Debug)]
struct Phrase {
    rest: Vec<CompactString>,
    label: CompactString,
}

/// What labelling found in a resource or in a part of one.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub labels: BTreeSet<CompactString>,
    is_too_long: bool,
}

impl Found {
    /// What was found, as labels: the sensitivities.
    pub(super) fn concepts(&self) -> impl Iterator<Item = Concept> {
        self.labels.iter().map(|label| Concept::new(Code { system: ACT_CODE.into(), code: label.clone() }))
    }
}

impl Labeller {
    /// The list that comes with the gateway.
    pub fn built_in() -> &'static Labeller {
        static LIST: LazyLock<Labeller> = LazyLock::new(|| Labeller::parse(BUILT_IN).unwrap_or_default());
        &LIST
    }

    /// Reads a list: `system NAME URI` and `LABEL NAME CODE`, `LABEL NAME PREFIX*`, `LABEL words PHRASE`, `LABEL profile URL`; `#` begins a
    /// comment line.
    pub fn parse(list: &str) -> Result<Labeller, ListError> {
        let mut read = List::default();
        let lines = || list.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (_, line) in lines() {
            if let Some((name, uri)) = line.strip_prefix("system ").and_then(|rest| rest.split_once(' ')) {
                read.systems.insert(name.into(), Code::new(uri, "").system);
            }
        }
        for (number, line) in lines().filter(|(_, line)| !line.is_empty() && !line.starts_with(['#']) && !line.starts_with("system ")) {
            read.add(line).map_err(|problem| ListError { line: number, problem })?;
        }
        Ok(Labeller(Arc::new(read)))
    }

    /// Adds to the facts what the resource's codes and words tell. Labels are only ever added, and the level only ever rises.
    pub fn label(&self, resource: &Node, facts: &mut ResourceFacts) {
        let mut found = Found::default();
        facts.all_codes.iter().for_each(|code| self.0.look_up(code, &mut found));
        facts.profiles.iter().for_each(|profile| self.0.look_up(&Code { system: PROFILES.into(), code: profile.clone() }, &mut found));
        self.0.read(resource, &mut found);
        let is_plain = !found.is_too_long && self.0.is_plain(resource, facts);
        facts.is_unreadable = holds_unreadable(resource);
        facts.holds_sensitive |= !found.labels.is_empty() || facts.is_unreadable;
        facts.labeller = Some(self.clone());
        let is_sensitive = !found.labels.is_empty();
        found.concepts().for_each(|label| facts.add_found(label));
        if is_sensitive && facts.confidentiality < Some(Confidentiality::Restricted) {
            facts.add_found(level("R"));
        } else if facts.confidentiality.is_none() && is_plain && !facts.labels.iter().any(is_sensitivity) {
            facts.add_found(level("N"));
        }
    }

    /// What the words and the given codes of a part of a resource tell.
    pub(super) fn survey(&self, part: &Node, codes: &[Code]) -> Found {
        let mut found = Found::default();
        codes.iter().for_each(|code| self.0.look_up(code, &mut found));
        match part.as_text() {
            Some(text) => self.0.search(text, &mut found),
            None => self.0.read(part, &mut found),
        }
        found
    }
}

/// A level of confidentiality as a label.
pub(super) fn level(code: &str) -> Concept {
    Concept::new(Code { system: CONFIDENTIALITY.into(), code: code.into() })
}

impl List {
    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let mut parts = line.splitn(3, ' ');
        let (Some(label), Some(system), Some(pattern)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a line is a label, a system and a code, prefix or phrase");
        };
        if system == "words" {
            let phrase = pattern.to_lowercase();
            let mut words = words(&phrase);
            let first = words.next().ok_or("a phrase must have a word")?;
            let rest = words.map(CompactString::from).collect();
            self.phrases.entry(first.into()).or_default().push(Phrase { rest, label: label.into() });
            return Ok(());
        }
        let named = if system == PROFILES { Some(PROFILES.into()) } else { self.systems.get(system).cloned() };
        let uri = named.ok_or("the system has no 'system' line")?;
        match pattern.strip_suffix('*') {
            Some("") => return Err("a prefix must not be empty"),
            Some(prefix) => self.prefixes.entry(uri).or_default().push((in_capitals(prefix).into(), label.into())),
            None if system == PROFILES => {
                _ = self.codes.entry(Code { system: uri, code: pattern.into() }).or_default().insert(label.into())
            }
            None => _ = self.codes.entry(Code { system: uri, code: in_capitals(pattern).into() }).or_default().insert(label.into()),
        }
        Ok(())
    }

    fn look_up(&self, code: &Code, found: &mut Found) {
        // Whoever writes a code in small letters means the same.
        let capitals = in_capitals(&code.code);
        let code = &Code { system: code.system.clone(), code: if code.system == PROFILES { code.code.clone() } else { capitals.into() } };
        if code.system == ACT_CODE && is_sensitivity(&Concept::new(code.clone())) {
            // The name of a sensitivity tells it: in a label on an element, or in a consent that withholds it.
            found.labels.insert(code.code.clone());
        }
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

    /// Searches every text that may tell something.
    fn read(&self, node: &Node, found: &mut Found) {
        match &node.value {
            Value::Text(text) => self.search(text, found),
            Value::List(items) => items.iter().for_each(|item| self.read(item, found)),
            Value::Object(object) => {
                let telling = object.members().iter().filter(|member| !is_silent(&member.name));
                telling.for_each(|member| self.read(&member.node, found));
                if let Some(text) = enclosed_text(node) {
                    self.search(&text, found);
                }
            }
            _ => {}
        }
    }

    fn search(&self, text: &str, found: &mut Found) {
        let end = text.floor_char_boundary(TEXT_LIMIT_BYTES);
        found.is_too_long |= end < text.len();
        let lower = in_plain_letters(text.get(..end).unwrap_or_default());
        let mut words = words(&lower);
        while let Some(word) = words.next() {
            for phrase in self.phrases.get(word).into_iter().flatten() {
                let mut following = words.clone();
                if phrase.rest.iter().all(|expected| following.next() == Some(expected.as_str())) {
                    found.labels.insert(phrase.label.clone());
                }
            }
        }
    }

    /// Whether the resource is coded well enough that finding nothing sensitive means that it is not.
    fn is_plain(&self, resource: &Node, facts: &ResourceFacts) -> bool {
        if OPAQUE.contains(&facts.type_name.as_str()) || resource.get("presentedForm").is_some() {
            return false;
        }
        let is_known = |code: &Code| self.systems.values().any(|system| *system == code.system);
        let is_coded = !facts.has_uncoded && !facts.main_codes.is_empty() && facts.main_codes.iter().any(is_known);
        let is_plain_inside =
            |inner: &Node| is_administrative(inner.resource_type().unwrap_or_default()) || self.is_plain(inner, &of(inner));
        (facts.is_timeless || is_coded) && items(resource, "contained").iter().all(is_plain_inside)
    }
}

/// A code as it is looked up.
fn in_capitals(code: &str) -> Cow<'_, str> {
    if code.bytes().any(|byte| byte.is_ascii_lowercase()) { Cow::Owned(code.to_ascii_uppercase()) } else { Cow::Borrowed(code) }
}

/// Whether content of a media type is text that can be searched.
fn is_text(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.starts_with("text/") || ["json", "xml", "rtf"].iter().any(|kind| media.ends_with(kind))
}

/// The text that stands encoded in a Binary or an Attachment, as much of it as is searched.
fn enclosed_text(node: &Node) -> Option<String> {
    let data = node.get("contentType").and_then(Node::as_text).filter(|media| is_text(media)).and_then(|_| node.text("data"))?;
    let encoded: String = data.chars().filter(|letter| !letter.is_whitespace()).take(TEXT_LIMIT_BYTES.next_multiple_of(4)).collect();
    Some(String::from_utf8_lossy(&BASE64.decode(encoded.as_bytes()).ok()?).into_owned())
}

/// Whether there is content in it that cannot be searched: an image, a PDF, text too long or badly encoded.
pub(super) fn holds_unreadable(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.iter().any(holds_unreadable),
        Value::Object(object) => {
            let is_content = object.get("data").is_some_and(|data| data.as_text().is_some()) && object.get("contentType").is_some();
            let is_long = object.get("data").and_then(Node::as_text).is_some_and(|data| data.len() > TEXT_LIMIT_BYTES);
            (is_content && (is_long || enclosed_text(node).is_none()))
                || object.members().iter().any(|member| holds_unreadable(&member.node))
        }
        _ => false,
    }
}

/// Members whose text tells nothing of what a resource is about, or, like the labels themselves, is read elsewhere.
const SILENT: [&str; 9] = ["resourceType", "security", "versionId", "lastUpdated", "contentType", "data", "hash", "status", "use"];

/// Whether the text of a member tells nothing of what a resource is about.
pub(super) fn is_silent(name: &str) -> bool {
    SILENT.contains(&name)
}

/// The words of a text: runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A text in lower case, without the characters that split or join words unseen.
fn in_plain_letters(text: &str) -> String {
    let text = if text.contains('&') {
        Cow::Owned(text.replace("&nbsp;", " ").replace("&#160;", " ").replace("&shy;", ""))
    } else {
        Cow::Borrowed(text)
    };
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let is_seen = |letter: &char| !matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    text.chars().filter(is_seen).flat_map(char::to_lowercase).collect()
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
        assert!(list.0.codes.len() > 50 && list.0.prefixes.len() >= 4 && list.0.phrases.len() > 30);
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
        check(r#""code":{"text":"opioid\n use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"f11.20"}]}"#, &["OPIOIDUD", "R"]);
        check(r#""x":{"contentType":"text/plain; charset=utf-8","data":"TWV0aGFkb25l"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"Opioid-use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"opioid&nbsp;use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"metha\u200bdone"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"opioid of no use"}"#, &[]);
        check(r#""note":[{"text":"heroin"}]"#, &["OPIOIDUD", "R"]);
        check(r#""evidence":[{"detail":[{"reference":"Location/methadone-clinic"}]}]"#, &["OPIOIDUD", "R"]);
        check(r#""extension":[{"url":"urn:x","valueMarkdown":"*heroin*"}]"#, &["OPIOIDUD", "R"]);
        check(
            r#""extension":[{"url":"urn:x","valueCoding":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SDV"}}]"#,
            &["SDV", "R"],
        );
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
        check(r#"{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/us/bser/x"]},"status":"final"}"#, &[]);
        check(r#"{"resourceType":"Encounter","id":"1"}"#, &[]);
        check(r#"{"resourceType":"DocumentReference","id":"1","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]}}"#, &[]);
        let coded = r#""code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}"#;
        check(&format!(r#"{{"resourceType":"Observation",{coded}}}"#), &["N"]);
        check(&format!(r#"{{"resourceType":"DiagnosticReport",{coded},"presentedForm":[{{}}]}}"#), &[]);
        let long = "word ".repeat(TEXT_LIMIT_BYTES);
        check(&format!(r#"{{"resourceType":"Observation",{coded},"text":{{"div":"{long}"}}}}"#), &[]);
    }
}
