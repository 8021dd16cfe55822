//! One defect at a time put into valid examples: each must be found, where it is.
//!
//! The examples are `fixtures/mutation/*.json`. Defects are made by the rules of `rules`, wherever an example has a place for one, and by the
//! `defects` that a fixture lists itself: what breaks one of its own rules, slices or profiles (`put` and `drop` are JSON pointers).

mod places;
mod rules;

use hearthgate::definitions::Definitions;
use hearthgate::fhir::{Node, SyntaxErrorKind, json};
use hearthgate::outcome::Finding;
use hearthgate::validate::{self, Options};
use places::places;
use rules::Mutant;
use serde_json::{Value, from_slice, from_value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An example with what it is judged by.
struct Example {
    name: String,
    resource: Value,
    definitions: Definitions,
    options: Options,
    listed: Vec<Mutant>,
}

fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mutation");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| example(path)).collect()
}

fn example(path: &Path) -> Example {
    let fixture: Value = from_slice(&std::fs::read(path).unwrap()).unwrap();
    let own: Vec<Node> = fixture["definitions"].as_array().into_iter().flatten().map(read).collect();
    let profiles = from_value(fixture["profiles"].clone()).unwrap_or_default();
    let resource = fixture["resource"].clone();
    let listed = fixture["defects"].as_array().into_iter().flatten().map(|defect| listed(&resource, defect)).collect();
    Example {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        definitions: Definitions::with(&own),
        options: Options { profiles, refuse_unknown_extensions: true, ..Options::default() },
        resource,
        listed,
    }
}

fn listed(resource: &Value, defect: &Value) -> Mutant {
    let mut changed = resource.clone();
    for pointer in defect["drop"].as_array().into_iter().flatten() {
        places::drop_at(&mut changed, pointer.as_str().unwrap());
    }
    for (pointer, value) in defect["put"].as_object().into_iter().flatten() {
        places::put_at(&mut changed, pointer, value.clone());
    }
    Mutant {
        rule: "listed",
        why: defect["why"].as_str().unwrap().to_owned(),
        resource: changed,
        at: defect["at"].as_str().unwrap().to_owned(),
    }
}

fn read(resource: &Value) -> Node {
    json::parse(resource.to_string().as_bytes(), json::DEFAULT_DEPTH).unwrap()
}

fn errors(example: &Example, resource: &Value) -> Vec<Finding> {
    let found = validate::check(&example.definitions, &read(resource), &example.options);
    found.into_iter().filter(Finding::is_error).collect()
}

#[test]
fn every_defect_is_found_where_it_is() {
    let (mut tried, mut missed) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for example in examples() {
        let alarms: Vec<String> =
            errors(&example, &example.resource).iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
        assert_eq!(alarms, [""; 0], "{} must be valid", example.name);
        let types = example.definitions.types();
        let places = places(types, &example.resource);
        let made = rules::RULES.iter().flat_map(|rule| places.iter().flat_map(|place| rule(types, &example.resource, place)));
        for mutant in example.listed.iter().cloned().chain(made) {
            *tried.entry(mutant.rule).or_default() += 1;
            let found = errors(&example, &mutant.resource);
            if !found.iter().any(|one| one.expression == mutant.at) {
                let elsewhere: BTreeSet<String> = found.iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
                missed.push(format!("{}: {}: {}: expected at {}, found {elsewhere:?}", example.name, mutant.rule, mutant.why, mutant.at));
            }
        }
    }
    let all: usize = tried.values().sum();
    assert_eq!(missed, [""; 0], "{} of {all} missed", missed.len());
    assert!(all > 2_000 && tried.len() > rules::RULES.len(), "{all} defects were tried: {tried:?}");
    println!("{all} defects found: {tried:?}");
}

/// A member that is there twice cannot be read: the second is where it says.
#[test]
fn a_member_twice_is_found_where_it_is() {
    let mut tried = 0;
    for example in examples() {
        let text = example.resource.to_string();
        for (at, name) in members(&text) {
            let twice = format!("{}\"{name}\":1,{}", &text[..at], &text[at..]);
            let error = json::parse(twice.as_bytes(), json::DEFAULT_DEPTH).unwrap_err();
            assert!(matches!(error.kind, SyntaxErrorKind::DuplicateMember { name: said } if said == name), "{name} in {}", example.name);
            assert_eq!(error.offset, at + name.len() + 5, "{name} in {}", example.name);
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

/// Every member's name with the place it begins at. The examples have no escapes in names, and no quotes in texts but escaped ones.
fn members(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('"').map(|offset| at + offset) {
        let mut end = start + 1;
        while text.as_bytes()[end] != b'"' {
            end += if text.as_bytes()[end] == b'\\' { 2 } else { 1 };
        }
        if text.as_bytes().get(end + 1) == Some(&b':') {
            found.push((start, &text[start + 1..end]));
        }
        at = end + 1;
    }
    found
}
