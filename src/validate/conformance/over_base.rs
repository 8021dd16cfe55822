//! A differential over its base: every element is one of the base's, in its order, and asks no less (<https://hl7.org/fhir/R4/profiling.html>).

use super::super::path::Path;
use super::super::profiles::{BASE_DEFINITIONS, base_type};
use super::super::report::Rule;
use super::super::structure::Walk;
use super::elements::{self, Listed, codes};
use super::{slices, values};
use crate::definitions::Structure;
use crate::definitions::profile::ONLY_RECOMMENDED;
use crate::fhir::Node;
use crate::fhir::types::{Binding, BindingStrength, ElementId, TypeTable, UNBOUNDED};
use crate::outcome::IssueType;

const NOT_SLICEABLE: Rule = Rule::error(IssueType::NotFound, "SD_PATH_NO_SLICING");
const NO_MATCH: Rule = Rule::error(IssueType::Value, "SD_DIFFERENTIAL_NO_MATCH");
pub const NO_SNAPSHOT: Rule = Rule::error(IssueType::Exception, "ERROR_GENERATING_SNAPSHOT");
pub const WIDER: Rule = Rule::error(IssueType::BusinessRule, "SD_DERIVED_CARDINALITY_WIDER");
pub const NO_RANGE: Rule = Rule::error(IssueType::BusinessRule, "SD_CARDINALITY_MIN_ABOVE_MAX");
const WEAKER: Rule = Rule::error(IssueType::BusinessRule, "StructureDefinition__at__illegal_attempt_to_change_a_binding_from__to_");
const TARGET_NOT_IN_BASE: Rule =
    Rule::error(IssueType::BusinessRule, "Error_at__The_target_profile__is_not__valid_constraint_on_the_base_");
const MODIFIER_CHANGED: Rule = Rule::error(IssueType::BusinessRule, "SD_MODIFIER_CHANGED");
const TYPE_NOT_IN_BASE: Rule = Rule::error(IssueType::BusinessRule, "SD_ED_TYPE_PROFILE_WRONG_TYPE");

/// How far ahead of an element one is looked for that should stand before it.
const ORDER_REACH: usize = 512;

/// Judges a differential over its base: every element is one of the base's, in its order, and asks no less.
pub fn check(walk: &mut Walk<'_>, list: &Listed<'_>, base: &Structure, path: &Path<'_>) {
    let types = walk.types;
    let Some(root) = types.type_named(list.type_name).map(|definition| definition.root) else { return };
    let differential = path.name("differential");
    let name = differential.name("element");
    let mut places: Vec<Option<Vec<u32>>> = Vec::new();
    let mut is_whole = true;
    for (index, element) in list.elements.iter().enumerate() {
        let found = element.text("path").map(|path| find(types, root, path));
        is_whole &= found.as_ref().is_none_or(|found| laid(walk, list, element, found, base, &name.index(index)));
        places.push(match found {
            Some(Place::At { order, .. } | Place::InResource { order, .. }) => Some(order),
            _ => None,
        });
    }
    slices::check(walk, list, path);
    let slices: Vec<Vec<&str>> = list.elements.iter().map(slices_of).collect();
    let steps = |index: usize| Some(places.get(index)?.as_ref()?.iter().zip(slices.get(index)?));
    for index in 0..places.len() {
        // A long differential is looked through in parts, so that the work stays in proportion to its length.
        let is_late = (index + 1..places.len().min(index + 1 + ORDER_REACH)).any(|later| {
            let pair = steps(index).zip(steps(later));
            pair.is_some_and(|(place, later)| precedes(later, place))
        });
        if let (true, Some(element)) = (is_late, list.elements.get(index)) {
            walk.report.add(NO_MATCH, &name.index(index), element, "The element stands before others that come first in the base");
            is_whole = false;
        }
    }
    if !is_whole {
        walk.report.add(NO_MATCH, path, list.structure, "Not every element of the differential could be laid over the base");
    }
}

/// Judges one element where it is laid over the base, and says whether it could be.
fn laid(walk: &mut Walk<'_>, list: &Listed<'_>, element: &Node, found: &Place, base: &Structure, path: &Path<'_>) -> bool {
    let whole = path.container().and_then(Path::container).unwrap_or(path);
    match found {
        Place::None => {
            walk.report.add(NO_MATCH, path, element, "The base has no element of this path");
            return false;
        }
        Place::InResource { path: resource, step, .. } if !has_stated_type(walk.types, list, base, resource, step) => {
            let text = "The path goes into a resource of any type; an element before it must say of which type it is";
            walk.report.add(NO_MATCH, path, element, text);
            return false;
        }
        Place::NoSuchType => {
            walk.report.add(NO_SNAPSHOT, whole, element, "The path names a type that the element of the base cannot have");
        }
        Place::At { element: Some(of_base), .. } => {
            sliceable(walk, element, *of_base, path);
            cardinality(walk, element, *of_base, base, whole);
            type_codes(walk, element, *of_base, path);
            targets(walk, element, *of_base, path);
            strength(walk, element, *of_base, base, path);
            of_types(walk, element, *of_base, base, path);
            modifier(walk, element, *of_base, path);
            values::check(walk, element, base, path);
        }
        _ => {}
    }
    true
}

/// What is there at most once cannot be sliced, but for choices, and slices themselves.
fn sliceable(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, path: &Path<'_>) {
    let of_type = walk.types.element(of_type);
    let slice_allowed = of_type.max > 1 || of_type.is_choice;
    if element.get("slicing").is_some() && !slice_allowed && element.text("sliceName").is_none() {
        let text = "The element is there at most once, so it cannot be sliced";
        walk.report.add(NOT_SLICEABLE, &path.name("slicing"), element, text);
    }
}

/// Per step of an element's path the slice it goes through. An element without an id may go through any, so its steps compare with none.
fn slices_of(element: &Node) -> Vec<&str> {
    let Some(id) = element.text("id") else { return vec![""] };
    id.split('.').skip(1).map(|step| step.split_once(':').map_or("", |(_, slice)| slice)).collect()
}

/// Whether one place comes before another in the base. Slices of an element have no order of their own.
fn precedes<'s>(one: impl Iterator<Item = (&'s u32, &'s &'s str)>, other: impl Iterator<Item = (&'s u32, &'s &'s str)>) -> bool {
    one.zip(other).find(|(one, other)| one != other).is_some_and(|(one, other)| one.0 < other.0)
}

/// What a path of a differential leads to in the base's type.
enum Place {
    At {
        /// None where the path goes on in a choice that has more than one type.
        element: Option<ElementId>,
        /// Where it stands in the order of the base's elements.
        order: Vec<u32>,
    },
    /// In a resource of any type: the path that leads there, and the step below.
    InResource {
        path: String,
        step: String,
        order: Vec<u32>,
    },
    /// The beginning of a choice with a type it cannot have: `valueBla`.
    NoSuchType,
    None,
}

fn find(types: &TypeTable, root: ElementId, path: &str) -> Place {
    let mut contents = vec![root];
    let mut order = Vec::new();
    let mut last = Some(root);
    for (number, step) in path.split('.').enumerate().skip(1) {
        let bare = step.strip_suffix("[x]").unwrap_or(step);
        let mut found: Vec<(ElementId, Vec<ElementId>)> = Vec::new();
        for &content in &contents {
            if matches!(types.element(content).path.as_str(), "Resource" | "DomainResource") && !order.is_empty() {
                let before: Vec<&str> = path.split('.').take(number).collect();
                return Place::InResource { path: before.join("."), step: step.to_owned(), order };
            }
            if let Some(child) = types.child_named(content, bare) {
                let count = types.element(child).types.len().max(1);
                found.push((child, (0..count).map(|index| types.content(child, index)).collect()));
            } else if let Some(used) = types.member(content, bare) {
                found.push((used.element, vec![types.content(used.element, used.type_index)]));
            }
        }
        let Some((element, _)) = found.first() else {
            let begins_choice = |content: &ElementId| {
                let children = &types.element(*content).children;
                children.iter().map(|&id| types.element(id)).any(|child| {
                    child.is_choice && bare.strip_prefix(child.name.as_str()).is_some_and(|rest| rest.starts_with(char::is_uppercase))
                })
            };
            return if contents.iter().any(begins_choice) { Place::NoSuchType } else { Place::None };
        };
        last = (found.len() == 1).then_some(*element);
        order.push(element.0);
        contents = found.into_iter().flat_map(|(_, contents)| contents).collect();
    }
    Place::At { element: last, order }
}

/// What the base asks of an element: by its own snapshot or differential where that has the element, else by its type.
fn cardinality(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, base: &Structure, path: &Path<'_>) {
    let number = |name: &str| element.get(name).and_then(Node::as_number).and_then(|number| number.parse::<u32>().ok());
    let min = number("min");
    let max = element.text("max").map(|max| if max == "*" { UNBOUNDED } else { max.parse().unwrap_or(UNBOUNDED) });
    let element_path = element.text("path").unwrap_or_default();
    let id = element.text("id").unwrap_or(element_path);
    let of_base = |id: &str| base.elements.iter().find(|one| one.id == id);
    let known = of_base(id);
    let of_type = walk.types.element(of_type);
    let is_slice = element.text("sliceName").is_some();
    let asked = match known {
        Some(known) => (known.min, known.max),
        None if is_slice => (0, slices::sliced(id).and_then(of_base).map_or(of_type.max, |one| one.max)),
        None => (of_type.min, of_type.max),
    };
    // What is not stated is as in the base.
    let (least, most) = (min.unwrap_or(asked.0), max.unwrap_or(asked.1));
    if (least, most) != asked && least > most {
        return walk.report.add(NO_RANGE, path, element, format!("{element_path}: at least {least} and at most {most} cannot both hold"));
    }
    let is_wider = min.is_some_and(|min| min < asked.0 && !is_slice) || max.is_some_and(|max| max > asked.1);
    if is_wider {
        let text = format!("{element_path}: what is allowed here is more than the base allows");
        walk.report.add(WIDER, path, element, text);
    }
}

/// The targets stated for references are of types that the base allows. What is not in hand is not judged.
fn targets(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, path: &Path<'_>) {
    let (types, definitions) = (walk.types, walk.definitions);
    let name = path.name("type");
    for (index, one) in element.items("type").iter().enumerate() {
        let code = one.text("code").unwrap_or_default();
        let Some(base) = types.element(of_type).types.iter().find(|base| base.code == code && !base.targets.is_empty()) else { continue };
        let is_outside = |url: &str| {
            let target = base_type(types, url).or_else(|| definitions.structure(url).map(|found| found.type_name.as_str()));
            let is_resource = |name: &&str| types.resource(name).is_some();
            target.filter(is_resource).filter(|name| !base.targets.iter().any(|allowed| types.is_kind_of(name, allowed))).map(str::to_owned)
        };
        if let Some(outside) = one.items("targetProfile").iter().filter_map(Node::as_text).find_map(is_outside) {
            let text = format!("The base allows references to {}, not to {outside}", base.targets.join(", "));
            walk.report.add(TARGET_NOT_IN_BASE, &name.index(index), one, text);
        }
    }
}

/// What is bound as required stays so.
fn strength(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, base: &Structure, path: &Path<'_>) {
    let Some(stated) = element.get("binding").and_then(|binding| binding.text("strength")) else { return };
    let id = element.text("id").or_else(|| element.text("path")).unwrap_or_default();
    let of_base = base.elements.iter().find(|one| one.id == id).and_then(|one| one.binding.as_ref());
    let known = of_base.or_else(|| walk.types.element(of_type).binding.as_ref());
    let is_fixed =
        |known: &Binding| known.strength == BindingStrength::Required && known.value_set.split('|').next() != Some(ONLY_RECOMMENDED);
    if stated != "required" && known.is_some_and(is_fixed) {
        walk.report.add(WEAKER, &path.name("binding"), element, "The base binds this element as required, so the binding cannot be weaker");
    }
}

/// What an element states must fit its types: where it repeats none, those of the base.
fn of_types(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, base: &Structure, path: &Path<'_>) {
    let stated = codes(element);
    if !stated.is_empty() {
        return elements::values_of(walk, element, &stated, path);
    }
    let types = walk.types;
    let id = element.text("id").or_else(|| element.text("path")).unwrap_or_default();
    let of_base = base.elements.iter().find(|one| one.id == id).map(|one| one.types.as_slice()).unwrap_or_default();
    let mut codes: Vec<&str> = of_base.iter().map(|one| one.code.as_str()).collect();
    if codes.is_empty() {
        codes.extend(types.element(of_type).types.iter().map(|one| one.code.as_str()));
    }
    if !codes.is_empty() {
        // HL7's validator asks the types that an element states itself alone.
        let rule = walk.as_hl7_asks(elements::NOT_ON_TYPE, false);
        elements::characteristics(walk, element, &codes, rule, path);
        elements::values_of(walk, element, &codes, path);
    }
}

/// Whether an element can change the meaning of what it stands in is settled where it is defined; an extension's is, where it is one.
fn modifier(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, path: &Path<'_>) {
    let of_type = walk.types.element(of_type);
    let is_extension = of_type.types.iter().any(|one| one.code == "Extension") || of_type.path.starts_with("Extension");
    let stated = element.get("isModifier").and_then(Node::as_bool);
    if let Some(stated) = stated.filter(|stated| !is_extension && *stated != of_type.is_modifier) {
        let text = if stated { "changes no meaning" } else { "can change the meaning of what it stands in" };
        walk.report.add(
            MODIFIER_CHANGED,
            &path.name("isModifier"),
            element,
            format!("In the base this element {text}; a constraint keeps it so"),
        );
    }
}

/// Whether the type of a resource within another is stated where its elements are constrained, or the element is one that every resource has.
fn has_stated_type(types: &TypeTable, list: &Listed<'_>, base: &Structure, path: &str, step: &str) -> bool {
    let is_whole = |code: &str| !matches!(code, "Resource" | "DomainResource");
    let in_list = list.elements.iter().any(|one| one.text("path") == Some(path) && codes(one).into_iter().any(is_whole));
    let in_base = || base.elements.iter().any(|one| one.path == path && one.types.iter().any(|one| is_whole(&one.code)));
    let has_profile = || {
        let states = |one: &Node| one.items("type").iter().any(|one| !one.items("profile").is_empty());
        list.elements.iter().any(|one| one.text("path") == Some(path) && states(one))
    };
    let of_every = || types.type_named("Resource").is_some_and(|every| types.child_named(every.root, step).is_some());
    in_list || in_base() || has_profile() || of_every()
}

/// The types stated are among those of the base.
fn type_codes(walk: &mut Walk<'_>, element: &Node, of_type: ElementId, path: &Path<'_>) {
    let types = walk.types;
    let allowed: Vec<&str> = types.element(of_type).types.iter().map(|one| one.code.as_str()).collect();
    if allowed.is_empty() || allowed.contains(&"Resource") {
        return;
    }
    let fits = |code: &str| {
        let name = code.strip_prefix(BASE_DEFINITIONS).unwrap_or(code);
        allowed.contains(&name) || allowed.iter().any(|one| types.is_kind_of(name, one)) || code.starts_with("http://hl7.org/fhirpath/")
    };
    if let Some(code) = codes(element).into_iter().find(|code| !fits(code)) {
        walk.report.add(TYPE_NOT_IN_BASE, &path.name("type"), element, format!("The base allows {}, not {code}", allowed.join(", ")));
    }
}
