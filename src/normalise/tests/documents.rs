//! Whole documents: Bundles, batches and failures, each a file of `fixtures/normalise/documents`.

use super::super::*;
use super::{cases_in, fixture_source};
use crate::definitions::Definitions;
use crate::fhir::json;

/// What comes of every document. With `HEARTHGATE_BLESS` set it is written into the files.
#[test]
fn document_fixtures() {
    for file in cases_in("fixtures/normalise/documents") {
        let case = json::parse(&std::fs::read(&file).unwrap(), json::DEFAULT_DEPTH).unwrap();
        let found = outcome(&case);
        if std::env::var_os("HEARTHGATE_BLESS").is_some() {
            std::fs::write(&file, json::write_pretty(&found)).unwrap();
        } else {
            assert_eq!(json::write_pretty(&found), json::write_pretty(&case), "{}", file.display());
        }
    }
}

fn outcome(case: &Node) -> Node {
    let source = fixture_source(case.get("source"));
    let mut opened = open_document(case.get("document").unwrap().clone());
    let ids = GatewayIds::new([7; 32]);
    let types = Definitions::embedded().types();
    let lines = opened.normalise(&source, &ids, types, &Preamble::default(), &mut Batch::new());
    let told = |done: &Normalisation| {
        let findings: Vec<Node> = done.findings.iter().map(|finding| finding.message_id.into()).collect();
        let changes: Vec<Node> = done.changes.iter().map(|change| format!("{} {}", change.rule, change.path).into()).collect();
        crate::fhir::Object::new().with("resource", done.resource.clone()).with("changes", changes).with("findings", findings).into()
    };
    let said = |finding: &Finding| format!("{} {} {}", finding.severity.code(), finding.message_id, finding.text).into();
    let mut found = case.as_object().unwrap().clone();
    found.set("lines", lines.iter().map(told).collect::<Vec<Node>>());
    found.set("outcomes", opened.outcomes.iter().map(said).collect::<Vec<Node>>());
    found.set("left out", opened.changes.iter().map(|change| format!("{} {}", change.rule, change.path).into()).collect::<Vec<Node>>());
    found.into()
}

/// What a document says beside its resources, as `hearthgate normalise` prints it; and what of the document it was made from.
fn told(document: &Node) -> Option<(Node, Vec<Change>)> {
    let opened = open_document(document.clone());
    let outcome = opened.outcome.unwrap_or_else(|| crate::problem::outcome_node(&opened.outcomes));
    (!opened.outcomes.is_empty()).then_some((outcome, opened.changes))
}

/// The OperationOutcome that a failure becomes is one already: a second run leaves it as it is.
#[test]
fn a_failure_is_told_once() {
    let mut all: Vec<Node> =
        cases_in("fixtures/normalise/documents").iter().map(read).map(|case| case.get("document").unwrap().clone()).collect();
    for vendor in super::corpus::shared("suites/ehr").iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        all.extend(std::fs::read_dir(vendor.unwrap().path()).unwrap().map(|file| read(&file.unwrap().path())));
    }
    let failures: Vec<Node> = all.iter().filter_map(told).map(|(outcome, _)| outcome).collect();
    assert!(failures.len() > 8, "{}", failures.len());
    for outcome in failures {
        let (again, changes) = told(&outcome).unwrap();
        assert_eq!(json::write(&again), json::write(&outcome));
        assert!(changes.is_empty(), "{changes:?}");
    }
}

/// A holder's own outcome is not taken for the gateway's, whatever it is like: its text is never repeated.
#[test]
fn a_holders_text_is_not_repeated() {
    let id =
        r#""extension":[{"url":"http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id","valueString":"upstream-error"}]"#;
    for issue in [
        r#""details":{"text":"Jane Doe"}"#.to_owned(),
        format!(r#"{id},"diagnostics":"Jane Doe","details":{{"text":"x"}}"#),
        format!(r#"{id},"details":{{"text":"x","coding":[{{"display":"Jane Doe"}}]}}"#),
        r#""extension":[{"url":"http://h","valueString":"a-b"}],"details":{"text":"Jane Doe"}"#.to_owned(),
    ] {
        let text = format!(r#"{{"resourceType":"OperationOutcome","issue":[{{{issue},"severity":"error","code":"login"}}]}}"#);
        let (outcome, changes) = told(&json::parse(text.as_bytes(), 16).unwrap()).unwrap();
        assert!(!json::write(&outcome).contains("Doe") && !changes.is_empty(), "{issue}");
    }
}

fn read(file: &std::path::PathBuf) -> Node {
    json::parse(&std::fs::read(file).unwrap(), json::DEFAULT_DEPTH).unwrap()
}
