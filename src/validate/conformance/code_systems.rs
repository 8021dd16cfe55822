//! CodeSystems: the content they state, what they supplement, and codes that are there twice (<https://hl7.org/fhir/R4/codesystem.html>).

use super::super::DEPTH_MAX;
use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::properties;
use crate::definitions::Standing;
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashSet;

const SUPPLEMENT_WITHOUT_CONTENT: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_HL7_PRESENT_ELEMENT_SUPPL_WRONG");
const NOT_IN_SUPPLEMENT: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_HL7_PRESENT_ELEMENT_SUPPL");
const SUPPLEMENT_OF_NOTHING: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_HL7_PRESENT_ELEMENT_SUPPL_MISSING");
const SUPPLEMENTS_NOTHING: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_SUPP_NO_SUPP");
const OTHER_HIERARCHY: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_SUPP_HIERARCHY_MEANING");
const NOT_IN_SUPPLEMENTED: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_SUPP_INVALID_CODE");
const SUPPLEMENTED_NOT_IN_HAND: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_CS_SUPP_CANT_CHECK");
const WRONG_COUNT: Rule = Rule::error(IssueType::Invalid, "CODESYSTEM_CS_COUNT_COMPLETE_WRONG");
const SMALL_COUNT: Rule = Rule::warning(IssueType::Invalid, "CODESYSTEM_CS_COUNT_FRAGMENT_WRONG");
const OTHER_COUNT: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_COUNT_SUPPLEMENT_WRONG");
const CONTENT_DENIED: Rule = Rule::error(IssueType::Invalid, "CODESYSTEM_CS_COUNT_NO_CONTENT_ALLOWED");
const COMPLETE_AND_EMPTY: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_CS_COMPLETE_AND_EMPTY");
const TWICE: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_DUPLICATE_CODE");
const SET_OF_OTHERS: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_VS_INVALID");
const SET_OF_OTHER_SYSTEM: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_VS_WRONGSYSTEM");
const SET_OF_SOME: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_VS_INCLUDEDETAILS");
const EXPANSION_DIFFERS: Rule = Rule::error(IssueType::BusinessRule, "CODESYSTEM_CS_VS_EXP_MISMATCH");
const NO_CASE: Rule = Rule::warning(IssueType::BusinessRule, "CODESYSTEM_CS_HL7_MISSING_ELEMENT_SHOULD");
const NO_CASE_ELSEWHERE: Rule = Rule::information(IssueType::BusinessRule, "CODESYSTEM_CS_NONHL7_MISSING_ELEMENT");

/// Judges a CodeSystem.
pub fn check(walk: &mut Walk<'_>, system: &Node, path: &Path<'_>) {
    let content = system.text("content").unwrap_or_default();
    let concepts = system.items("concept");
    match system.text("supplements") {
        Some(url) => supplement(walk, system, url, content, path),
        None if content == "supplement" => {
            let text = "A supplement must say which code system it supplements";
            walk.report.add(SUPPLEMENT_OF_NOTHING, &path.name("content"), system, text);
            walk.report.add(SUPPLEMENTS_NOTHING, path, system, text);
        }
        None => advice(walk, system, path),
    }
    count(walk, system, content, path);
    whole_set(walk, system, path);
    if content == "not-present" && !concepts.is_empty() {
        let at = path.name("concept");
        walk.report.add(CONTENT_DENIED, &at.index(0), system, "The code system says that it holds no content, and it holds concepts");
    }
    let mut codes = HashSet::new();
    collect(walk, system, &mut codes, path, 0);
    properties::check(walk, system, &codes, path);
}

fn supplement(walk: &mut Walk<'_>, system: &Node, url: &str, content: &str, path: &Path<'_>) {
    if content != "supplement" {
        walk.report.add(SUPPLEMENT_WITHOUT_CONTENT, &path.name("content"), system, "What supplements another has the content 'supplement'");
    }
    if system.get("caseSensitive").is_some() {
        walk.report.add(NOT_IN_SUPPLEMENT, &path.name("caseSensitive"), system, "A supplement does not say whether case counts");
    }
    let definitions = walk.definitions;
    let Some(supplemented) = definitions.code_system(url) else {
        if !system.items("concept").is_empty() {
            walk.report.add(
                SUPPLEMENTED_NOT_IN_HAND,
                path,
                system,
                "The code system supplemented is not in hand, so codes were not checked",
            );
        }
        return;
    };
    if let (Some(own), Some(other)) = (system.text("hierarchyMeaning"), &supplemented.hierarchy)
        && own != other
    {
        walk.report.add(
            OTHER_HIERARCHY,
            path,
            system,
            "The hierarchy of a supplement means what that of the code system supplemented means",
        );
    }
    let name = path.name("concept");
    for (index, concept) in system.items("concept").iter().enumerate() {
        if concept.text("code").is_some_and(|code| definitions.standing(url, code) == Standing::Absent) {
            walk.report.add(NOT_IN_SUPPLEMENTED, &name.index(index), concept, "The code system supplemented does not have this code");
        }
    }
}

/// The value set that a code system names is that of all its codes, where it is in hand.
fn whole_set(walk: &mut Walk<'_>, system: &Node, path: &Path<'_>) {
    let definitions = walk.definitions;
    let Some(set) = system.text("valueSet").and_then(|url| definitions.value_set(url)) else { return };
    let Some([include]) = set.include.first_chunk::<1>().filter(|_| set.include.len() == 1) else {
        return walk.report.add(
            SET_OF_OTHERS,
            path,
            system,
            "The value set named here must include all codes of this system, and nothing else",
        );
    };
    if include.system.as_deref() != system.text("url") {
        walk.report.add(SET_OF_OTHER_SYSTEM, path, system, "The value set named here is of another code system");
    } else if !include.value_sets.is_empty() || !include.concepts.is_empty() || !include.filters.is_empty() {
        walk.report.add(
            SET_OF_SOME,
            path,
            system,
            "The value set named here must include all codes of this system, and not a part of them",
        );
    }
    let listed = set.expansion.as_ref().filter(|_| include.system.as_deref() == system.text("url"));
    // HL7's validator does not look for codes within others.
    let listed = listed.map(|given| given.outermost);
    let held = number_of_concepts(system, 0);
    if let Some(listed) = listed.filter(|listed| *listed != held) {
        let text = format!("The value set named here is expanded to {listed} codes that are in no other, and this system has {held}");
        walk.report.add(EXPANSION_DIFFERS, path, system, text);
    }
}

fn advice(walk: &mut Walk<'_>, system: &Node, path: &Path<'_>) {
    if system.get("caseSensitive").is_none() && walk.options.report_undecided {
        let is_hl7 = system.text("url").is_some_and(|url| url.contains("hl7.org") || url.contains("fhir.org"));
        let rule = if is_hl7 { NO_CASE } else { NO_CASE_ELSEWHERE };
        walk.report.add(rule, path, system, "A code system should say whether case counts in its codes (caseSensitive)");
    }
}

fn count(walk: &mut Walk<'_>, system: &Node, content: &str, path: &Path<'_>) {
    let held = number_of_concepts(system, 0);
    if held == 0 && content == "complete" {
        walk.report.add(COMPLETE_AND_EMPTY, path, system, "The code system says that it is complete, and it holds no concepts");
    }
    let Some(stated) = system.get("count").and_then(Node::as_number).and_then(|count| count.parse::<usize>().ok()) else { return };
    match content {
        "supplement" => supplement_count(walk, system, (stated, held), path),
        "complete" if held != stated => {
            walk.report.add(WRONG_COUNT, &path.name("count"), system, format!("The code system states {stated} concepts and holds {held}"));
        }
        "example" | "fragment" if held >= stated => {
            let text = format!("Only a part is said to be here, and {held} concepts of {stated} are");
            walk.report.add(SMALL_COUNT, &path.name("count"), system, text);
        }
        _ => {}
    }
}

/// What a supplement counts are the concepts of the system that it supplements, which says how many those are; of one that does not, none are known of.
fn supplement_count(walk: &mut Walk<'_>, system: &Node, (stated, held): (usize, usize), path: &Path<'_>) {
    let Some(supplemented) = system.text("supplements").and_then(|url| walk.definitions.code_system(url)) else { return };
    let of_supplemented = supplemented.count.unwrap_or_default() as usize;
    // Whether what is stated or what is held must be as many is not settled; one of them must.
    if stated != of_supplemented && held != of_supplemented {
        let text =
            format!("The supplement states {stated} concepts and holds {held}, and the code system supplemented states {of_supplemented}");
        walk.report.add(OTHER_COUNT, &path.name("count"), system, text);
    }
}

fn number_of_concepts(parent: &Node, depth: usize) -> usize {
    let concepts = parent.items("concept");
    if depth == DEPTH_MAX {
        return 0;
    }
    concepts.len() + concepts.iter().map(|concept| number_of_concepts(concept, depth + 1)).sum::<usize>()
}

/// Gathers the codes, refusing those that are there twice.
fn collect<'n>(walk: &mut Walk<'_>, parent: &'n Node, codes: &mut HashSet<&'n str>, path: &Path<'_>, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    let name = path.name("concept");
    for (index, concept) in parent.items("concept").iter().enumerate() {
        let at = name.index(index);
        if concept.text("code").is_some_and(|code| !codes.insert(code)) {
            walk.report.add(TWICE, &at, concept, "Another concept of the code system has this code");
        }
        collect(walk, concept, codes, &at, depth + 1);
    }
}
