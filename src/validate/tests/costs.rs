//! What grows with a document costs as much for each as there are more of it, or ends at a limit that has a name.

use super::{LONGEST, judge};
use crate::definitions::Definitions;
use crate::fhir::json;
use crate::outcome::Finding;
use crate::validate::{Options, check};
use std::time::Instant;

fn list(number: usize, each: impl Fn(usize) -> String) -> String {
    (0..number).map(each).collect::<Vec<_>>().join(",")
}

/// What is found, in time.
fn found(document: &str) -> Vec<Finding> {
    let document = json::parse(document.as_bytes(), 64).unwrap();
    let start = Instant::now();
    let found = judge(&document);
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    found
}

fn ids(findings: &[Finding]) -> Vec<(&str, &str)> {
    findings.iter().map(|one| (one.message_id, one.expression.as_str())).collect()
}

fn response(questions: &str, answers: &str) -> String {
    format!(
        r##"{{"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q", "contained": [{{"resourceType": "Questionnaire",
            "id": "q", "name": "Q", "status": "active", "item": [{questions}]}}], "item": [{answers}]}}"##
    )
}

#[test]
fn conditions_of_a_form_are_compared_with_so_many_answers() {
    let form = |number: usize| {
        let condition = |index| {
            let last = number - 1;
            format!(
                r#"{{"linkId": "b{index}", "text": "x", "type": "boolean", "enableWhen": [{{"question": "a", "operator": "=", "answerInteger": {last}}}]}}"#
            )
        };
        let asked = format!(r#"{{"linkId": "a", "text": "x", "type": "integer", "repeats": true}}, {}"#, list(number, condition));
        let given = list(number, |index| format!(r#"{{"linkId": "b{index}", "answer": [{{"valueBoolean": true}}]}}"#));
        let answers = list(number, |index| format!(r#"{{"valueInteger": {index}}}"#));
        response(&asked, &format!(r#"{{"linkId": "a", "answer": [{answers}]}}, {given}"#))
    };
    assert_eq!(ids(&found(&form(100))), []);
    let many = found(&form(3_000));
    assert!(many.iter().any(|one| !one.is_error() && one.text.contains("compared with answers 2000000 times")), "{:?}", many.first());
    assert!(!many.iter().any(Finding::is_error), "what is not known enables");
}

/// Few options are gone through, many are looked up, and the answers are the same.
#[test]
fn answers_are_among_few_options_and_among_many() {
    let option = |index: usize| match index % 4 {
        0 => format!(r#"{{"valueCoding": {{"system": "http://a.b", "code": "c{index}"}}}}"#),
        1 => format!(r#"{{"valueCoding": {{"code": "d{index}"}}}}"#),
        2 => format!(r#"{{"valueString": "s{index}"}}"#),
        _ => format!(r#"{{"valueInteger": {index}}}"#),
    };
    for number in [8, 80, 40_000] {
        let asked =
            format!(r#"{{"linkId": "a", "text": "x", "type": "choice", "repeats": true, "answerOption": [{}]}}"#, list(number, option));
        let answered = |answers: &str| found(&response(&asked, &format!(r#"{{"linkId": "a", "answer": [{answers}]}}"#)));
        let right = answered(&list(number, option));
        assert!(!right.iter().any(Finding::is_error), "{number}: {:?}", right.first());
        let wrong = [
            r#"{"valueCoding": {"system": "http://a.b", "code": "none"}}"#,
            r#"{"valueCoding": {"code": "c0"}}"#,
            r#"{"valueCoding": {"system": "http://a.b", "code": "d1"}}"#,
            r#"{"valueString": "none"}"#,
            r#"{"valueInteger": 2}"#,
        ];
        let errors: Vec<_> = answered(&wrong.join(",")).into_iter().filter(Finding::is_error).map(|one| one.message_id).collect();
        let coding = "Questionnaire_QR_Item_NoCoding";
        assert_eq!(
            errors,
            [coding, coding, coding, "Questionnaire_QR_Item_NoOptionsString", "Questionnaire_QR_Item_NoInteger"],
            "{number}"
        );
    }
}

#[test]
fn groups_of_a_report_are_met_by_their_codes_however_many() {
    let groups = |first: usize| {
        let group = |index: usize| format!(r#"{{"code": {{"coding": [{{"system": "http://a.b", "code": "c{}"}}]}}}}"#, first + index);
        list(5_000, group)
    };
    let report = found(&format!(
        r##"{{"resourceType": "MeasureReport", "status": "complete", "type": "summary", "measure": "#m", "period": {{"start": "2024", "end": "2025"}},
            "contained": [{{"resourceType": "Measure", "id": "m", "status": "active", "group": [{}]}}], "group": [{}]}}"##,
        groups(0),
        groups(1)
    ));
    let errors: Vec<_> = report.iter().filter(|one| one.is_error()).map(|one| (one.message_id, one.expression.as_str())).collect();
    assert_eq!(
        errors,
        [("MEASURE_MR_GRP_UNK_CODE", "MeasureReport.group[4999]"), ("MEASURE_MR_GRP_MISSING_BY_CODE", "MeasureReport")],
        "each is met but the first and the last"
    );
}

/// A rule that compares each with every other costs little for one, and is not asked of all of very many.
#[test]
fn rules_of_a_document_cost_so_much_together() {
    let profile = |rule: &str| {
        format!(
            r#"{{"resourceType": "StructureDefinition", "url": "http://a.b/u", "name": "U", "status": "active", "kind": "resource", "abstract": false,
            "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
            "differential": {{"element": [{{"id": "Patient", "path": "Patient"}}, {{"id": "Patient.name", "path": "Patient.name",
            "constraint": [{{"key": "u-1", "severity": "error", "human": "h", "expression": "{rule}"}}]}}]}}}}"#
        )
    };
    let unique = "%resource.name.where(family = %context.family).count() = 1";
    for (rule, number, is_decided) in [(unique, 200, true), (unique, 8_000, false), ("family.exists()", 8_000, true)] {
        let definitions = Definitions::with(&[json::parse(profile(rule).as_bytes(), 64).unwrap()]);
        let names = list(number, |index| format!(r#"{{"family": "f{index}"}}"#));
        let patient = json::parse(format!(r#"{{"resourceType": "Patient", "name": [{names}]}}"#).as_bytes(), 64).unwrap();
        let options = Options { profiles: vec!["http://a.b/u".to_owned()], ..Options::default() };
        let found = check(&definitions, &patient, &options);
        assert!(!found.iter().any(Finding::is_error), "{:?}", found.first());
        let said = found.iter().any(|one| one.message_id == "INV_NOT_EVALUATED" && one.text.contains("cost more than 20000000 steps"));
        assert_eq!(said, !is_decided, "{rule} {number}: {:?}", found.first());
    }
}
