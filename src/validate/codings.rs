//! Codes beside the systems they are from, whatever value set is asked for (<https://hl7.org/fhir/R4/terminologies.html>).

use super::path::Path;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::Standing;
use crate::fhir::Node;
use crate::outcome::IssueType;

const NO_SUCH_CODE: Rule = Rule::error(IssueType::CodeInvalid, "Unknown_Code_in_Version");
const PERHAPS_NEWER: Rule = Rule::warning(IssueType::CodeInvalid, "UNKNOWN_CODE_IN_FRAGMENT");
const UNKNOWN_SYSTEM: Rule = Rule::warning(IssueType::NotFound, "UNKNOWN_CODESYSTEM");
const NOT_CHECKED: Rule = Rule::information(IssueType::NotSupported, "CODESYSTEM_NOT_CHECKED");
const WRONG_DISPLAY: Rule = Rule::warning(IssueType::Invalid, "Display_Name_for__should_be_one_of__instead_of_one");
const NO_SYSTEM: Rule = Rule::warning(IssueType::Invalid, "Coding_has_no_system__cannot_validate");

/// Systems whose codes are maintained between releases of FHIR: a code that is not in hand may be newer than what is.
pub const MOVING: &str = "http://terminology.hl7.org/";

/// Systems that are not in hand for their size or licence.
const ELSEWHERE: [&str; 10] = [
    "http://loinc.org",
    "http://snomed.info/sct",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/",
    "http://www.ama-assn.org/go/cpt",
    "http://unitsofmeasure.org",
    "http://nucc.org/provider-taxonomy",
    "http://www.whocc.no/atc",
    "urn:oid:",
    "urn:iso:",
];

/// Judges a Coding.
pub fn check(walk: &mut Walk<'_>, coding: &Node, path: &Path<'_>) {
    let Some(code) = coding.text("code") else { return };
    let Some(system) = coding.text("system") else {
        if walk.options.report_undecided {
            walk.report.add(NO_SYSTEM, path, coding, "A code without its system means nothing to others and was not checked");
        }
        return;
    };
    let definitions = walk.definitions;
    match definitions.standing(system, code) {
        Standing::Known { display } => {
            if let (Some(node), Some(display)) = (coding.get("display"), display)
                && node.as_text().is_some_and(|given| !same_words(given, display))
            {
                walk.report.add(WRONG_DISPLAY, &path.name("display"), node, "The display is not that of the code in its system");
            }
        }
        Standing::Absent => {
            let rule = if system.starts_with(MOVING) { PERHAPS_NEWER } else { NO_SUCH_CODE };
            walk.report.add(rule, &path.name("code"), coding, "The system, as it is in hand, does not have this code");
        }
        Standing::Undecided => {}
        Standing::UnknownSystem => unknown_system(walk, system, coding, path),
    }
}

/// A system that is known to be elsewhere is mentioned once; any other each time.
fn unknown_system(walk: &mut Walk<'_>, system: &str, coding: &Node, path: &Path<'_>) {
    if !walk.options.report_undecided {
        return;
    }
    if !ELSEWHERE.iter().any(|known| system.starts_with(known)) {
        return walk.report.add(
            UNKNOWN_SYSTEM,
            &path.name("system"),
            coding,
            "The code system is not in hand, so the code was not checked",
        );
    }
    if !walk.systems_mentioned.iter().any(|mentioned| mentioned == system) {
        walk.systems_mentioned.push(system.into());
        let text = "The codes of this system are not in hand; they were not checked, here and elsewhere in the resource";
        walk.report.add(NOT_CHECKED, &path.name("system"), coding, text);
    }
}

/// Displays are compared as people read them: case, spaces and punctuation do not count.
fn same_words(given: &str, display: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    given == display || plain(given) == plain(display)
}
