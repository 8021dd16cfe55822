//! What is optimised yields what is written: every rule of R4's types on resources, HL7's suite where it lies beside the repository, and cases
//! made to tell the two apart.

use super::super::{Dialect, Expression, Focus, Item, PathError};
use crate::definitions::Definitions;
use crate::fhir::temporal::DateTime;
use crate::fhir::types::{ElementId, TypeTable};
use crate::fhir::{Node, json, xml};
use flate2::read::GzDecoder;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Places in one document that a rule is tried at.
const PLACES: usize = 3;

/// Of so many definitions of the repository one is looked at.
const DEFINITIONS: usize = 40;

const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A","given":["B","C"],"_given":[null,{"id":"g"}]},{"text":"D"}],
    "birthDate":"2000-01","_birthDate":{"extension":[{"url":"u","valueString":"x"}]},"deceasedBoolean":false,
    "contained":[{"resourceType":"Patient","id":"c"},{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"kg"}}]}"##;

/// Of each, the optimised form differs from the written one.
const CASES: &[&str] = &[
    "name.given.exists()",
    "name.given.exists().not()",
    "name.suffix.empty() and photo.empty()",
    "name.where(given.exists()).count() + name.where(given.empty()).count()",
    "deceased.exists() and deceasedBoolean.exists()",
    "contained.value.exists()",
    "contained.where(valueQuantity.exists())",
    "birthDate.extension.value.exists()",
    "birthDate.extension.exists() or birthDate.id.exists()",
    "name.given.id.exists()",
    "type().name.exists() and type().namespace.exists() and type().nothing.empty()",
    "(1 | 2).nothing.empty()",
    "{}.nothing.exists()",
    "nothing.nowhere.empty()",
    "name.select(defineVariable('n', 1).given.exists()).select(%n)",
    "name.where(defineVariable('n', given).family.exists()).select(%n)",
    "name.all(given.exists() = (%resource.active = true or %resource.id = 'q'))",
    "name.select(%resource.contained.id | given)",
    "name.given.where($this in %resource.name.given)",
    "name.given.all(%context.name.given contains $this)",
    "name.select(%resource.name.given & 'x')",
    "name.given.where($this in ('a' | 'B' | 'a'))",
    "iif(name.exists(), name.family, id)",
    "name.exists() xor photo.exists() implies id",
    "contained.descendants().value.exists()",
];

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

/// What an expression yields, or why not.
fn outcome(compiled: Result<Expression, PathError>, focus: &Focus<'_>) -> String {
    let yielded = compiled.as_ref().map_err(Clone::clone).and_then(|expression| {
        let truth = expression.truth(focus);
        expression.evaluate(focus).map(|items| (format!("{items:?}"), truth))
    });
    format!("{yielded:?}")
}

fn compare(expression: &str, dialect: Dialect, focus: &Focus<'_>) {
    let written = outcome(Expression::as_written(expression, focus.types, dialect), focus);
    let optimised = outcome(Expression::compile_as(expression, focus.types, dialect), focus);
    assert!(written == optimised, "{expression}\n written {written:.2000}\n optimised {optimised:.2000}");
}

fn documents() -> Vec<Node> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parse = |bytes: &[u8]| json::parse(bytes, json::DEFAULT_DEPTH).ok();
    let mut found = Vec::new();
    for file in fs::read_dir(root.join("profiles/r4")).unwrap().flatten() {
        let bytes = fs::read(file.path()).unwrap();
        found.extend(bytes.split(|&byte| byte == b'\n').step_by(DEFINITIONS).filter_map(parse));
    }
    for file in fs::read_dir(root.join("fixtures/mutation")).unwrap().flatten() {
        found.push(parse(&fs::read(file.path()).unwrap()).unwrap().get("resource").unwrap().clone());
    }
    for file in ["corpus/synthea/bundle-01.json.gz", "corpus/test-patients-r4.ndjson.gz"] {
        let mut bytes = Vec::new();
        if File::open(shared(file)).is_ok_and(|file| GzDecoder::new(file).read_to_end(&mut bytes).is_ok()) {
            found.extend(bytes.split(|&byte| byte == b'\n').filter_map(parse));
        }
    }
    found.retain(|document| document.resource_type().is_some());
    found
}

/// The texts of the rules that each element states.
fn rules(types: &TypeTable) -> HashMap<ElementId, Vec<&str>> {
    let ids = (0..).map(ElementId).zip(types.elements());
    ids.map(|(id, element)| (id, element.constraints.iter().map(|rule| rule.expression.as_str()).collect())).collect()
}

#[test]
fn rules_of_definitions() {
    let types = Definitions::embedded().types();
    let rules = rules(types);
    let everything = Expression::compile("$this | descendants()", types).unwrap();
    let mut compared = HashMap::<&str, usize>::new();
    for document in &documents() {
        let whole = Focus::resource(types, document).unwrap();
        let mut here = HashMap::<&str, usize>::new();
        for item in everything.evaluate(&whole).unwrap() {
            let Item::Tree(place) = item else { continue };
            for rule in rules.get(&place.content).into_iter().flatten() {
                let tried = here.entry(rule).or_default();
                *tried += 1;
                if *tried <= PLACES {
                    compare(rule, Dialect::Published, &whole.at(place));
                    *compared.entry(rule).or_default() += 1;
                }
            }
        }
    }
    println!("{} rules at {} places", compared.len(), compared.values().sum::<usize>());
    assert!(compared.len() > 60, "{}", compared.len());
}

#[test]
fn cases_made_for_it() {
    let types = Definitions::embedded().types();
    let patient = json::parse(PATIENT.as_bytes(), json::DEFAULT_DEPTH).unwrap();
    for case in CASES {
        for dialect in [Dialect::Published, Dialect::Specification] {
            let text = |compiled: Result<Expression, PathError>| format!("{:?}", compiled.unwrap());
            let written = text(Expression::as_written(case, types, dialect));
            assert_ne!(written, text(Expression::compile_as(case, types, dialect)), "nothing is optimised in {case}");
            compare(case, dialect, &Focus::resource(types, &patient).unwrap());
        }
    }
}

/// The expressions of HL7's suite.
fn suite(text: &str) -> Vec<String> {
    let parts = text.split("<expression").skip(1).filter_map(|part| part.split_once('>')?.1.split_once("</expression>"));
    let unescaped = |text: &str| quick_xml::escape::unescape(text).unwrap().into_owned();
    parts.map(|(expression, _)| unescaped(expression)).collect()
}

#[test]
fn expressions_of_the_suite() {
    let Ok(text) = fs::read_to_string(shared("suites/fhirpath/tests-fhir-r4.xml")) else { return };
    let types = Definitions::embedded().types();
    let files = fs::read_dir(shared("suites/fhirpath/input")).unwrap().flatten().map(|file| fs::read(file.path()).unwrap());
    let read =
        |bytes: Vec<u8>| xml::parse(&bytes, json::DEFAULT_DEPTH, types).ok().or_else(|| json::parse(&bytes, json::DEFAULT_DEPTH).ok());
    let inputs: Vec<Node> = files.filter_map(read).collect();
    let now = DateTime::parse_partial("2026-01-01T00:00:00Z").ok();
    let expressions = suite(&text);
    assert!(expressions.len() > 900 && inputs.len() > 8, "{} expressions, {} inputs", expressions.len(), inputs.len());
    for expression in &expressions {
        for input in &inputs {
            compare(expression, Dialect::Specification, &Focus { now, ..Focus::resource(types, input).unwrap() });
        }
    }
}
