//! Codes and the value sets they must come from (<https://hl7.org/fhir/R4/terminologies.html#required>).

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::Membership;
use crate::fhir::Node;
use crate::fhir::types::{Binding, BindingStrength};
use crate::outcome::IssueType;

const CODE_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_16");
const CODING_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_4");
const CONCEPT_NOT_IN_SET: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_NoValid_1_CC");
const NOT_IN_EXTENSIBLE: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_NoValid_2_CC");
const CODING_NOT_IN_EXTENSIBLE: Rule = Rule::warning(IssueType::CodeInvalid, "Terminology_TX_NoValid_5");
const NOT_IN_PREFERRED: Rule = Rule::information(IssueType::CodeInvalid, "Terminology_TX_NoValid_3_CC");
const CODING_NOT_IN_PREFERRED: Rule = Rule::information(IssueType::CodeInvalid, "Terminology_TX_NoValid_6");
const NO_CODE: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_Code_ValueSet");
const UNDECIDED: Rule = Rule::information(IssueType::NotSupported, "Terminology_TX_NotChecked");

/// Judges an element that is bound to a value set: a required binding decides, an extensible one warns, a preferred one mentions.
pub fn check(walk: &mut Walk<'_>, binding: &Binding, type_name: &str, node: &Node, path: &Path<'_>) {
    match binding.strength {
        BindingStrength::Required => {}
        BindingStrength::Extensible => {
            return recommend(walk, binding, (NOT_IN_EXTENSIBLE, CODING_NOT_IN_EXTENSIBLE), type_name, node, path);
        }
        BindingStrength::Preferred => return recommend(walk, binding, (NOT_IN_PREFERRED, CODING_NOT_IN_PREFERRED), type_name, node, path),
        BindingStrength::Example => return,
    }
    let set = &binding.value_set;
    let (rule, verdict) = match type_name {
        "code" | "string" | "uri" => match node.as_text().filter(|code| !code.is_empty()) {
            Some(code) => (CODE_NOT_IN_SET, walk.definitions.value_set_contains(set, None, code)),
            None => return,
        },
        "Coding" => match coding(walk, set, node) {
            Some(verdict) => (CODING_NOT_IN_SET, verdict),
            None => return,
        },
        "Quantity" => match node.text("code") {
            Some(code) => (CODING_NOT_IN_SET, walk.definitions.value_set_contains(set, node.text("system"), code)),
            None => return,
        },
        "CodeableConcept" => match concept(walk, set, node) {
            Some(verdict) => (CONCEPT_NOT_IN_SET, verdict),
            None => return walk.report.add(NO_CODE, path, node, format!("A code is required here, from the value set {set}")),
        },
        _ => return,
    };
    match verdict {
        Membership::Member { .. } => {}
        Membership::NotMember => {
            walk.report.add(rule, path, node, format!("The code is not in the value set {set}, and one from there is required"))
        }
        Membership::Undecidable if walk.options.report_undecided => {
            walk.report.add(
                UNDECIDED,
                path,
                node,
                format!("Whether the code is in the value set {set} cannot be said with the definitions in hand"),
            );
        }
        Membership::Undecidable => {}
    }
}

/// A concept or coding that is not in a set which should be used. The rules are for a concept and for a coding.
fn recommend(walk: &mut Walk<'_>, binding: &Binding, rules: (Rule, Rule), type_name: &str, node: &Node, path: &Path<'_>) {
    let set = &binding.value_set;
    let (rule, verdict) = match type_name {
        "CodeableConcept" => (rules.0, concept(walk, set, node)),
        "Coding" => (rules.1, coding(walk, set, node)),
        _ => return,
    };
    if verdict == Some(Membership::NotMember) {
        walk.report.add(
            rule,
            path,
            node,
            format!("The code is not in the value set {set}, which should be used where it has a fitting one"),
        );
    }
}

/// A coding without a code decides nothing; without a system it is in no set.
fn coding(walk: &Walk<'_>, set: &str, coding: &Node) -> Option<Membership> {
    let code = coding.text("code")?;
    Some(walk.definitions.value_set_contains(set, Some(coding.text("system").unwrap_or_default()), code))
}

/// A concept is in a set when any of its codings is. `None` when it has none with a code.
fn concept(walk: &Walk<'_>, set: &str, concept: &Node) -> Option<Membership> {
    let mut verdict = None;
    for found in concept.items("coding").iter().filter_map(|one| coding(walk, set, one)) {
        match found {
            Membership::Member { .. } => return Some(found),
            Membership::Undecidable => verdict = Some(found),
            Membership::NotMember => verdict = verdict.or(Some(found)),
        }
    }
    verdict
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
            let binding = Binding { strength, value_set: "http://hl7.org/fhir/ValueSet/administrative-gender".into() };
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
}
