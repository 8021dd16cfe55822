//! The rules and search parameters that are published: what is said of their expressions must be so.

use super::shared;
use hearthgate::definitions::{Definitions, trim};
use hearthgate::fhir::{Node, Value, json};
use hearthgate::validate::{self, Options};
use std::fs;
use std::path::{Path, PathBuf};

/// What is said of expressions.
const SAID: [&str; 5] = [
    "ED_INVARIANT_EXPRESSION_ERROR",
    "ED_INVARIANT_KEY_ALREADY_USED",
    "ED_INVARIANT_DIFF_NO_SOURCE",
    "ED_SEARCH_EXPRESSION_ERROR",
    "ED_CONTEXT_INVARIANT_EXPRESSION_ERROR",
];

/// What is rightly found: parts of the URL and of the text, and why.
const RIGHT: [(&str, &str, &str); 8] = [
    ("/ChargeItemDefinition", "rule cid-0 ", "it has a title and no name, in R4 and in R4B"),
    ("/StructureDefinition/Evidence", "rule cnl-0 ", "R4B's Evidence and EvidenceReport have no name"),
    (
        "/StructureDefinition/StructureDefinition",
        "'length' works on",
        "R4B's sdf-24 and sdf-25 count the letters of an element; R5 asks for its path",
    ),
    ("/allergyintolerance-substanceExposureRisk", "rule inv-1 ", "it names the extension as if it were an element of the resource"),
    ("/us-core-condition-asserted-date", "'valueDateTime'", "US Core 6.1.0 writes value as JSON does; 7.0.0 does not"),
    ("/SearchParameter/example-extension", "'DocumentReference'", "it is for Patient, and selects of DocumentReference"),
    ("/StructureDefinition/odd", "rule odd-", "a profile of rules that cannot be evaluated"),
    ("/StructureDefinition/p", "rule x-1 ", "the same with a rule that is no FHIRPath"),
];

/// How many expressions definitions have, and what is wrongly and what is rightly said of them.
fn judged(definitions: &Definitions, resources: &[Node]) -> (usize, Vec<String>, Vec<String>) {
    let options = Options { findings_max: usize::MAX, ..Options::default() };
    let (mut number, mut alarms, mut right) = (0, Vec::new(), Vec::new());
    for resource in resources {
        let url = resource.text("url").unwrap_or_default();
        number += match resource.resource_type() {
            Some("StructureDefinition") => ["snapshot", "differential"].iter().filter_map(|view| resource.get(view)).map(rules).sum(),
            Some("SearchParameter") => usize::from(resource.get("expression").is_some()),
            _ => continue,
        };
        let found = validate::check(definitions, resource, &options);
        let said = found.iter().filter(|one| SAID.contains(&one.message_id)).map(|one| format!("{url} {} {}", one.expression, one.text));
        for one in said {
            let is_right = RIGHT.iter().any(|(of, text, _)| url.contains(of) && one.contains(text));
            if is_right { right.push(one) } else { alarms.push(one) }
        }
    }
    (number, alarms, right)
}

fn rules(view: &Node) -> usize {
    view.items("element").iter().map(|element| element.items("constraint").len()).sum()
}

#[test]
fn published_expressions_raise_no_alarm() {
    let mut unexplained = Vec::new();
    for package in ["hl7.fhir.r4.core-4.0.1", "hl7.fhir.r4b.core-4.3.0", "hl7.fhir.us.core-6.1.0", "hl7.fhir.us.core-7.0.0"] {
        let Some(path) = shared(&format!("packages/{package}.tgz")) else { return };
        let resources = trim::read_resources(&path).unwrap();
        let own = match package.contains("r4b") {
            true => Definitions::of_release("4.3.0", &[&path]).unwrap().unwrap(),
            false => Definitions::with(&resources),
        };
        let (number, alarms, right) = judged(&own, &resources);
        println!("{package}: {number} expressions, {} alarms, {} rightly refused", alarms.len(), right.len());
        assert!(number > 50 && (!right.is_empty() || package.ends_with("7.0.0")), "{package}: {number}");
        unexplained.extend(alarms);
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

#[test]
fn shipped_expressions_raise_no_alarm() {
    let mut all = Vec::new();
    for file in below(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|_| file.extension().is_some_and(|extension| extension == "ndjson"));
        all.extend(lines.map(|line| json::parse(line.as_bytes(), json::DEFAULT_DEPTH).unwrap()));
    }
    let (number, alarms, _) = judged(Definitions::embedded(), &all);
    println!("{number} expressions");
    assert!(number > 1_000, "{number}");
    assert!(alarms.is_empty(), "{alarms:#?}");
}

/// Fixtures state what is wrong with the resources that they are about; what they define beside those is right.
#[test]
fn expressions_of_fixtures_raise_no_alarm() {
    let mut definitions = Vec::new();
    for file in below(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")) {
        let node = fs::read(&file).ok().and_then(|bytes| json::parse(&bytes, json::DEFAULT_DEPTH).ok());
        if let Some(case) = node.filter(|_| !file.components().any(|part| part.as_os_str() == "fuzz")) {
            gather(&case, &mut definitions);
        }
    }
    assert!(definitions.len() > 50, "{}", definitions.len());
    let (_, alarms, _) = judged(Definitions::embedded(), &definitions);
    assert!(alarms.is_empty(), "{alarms:#?}");
}

fn gather(node: &Node, definitions: &mut Vec<Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| gather(item, definitions)),
        Value::Object(object) => {
            if matches!(node.resource_type(), Some("StructureDefinition" | "SearchParameter")) {
                definitions.push(node.clone());
            }
            // What a case is about is wrong as the case says.
            let members = object.members().iter().filter(|member| member.name != "resource" || object.get("findings").is_none());
            members.for_each(|member| gather(&member.node, definitions));
        }
        _ => {}
    }
}

fn below(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(below(path)) } else { found.push(path) }
    }
    found.sort();
    found
}
