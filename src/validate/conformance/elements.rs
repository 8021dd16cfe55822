//! The elements of a StructureDefinition, each by itself (<https://hl7.org/fhir/R4/elementdefinition.html>).

use super::super::canonicals;
use super::super::path::Path;
use super::super::profiles::is_in_hand;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::constraints::Judge;
use super::{choice, discriminators, is_type};
use crate::fhir::Node;
use crate::outcome::IssueType;

/// The largest number a maximum is compared as (eld-3's `toInteger()`).
const MAX_OF_NUMBERS: u32 = i32::MAX as u32;

const NO_MAXIMUM: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/ElementDefinition#eld-3");
const OTHER_PATH: Rule = Rule::error(IssueType::NotFound, "SD_PATH_TYPE_MISMATCH");
const SLICED_ROOT: Rule = Rule::error(IssueType::Invalid, "SD_NO_SLICING_ON_ROOT");
const NO_BINDABLE: Rule = Rule::error(IssueType::BusinessRule, "SD_ED_BIND_NO_BINDABLE");
const TYPE_WITHOUT_CODE: Rule = Rule::error(IssueType::Invalid, "SD_NO_TYPE_CODE_ON_CODE");
const NOT_STATED: Rule = Rule::error(IssueType::Exception, "SD_TABLE_REQUIRED");
const NOT_ON_ROOT: Rule = Rule::error(IssueType::Exception, "SD_TABLE_PROHIBITED");
const NOT_IN_CONSTRAINT: Rule = Rule::error(IssueType::NotFound, "SD_ELEMENT_NOT_IN_CONSTRAINT");
pub const NOT_ON_TYPE: Rule = Rule::error(IssueType::BusinessRule, "SD_ILLEGAL_CHARACTERISTICS");
const NO_TARGET: Rule = Rule::error(IssueType::Exception, "SD_ED_TYPE_NO_TARGET_PROFILE");
const TARGET_IS_NONE: Rule = Rule::error(IssueType::Exception, "SD_ED_TYPE_PROFILE_WRONG_TARGET");
const PROFILE_OF_OTHER: Rule = Rule::error(IssueType::Exception, "SD_ED_TYPE_PROFILE_WRONG");
const PROFILE_NOT_IN_HAND: Rule = Rule::warning(IssueType::Exception, "SD_ED_TYPE_PROFILE_UNKNOWN");
const IS_MODIFIER: Rule = Rule::error(IssueType::Exception, "SD_ED_TYPE_PROFILE_NOT_MODIFIER");
const IS_NO_MODIFIER: Rule = Rule::error(IssueType::Exception, "SD_ED_TYPE_PROFILE_IS_MODIFIER");
const BOUND_TO_NO_SET: Rule = Rule::error(IssueType::BusinessRule, "SD_ED_BIND_NOT_VS");
const NO_TYPES: Rule = Rule::error(IssueType::Exception, "SD_NO_TYPES_OR_CONTENTREF");
const OTHER_VALUE_TYPE: Rule = Rule::error(IssueType::Exception, "SD_VALUE_TYPE_IILEGAL");

/// The elements of a differential or snapshot.
pub struct Listed<'n> {
    pub elements: &'n [Node],
    /// The type whose name each path begins with.
    pub type_name: &'n str,
    pub is_snapshot: bool,
    pub is_constraint: bool,
    pub structure: &'n Node,
}

/// Judges each element by itself. `path` is that of the differential or snapshot.
pub fn check(walk: &mut Walk<'_>, list: &Listed<'_>, path: &Path<'_>) {
    let name = path.name("element");
    let mut judge = Judge::of(walk.definitions, list);
    for (index, element) in list.elements.iter().enumerate() {
        let at = name.index(index);
        let Some(element_path) = element.text("path") else { continue };
        let is_within = element_path.strip_prefix(list.type_name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !is_within {
            walk.report.add(OTHER_PATH, &at, element, format!("The path of an element must begin with {}", list.type_name));
        }
        let is_root = !element_path.contains('.');
        if !list.is_snapshot && is_root && element.get("slicing").is_some() {
            walk.report.add(SLICED_ROOT, &at, element, "The root is there once, so it cannot be sliced");
        }
        let on_extension = element_path == "Extension" || element_path.ends_with(".extension");
        if !list.is_snapshot && list.is_constraint && element.get("meaningWhenMissing").is_some() && !on_extension {
            walk.report.add(NOT_IN_CONSTRAINT, &at, element, "A constraint does not say what an absent element means");
        }
        maximum(walk, element, &at);
        types(walk, list, element, element_path, &at);
        match (list.is_snapshot, is_root) {
            (true, false) => {
                values(walk, element, &at);
                if !list.is_constraint {
                    defined(walk, element, &at);
                }
            }
            (true, true) => root(walk, element, list.is_constraint, &at),
            _ => {}
        }
        discriminators::check(walk, list, element, &at);
        judge.element(walk, element, &at);
    }
}

/// What the root of a snapshot does not state, for it is no element of anything (<https://hl7.org/fhir/R4/elementdefinition.html#interpretation>).
const NOT_OF_ROOTS: [&str; 11] = [
    "sliceName",
    "slicing",
    "requirements",
    "defaultValue",
    "fixed",
    "pattern",
    "example",
    "minValue",
    "maxValue",
    "maxLength",
    "meaningWhenMissing",
];

fn root(walk: &mut Walk<'_>, element: &Node, is_constraint: bool, path: &Path<'_>) {
    let is_stated = |member: &&&str| element.get(member).is_some() || choice(element, member).is_some();
    // What defines a type may say what it means that it is not there, and how long it is.
    let is_asked = |member: &&&str| is_constraint || !matches!(**member, "meaningWhenMissing" | "maxLength");
    for member in NOT_OF_ROOTS.iter().filter(is_stated).filter(is_asked) {
        walk.report.add(NOT_ON_ROOT, path, element, format!("The root of a snapshot states no {member}"));
    }
}

/// What an element of a snapshot that defines a type states, and what only constraints state.
fn defined(walk: &mut Walk<'_>, element: &Node, path: &Path<'_>) {
    let is_stated = |member: &str| element.get(member).is_some() || choice(element, member).is_some();
    for member in ["min", "max"].into_iter().filter(|member| element.get(member).is_none()) {
        walk.report.add(NOT_STATED, path, element, format!("An element of a type states its {member}"));
    }
    // R4's own definition of integers states their range; HL7's validator refuses that too.
    let of_constraints: &[&str] = match walk.options.as_hl7 {
        true => &["sliceName", "fixed", "pattern", "minValue", "maxValue"],
        false => &["sliceName", "fixed", "pattern"],
    };
    for member in of_constraints.iter().filter(|member| is_stated(member)) {
        walk.report.add(NOT_ON_ROOT, path, element, format!("Only what constrains a type states a {member}"));
    }
}

/// R4's only rule of a primitive element. The others are of the elements that hold it, where they are evaluated.
fn maximum(walk: &mut Walk<'_>, element: &Node, path: &Path<'_>) {
    let Some(max) = element.get("max").filter(|max| max.as_text().is_some_and(|text| !text.is_empty())) else { return };
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number <= MAX_OF_NUMBERS);
    if max.as_text().is_some_and(|text| text != "*" && !is_number(text)) {
        walk.report.add(NO_MAXIMUM, &path.name("max"), max, "Rule eld-3 does not hold: a maximum is a number or \"*\"");
    }
}

pub fn codes(element: &Node) -> Vec<&str> {
    element.items("type").iter().filter_map(|one| one.text("code")).collect()
}

fn types(walk: &mut Walk<'_>, list: &Listed<'_>, element: &Node, element_path: &str, path: &Path<'_>) {
    let mut codes = codes(element);
    if !element_path.contains('.') {
        codes.push(element_path);
    }
    characteristics(walk, element, &codes, NOT_ON_TYPE, path);
    unbound(walk, list, element, &codes, path);
    if element.items("type").iter().any(|one| type_code(one).is_none() && one.get("_code").is_some()) {
        walk.report.add(TYPE_WITHOUT_CODE, path, element, "A type is named by its code; one that has only extensions names none");
    }
    if let Some(set) = element.get("binding").and_then(|binding| binding.text("valueSet"))
        && walk.definitions.value_set(set).is_none()
        && (walk.definitions.code_system(set).is_some() || walk.definitions.structure(set).is_some())
    {
        walk.report.add(BOUND_TO_NO_SET, &path.name("binding"), element, "What is bound to is no value set");
    }
    let name = path.name("type");
    for (index, one) in element.items("type").iter().enumerate() {
        type_use(walk, list, one, element_path, path, &name.index(index));
    }
}

/// What is stated of an element means something for its types: none given, nothing is judged.
pub fn characteristics(walk: &mut Walk<'_>, element: &Node, codes: &[&str], broken: Rule, path: &Path<'_>) {
    let known = walk.types;
    let has = |quality: fn(&str) -> bool| codes.iter().any(|code| quality(code) || code.starts_with("http"));
    let all_known = codes.iter().any(|code| known.type_named(code).is_some());
    for (member, quality) in
        [("binding", can_bind as fn(&str) -> bool), ("maxLength", has_length), ("minValue", has_range), ("maxValue", has_range)]
    {
        let is_stated = element.get(member).is_some() || choice(element, member).is_some();
        if is_stated && !codes.is_empty() && all_known && !has(quality) {
            walk.report.add(broken, path, element, format!("{member} means nothing for the types {}", codes.join(", ")));
        }
    }
}

/// In a snapshot, what is bound is of a type that holds a code.
fn unbound(walk: &mut Walk<'_>, list: &Listed<'_>, element: &Node, codes: &[&str], path: &Path<'_>) {
    let Some(binding) = element.get("binding").filter(|_| list.is_snapshot) else { return };
    let is_known = codes.iter().all(|code| walk.types.type_named(code).is_some());
    if is_known && !codes.iter().any(|code| can_bind(code)) {
        walk.report.add(NO_BINDABLE, &path.name("binding"), binding, "None of the types of the element holds a code that could be bound");
    }
}

/// Profiles and targets fit their type.
fn type_use(walk: &mut Walk<'_>, list: &Listed<'_>, one: &Node, element_path: &str, element: &Path<'_>, path: &Path<'_>) {
    let Some(code) = one.text("code") else { return };
    let definitions = walk.definitions;
    let targets = one.items("targetProfile");
    let can_point = matches!(code, "Reference" | "canonical" | "CodeableReference");
    if !targets.is_empty() && !can_point && walk.types.type_named(code).is_some() {
        walk.report.add(NOT_ON_TYPE, element, one, format!("A {code} points to nothing, so it has no target profile"));
        walk.report.add(NO_TARGET, path, one, format!("A {code} points to nothing, so it has no target profile"));
    }
    let is_logical = list.structure.text("kind") == Some("logical");
    // HL7's validator names the types of an element without their places.
    let types = element.name("type");
    let (at_target, at_profile) = (types.name("targetProfile"), types.name("profile"));
    not_in_hand(walk, one, targets, &at_target);
    not_in_hand(walk, one, one.items("profile"), &at_profile);
    for target in targets.iter().filter_map(Node::as_text).filter_map(|url| definitions.structure(url)) {
        let is_resource = target.kind == crate::definitions::StructureKind::Resource || target.type_name == "Resource";
        if code == "Reference" && !is_resource && !is_logical {
            walk.report.add(TARGET_IS_NONE, &at_target, one, format!("{} is no resource, so nothing can refer to one", target.url));
        }
    }
    for url in one.items("profile").iter().filter_map(Node::as_text) {
        let Some(profile) = definitions.structure(url) else { continue };
        if !walk.types.is_kind_of(&profile.type_name, code) && walk.types.type_named(code).is_some() {
            walk.report.add(PROFILE_OF_OTHER, &at_profile, one, format!("{} is for {}, not for {code}", profile.url, profile.type_name));
        } else if profile.type_name == "Extension" && profile.is_constraint {
            let is_modifier = definitions.profile(url).is_some_and(|profile| profile.root().element.is_modifier);
            match (is_modifier, element_path.ends_with(".modifierExtension")) {
                (true, false) => {
                    walk.report.add(IS_MODIFIER, &at_profile, one, format!("{} changes meaning, so it is a modifierExtension", profile.url))
                }
                (false, true) => walk.report.add(
                    IS_NO_MODIFIER,
                    &at_profile,
                    one,
                    format!("{} changes no meaning, so it is no modifierExtension", profile.url),
                ),
                _ => {}
            }
        }
    }
}

/// Says of the profiles of a type, or of what it points to, that they are not in hand: what they are profiles of was not judged.
fn not_in_hand(walk: &mut Walk<'_>, one: &Node, urls: &[Node], path: &Path<'_>) {
    for url in urls.iter().filter_map(Node::as_text).filter(|_| walk.options.report_undecided) {
        if !is_in_hand(walk, url) {
            let text = canonicals::absent(walk, url, "StructureDefinition", "whether it fits the type was not checked");
            walk.report.add(PROFILE_NOT_IN_HAND, path, one, text);
        }
    }
}

fn can_bind(code: &str) -> bool {
    let is_quantity = matches!(code, "Quantity" | "Age" | "Distance" | "Duration" | "MoneyQuantity" | "SimpleQuantity" | "Range");
    is_quantity
        || matches!(
            code,
            "code" | "Coding" | "CodeableConcept" | "CodeableReference" | "string" | "uri" | "url" | "oid" | "uuid" | "Extension"
        )
}

fn has_length(code: &str) -> bool {
    code.starts_with(|first: char| first.is_ascii_lowercase()) && !matches!(code, "boolean" | "base64Binary" | "xhtml")
}

fn has_range(code: &str) -> bool {
    let is_ordered =
        matches!(code, "integer" | "integer64" | "decimal" | "positiveInt" | "unsignedInt" | "instant" | "date" | "dateTime" | "time");
    is_ordered || matches!(code, "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "Money" | "MoneyQuantity" | "SimpleQuantity")
}

/// In a snapshot: an element has a type, and values are of one of its types.
fn values(walk: &mut Walk<'_>, element: &Node, path: &Path<'_>) {
    let codes: Vec<&str> = element.items("type").iter().filter_map(type_code).collect();
    if codes.is_empty() {
        if element.get("contentReference").is_none() {
            walk.report.add(NO_TYPES, path, element, "An element of a snapshot has a type or refers to another's content");
        }
        return;
    }
    values_of(walk, element, &codes, path);
}

/// Values stated of an element are of one of its types.
pub fn values_of(walk: &mut Walk<'_>, element: &Node, codes: &[&str], path: &Path<'_>) {
    for member in ["defaultValue", "fixed", "pattern"] {
        let Some((value, type_name)) = choice(element, member) else { continue };
        let fits = codes.iter().any(|code| is_type(type_name, code) || code.starts_with("http://hl7.org/fhirpath/"));
        if !fits {
            walk.report.add(OTHER_VALUE_TYPE, &path.name(member), value, format!("The value is of none of the types {}", codes.join(", ")));
        }
    }
}

/// A type's code; FHIRPath's own types stand for the FHIR type that an extension names.
fn type_code(one: &Node) -> Option<&str> {
    let named = super::extension(one, "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type");
    named.and_then(Node::as_text).or_else(|| one.text("code"))
}
