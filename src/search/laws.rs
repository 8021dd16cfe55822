//! What holds for every definition, document and query.

use super::select::Site;
use super::tests::{definitions, missed_by, resources};
use super::{Handling, Parameter, Query, parameter, supported};
use crate::definitions::SearchKind;
use crate::fhir::json::{self, DEFAULT_DEPTH};
use crate::fhir::path::{Expression, Focus};
use crate::fhir::types::TypeKind;
use crate::fhir::{Node, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Every definition that gives an expression is understood, but for those listed.
#[test]
fn every_expression_is_understood() {
    let mut unsupported = Vec::new();
    for definition in definitions().types().types().iter().filter(|each| each.kind == TypeKind::Resource && !each.is_abstract) {
        let known: Vec<&str> = supported(definitions(), &definition.name).map(Parameter::code).collect();
        for parameter in definitions().search_parameters(&definition.name) {
            let is_special = parameter.kind == SearchKind::Special || parameter.expression.is_empty();
            if !is_special && !known.contains(&parameter.code.as_str()) {
                unsupported.push(format!("{}.{}", definition.name, parameter.code));
            }
        }
    }
    assert_eq!(unsupported, Vec::<String>::new());
}

/// Small and repeatable: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.roll(items.len())) }
    }
}

/// All texts and numbers in a document: what queries may ask for.
fn leaves(node: &Node, out: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) | Value::Number(text) => out.push(text.to_string()),
        Value::List(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Object(object) => object.members().iter().for_each(|member| leaves(&member.node, out)),
        _ => {}
    }
}

const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
const MODIFIERS: [&str; 10] = ["", "", "", ":exact", ":contains", ":not", ":text", ":above", ":below", ":identifier"];

/// A query that may well match: a random parameter with a text from the documents, cut and dressed at random.
fn random_query(dice: &mut Dice, codes: &[&str], texts: &[String]) -> Option<(String, String)> {
    let name = format!("{}{}", dice.pick(codes)?, dice.pick(&MODIFIERS)?);
    let mut value = dice.pick(texts)?.replace('\\', r"\\").replace(',', r"\,").replace('|', r"\|");
    if dice.roll(3) == 0 {
        value = value.chars().take(1 + dice.roll(value.chars().count().max(1))).collect();
    }
    let value = match dice.roll(6) {
        0 => format!("{}|{value}", dice.pick(texts)?),
        1 => format!("{value},{}", dice.pick(texts)?),
        2 => format!("{value}${}", dice.pick(texts)?),
        _ => format!("{}{value}", dice.pick(&PREFIXES)?),
    };
    Some((name, value))
}

/// The law of this room: what matches satisfies every lookup. Answers how many pairs of query and resource matched.
fn check_law(resources: &[Node], rounds: usize) -> usize {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut matched = 0;
    for resource in resources {
        let type_name = resource.resource_type().unwrap();
        let codes: Vec<&str> = supported(definitions(), type_name).map(Parameter::code).collect();
        let mut texts = Vec::new();
        leaves(resource, &mut texts);
        for _ in 0..rounds {
            let Some(pair) = random_query(&mut dice, &codes, &texts) else { continue };
            let Ok(query) = Query::parse(definitions(), type_name, std::slice::from_ref(&pair), Handling::Strict) else { continue };
            matched += usize::from(query.matches(resource));
            assert_eq!(missed_by(&query, resource), None, "{type_name}?{}={}", pair.0, pair.1);
        }
    }
    matched
}

#[test]
fn matches_satisfy_every_lookup() {
    assert!(check_law(&resources(), 5_000) > 500);
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

/// Every seventh resource of the corpus.
fn corpus() -> Vec<Node> {
    let Some(path) = shared("corpus/test-patients-r4.ndjson.gz") else { return Vec::new() };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().step_by(7).map(|line| json::parse(line.as_bytes(), DEFAULT_DEPTH).unwrap()).collect()
}

/// The documents of the validator's suite: many types, many of them broken.
fn suite() -> Vec<Node> {
    let Some(folder) = shared("suites/validator/files") else { return Vec::new() };
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let documents = files.filter(|path| path.is_file()).filter_map(|path| json::parse(&std::fs::read(path).unwrap(), DEFAULT_DEPTH).ok());
    documents.filter(|document| document.resource_type().is_some_and(|name| definitions().types().resource(name).is_some())).collect()
}

#[test]
fn matches_satisfy_every_lookup_in_the_corpus() {
    println!("{} matches", check_law(&corpus(), 100));
}

#[test]
fn matches_satisfy_every_lookup_in_the_suite() {
    println!("{} matches", check_law(&suite(), 300));
}

/// What the FHIRPath engine selects by the definition's expression, as text; `None` where it cannot decide without resolving references.
/// Each part of a union is asked alone, because a union drops values that are equal though written differently, as 1.0 and 1.00.
fn selected_by_engine(expression: &str, resource: &Node) -> Option<Vec<String>> {
    if expression.contains("resolve()") || expression.contains("!=") {
        return None;
    }
    let mut texts = Vec::new();
    for part in expression.split(" | ") {
        let compiled = Expression::compile(part, definitions().types()).unwrap_or_else(|error| panic!("{part}: {error:?}"));
        let items = compiled.evaluate(&Focus::resource(definitions().types(), resource)?).ok()?;
        texts.extend(items.iter().filter_map(|item| item.node()).filter(|node| node.value != Value::Null).map(json::write));
    }
    Some(sorted(texts))
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

/// The compiled paths select what the FHIRPath engine selects.
fn check_paths(resources: &[Node]) {
    for resource in resources {
        let type_name = resource.resource_type().unwrap();
        for definition in definitions().search_parameters(type_name) {
            let simple = parameter::parameter(definitions(), type_name, &definition.code).filter(|own| own.url() == definition.url);
            let Some(parameter) = simple.filter(|own| own.is_supported() && own.kind() != SearchKind::Composite) else { continue };
            let mut own = Vec::new();
            parameter.visit(resource, &mut |site: Site<'_>| own.push(json::write(site.node)));
            let is_apart = matches!(definition.code.as_str(), "_id" | "_lastUpdated");
            if let Some(expected) = selected_by_engine(&definition.expression, resource).filter(|_| !is_apart) {
                assert_eq!(sorted(own), expected, "{type_name}?{} by {}", definition.code, definition.expression);
            }
        }
    }
}

#[test]
fn paths_select_what_the_engine_selects() {
    check_paths(&resources());
    check_paths(&corpus());
    check_paths(&suite());
}
