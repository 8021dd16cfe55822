//! What grows with a document costs as much for each as there are more of it, or ends at a limit that has a name.

use super::{Effort, LONGEST, judge};
use crate::definitions::Definitions;
use crate::fhir::json;
use crate::outcome::Finding;
use crate::validate::{Options, check};

fn list(number: usize, each: impl Fn(usize) -> String) -> String {
    (0..number).map(each).collect::<Vec<_>>().join(",")
}

/// What is found, in time.
fn found(document: &str) -> Vec<Finding> {
    let document = json::parse(document.as_bytes(), 64).unwrap();
    let start = Effort::begin();
    let found = judge(&document);
    assert!(start.spent() < LONGEST, "{:?}", start.spent());
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
    let many = found(&form(1_500));
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

/// Slices, the elements within them and short forms of choices are found by their names, however many a definition states.
#[test]
fn definitions_cost_as_much_for_each_element() {
    let definition = |type_name: &str, elements: &str| {
        format!(
            r#"{{"resourceType": "StructureDefinition", "url": "http://a.b/s", "name": "S", "status": "active", "kind": "complex-type", "abstract": false,
            "type": "{type_name}", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/{type_name}", "derivation": "constraint",
            "differential": {{"element": [{elements}]}}}}"#
        )
    };
    let slice = |index| format!(r#"{{"id": "HumanName.given:s{index}", "path": "HumanName.given", "sliceName": "s{index}"}}"#);
    let slicing = r#"{"id": "HumanName.given", "path": "HumanName.given", "slicing": {"discriminator": [{"type": "value", "path": "$this"}], "rules": "open"}}"#;
    let short = |index| {
        let path = "Extension.extension.valueString";
        format!(r#"{{"id": "Extension.extension:s{index}.valueString", "path": "{path}", "min": 1, "type": [{{"code": "string"}}]}}"#)
    };
    let unknown = |index| format!(r#"{{"id": "HumanName.x{index}", "path": "HumanName.x{index}"}}"#);
    let first = |document: String| found(&document).iter().find(|one| one.is_error()).map(|one| one.message_id);
    let sliced = |elements: String| first(definition("HumanName", &elements));
    assert_eq!(sliced(list(5_000, slice)), Some("ERROR_GENERATING_SNAPSHOT"), "nothing tells the slices apart");
    assert_eq!(sliced(format!("{slicing}, {}", list(5_000, slice))), None);
    assert_eq!(sliced(list(5_000, unknown)), Some("SD_DIFFERENTIAL_NO_MATCH"));
    let shortened = found(&definition("Extension", &list(5_000, short)));
    assert!(shortened.iter().any(|one| one.message_id == "SD_EXTENSION_URL_MISSING"), "{:?}", shortened.first());
}

/// The parameters of a value set are gathered once, and each library of a measure is read once.
#[test]
fn what_expressions_name_is_looked_up() {
    let number = 4_000;
    let parameter = |index: usize| {
        let url = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter";
        format!(r#"{{"url": "{url}", "extension": [{{"url": "name", "valueCode": "p{index}"}}]}}"#)
    };
    let filter = |index: usize| {
        let url = "http://hl7.org/fhir/StructureDefinition/cqf-expression";
        let expression = format!(r#"{{"language": "text/fhirpath", "expression": "%p{}"}}"#, index + 1);
        format!(r#"{{"property": "x", "op": "=", "_value": {{"extension": [{{"url": "{url}", "valueExpression": {expression}}}]}}}}"#)
    };
    let set = found(&format!(
        r#"{{"resourceType": "ValueSet", "status": "active", "extension": [{}], "compose": {{"include": [{{"system": "http://a.b", "filter": [{}]}}]}}}}"#,
        list(number, parameter),
        list(number, filter)
    ));
    let unknown: Vec<_> = set.iter().filter(|one| one.message_id == "VALUESET_BAD_FILTER_EXPR_PARAM_NAME").collect();
    assert_eq!(unknown.len(), 1, "all but the last name a parameter that there is");

    let defined = list(50_000, |index| format!(r#"{{"name": "d{index}"}}"#));
    let elm = data_encoding::BASE64.encode(format!(r#"{{"library": {{"statements": {{"def": [{defined}]}}}}}}"#).as_bytes());
    let content = format!(r#"[{{"contentType": "application/elm+json", "data": "{elm}"}}]"#);
    let library = |index: usize| {
        let content = if index == 0 { format!(r#", "content": {content}"#) } else { String::new() };
        format!(
            r#"{{"resourceType": "Library", "id": "l{index}", "name": "L{index}", "status": "active", "type": {{"text": "x"}}{content}}}"#
        )
    };
    let stratifier = |index: usize| {
        format!(
            r#"{{"code": {{"text": "x"}}, "criteria": {{"language": "text/cql", "expression": "L{}.d{index}"}}}}"#,
            index / (number - 1)
        )
    };
    let measure = found(&format!(
        r##"{{"resourceType": "Measure", "status": "active", "library": [{}], "contained": [{}], "group": [{{"stratifier": [{}]}}]}}"##,
        list(number, |index| format!(r##""#l{index}""##)),
        list(number, library),
        list(number, stratifier)
    ));
    let wrong: Vec<_> = measure.iter().filter(|one| one.message_id.starts_with("MEASURE_M_CRITERIA")).map(|one| one.message_id).collect();
    assert_eq!(wrong, ["MEASURE_M_CRITERIA_CQL_NO_ELM"], "the last names a library without content");
}

/// Slices are looked up by what tells them apart, and gone through so often where nothing can be looked up.
#[test]
fn items_are_compared_with_slices_so_often() {
    let definitions = |number: usize, kind: &str, asked: &dyn Fn(usize) -> String| {
        let slice = |index: usize| {
            format!(r#"{{"id": "Patient.name:s{index}", "path": "Patient.name", "sliceName": "s{index}", "max": "1"}}, {}"#, asked(index))
        };
        Definitions::with(&[json::parse(
            format!(
                r#"{{"resourceType": "StructureDefinition", "url": "http://a.b/s", "name": "S", "status": "active", "kind": "resource", "abstract": false,
                "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
                "differential": {{"element": [{{"id": "Patient.name", "path": "Patient.name", "slicing": {{"rules": "closed", "ordered": true,
                "discriminator": [{{"type": "value", "path": "use"}}, {{"type": "{kind}", "path": "family"}}]}}}}, {}]}}}}"#,
                list(number, slice)
            )
            .as_bytes(),
            64,
        )
        .unwrap()])
    };
    let by_value = |index: usize| {
        let id = format!("Patient.name:s{index}");
        format!(
            r#"{{"id": "{id}.use", "path": "Patient.name.use", "min": 1, "fixedCode": "usual"}},
            {{"id": "{id}.family", "path": "Patient.name.family", "min": 1, "fixedString": "f{index}"}}"#
        )
    };
    let by_existence = |index: usize| {
        let id = format!("Patient.name:s{index}");
        format!(
            r#"{{"id": "{id}.use", "path": "Patient.name.use", "max": "0"}}, {{"id": "{id}.family", "path": "Patient.name.family", "max": "0"}}"#
        )
    };
    let judged = |definitions: &Definitions, number: usize| {
        let names = list(number, |index| format!(r#"{{"use": "usual", "family": "f{index}"}}"#));
        let patient = json::parse(format!(r#"{{"resourceType": "Patient", "name": [{names}]}}"#).as_bytes(), 64).unwrap();
        let options = Options { profiles: vec!["http://a.b/s".to_owned()], ..Options::default() };
        let start = Effort::begin();
        let found = check(definitions, &patient, &options);
        assert!(start.spent() < LONGEST, "{:?}", start.spent());
        found
    };
    let looked_up = judged(&definitions(2_000, "value", &by_value), 2_001);
    assert_eq!(ids(&looked_up), [("Validation_VAL_Profile_NotSlice", "Patient.name[2000]")]);
    let gone_through = judged(&definitions(200, "exists", &by_existence), 100);
    assert_eq!(gone_through.len(), 100, "{:?}", gone_through.first());
    let given_up = judged(&definitions(200, "exists", &by_existence), 3_000);
    assert_eq!(ids(&given_up), [("SLICE_COMPARISONS_MAX", "Patient")]);
}

const TYPES: &str = "http://hl7.org/fhir/StructureDefinition";

/// A profile of a type, by what it says of its elements.
fn profile(name: &str, type_name: &str, elements: &str) -> String {
    format!(
        r#"{{"resourceType": "StructureDefinition", "url": "http://a.b/{name}", "name": "N", "status": "active", "kind": "resource", "abstract": false,
        "type": "{type_name}", "baseDefinition": "{TYPES}/{type_name}", "derivation": "constraint", "differential": {{"element": [{elements}]}}}}"#
    )
}

/// Slices of names that nothing is in which has a family.
fn without_family(name: &str, number: usize) -> String {
    let slice = |index: usize| {
        let id = format!("Patient.name:s{index}");
        format!(
            r#"{{"id": "{id}", "path": "Patient.name", "sliceName": "s{index}"}}, {{"id": "{id}.family", "path": "Patient.name.family", "max": "0"}}"#
        )
    };
    let slicing = r#"{"rules": "closed", "discriminator": [{"type": "exists", "path": "family"}]}"#;
    let sliced = format!(r#"{{"id": "Patient.name", "path": "Patient.name", "slicing": {slicing}}}"#);
    profile(name, "Patient", &format!("{sliced}, {}", list(number, slice)))
}

/// A rule of names that compares each with every other.
fn unique_family(name: &str) -> String {
    let rule = "%resource.name.where(family = %context.family).count() = 1";
    let constraint = format!(r#"{{"key": "u-1", "severity": "error", "human": "h", "expression": "{rule}"}}"#);
    profile(name, "Patient", &format!(r#"{{"id": "Patient.name", "path": "Patient.name", "constraint": [{constraint}]}}"#))
}

/// What asks whether a Patient meets a profile, without reporting why not: a reference, a choice of profiles, and a rule.
fn asking(target: &str) -> [String; 3] {
    let reference = format!(r#"[{{"code": "Reference", "targetProfile": ["{target}"]}}]"#);
    let either = format!(r#"[{{"code": "Patient", "profile": ["{target}", "{target}"]}}]"#);
    let rule = format!(r#"[{{"key": "c-1", "severity": "error", "human": "h", "expression": "contained.all(conformsTo('{target}'))"}}]"#);
    [
        profile("ask", "Observation", &format!(r#"{{"id": "Observation.subject", "path": "Observation.subject", "type": {reference}}}"#)),
        profile("ask", "Bundle", &format!(r#"{{"id": "Bundle.entry.resource", "path": "Bundle.entry.resource", "type": {either}}}"#)),
        profile("ask", "Observation", &format!(r#"{{"id": "Observation", "path": "Observation", "constraint": {rule}}}"#)),
    ]
}

/// A Patient with names, in what asks for a profile of it.
fn asked(asking: &str, number: usize) -> String {
    let names = list(number, |index| format!(r#"{{"family": "f{}"}}"#, index.min(number - 2)));
    let patient = format!(r#"{{"resourceType": "Patient", "id": "p", "name": [{names}]}}"#);
    if asking.contains("Bundle") {
        let url = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";
        return format!(r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{{"fullUrl": "{url}", "resource": {patient}}}]}}"#);
    }
    format!(
        r##"{{"resourceType": "Observation", "status": "final", "code": {{"text": "x"}}, "subject": {{"reference": "#p"}}, "contained": [{patient}]}}"##
    )
}

fn judged_by(definitions: &[String], document: &str, asked: &str) -> Vec<Finding> {
    let definitions: Vec<_> = definitions.iter().map(|text| json::parse(text.as_bytes(), 64).unwrap()).collect();
    let options = Options { profiles: vec![asked.to_owned()], ..Options::default() };
    let start = Effort::begin();
    let found = check(&Definitions::with(&definitions), &json::parse(document.as_bytes(), 64).unwrap(), &options);
    assert!(start.spent() < LONGEST, "{:?}", start.spent());
    found
}

/// A profile that is asked for is not met in silence because finding it out came to a limit, whoever asks.
#[test]
fn what_is_given_up_in_finding_out_what_meets_a_profile_is_said() {
    for (target, id, words) in [
        (without_family("t", 100), "SLICE_COMPARISONS_MAX", "compared 500000 times"),
        (unique_family("t"), "INV_NOT_EVALUATED", "cost more than 20000000 steps"),
    ] {
        for (place, asking) in asking("http://a.b/t").into_iter().enumerate() {
            let definitions = [target.clone(), asking.clone()];
            let few = judged_by(&definitions, &asked(&asking, 3), "http://a.b/ask");
            assert_eq!(few.iter().filter(|one| one.is_error()).count(), 1, "{id} {place}: {few:?}");
            let many = judged_by(&definitions, &asked(&asking, 8_000), "http://a.b/ask");
            assert!(!many.iter().any(Finding::is_error), "{id} {place}: {:?}", many.first());
            // A rule that asks says that it was not evaluated itself.
            let (id, words) = if place == 2 { ("INV_NOT_EVALUATED", "Rule c-1 could not be evaluated") } else { (id, words) };
            let said: Vec<_> = many.iter().filter(|one| one.message_id == id && one.text.contains(words)).collect();
            assert_eq!(said.len(), 1, "{id} {place}: {many:?}");
        }
    }
}

/// A document whose items were compared with very many slices so often is still judged where there are a few.
#[test]
fn few_slices_are_gone_through_when_many_are_given_up() {
    let definitions = [without_family("many", 100), without_family("few", 3)];
    let patient = |name: &str, number: usize| {
        let names = list(number, |index| format!(r#"{{"family": "f{index}"}}"#));
        format!(r#"{{"resource": {{"resourceType": "Patient", "meta": {{"profile": ["http://a.b/{name}"]}}, "name": [{names}]}}}}"#)
    };
    let bundle =
        format!(r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{}, {}]}}"#, patient("many", 6_000), patient("few", 1));
    let found = judged_by(&definitions, &bundle, &format!("{TYPES}/Bundle"));
    let of_slices: Vec<_> = ids(&found).into_iter().filter(|(id, _)| id.contains("SLICE") || id.contains("NotSlice")).collect();
    let at = |index: usize, rest: &str| format!("Bundle.entry[{index}].resource{rest}");
    let expected = [("SLICE_COMPARISONS_MAX", at(0, "")), ("Validation_VAL_Profile_NotSlice", at(1, ".name[0]"))];
    assert_eq!(of_slices, expected.iter().map(|(id, at)| (*id, at.as_str())).collect::<Vec<_>>());
}

/// Slices that ask for one text are gathered for each item that has it, and that is counted too.
#[test]
fn slices_that_share_a_text_are_gathered_so_often() {
    let slice = |index: usize| {
        let id = format!("Patient.name:s{index}");
        format!(
            r#"{{"id": "{id}", "path": "Patient.name", "sliceName": "s{index}"}}, {{"id": "{id}.family", "path": "Patient.name.family", "fixedString": "f"}}"#
        )
    };
    let slicing = r#"{"rules": "open", "discriminator": [{"type": "value", "path": "family"}]}"#;
    let sliced = format!(r#"{{"id": "Patient.name", "path": "Patient.name", "slicing": {slicing}}}, {}"#, list(1_000, slice));
    let judged = |number: usize| {
        let names = list(number, |_| r#"{"family": "f"}"#.to_owned());
        let patient = format!(r#"{{"resourceType": "Patient", "name": [{names}]}}"#);
        judged_by(&[profile("s", "Patient", &sliced)], &patient, "http://a.b/s")
    };
    let is_given_up = |found: &[Finding]| found.iter().any(|one| one.message_id == "SLICE_COMPARISONS_MAX");
    let few = judged(100);
    assert!(few.len() == 100 && !is_given_up(&few), "{:?}", few.last());
    assert!(is_given_up(&judged(600)));
}

/// Where no more errors are reported, no more are sought for an entry than it takes to say that there is one.
#[test]
fn profiles_of_entries_that_are_not_in_hand_are_named_as_far_as_that_is_reported() {
    const NUMBER: usize = 4_000;
    let profiles = list(NUMBER, |index| format!(r#""http://a.b/none{index}""#));
    let either = format!(r#"[{{"code": "Patient", "profile": [{profiles}]}}]"#);
    let asking =
        profile("b", "Bundle", &format!(r#"{{"id": "Bundle.entry.resource", "path": "Bundle.entry.resource", "type": {either}}}"#));
    let entry =
        |index| format!(r#"{{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-{index:012}", "resource": {{"resourceType": "Patient"}}}}"#);
    let bundle = format!(r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{}]}}"#, list(NUMBER, entry));
    let found = judged_by(&[asking], &bundle, "http://a.b/b");
    let (said, rest) = found.split_at(found.len() - 1);
    assert!(said.iter().all(|one| one.message_id == "Bundle_BUNDLE_Entry_NoProfile_TYPE" && one.expression == "Bundle.entry[0].resource"));
    assert_eq!(ids(rest), [("FINDINGS_MAX", "")]);
}
