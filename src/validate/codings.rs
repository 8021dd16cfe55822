//! Codes beside the systems they are from, whatever value set is asked for (<https://hl7.org/fhir/R4/terminologies.html>).

use super::asking::{Answer, Question};
use super::path::Path;
use super::primitives::has_scheme;
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::Standing;
use crate::fhir::Node;
use crate::fhir::ucum::SYSTEM as UCUM;
use crate::outcome::{IssueType, Severity};

const NO_SUCH_CODE: Rule = Rule::error(IssueType::CodeInvalid, "Unknown_Code_in_Version");
const PERHAPS_NEWER: Rule = Rule::warning(IssueType::CodeInvalid, "UNKNOWN_CODE_IN_FRAGMENT");
const OUT_OF_USE: Rule = Rule::warning(IssueType::BusinessRule, "INACTIVE_CONCEPT_FOUND");
const UNKNOWN_SYSTEM: Rule = Rule::warning(IssueType::NotFound, "UNKNOWN_CODESYSTEM");
const NO_SUCH_SYSTEM: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_System_Unknown");
const NOT_CHECKED: Rule = Rule::information(IssueType::NotSupported, "CODESYSTEM_NOT_CHECKED");
/// What is said of a display that its system does not know; a value set may know it.
const DISPLAY_RULES: [&str; 5] = [
    WRONG_DISPLAY.message_id,
    WRONG_DISPLAY_OF_SEVERAL.message_id,
    WRONG_SPACES.message_id,
    WRONG_SPACES_OF_SEVERAL.message_id,
    NONE_IN_LANGUAGE.message_id,
];
const WRONG_DISPLAY: Rule = Rule::error(IssueType::Invalid, "Display_Name_for__should_be_one_of__instead_of_one");
const WRONG_DISPLAY_OF_SEVERAL: Rule = Rule::error(IssueType::Invalid, "Display_Name_for__should_be_one_of__instead_of_other");
const WRONG_SPACES: Rule = Rule::error(IssueType::Invalid, "Display_Name_WS_for__should_be_one_of__instead_of_one");
const WRONG_SPACES_OF_SEVERAL: Rule = Rule::error(IssueType::Invalid, "Display_Name_WS_for__should_be_one_of__instead_of_other");
const OTHER_LANGUAGE: Rule = Rule::warning(IssueType::Invalid, "NO_VALID_DISPLAY_FOUND_LANG_SOME_one");
const NONE_IN_LANGUAGE: Rule = Rule::error(IssueType::Invalid, "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR");
const UNKNOWN_VERSION: Rule = Rule::warning(IssueType::NotFound, "UNKNOWN_CODESYSTEM_VERSION");
const SUPPLEMENT: Rule = Rule::error(IssueType::NotFound, "CODESYSTEM_CS_NO_SUPPLEMENT");
const RELATIVE: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_System_Relative");
const IS_VALUE_SET: Rule = Rule::error(IssueType::Invalid, "Terminology_TX_System_ValueSet2");
const IS_DRAFT_SITE: Rule = Rule::error(IssueType::Invalid, "TERMINOLOGY_TX_SYSTEM_WRONG_BUILD");
const IS_PAGE: Rule = Rule::error(IssueType::Invalid, "TERMINOLOGY_TX_SYSTEM_WRONG_HTML");
const IS_SECURE: Rule = Rule::error(IssueType::CodeInvalid, "TERMINOLOGY_TX_SYSTEM_HTTPS");
const GOES_ON: Rule = Rule::error(IssueType::CodeInvalid, "Terminology_TX_System_Invalid");
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
    UCUM,
    "http://nucc.org/provider-taxonomy",
    "http://www.whocc.no/atc",
    "urn:oid:",
    "urn:iso:",
];

/// Systems whose URI is whole: what goes on after it names something else, as an edition, a page or a value set.
const WHOLE: [&str; 4] = ["http://loinc.org", "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm", UCUM];

const ENGLISH: &str = "en";

/// Where a Coding is one of a concept's.
pub const OF_A_CONCEPT: &str = "CodeableConcept.coding";

/// Judges a Coding, which is alone or one of a concept's.
pub fn check(walk: &mut Walk<'_>, coding: &Node, is_alone: bool, path: &Path<'_>) {
    let Some(code) = coding.text("code") else { return };
    let Some(system) = coding.text("system") else {
        if walk.options.report_undecided {
            walk.report.add(NO_SYSTEM, path, coding, "A code without its system means nothing to others and was not checked");
        }
        return;
    };
    match walk.definitions.standing_in(system, coding.text("version"), code) {
        Standing::Known { display, is_inactive } => {
            if is_inactive {
                walk.report.add(OUT_OF_USE, path, coding, "The system has this code and says that it is out of use");
            }
            if let Some(display) = display {
                check_display(walk, coding, Named { system, code, display }, path);
            }
        }
        Standing::Absent => {
            let rule = if system.starts_with(MOVING) { PERHAPS_NEWER } else { NO_SUCH_CODE };
            walk.report.add(rule, &path.name("code"), coding, "The system, as it is in hand, does not have this code");
        }
        Standing::Undecided => {
            if !answered(walk, system, coding, path) {
                let text = "Only a part of the system is in hand, and it does not have this code";
                walk.report.add(PERHAPS_NEWER, &path.name("code"), coding, text);
            }
        }
        Standing::UnknownVersion => {
            if !answered(walk, system, coding, path) && walk.options.report_undecided {
                let text = "This version of the code system is not in hand, so the code was not checked";
                walk.report.add(UNKNOWN_VERSION, &path.name("system"), coding, text);
            }
        }
        Standing::Supplement => {
            let text = "This is a supplement, which only adds to the codes of another system; the code must name that system";
            walk.report.add(SUPPLEMENT, &path.name("system"), coding, text);
        }
        Standing::UnknownSystem => {
            if let Some((rule, text)) = mistaken(walk, system) {
                walk.report.add(rule, &path.name("system"), coding, text);
            } else if !answered(walk, system, coding, path) {
                unknown_system(walk, system, coding, is_alone, path);
            }
        }
    }
}

/// What was named in place of a system, if it is something else: a value set, a page, or the site where HL7 builds its drafts.
fn mistaken(walk: &Walk<'_>, system: &str) -> Option<(Rule, &'static str)> {
    let after_scheme = system.strip_prefix("http://").or_else(|| system.strip_prefix("https://")).unwrap_or_default();
    Some(if !has_scheme(system) && !system.is_empty() {
        (RELATIVE, "The system of a code must be an absolute URI")
    } else if walk.definitions.value_set(system).is_some() {
        // Value sets are named so in many a Consent; what is sent is understood all the same, and who asks is told that it is wrong.
        let severity = if walk.options.report_undecided { Severity::Error } else { Severity::Warning };
        (Rule { severity, ..IS_VALUE_SET }, "This is a value set; the system of a code is a code system")
    } else if after_scheme.starts_with("build.fhir.org") {
        (IS_DRAFT_SITE, "This is the site where drafts of FHIR are built; code systems have names of their own")
    } else if after_scheme.starts_with("hl7.org/fhir") && after_scheme.ends_with(".html") {
        (IS_PAGE, "This is a page; code systems have names of their own")
    } else if is_known_without_security(walk, system) {
        (IS_SECURE, "The URI of this system begins with http:, not https:; it is a name and not an address")
    } else if WHOLE.iter().any(|whole| system.starts_with(whole) && system != *whole) {
        (GOES_ON, "The URI of this system ends where this one goes on; an edition or version is stated in 'version'")
    } else {
        return None;
    })
}

/// Whether `https:` stands where the system is known by `http:`.
fn is_known_without_security(walk: &Walk<'_>, system: &str) -> bool {
    let Some(rest) = system.strip_prefix("https:") else { return false };
    let plain = format!("http:{rest}");
    WHOLE.contains(&plain.as_str()) || walk.definitions.code_system(&plain).is_some()
}

/// Judges the unit of a Quantity. UCUM decides by its grammar whether there is such a unit; of other systems it is judged as a Coding is.
pub fn check_unit(walk: &mut Walk<'_>, quantity: &Node, path: &Path<'_>) {
    let (Some(system), Some(code)) = (quantity.text("system"), quantity.text("code")) else { return };
    if system != UCUM {
        return check(walk, quantity, false, path);
    }
    if walk.definitions.standing(UCUM, code) == Standing::Absent {
        walk.report.add(NO_SUCH_CODE, &path.name("code"), quantity, "UCUM has no unit of this code");
    }
}

/// A code that its system has.
#[derive(Clone, Copy)]
struct Named<'a> {
    system: &'a str,
    code: &'a str,
    display: &'a str,
}

/// A display must be one of the names of its code in the language that displays are checked in.
fn check_display(walk: &mut Walk<'_>, coding: &Node, named: Named<'_>, path: &Path<'_>) {
    let Some((node, given)) = coding.get("display").and_then(|node| Some((node, node.as_text()?))) else { return };
    let wanted = walk.language.clone();
    // What does not say its language is in English, as HL7's validator reads it.
    let is_wanted = |language: Option<&str>| wanted.as_deref().is_none_or(|wanted| same_language(language.unwrap_or(ENGLISH), wanted));
    let version = coding.text("version");
    let own = walk.definitions.language_of(named.system, version).unwrap_or(ENGLISH);
    if same_words(given, named.display) && is_wanted(Some(own)) {
        return;
    }
    let mut names = walk.definitions.designations(named.system, version, named.code);
    names.push((Some(own), named.display));
    let (in_language, other): (Vec<_>, Vec<_>) = names.into_iter().partition(|(language, _)| is_wanted(*language));
    let fits = |names: &[(Option<&str>, &str)]| names.iter().any(|(_, name)| same_words(given, name));
    if fits(&in_language) {
        return;
    }
    let (rule, text) = match in_language.as_slice() {
        [] if fits(&other) => (OTHER_LANGUAGE, "The display is one of the code in another language than displays are checked in"),
        [] => (
            NONE_IN_LANGUAGE,
            "The display is not that of the code in its system, which has none in the language that displays are checked in",
        ),
        names => wrong_display(given, names, fits(&other)),
    };
    // Displays of systems that are maintained between releases may have been changed since.
    let is_mild = walk.options.mild_displays || named.system.starts_with(MOVING);
    walk.report.add(rule.grave_if(!is_mild), &path.name("display"), node, text);
}

/// What is said of a display that is none of the names of its code.
fn wrong_display(given: &str, names: &[(Option<&str>, &str)], is_in_another: bool) -> (Rule, &'static str) {
    let is_one = names.len() == 1;
    if names.iter().any(|(_, name)| differs_in_spaces(given, name)) {
        let rule = if is_one { WRONG_SPACES } else { WRONG_SPACES_OF_SEVERAL };
        return (rule, "The display differs from that of the code in its system by white space");
    }
    let rule = if is_one { WRONG_DISPLAY } else { WRONG_DISPLAY_OF_SEVERAL };
    match is_in_another {
        true => (rule, "The display is one of the code in another language than displays are checked in, in which it has one too"),
        false => (rule, "The display is not that of the code in its system"),
    }
}

/// Takes back what was said of the displays of a bound element's codings, where the value set calls their codes so.
pub fn accept_displays(walk: &mut Walk<'_>, set: &str, type_name: &str, node: &Node, path: &Path<'_>) {
    if !walk.report.has(&DISPLAY_RULES) {
        return;
    }
    match type_name {
        "Coding" => accept_display(walk, set, node, path),
        "CodeableConcept" => {
            let list = path.name("coding");
            for (index, coding) in node.items("coding").iter().enumerate() {
                accept_display(walk, set, coding, &list.index(index));
            }
        }
        _ => {}
    }
}

fn accept_display(walk: &mut Walk<'_>, set: &str, coding: &Node, path: &Path<'_>) {
    let (Some(system), Some(code), Some(display)) = (coding.text("system"), coding.text("code"), coding.text("display")) else { return };
    if walk.definitions.value_set_names(set, system, code).any(|name| same_words(display, name)) {
        walk.report.take_back(&DISPLAY_RULES, &path.name("display"));
    }
}

/// Whether one language is the other or a region's form of it.
fn same_language(one: &str, other: &str) -> bool {
    let first = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    first(one) == first(other)
}

/// Asks a terminology server, if there is one, about a code whose system is not in hand; whether it knew.
fn answered(walk: &mut Walk<'_>, system: &str, coding: &Node, path: &Path<'_>) -> bool {
    let text = |name| coding.text(name).map(str::to_owned);
    let question = Question {
        value_set: None,
        system: Some(system.to_owned()),
        version: text("version"),
        code: coding.text("code").unwrap_or_default().to_owned(),
        display: text("display"),
    };
    match walk.ask(question) {
        Some(Answer::Right) => true,
        Some(Answer::WrongDisplay) => {
            let rule = WRONG_DISPLAY_OF_SEVERAL.grave_if(!walk.options.mild_displays);
            walk.report.add(rule, &path.name("display"), coding, "The terminology server says that the display is not one of the code");
            true
        }
        Some(Answer::Wrong) => {
            walk.report.add(
                NO_SUCH_CODE,
                &path.name("code"),
                coding,
                "The terminology server says that the system does not have this code",
            );
            true
        }
        Some(Answer::Unknown | Answer::Away(_)) | None => false,
    }
}

/// A system that is known to be elsewhere is mentioned once; any other each time. One that FHIR itself would define and does not is refused by HL7's
/// validator where the Coding is alone.
fn unknown_system(walk: &mut Walk<'_>, system: &str, coding: &Node, is_alone: bool, path: &Path<'_>) {
    if is_alone && walk.options.as_hl7 && is_named_as_fhirs(system) {
        return walk.report.add(NO_SUCH_SYSTEM, path, coding, "The system is named as one of FHIR's own, and FHIR has none of this name");
    }
    if !walk.options.report_undecided {
        return;
    }
    if !ELSEWHERE.iter().any(|known| system.starts_with(known)) {
        let rule = if walk.options.refuse_unknown_systems { Rule { severity: Severity::Error, ..UNKNOWN_SYSTEM } } else { UNKNOWN_SYSTEM };
        return walk.report.add(rule, &path.name("system"), coding, "The code system is not in hand, so the code was not checked");
    }
    if !walk.systems_mentioned.iter().any(|mentioned| mentioned == system) {
        walk.systems_mentioned.push(system.into());
        let text = "The codes of this system are not in hand; they were not checked, here and elsewhere in the resource";
        walk.report.add(NOT_CHECKED, &path.name("system"), coding, text);
    }
}

/// Whether a URI is one that FHIR gives its own systems. Guides have theirs below a realm, and examples theirs below `test`.
fn is_named_as_fhirs(system: &str) -> bool {
    let address = system.strip_prefix("http://").or_else(|| system.strip_prefix("https://")).unwrap_or_default();
    let Some(name) = address.trim_start_matches("www.").strip_prefix("hl7.org/fhir/") else { return false };
    let is_realm = |first: &str| first.len() == 2 && first.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_of_guide = name.split_once('/').is_some_and(|(first, _)| is_realm(first) || first == "tools");
    !is_of_guide && !name.starts_with("test") && !ELSEWHERE.iter().any(|known| system.starts_with(known))
}

/// Refuses the systems of a concept that are named as FHIR's own and are none, where one of a required set is asked for, as HL7's validator does: that
/// the code cannot be judged is not enough there. What was said of them before is taken back.
pub fn refuse_unknown(walk: &mut Walk<'_>, concept: &Node, path: &Path<'_>) {
    let list = path.name("coding");
    for (index, coding) in concept.items("coding").iter().enumerate().filter(|_| walk.options.as_hl7) {
        let (Some(system), Some(code)) = (coding.text("system"), coding.text("code")) else { continue };
        let is_unknown = walk.definitions.standing_in(system, coding.text("version"), code) == Standing::UnknownSystem;
        if is_unknown && is_named_as_fhirs(system) && mistaken(walk, system).is_none() {
            let (coding_at, text) = (list.index(index), "A code of the value set is required, and FHIR has no system of this name");
            let at = coding_at.name("system");
            walk.report.take_back(&[UNKNOWN_SYSTEM.message_id], &at);
            walk.report.add(Rule { severity: Severity::Error, ..UNKNOWN_SYSTEM }, &at, coding, text);
        }
    }
}

/// Displays are compared letter by letter; only their case does not count.
fn same_words(given: &str, display: &str) -> bool {
    given == display || given.to_lowercase() == display.to_lowercase()
}

/// Whether displays that are not the same are so but for white space: at the ends, or where words are parted.
fn differs_in_spaces(given: &str, display: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    plain(given) == plain(display)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Definitions;
    use crate::fhir::json;
    use crate::validate::Options;

    #[test]
    fn names_versions_and_supplements() {
        let definitions: Vec<Node> = [
            r#"{"resourceType": "CodeSystem", "url": "http://example.org/cs", "version": "2", "content": "complete", "concept": [
                {"code": "a", "display": "Yes", "designation": [{"language": "de", "value": "Ja"}]}]}"#,
            r#"{"resourceType": "CodeSystem", "url": "http://example.org/more", "version": "1", "content": "supplement",
                "supplements": "http://example.org/cs", "concept": [{"code": "a", "designation": [{"language": "fr", "value": "Oui"}]}]}"#,
        ]
        .iter()
        .map(|text| json::parse(text.as_bytes(), 16).unwrap())
        .collect();
        let definitions = Definitions::with(&definitions);
        let check = |rest: &str, language: Option<&str>, expected: &[&str]| {
            let options = Options { report_undecided: true, language: language.map(str::to_owned), ..Options::default() };
            let mut walk = Walk::new(&definitions, &options).unwrap();
            let coding = json::parse(format!(r#"{{"code": "a", {rest}}}"#).as_bytes(), 8).unwrap();
            super::check(&mut walk, &coding, true, &Path::root("X"));
            let found: Vec<_> = walk.report.done().iter().map(|one| one.message_id).collect();
            assert_eq!(found, expected, "{rest} {language:?}");
        };
        let named = |display: &str| format!(r#""system": "http://example.org/cs", "display": "{display}""#);
        check(&named("yes"), None, &[]);
        check(&named("Ja"), None, &[]);
        check(&named("Ja"), Some("de-AT"), &[]);
        check(&named("Ja"), Some("en-US"), &["Display_Name_for__should_be_one_of__instead_of_one"]);
        check(&named("Yes"), Some("de"), &["Display_Name_for__should_be_one_of__instead_of_one"]);
        check(&named("Oui"), Some("de"), &["Display_Name_for__should_be_one_of__instead_of_one"]);
        check(&named("Yes"), Some("it"), &["NO_VALID_DISPLAY_FOUND_LANG_SOME_one"]);
        check(&named("No"), Some("it"), &["NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR"]);
        check(&named("Oui"), None, &[]);
        check(&named("No"), None, &["Display_Name_for__should_be_one_of__instead_of_other"]);
        check(&named("Y-e-s."), None, &["Display_Name_for__should_be_one_of__instead_of_other"]);
        check(&named(" YES"), None, &["Display_Name_WS_for__should_be_one_of__instead_of_other"]);
        check(&named("O ui"), None, &["Display_Name_WS_for__should_be_one_of__instead_of_other"]);
        check(r#""system": "http://example.org/cs", "version": "2""#, None, &[]);
        check(r#""system": "http://example.org/cs", "version": "1""#, None, &["UNKNOWN_CODESYSTEM_VERSION"]);
        check(r#""system": "http://example.org/cs", "version": "1", "display": "No""#, None, &["UNKNOWN_CODESYSTEM_VERSION"]);
        check(r#""system": "http://example.org/more""#, None, &["CODESYSTEM_CS_NO_SUPPLEMENT"]);
    }
}
