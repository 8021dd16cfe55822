//! StructureDefinitions: what they derive from, and whether their differential can be laid over it
//! (<https://hl7.org/fhir/R4/structuredefinition.html>, <https://hl7.org/fhir/R4/profiling.html>).

use super::super::canonicals;
use super::super::path::Path;
use super::super::primitives::has_scheme;
use super::super::profiles::{self, Asked};
use super::super::report::Rule;
use super::super::slicing;
use super::super::structure::Walk;
use super::elements::{self, Listed};
use super::{contexts, obligations, over_base, snapshots};
use crate::definitions::profile::DERIVATION_DEPTH_MAX;
use crate::definitions::{Structure, StructureKind};
use crate::fhir::Node;
use crate::outcome::IssueType;
use std::collections::HashMap;

const COMPLIES_WITH: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-compliesWithProfile";
const COMPLIES_WITH_UNKNOWN: Rule = Rule::error(IssueType::Invalid, "SD_EXTENSION_COMPLIES_WITH_UNKNOWN");
const BASE_NOT_IN_HAND: Rule = Rule::warning(IssueType::NotFound, "Unable_to_find_base__for_");
const DERIVES_FROM_ITSELF: Rule = Rule::error(IssueType::BusinessRule, "SD_DERIVATION_CIRCLE");
const NO_DERIVATION: Rule = Rule::error(IssueType::NotFound, "SD_MUST_HAVE_DERIVATION");
const OTHER_KIND: Rule = Rule::error(IssueType::NotFound, "SD_CONSTRAINED_KIND_NO_MATCH");
const OTHER_TYPE: Rule = Rule::error(IssueType::NotFound, "SD_CONSTRAINED_TYPE_NO_MATCH");
const KIND_CHANGED: Rule = Rule::error(IssueType::NotFound, "SD_DERIVATION_KIND_MISMATCH");
const SAME_TYPE: Rule = Rule::error(IssueType::NotFound, "SD_SPECIALIZED_TYPE_MATCHES");
const TYPE_NOT_LOCAL: Rule = Rule::error(IssueType::Invalid, "SD_TYPE_NOT_LOCAL");
const TYPE_NOT_LOGICAL: Rule = Rule::error(IssueType::Invalid, "SD_TYPE_NOT_LOGICAL");
const TYPE_NOT_DERIVED: Rule = Rule::error(IssueType::Invalid, "SD_TYPE_NOT_DERIVED");
const TYPE_ELSEWHERE: Rule = Rule::warning(IssueType::Invalid, "SD_TYPE_NOT_MATCH_NS");
const CONTEXT_OF_NONE: Rule = Rule::error(IssueType::Invalid, "SD_NO_CONTEXT_WHEN_NOT_EXTENSION");
const RULE_OF_NONE: Rule = Rule::error(IssueType::Invalid, "SD_NO_CONTEXT_INV_WHEN_NOT_EXTENSION");
const CANNOT_BE_EVALUATED: Rule = Rule::warning(IssueType::Processing, "SLICING_CANNOT_BE_EVALUATED");
const URL_NOT_FIXED: Rule = Rule::error(IssueType::Invalid, "SD_EXTENSION_URL_MISSING");
const OTHER_URL_FIXED: Rule = Rule::error(IssueType::Invalid, "SD_EXTENSION_URL_MISMATCH");

/// How many characters an id has at most.
const ID_MAX: usize = 64;

/// What an extension derives from.
const EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/Extension";

/// Judges a StructureDefinition.
pub fn check(walk: &mut Walk<'_>, structure: &Node, path: &Path<'_>) {
    type_of(walk, structure, path);
    contexts(walk, structure, path);
    complied_with(walk, structure, path);
    let Some(url) = structure.text("baseDefinition") else { return };
    if structure.text("url") == Some(url) || derives_from_itself(walk, structure, url) {
        return walk.report.add(DERIVES_FROM_ITSELF, path, structure, "The definition derives from itself");
    }
    let base = walk.definitions.structure(url);
    match base {
        Some(base) => derivation(walk, structure, base, path),
        None if walk.options.report_undecided => {
            let text = canonicals::absent(walk, url, "StructureDefinition", "what is stated here was not checked against it");
            walk.report.add(BASE_NOT_IN_HAND, path, structure, text)
        }
        None => {}
    }
    views(walk, structure, base, path);
    if base.is_some() {
        extension_url(walk, structure, url, path);
    }
}

/// The profiles that a definition says it complies with are in hand.
fn complied_with(walk: &mut Walk<'_>, structure: &Node, path: &Path<'_>) {
    for stated in structure.items("extension").iter().filter(|one| one.text("url") == Some(COMPLIES_WITH)) {
        if stated.text("valueCanonical").is_some_and(|url| walk.definitions.structure(url).is_none()) {
            let text = "A profile that the definition says it complies with is not in hand, so that was not checked";
            walk.report.add(COMPLIES_WITH_UNKNOWN, path, stated, text);
        }
    }
}

/// Whether a definition, in the version that it is, is among those that it derives from, as far as they are in hand.
fn derives_from_itself(walk: &Walk<'_>, structure: &Node, base: &str) -> bool {
    let (own, own_version) = (structure.text("url"), structure.text("version").unwrap_or_default());
    let mut url = base;
    for _layer in 0..DERIVATION_DEPTH_MAX {
        let (name, version) = url.split_once('|').map_or((url, None), |(name, version)| (name, Some(version)));
        let found = walk.definitions.structure(url);
        let meant = version.or_else(|| found.map(|found| found.version.as_str())).unwrap_or(own_version);
        if own == Some(name) && meant == own_version {
            return true;
        }
        let Some(next) = found.and_then(|found| found.base.as_deref()) else { return false };
        url = next;
    }
    false
}

/// The elements of the differential and the snapshot.
fn views(walk: &mut Walk<'_>, structure: &Node, base: Option<&Structure>, path: &Path<'_>) {
    let stated_type = structure.text("type").unwrap_or_default();
    let is_constraint = structure.text("derivation") == Some("constraint");
    for view in ["differential", "snapshot"] {
        let Some(listed) = structure.get(view) else { continue };
        let type_name = stated_type.rsplit('/').next().unwrap_or(stated_type);
        let list = Listed { elements: listed.items("element"), type_name, is_snapshot: view == "snapshot", is_constraint, structure };
        elements::check(walk, &list, &path.name(view));
        if let Some(base) = base.filter(|base| is_constraint && view == "differential" && stated_type == base.type_name) {
            over_base::check(walk, &list, base, path);
            slicings(walk, &list, &path.name(view));
            snapshots::check(walk, structure, base, path);
            obligations::check(walk, structure, base, path);
        }
    }
}

/// Slices that cannot be told apart as they are defined. `path` is that of the differential.
fn slicings(walk: &mut Walk<'_>, list: &Listed<'_>, path: &Path<'_>) {
    let Some(profile) = walk.definitions.profile_of(list.structure) else { return };
    let name = path.name("element");
    let mut stated: HashMap<&str, (usize, &Node)> = HashMap::new();
    for (index, element) in list.elements.iter().enumerate().filter(|(_, element)| element.get("slicing").is_some()) {
        stated.entry(element.text("path").unwrap_or_default()).or_insert((index, element));
    }
    for (id, node) in profile.nodes().iter().enumerate().filter(|(_, node)| !node.slices.is_empty()) {
        if let Some(&(index, element)) = stated.get(node.path.as_str())
            && let Some(why) = slicing::fault(walk, Asked { profile: &profile, id })
        {
            walk.report.add(
                CANNOT_BE_EVALUATED,
                &name.index(index).name("slicing"),
                element,
                format!("The slicing cannot be evaluated: {why}"),
            );
        }
    }
}

fn kind_code(kind: StructureKind) -> &'static str {
    match kind {
        StructureKind::Primitive => "primitive-type",
        StructureKind::Complex => "complex-type",
        StructureKind::Resource => "resource",
        StructureKind::Logical => "logical",
    }
}

fn derivation(walk: &mut Walk<'_>, structure: &Node, base: &Structure, path: &Path<'_>) {
    let (kind, type_name) = (structure.text("kind").unwrap_or_default(), structure.text("type").unwrap_or_default());
    let same_kind = kind == kind_code(base.kind);
    if !base.is_abstract && !same_kind {
        walk.report.add(OTHER_KIND, path, structure, format!("The base {} is a {}, and this is not", base.url, kind_code(base.kind)));
    }
    match structure.text("derivation") {
        None => walk.report.add(NO_DERIVATION, path, structure, "The definition must say whether it constrains its base or specialises it"),
        Some("constraint") => {
            if type_name != base.type_name {
                let text = format!("What constrains {} must be for the same type, {}", base.url, base.type_name);
                walk.report.add(OTHER_TYPE, path, structure, text);
            }
            if !same_kind {
                walk.report.add(KIND_CHANGED, path, structure, "What constrains another definition must be of the same kind");
            }
        }
        Some(_) if type_name == base.type_name => {
            walk.report.add(SAME_TYPE, path, structure, "What specialises another definition must define a type of its own");
        }
        Some(_) => {}
    }
}

/// A type is one of FHIR's own by name, which everybody else constrains, or another's by a URL, which should be where the definition is.
fn type_of(walk: &mut Walk<'_>, structure: &Node, path: &Path<'_>) {
    let Some(node) = structure.get("type") else { return };
    let Some(name) = node.as_text().filter(|name| !name.is_empty()) else { return };
    let at = path.name("type");
    if has_scheme(name) {
        return type_by_url(walk, structure, node, &at);
    }
    let tail = structure.text("url").and_then(|url| url.strip_prefix(profiles::BASE_DEFINITIONS));
    if tail.is_some_and(|tail| tail == name || is_id_of(tail, name)) {
        return;
    }
    let is_known = walk.types.type_named(name).is_some()
        || is_base(name)
        || walk.definitions.structure(&format!("{}{name}", profiles::BASE_DEFINITIONS)).is_some();
    if !is_known {
        walk.report.add(TYPE_NOT_LOCAL, &at, node, "FHIR has no type of this name; a type of one's own is named by its URL");
    } else if structure.text("derivation") != Some("constraint") {
        walk.report.add(TYPE_NOT_DERIVED, &at, node, "The type is FHIR's own, so others can only constrain it");
    }
}

/// A type that a URL names is a logical model's.
fn type_by_url(walk: &mut Walk<'_>, structure: &Node, node: &Node, path: &Path<'_>) {
    let place = |url: &str| url.rsplit_once('/').map(|(place, _)| place.to_owned());
    let is_elsewhere = structure.text("url").and_then(place) != node.as_text().and_then(place);
    if structure.text("derivation") == Some("specialization") && is_elsewhere {
        walk.report.add(TYPE_ELSEWHERE, path, node, "The type and its definition should have URLs that begin alike");
    }
    if structure.text("kind").is_some_and(|kind| kind != "logical") {
        walk.report.add(TYPE_NOT_LOGICAL, path, node, "Only a logical model defines a type that is named by a URL");
    }
}

/// Whether an id is the one that FHIR gives its own definition of an element: the element's path with `X` for `[x]`, cut where an id ends.
fn is_id_of(id: &str, element_path: &str) -> bool {
    let whole = element_path.replace("[x]", "X");
    whole == id || id.len() == ID_MAX && whole.starts_with(id)
}

/// Types that later releases name, which logical models of this one may use.
fn is_base(name: &str) -> bool {
    matches!(name, "Base" | "DataType" | "BackboneType" | "PrimitiveType")
}

/// Only an extension has a context.
fn contexts(walk: &mut Walk<'_>, structure: &Node, path: &Path<'_>) {
    if structure.text("type") == Some("Extension") {
        return contexts::check(walk, structure, path);
    }
    for (member, rule, text) in [
        ("context", CONTEXT_OF_NONE, "Only an extension has a context"),
        ("contextInvariant", RULE_OF_NONE, "Only an extension has a rule about its context"),
    ] {
        let name = path.name(member);
        for (index, node) in structure.items(member).iter().enumerate() {
            walk.report.add(rule, &name.index(index), node, text);
        }
    }
}

fn extension_url(walk: &mut Walk<'_>, structure: &Node, base: &str, path: &Path<'_>) {
    let Some(url) = structure.text("url").filter(|_| base == EXTENSION && structure.text("type") == Some("Extension")) else { return };
    let Some(differential) = structure.get("differential") else { return };
    let stated = differential.items("element").iter().find(|element| element.text("path") == Some("Extension.url"));
    match stated.and_then(|element| element.text("fixedUri")) {
        None => walk.report.add(URL_NOT_FIXED, path, structure, "An extension fixes Extension.url to its own URL"),
        Some(fixed) if fixed != url => {
            walk.report.add(OTHER_URL_FIXED, path, structure, "The URL fixed in Extension.url is not that of the definition")
        }
        Some(_) => {}
    }
}
