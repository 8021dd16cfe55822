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
