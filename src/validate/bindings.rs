//! Codes and the value sets they must come from (<https://hl7.org/fhir/R4/terminologies.html#required>).

use super::asking::{Answer, Question};
use super::codings;
use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::{Hindrance, Membership};
use crate::fhir::Node;
use crate::fhir::types::{Binding, BindingPurpose, BindingStrength};
use crate::outcome::{IssueType, Severity};

const CODE_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_16");
const CODING_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_4");
const CONCEPT_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_1_CC");
const NOT_IN_EXTENSIBLE: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_NoValid_2_CC");
const CODING_NOT_IN_EXTENSIBLE: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_NoValid_5");
const NOT_IN_PREFERRED: Rule = Rule::information(IssueType::CodeInvalid, "Terminology_TX_NoValid_3_CC");
const CODING_NOT_IN_PREFERRED: Rule = Rule::information(IssueType::CodeInvalid, "Terminology_TX_NoValid_6");
const CONCEPT_NOT_IN_MAXIMUM: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_7");
const CODING_NOT_IN_MAXIMUM: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_9");
const CODE_NOT_IN_MAXIMUM: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_11");
const NO_CODE: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_Code_ValueSet");
const NO_VALUE: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_Code_ValueSet_MISSING");
const NO_CODE_OF_MAXIMUM: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_Code_ValueSetMax");
const SET_NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "Terminology_TX_ValueSet_NotFound");
const NO_SUPPLEMENT: Rule = Rule::error(IssueType::NotFound, "VALUESET_SUPPLEMENT_MISSING");
const SYSTEM_VERSION: Rule = Rule::warning(IssueType::NotFound, "UNKNOWN_CODESYSTEM_VERSION");
const CIRCLE: Rule = Rule::warning(IssueType::Processing, "VALUESET_CIRCULAR_REFERENCE");
const UNDECIDED: Rule = Rule::information(IssueType::NotSupported, "Terminology_TX_NotChecked");

/// How much a value set asks, with the rules that are broken by a concept, a coding and a bare code outside of it.
#[derive(Clone, Copy)]
struct Demand {
    concept: Rule,
    coding: Rule,
    code: Rule,
    /// Whether having no code at all breaks it, and whether it is said when nothing can be said.
    is_required: bool,
    words: &'static str,
}

const REQUIRED: Demand = Demand {
    concept: CONCEPT_NOT_IN_SET,
    coding: CODING_NOT_IN_SET,
    code: CODE_NOT_IN_SET,
    is_required: true,
    words: "and one from there is required",
};
const MAXIMUM: Demand = Demand {
    concept: CONCEPT_NOT_IN_MAXIMUM,
    coding: CODING_NOT_IN_MAXIMUM,
    code: CODE_NOT_IN_MAXIMUM,
    is_required: false,
    words: "and none from outside of it may be used",
};
const EXTENSIBLE: Demand = Demand {
    concept: NOT_IN_EXTENSIBLE,
    coding: CODING_NOT_IN_EXTENSIBLE,
    code: CODING_NOT_IN_EXTENSIBLE,
    is_required: false,
    words: "which should be used where it has a fitting one",
};
const PREFERRED: Demand = Demand {
    concept: NOT_IN_PREFERRED,
    coding: CODING_NOT_IN_PREFERRED,
    code: CODING_NOT_IN_PREFERRED,
    is_required: false,
    words: "which should be used where it has a fitting one",
};

/// Judges an element that is bound to a value set: a required binding decides, an extensible one warns, a preferred one mentions. A largest set and
/// additional bindings count beside it.
pub fn check(walk: &mut Walk<'_>, binding: &Binding, type_name: &str, node: &Node, path: &Path<'_>) {
    match binding.strength {
        BindingStrength::Required => demand(walk, &binding.value_set, REQUIRED, type_name, node, path),
        BindingStrength::Extensible => {
            recommend(walk, &binding.value_set, EXTENSIBLE, type_name, node, path);
            uncoded(walk, binding, type_name, node, path);
        }
        BindingStrength::Preferred => recommend(walk, &binding.value_set, PREFERRED, type_name, node, path),
        BindingStrength::Example => {}
    }
    if binding.strength != BindingStrength::Example {
        codings::accept_displays(walk, &binding.value_set, type_name, node, path);
    }
    for further in &binding.further {
        match further.purpose {
            BindingPurpose::Maximum => demand(walk, &further.value_set, MAXIMUM, type_name, node, path),
            BindingPurpose::Required => demand(walk, &further.value_set, REQUIRED, type_name, node, path),
            BindingPurpose::Extensible => recommend(walk, &further.value_set, EXTENSIBLE, type_name, node, path),
            BindingPurpose::Preferred => recommend(walk, &further.value_set, PREFERRED, type_name, node, path),
        }
    }
}

/// A primitive without a value has no code, where one of a set is required. R4 lets an extension say why (data-absent-reason), and so may what is to be
/// kept; HL7's validator refuses it, which whoever asks is told.
pub fn check_missing(walk: &mut Walk<'_>, binding: Option<&Binding>, offset: Option<u32>, path: &Path<'_>) {
    if let Some(binding) = binding.filter(|binding| binding.strength == BindingStrength::Required && walk.options.report_undecided) {
        let text = format!("A code is required here, from the value set {}, and an extension is none", named(walk, &binding.value_set));
        walk.report.add_at(NO_VALUE, path, offset, text);
    }
}

/// A concept without any coding, where a code may be outside of an extensible set and must be in its largest one. Where there is no largest set,
/// FHIR lets text stand for a code (<https://hl7.org/fhir/R4/terminologies.html#extensible>).
fn uncoded(walk: &mut Walk<'_>, binding: &Binding, type_name: &str, node: &Node, path: &Path<'_>) {
    if type_name != "CodeableConcept" || node.get("coding").is_some() {
        return;
    }
    if let Some(largest) = binding.further.iter().find(|further| further.purpose == BindingPurpose::Maximum) {
        let text = format!("A code is required here, from the value set {}", named(walk, &largest.value_set));
        walk.report.add(NO_CODE_OF_MAXIMUM, path, node, text);
    }
}

/// The rule that a code of a type breaks outside of a set, and what is known of it; none for what holds no code.
fn verdict(walk: &mut Walk<'_>, set: &str, demand: Demand, type_name: &str, node: &Node) -> Option<(Rule, Membership)> {
    match type_name {
        "code" | "string" | "uri" => {
            let code = node.as_text().or_else(|| node.as_number()).filter(|code| !code.is_empty())?;
            Some((demand.code, member(walk, set, None, None, code)))
        }
        "Coding" => Some((demand.coding, coding(walk, set, node)?)),
        "Quantity" => Some((demand.coding, member(walk, set, node.text("system"), None, node.text("code")?))),
        "CodeableConcept" => Some((demand.concept, concept(walk, set, node)?)),
        _ => None,
    }
}

fn demand(walk: &mut Walk<'_>, set: &str, demand: Demand, type_name: &str, node: &Node, path: &Path<'_>) {
    let Some((rule, verdict)) = verdict(walk, set, demand, type_name, node) else {
        if demand.is_required && type_name == "CodeableConcept" {
            let text = format!("A code is required here, from the value set {}", named(walk, set));
            walk.report.add(NO_CODE, path, node, text);
        }
        return;
    };
    if unusable(walk, set, Severity::Error, node, path) {
        return;
    }
    match verdict {
        Membership::Member { .. } => {}
        Membership::NotMember => {
            let text = format!("The code is not in the value set {}, {}", named(walk, set), demand.words);
            walk.report.add(rule, path, node, text);
        }
        Membership::Undecidable => {
            if demand.is_required && type_name == "CodeableConcept" {
                codings::refuse_unknown(walk, node, path);
            }
            undecided(walk, set, demand, node, path)
        }
    }
}

/// A concept or coding that is not in a set which should be used.
fn recommend(walk: &mut Walk<'_>, set: &str, demand: Demand, type_name: &str, node: &Node, path: &Path<'_>) {
    let is_quiet =
        walk.options.quiet_extensible && demand.words == EXTENSIBLE.words && demand.coding.severity == EXTENSIBLE.coding.severity;
    if is_quiet || !matches!(type_name, "Coding" | "CodeableConcept") {
        return;
    }
    let verdict = verdict(walk, set, demand, type_name, node);
    if verdict.is_some() && unusable(walk, set, Severity::Warning, node, path) {
        return;
    }
    match verdict {
        Some((rule, Membership::NotMember)) => {
            let text = format!("The code is not in the value set {}, {}", named(walk, set), demand.words);
            walk.report.add(rule, path, node, text);
        }
        Some((_, Membership::Undecidable)) => undecided(walk, set, demand, node, path),
        _ => {}
    }
}

/// Says that no code can be judged by a set, because a supplement that it needs is not in hand.
fn unusable(walk: &mut Walk<'_>, set: &str, severity: Severity, node: &Node, path: &Path<'_>) -> bool {
    let Some(supplement) = walk.definitions.lacks_supplement(set) else { return false };
    let text = format!(
        "The value set {} needs the supplement {supplement}, which is not in hand, so no code can be judged by it",
        named(walk, set)
    );
    walk.report.add(Rule { severity, ..NO_SUPPLEMENT }, path, node, text);
    true
}

/// How a value set is called: the version of the release goes without saying.
fn named<'s>(walk: &Walk<'_>, set: &'s str) -> &'s str {
    set.split_once('|').filter(|(_, version)| *version == walk.types.version).map_or(set, |(url, _)| url)
}

/// Says that nothing can be said, and why, if that can be told.
fn undecided(walk: &mut Walk<'_>, set: &str, demand: Demand, node: &Node, path: &Path<'_>) {
    if !walk.options.report_undecided {
        return;
    }
    if walk.definitions.lacks_value_set_version(set) {
        let text = format!("The value set {set} is in hand in other versions only, so the code was not checked");
        return walk.report.add(SET_NOT_IN_HAND, path, node, text);
    }
    let (rule, why) = match walk.definitions.hindrance(set) {
        Some(Hindrance::ValueSetVersion(other)) => {
            (SET_NOT_IN_HAND, format!("it takes in {other}, which is in hand in other versions only"))
        }
        Some(Hindrance::SystemVersion(system)) => {
            (SYSTEM_VERSION, format!("it draws from {system}, which is in hand in other versions only"))
        }
        Some(Hindrance::Circle(other)) => (CIRCLE, format!("it takes in itself, by way of {other}")),
        Some(Hindrance::Limit(limit)) => (UNDECIDED, format!("it goes beyond the limit {limit}")),
        None if demand.is_required => (UNDECIDED, "its codes are not all in hand".to_owned()),
        None => return,
    };
    let text = format!("Whether the code is in the value set {} cannot be said: {why}", named(walk, set));
    walk.report.add(rule, path, node, text);
}

/// A coding without a code decides nothing; without a system it is in no set.
fn coding(walk: &mut Walk<'_>, set: &str, coding: &Node) -> Option<Membership> {
    let code = coding.text("code")?;
    Some(member(walk, set, Some(coding.text("system").unwrap_or_default()), coding.text("version"), code))
}

/// A concept is in a set when any of its codings is. `None` when it has none with a code.
fn concept(walk: &mut Walk<'_>, set: &str, concept: &Node) -> Option<Membership> {
    let mut verdict = None;
    for one in concept.items("coding") {
        match coding(walk, set, one) {
            found @ Some(Membership::Member { .. }) => return found,
            found @ Some(Membership::Undecidable) => verdict = found,
            found => verdict = verdict.or(found),
        }
    }
    verdict
}

/// What the definitions in hand say, and where they cannot, what a terminology server has answered.
fn member(walk: &mut Walk<'_>, set: &str, system: Option<&str>, version: Option<&str>, code: &str) -> Membership {
    let known = match (system, version) {
        (Some(system), Some(_)) => walk.definitions.value_set_contains_coding(set, system, version, code),
        _ => walk.definitions.value_set_contains(set, system, code),
    };
    if known != Membership::Undecidable {
        return known;
    }
    let question = Question {
        value_set: Some(set.to_owned()),
        system: system.filter(|system| !system.is_empty()).map(str::to_owned),
        version: version.map(str::to_owned),
        code: code.to_owned(),
        display: None,
    };
    match walk.ask(question) {
        Some(Answer::Right | Answer::WrongDisplay) => Membership::Member { display: None },
        Some(Answer::Wrong) => Membership::NotMember,
        Some(Answer::Unknown | Answer::Away(_)) | None => Membership::Undecidable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Definitions;
    use crate::fhir::json;
    use crate::validate::Options;

    /// R4 core binds no Coding and no Quantity as required; profiles do.
    #[test]
    fn codings_and_quantities() {
        let check = |type_name: &str, strength: BindingStrength, value: &str, expected: &[&str]| {
            let options = Options::default();
            let mut walk = Walk::new(Definitions::embedded(), &options).unwrap();
            let binding = Binding { strength, value_set: "http://hl7.org/fhir/ValueSet/administrative-gender".into(), further: Vec::new() };
            super::check(&mut walk, &binding, type_name, &json::parse(value.as_bytes(), 8).unwrap(), &Path::root("X"));
            let found: Vec<_> = walk.report.done().iter().map(|one| one.message_id).collect();
            assert_eq!(found, expected, "{type_name} {value}");
        };
        let (right, wrong) = (r#"{"system": "http://hl7.org/fhir/administrative-gender", "code": "male"}"#, r#"{"code": "male"}"#);
        check("Coding", BindingStrength::Required, right, &[]);
        check("Coding", BindingStrength::Required, wrong, &["Terminology_TX_NoValid_4"]);
        check("Coding", BindingStrength::Extensible, wrong, &["Terminology_TX_NoValid_5"]);
        check("Coding", BindingStrength::Required, "{}", &[]);
        check("Quantity", BindingStrength::Required, r#"{"value": 1, "code": "mg"}"#, &["Terminology_TX_NoValid_4"]);
        check("Quantity", BindingStrength::Required, r#"{"value": 1}"#, &[]);
    }

    /// A largest set counts whatever the strength of the binding.
    #[test]
    fn largest_sets() {
        let set = "http://hl7.org/fhir/ValueSet/administrative-gender";
        let further = crate::fhir::types::FurtherBinding { purpose: BindingPurpose::Maximum, value_set: set.into() };
        let binding = Binding { strength: BindingStrength::Example, value_set: "http://example.org/other".into(), further: vec![further] };
        let check = |type_name: &str, value: &str, expected: &[&str]| {
            let options = Options::default();
            let mut walk = Walk::new(Definitions::embedded(), &options).unwrap();
            super::check(&mut walk, &binding, type_name, &json::parse(value.as_bytes(), 8).unwrap(), &Path::root("X"));
            let found: Vec<_> = walk.report.done().iter().map(|one| one.message_id).collect();
            assert_eq!(found, expected, "{type_name} {value}");
        };
        check("code", "\"male\"", &[]);
        check("code", "\"robot\"", &["Terminology_TX_NoValid_11"]);
        check("Coding", r#"{"system": "http://example.org", "code": "male"}"#, &["Terminology_TX_NoValid_9"]);
        check("CodeableConcept", r#"{"coding": [{"system": "http://example.org", "code": "male"}]}"#, &["Terminology_TX_NoValid_7"]);
        check("CodeableConcept", r#"{"text": "no code"}"#, &[]);
    }
}
