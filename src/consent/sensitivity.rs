//! The lists by which labelling knows what is sensitive: FHIR value sets, or lines of text, turned into tables.

use super::code::{Code, REVENUE, items};
use super::facts::ResourceFacts;
use super::label::{Confidence, Found, encoded_text, is_plain, is_silent};
use super::vocabulary::{ACT_CODE, Concept, is_sensitivity};
use super::wording::{each_form, in_plain_letters, words};
use crate::fhir::json::{self, DEFAULT_DEPTH};
use crate::fhir::{Node, Value};
use compact_str::CompactString;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// The name under which a list names profiles, as if they were the codes of a system.
pub(super) const PROFILES: &str = "profile";

/// How much of one text is searched for words. Longer ones are not labelled normal.
pub(super) const TEXT_LIMIT_BYTES: usize = 64 * 1024;

/// What ships with the gateway, one value set for each kind of sensitive data.
const BUILT_IN: [&str; 8] = [
    include_str!("../../profiles/sensitivity/adolescent.json"),
    include_str!("../../profiles/sensitivity/genetic.json"),
    include_str!("../../profiles/sensitivity/hiv.json"),
    include_str!("../../profiles/sensitivity/mental-health.json"),
    include_str!("../../profiles/sensitivity/psychotherapy-notes.json"),
    include_str!("../../profiles/sensitivity/reproductive-health.json"),
    include_str!("../../profiles/sensitivity/sexual-assault-and-domestic-violence.json"),
    include_str!("../../profiles/sensitivity/substance-use.json"),
];

/// The extensions of our value sets: the law or policy a set rests on, the label of what an `include` names, and phrases.
const BASIS: &str = "urn:hearthgate:fhir:sensitivity-basis";
const LABEL: &str = "urn:hearthgate:fhir:sensitivity-label";
const WORDS: &str = "urn:hearthgate:fhir:sensitivity-words";

/// Why a list could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// From 1; of a value set the `include`.
    pub line: usize,
    pub problem: &'static str,
}

/// Systems of products, which are too many for a list and whose ingredients are not in hand.
const PRODUCTS: [&str; 2] = ["http://www.nlm.nih.gov/research/umls/rxnorm", "http://hl7.org/fhir/sid/ndc"];

/// The tables.
#[derive(Debug, Default)]
pub(super) struct List {
    /// The systems that are known, by the names lines of text use for them; of a value set by themselves.
    systems: HashMap<CompactString, CompactString>,
    codes: HashMap<Code, BTreeSet<CompactString>>,
    prefixes: HashMap<CompactString, Vec<(CompactString, CompactString)>>,
    /// Phrases by their first word.
    phrases: HashMap<CompactString, Vec<Phrase>>,
    /// Abbreviations that mean something else in small letters, and their labels.
    abbreviations: HashMap<CompactString, CompactString>,
    /// By label, the law or policy it rests on.
    bases: HashMap<CompactString, CompactString>,
}

/// The words after the first, in lower case, and what they tell.
#[derive(Debug)]
struct Phrase {
    rest: Vec<CompactString>,
    label: CompactString,
}

impl List {
    pub(super) fn built_in() -> Result<List, ListError> {
        let mut list = List::default();
        BUILT_IN.iter().try_for_each(|text| list.read_json(text))?;
        Ok(list)
    }

    /// Reads a value set, a Bundle of them, or lines of text.
    pub(super) fn parse(text: &str) -> Result<List, ListError> {
        let mut list = List::default();
        if text.trim_start().starts_with('{') {
            list.read_json(text)?
        } else {
            list.read_lines(text)?
        }
        Ok(list)
    }

    fn read_json(&mut self, text: &str) -> Result<(), ListError> {
        let broken = |problem| ListError { line: 1, problem };
        let read = json::parse(text.as_bytes(), DEFAULT_DEPTH).map_err(|_| broken("it is not JSON"))?;
        match read.resource_type() {
            Some("ValueSet") => self.read_value_set(&read),
            Some("Bundle") => {
                items(&read, "entry").iter().filter_map(|entry| entry.get("resource")).try_for_each(|set| self.read_value_set(set))
            }
            _ => Err(broken("it is neither a ValueSet nor a Bundle of them")),
        }
    }

    fn read_value_set(&mut self, set: &Node) -> Result<(), ListError> {
        let is = |extension: &&Node, name: &str| extension.text("url") == Some(name);
        let basis =
            items(set, "extension").iter().find(|extension| is(extension, BASIS)).and_then(|extension| extension.text("valueString"));
        for extension in items(set, "extension").iter().filter(|extension| is(extension, WORDS)) {
            let label = items(extension, "extension").iter().find_map(|part| part.text("valueCode"));
            let label = label.ok_or(ListError { line: 1, problem: "phrases need a label" })?;
            self.rest_on(label, basis);
            for part in items(extension, "extension") {
                let Some(words) = part.text("valueString") else { continue };
                match part.text("url") {
                    Some("abbreviation") => _ = self.abbreviations.insert(words.into(), label.into()),
                    _ => self.add_phrase(label, words).map_err(|problem| ListError { line: 1, problem })?,
                }
            }
        }
        let includes = set.get("compose").map_or(&[][..], |compose| items(compose, "include"));
        for (number, include) in (1..).zip(includes) {
            let label = items(include, "extension").iter().find(|extension| is(extension, LABEL)).and_then(|label| label.text("valueCode"));
            self.read_include(label, include).map_err(|problem| ListError { line: number, problem })?;
            self.rest_on(label.unwrap_or_default(), basis);
        }
        Ok(())
    }

    fn read_include(&mut self, label: Option<&str>, include: &Node) -> Result<(), &'static str> {
        let label = label.ok_or("an include needs the extension with its label")?;
        let system = Code::new(include.text("system").ok_or("an include needs a system")?, "").system;
        self.systems.insert(system.clone(), system.clone());
        for code in items(include, "concept").iter().filter_map(|concept| concept.text("code")) {
            self.add_code(label, system.clone(), code);
        }
        for filter in items(include, "filter") {
            let is_regex = filter.text("property") == Some("code") && filter.text("op") == Some("regex");
            let prefix = filter.text("value").filter(|_| is_regex).and_then(|value| value.strip_suffix(".*"));
            let prefix = prefix.ok_or("a filter must be a regex of codes that ends in .*")?.replace("\\.", ".");
            self.add_prefix(label, system.clone(), &prefix)?;
        }
        Ok(())
    }

    fn rest_on(&mut self, label: &str, basis: Option<&str>) {
        if let Some(basis) = basis {
            self.bases.entry(label.into()).or_insert_with(|| basis.into());
        }
    }

    fn read_lines(&mut self, text: &str) -> Result<(), ListError> {
        let lines = || text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (_, line) in lines() {
            if let Some((name, uri)) = line.strip_prefix("system ").and_then(|rest| rest.split_once(' ')) {
                self.systems.insert(name.into(), Code::new(uri, "").system);
            }
        }
        for (number, line) in lines().filter(|(_, line)| !line.is_empty() && !line.starts_with('#') && !line.starts_with("system ")) {
            self.add_line(line).map_err(|problem| ListError { line: number, problem })?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Result<(), &'static str> {
        let mut parts = line.splitn(3, ' ');
        let (Some(label), Some(system), Some(pattern)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a line is a label, a system and a code, prefix or phrase");
        };
        if label == "basis" {
            self.rest_on(system, Some(pattern));
            return Ok(());
        }
        if system == "abbreviation" {
            self.abbreviations.insert(pattern.into(), label.into());
            return Ok(());
        }
        if system == "words" {
            return self.add_phrase(label, pattern);
        }
        let named = if system == PROFILES { Some(PROFILES.into()) } else { self.systems.get(system).cloned() };
        let uri = named.ok_or("the system has no 'system' line")?;
        match pattern.strip_suffix('*') {
            Some(prefix) => self.add_prefix(label, uri, prefix)?,
            None => self.add_code(label, uri, pattern),
        }
        Ok(())
    }

    fn add_phrase(&mut self, label: &str, phrase: &str) -> Result<(), &'static str> {
        let phrase = in_plain_letters(phrase).to_lowercase();
        let mut words = words(&phrase);
        let first = words.next().ok_or("a phrase must have a word")?;
        let rest = words.map(CompactString::from).collect();
        self.phrases.entry(first.into()).or_default().push(Phrase { rest, label: label.into() });
        Ok(())
    }

    fn add_prefix(&mut self, label: &str, system: CompactString, prefix: &str) -> Result<(), &'static str> {
        if prefix.is_empty() {
            return Err("a prefix must not be empty");
        }
        self.prefixes.entry(system).or_default().push((in_capitals(prefix).into(), label.into()));
        Ok(())
    }

    fn add_code(&mut self, label: &str, system: CompactString, code: &str) {
        let code = if system == PROFILES { code.into() } else { in_capitals(code).into() };
        self.codes.entry(Code { system, code }).or_default().insert(label.into());
    }

    /// The law or policy a label rests on, as far as the list says.
    pub(super) fn basis(&self, label: &str) -> Option<&str> {
        self.bases.get(label).map(CompactString::as_str)
    }

    pub(super) fn look_up(&self, code: &Code, found: &mut Found) {
        // Whoever writes a code in small letters means the same.
        let capitals = in_capitals(&code.code);
        // The leading zero of a revenue code is often left out.
        let capitals = if code.system == REVENUE && capitals.len() == 3 { Cow::Owned(format!("0{capitals}")) } else { capitals };
        let code = &Code { system: code.system.clone(), code: if code.system == PROFILES { code.code.clone() } else { capitals.into() } };
        if code.system == ACT_CODE && is_sensitivity(&Concept::new(code.clone())) {
            // The name of a sensitivity tells it: in a label on an element, or in a consent that withholds it.
            found.note(&code.code, Confidence::High);
        }
        // A code without a system is looked up in all of them: where it may be sensitive it is taken for sensitive.
        let confidence = if code.system.is_empty() { Confidence::Low } else { Confidence::High };
        let systems: &mut dyn Iterator<Item = &CompactString> =
            if code.system.is_empty() { &mut self.systems.values() } else { &mut std::iter::once(&code.system) };
        for system in systems {
            let named = self.codes.get(&Code { system: system.clone(), code: code.code.clone() }).filter(|_| !is_ambiguous(code));
            named.into_iter().flatten().for_each(|label| found.note(label, confidence));
            let prefixes = self.prefixes.get(system).into_iter().flatten();
            prefixes.filter(|(prefix, _)| code.code.starts_with(prefix.as_str())).for_each(|(_, label)| found.note(label, confidence));
        }
    }

    /// Searches every text that may tell something.
    pub(super) fn read(&self, node: &Node, found: &mut Found) {
        match &node.value {
            Value::Text(text) => self.search(text, found),
            Value::List(items) => items.iter().for_each(|item| self.read(item, found)),
            Value::Object(object) => {
                self.look_up_identifier(node, found);
                let telling = object.members().iter().filter(|member| !is_silent(&member.name));
                telling.for_each(|member| self.read(&member.node, found));
                let encoded = object.members().iter().filter_map(|member| encoded_text(node, &member.name));
                encoded.for_each(|text| self.search(&text, found));
            }
            _ => {}
        }
    }

    pub(super) fn search(&self, text: &str, found: &mut Found) {
        let end = text.floor_char_boundary(TEXT_LIMIT_BYTES);
        found.is_too_long |= end < text.len();
        each_form(text.get(..end).unwrap_or_default(), |form| self.search_form(form, found));
    }

    /// A product may be named by an identifier: its code is the value.
    fn look_up_identifier(&self, node: &Node, found: &mut Found) {
        if let Some((system, value)) = node.text("system").zip(node.text("value")) {
            let code = Code::new(system, value);
            if self.systems.contains_key(&code.system) {
                self.look_up(&code, found);
            }
        }
    }

    /// Whether a product is named by a code alone that is in no list. What such a code stands for is told by its ingredients, which the lists name, and
    /// by words, of which there are none.
    pub(super) fn holds_nameless_product(&self, resource: &Node) -> bool {
        resource.get("text").is_none() && self.is_nameless_in(resource)
    }

    fn is_nameless_in(&self, node: &Node) -> bool {
        match &node.value {
            Value::List(items) => items.iter().any(|item| self.is_nameless_in(item)),
            Value::Object(object) => {
                let codings = items(node, "coding");
                let is_named = node.get("text").is_some() || codings.iter().any(|coding| coding.get("display").is_some());
                (!is_named && codings.iter().filter_map(Code::from_coding).any(|code| self.is_unlisted_product(&code)))
                    || object.members().iter().any(|member| self.is_nameless_in(&member.node))
            }
            _ => false,
        }
    }

    fn is_unlisted_product(&self, code: &Code) -> bool {
        let mut found = Found::default();
        self.look_up(code, &mut found);
        PRODUCTS.contains(&code.system.as_str()) && found.labels.is_empty()
    }

    fn search_form(&self, form: &str, found: &mut Found) {
        let short = words(form).filter_map(|word| self.abbreviations.get(word));
        short.for_each(|label| found.note(label, Confidence::Medium));
        let lower = form.to_lowercase();
        let mut words = words(&lower);
        while let Some(word) = words.next() {
            for phrase in self.phrases.get(word).into_iter().flatten() {
                let mut following = words.clone();
                if phrase.rest.iter().all(|expected| following.next() == Some(expected.as_str())) {
                    found.note(&phrase.label, Confidence::Medium);
                }
            }
        }
    }

    /// Whether the resource is coded well enough that finding nothing sensitive means that it is not.
    pub(super) fn is_plain(&self, resource: &Node, facts: &ResourceFacts) -> bool {
        let is_known = |code: &Code| self.systems.values().any(|system| *system == code.system);
        is_plain(resource, facts, &is_known)
    }
}

/// Whether a code is so short that without a system it means too much: `HE` is a language and a modifier, `51` a place and a number.
pub(super) fn is_ambiguous(code: &Code) -> bool {
    code.system.is_empty() && code.code.len() == 2
}

/// A code as it is looked up.
fn in_capitals(code: &str) -> Cow<'_, str> {
    if code.bytes().any(|byte| byte.is_ascii_lowercase()) { Cow::Owned(code.to_ascii_uppercase()) } else { Cow::Borrowed(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_with_the_gateway_can_be_read_and_names_its_basis() {
        let list = List::built_in().unwrap();
        assert!(list.codes.len() > 300 && list.prefixes.len() >= 6 && list.phrases.len() > 100);
        let labels = list.codes.values().flatten().chain(list.prefixes.values().flatten().map(|(_, label)| label));
        let phrases = list.phrases.values().flatten().map(|phrase| &phrase.label);
        for label in labels.chain(phrases) {
            assert!(is_sensitivity(&Concept::new(Code { system: ACT_CODE.into(), code: label.clone() })), "{label} is no sensitivity");
            assert!(list.basis(label).is_some(), "{label} rests on nothing");
        }
        assert_eq!(list.basis("OPIOIDUD"), Some("42 CFR Part 2"));
    }

    #[test]
    fn lists_that_cannot_be_used_are_refused_where_they_break() {
        let include = |rest: &str| format!(r#"{{"resourceType":"ValueSet","compose":{{"include":[{{{rest}}}]}}}}"#);
        let label = r#""extension":[{"url":"urn:hearthgate:fhir:sensitivity-label","valueCode":"HIV"}]"#;
        for (list, line) in [
            ("# x\nETH".to_owned(), 2),
            ("ETH nowhere F10".to_owned(), 1),
            ("system a urn:a\nETH a *".to_owned(), 2),
            ("{".to_owned(), 1),
            (r#"{"resourceType":"Patient"}"#.to_owned(), 1),
            (include(r#""system":"urn:a","concept":[{"code":"1"}]"#), 1),
            (include(label), 1),
            (include(&format!(r#"{label},"system":"urn:a","filter":[{{"property":"concept","op":"is-a","value":"1"}}]"#)), 1),
            (include(&format!(r#"{label},"system":"urn:a","filter":[{{"property":"code","op":"regex","value":".*"}}]"#)), 1),
        ] {
            assert_eq!(List::parse(&list).err().map(|error| error.line), Some(line), "{list}");
        }
    }

    #[test]
    fn a_value_set_and_lines_of_text_say_the_same() {
        let lines = "system a urn:a\nbasis HIV a law\nHIV a 1\nHIV a B2*\nHIV words b c";
        let set = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"ValueSet","extension":[
            {"url":"urn:hearthgate:fhir:sensitivity-basis","valueString":"a law"},
            {"url":"urn:hearthgate:fhir:sensitivity-words","extension":[{"url":"label","valueCode":"HIV"},{"url":"phrase","valueString":"B c"}]}],
            "compose":{"include":[{"extension":[{"url":"urn:hearthgate:fhir:sensitivity-label","valueCode":"HIV"}],"system":"urn:a",
            "concept":[{"code":"1"}],"filter":[{"property":"code","op":"regex","value":"B2.*"}]}]}}}]}"#;
        for list in [lines, set].map(|text| List::parse(text).unwrap()) {
            for (code, is_found) in [("1", true), ("b21", true), ("2", false)] {
                let mut found = Found::default();
                list.look_up(&Code::new("urn:a", code), &mut found);
                assert_eq!(!found.labels.is_empty(), is_found, "{code}");
            }
            let mut found = Found::default();
            list.search("a B, C d", &mut found);
            assert_eq!(found.labels.get("HIV"), Some(&Confidence::Medium));
            assert_eq!(list.basis("HIV"), Some("a law"));
        }
    }
}
