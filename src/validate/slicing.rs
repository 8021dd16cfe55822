//! Sorting the items of an element into the slices of a profile (<https://hl7.org/fhir/R4/profiling.html#slicing>).

mod candidates;
mod keys;
mod told;

pub use told::fault;

use super::environment::Surroundings;
use super::exhausted::{COMPARISONS_MAX, give_up};
use super::path::Path;
use super::primitives::has_scheme;
use super::profiles::{Asked, Found, conforms, find, is_known_to_conform, items_at};
use super::references::Scope;
use super::report::Rule;
use super::structure::Walk;
use super::values::{Mode, is_met};
use crate::definitions::Membership;
use crate::definitions::profile::{NodeId, SliceBy, SliceKind};
use crate::fhir::Node;
use crate::fhir::path::{DEFAULT_LIMITS, Focus, Item};
use crate::fhir::types::UNBOUNDED;
use crate::outcome::IssueType;
use candidates::{Candidate, candidates, extension_url};

const MINIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Minimum_SLICE_one");
const MAXIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_SLICE_one");
const NO_SLICE: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NotSlice");
const IN_SEVERAL: Rule = Rule::error(IssueType::Invalid, "Validation_VAL_Profile_MatchMultiple");
const OUT_OF_ORDER: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_OutOfOrder");
const NO_SUCH_PART: Rule = Rule::error(IssueType::Extension, "Extension_EXT_SubExtension_Invalid");
const TOO_COSTLY: Rule = Rule::warning(IssueType::TooCostly, "SLICE_COMPARISONS_MAX");
const NOT_AT_END: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NotSlice_AtEnd");

/// How many slices are gone through for each item; of more, as often as the budget has it ([`COMPARISONS_MAX`]).
const FEW_SLICES: usize = 64;

/// Per item, the slices it is in: one, and the slices of that slice it is in. Judges how many are in each and in which order.
pub fn sort(
    walk: &mut Walk<'_>,
    asked: Asked<'_>,
    all: &[Found<'_>],
    parent: Found<'_>,
    scope: &Scope<'_>,
    path: &Path<'_>,
) -> Vec<Vec<NodeId>> {
    let node = asked.node();
    let mut sorted: Vec<Vec<NodeId>> = vec![Vec::new(); all.len()];
    if node.slices.is_empty() || told::is_undecidable(walk, asked, all, path) {
        return sorted;
    }
    let chosen: Vec<Option<usize>> =
        all.iter().enumerate().map(|(position, found)| choose(walk, asked, Placed { found: *found, position }, scope, path)).collect();
    if node.slices.len() > FEW_SLICES && !walk.budget.may_compare() {
        let text = format!("{}: items and slices were compared {COMPARISONS_MAX} times, so what is in which was not checked", node.path);
        give_up(walk, TOO_COSTLY, path, parent.item.node.and_then(Node::place), text);
        return sorted;
    }
    let mut by_place: Vec<Vec<usize>> = vec![Vec::new(); node.slices.len()];
    for (index, place) in chosen.iter().enumerate() {
        if let Some(members) = place.and_then(|place| by_place.get_mut(place)) {
            members.push(index);
        }
    }
    for (&slice, members) in node.slices.iter().zip(by_place) {
        let in_slice = Asked { id: slice, ..asked };
        count(walk, in_slice, members.len(), parent, path);
        let found: Vec<Found<'_>> = members.iter().filter_map(|&index| all.get(index).copied()).collect();
        let inner = sort(walk, in_slice, &found, parent, scope, path);
        for (index, inner) in members.iter().zip(inner) {
            if let Some(slices) = sorted.get_mut(*index) {
                slices.push(slice);
                slices.extend(inner);
            }
        }
    }
    rules(walk, asked, all, &chosen, path);
    sorted
}

/// An item and its place among those that are sorted.
#[derive(Clone, Copy)]
struct Placed<'d> {
    found: Found<'d>,
    position: usize,
}

/// The slice of what is in no other one (<https://hl7.org/fhir/R4/profiling.html#default-slice>).
const DEFAULT_SLICE: &str = "@default";

/// The first slice that an item is in, or the default one. To be in a second one is an error, for then which of them it is cannot be said.
fn choose(walk: &mut Walk<'_>, asked: Asked<'_>, item: Placed<'_>, scope: &Scope<'_>, path: &Path<'_>) -> Option<usize> {
    let node = asked.node();
    let is_default = |slice: &usize| Asked { id: *slice, ..asked }.node().slice_name.as_deref() == Some(DEFAULT_SLICE);
    if node.slices.len() > FEW_SLICES && !walk.budget.may_compare() {
        return None;
    }
    let possible = keys::possible(walk, asked, item.found, scope);
    let number = possible.as_ref().map_or(node.slices.len(), Vec::len);
    let places = (0..number).filter_map(|index| possible.as_ref().map_or(Some(index), |places| places.get(index).copied()));
    let mut slices = places.filter_map(|place| Some((place, *node.slices.get(place)?))).filter(|(_, slice)| !is_default(slice));
    let first = slices.by_ref().find(|(place, slice)| is_in(walk, asked, (*place, *slice), item, scope, path));
    let Some((first, _)) = first else { return node.slices.iter().position(is_default) };
    let by = &node.discriminators;
    // One url and one type are never those of two slices.
    let may_be_in_more = !matches!(by.as_slice(), [SliceBy { kind: SliceKind::Type | SliceKind::Position, .. }])
        && !matches!(node.name.as_str(), "extension" | "modifierExtension");
    let is_in_more = may_be_in_more && slices.any(|slice| is_in(walk, asked, slice, item, scope, path));
    if possible.is_some() && node.slices.len() > FEW_SLICES {
        // To look them up was work too.
        walk.budget.pass_over(slices.count());
    }
    if is_in_more {
        let named = path.name(&node.name);
        let indexed = named.index(item.found.index.unwrap_or_default());
        let at = if item.found.index.is_some() { &indexed } else { &named };
        let text = format!("{}: this is in more than one slice of {}", node.path, asked.profile.canonical());
        walk.report.add_at(IN_SEVERAL, at, item.found.item.node.and_then(Node::place), text);
    }
    Some(first)
}

fn count(walk: &mut Walk<'_>, asked: Asked<'_>, number: usize, parent: Found<'_>, path: &Path<'_>) {
    let (element, profile) = (&asked.node().element, asked.profile.canonical());
    let name = format!("{}:{}", asked.node().path, asked.node().slice_name.as_deref().unwrap_or_default());
    let offset = parent.item.node.and_then(Node::place);
    if number < element.min as usize {
        let text = format!("{name}: at least {} is required by {profile}, there are {number}", element.min);
        walk.report.add_at(MINIMUM, path, offset, text);
    }
    if element.max != UNBOUNDED && number > element.max as usize {
        let text = format!("{name}: at most {} are allowed by {profile}, there are {number}", element.max);
        walk.report.add_at(MAXIMUM, path, offset, text);
    }
}

/// Closed slicing, and order.
fn rules(walk: &mut Walk<'_>, asked: Asked<'_>, all: &[Found<'_>], chosen: &[Option<usize>], path: &Path<'_>) {
    let stated = asked.node().element.slicing.as_ref();
    let (rules, is_ordered) = stated.map_or(("open", false), |slicing| (slicing.rules.as_str(), slicing.ordered));
    let mut highest = None;
    let last = chosen.iter().rposition(Option::is_some);
    for (index, (found, place)) in all.iter().zip(chosen).enumerate() {
        let (name, offset) = (path.name(&asked.node().name), found.item.node.and_then(Node::place));
        let at = name.index(found.index.unwrap_or_default());
        let at = if found.index.is_some() { &at } else { &name };
        let typed = at.of_type(found.item.type_name(walk.types));
        let at = if asked.node().path.ends_with("[x]") { &typed } else { at };
        match place {
            None if rules == "closed" => {
                let text = format!("{}: this is in no slice of {}, and it allows no others", asked.node().path, asked.profile.canonical());
                walk.report.add_at(NO_SLICE, at, offset, text);
            }
            None if is_undefined_part(asked, *found) => {
                let text = format!("The extension {} defines no part of this url", asked.profile.canonical());
                walk.report.add_at(NO_SUCH_PART, at, offset, text);
            }
            None if rules == "openAtEnd" && last.is_some_and(|last| index < last) => {
                let text = format!("{}: what is in no slice of {} must come last", asked.node().path, asked.profile.canonical());
                walk.report.add_at(NOT_AT_END, at, offset, text);
            }
            Some(_) if is_ordered && *place < highest => {
                let text = format!("{}: the slices of {} must come in its order", asked.node().path, asked.profile.canonical());
                walk.report.add_at(OUT_OF_ORDER, at, offset, text);
            }
            _ => {}
        }
        highest = highest.max(*place);
    }
}

/// Whether an extension within an extension is none of the parts that the outer one defines.
fn is_undefined_part(asked: Asked<'_>, found: Found<'_>) -> bool {
    let is_part = asked.profile.type_name == "Extension" && asked.node().path == "Extension.extension";
    is_part && found.item.node.and_then(|node| node.text("url")).is_some_and(|url| !has_scheme(url))
}

/// Whether an item is in a slice, given by its place and id: every discriminator says so.
fn is_in(
    walk: &mut Walk<'_>,
    asked: Asked<'_>,
    (place, id): (usize, NodeId),
    item: Placed<'_>,
    scope: &Scope<'_>,
    path: &Path<'_>,
) -> bool {
    let node = asked.node();
    // Where there are a few slices, the work is in proportion to the items.
    if node.slices.len() > FEW_SLICES && !walk.budget.compare() {
        return false;
    }
    let mut says = |by: &SliceBy| match by.kind {
        SliceKind::Position => place == item.position,
        _ => discriminates(walk, Asked { id, ..asked }, by, item.found, scope, path),
    };
    !node.discriminators.is_empty() && node.discriminators.iter().all(&mut says)
}

/// Where a discriminator is followed from an item.
fn focus<'f>(walk: &Walk<'f>, found: Found<'f>, scope: &Scope<'f>, environment: &'f Surroundings<'f>) -> Focus<'f> {
    Focus {
        types: walk.types,
        context: Item::Tree(found.item),
        resource: scope.resource,
        root_resource: scope.container,
        document: scope.document,
        environment,
        now: walk.options.now,
        limits: DEFAULT_LIMITS,
    }
}

/// What of the document a discriminator leads to; none where it cannot be followed.
fn reached<'f>(by: &'f SliceBy, focus: &'f Focus<'f>) -> Option<Vec<Found<'f>>> {
    by.expression.as_ref().ok()?.evaluate(focus).ok().map(items_at)
}

fn discriminates(walk: &mut Walk<'_>, slice: Asked<'_>, by: &SliceBy, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) -> bool {
    let surroundings = Surroundings::within(walk, scope);
    let focus = focus(walk, found, scope, &surroundings);
    let Some(items) = reached(by, &focus) else { return false };
    let asked = candidates(walk, slice, &by.path);
    match by.kind {
        SliceKind::Value => asked.iter().filter_map(|one| one.value(walk, &items)).reduce(|one, other| one && other).unwrap_or(false),
        SliceKind::Exists => asked.iter().filter_map(Candidate::exists).next().is_some_and(|exists| exists != items.is_empty()),
        SliceKind::Type => items.iter().any(|item| asked.iter().any(|one| one.has_type(walk, *item))),
        SliceKind::Profile => items.iter().any(|item| {
            let urls: Vec<&str> = asked.iter().flat_map(Candidate::profiles).collect();
            urls.iter().any(|url| is_known_to_conform(walk, url, *item).unwrap_or_else(|| conforms_within(walk, url, *item, scope, path)))
        }),
        // Decided without looking at the item.
        SliceKind::Position => false,
    }
}

/// Whether what a discriminator leads to meets a profile. A resource in another, or one that a reference leads to, is a root of its own for the rules
/// of that profile.
fn conforms_within(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) -> bool {
    let resource = found.item.node.filter(|node| !std::ptr::eq(*node, scope.resource) && node.resource_type().is_some());
    let own = resource.map(|resource| Scope::of(resource, found.type_name(walk.types), Some(scope), scope.contains(resource)));
    conforms(walk, url, found, own.as_ref().unwrap_or(scope), path)
}

/// Whether any of the items has a value.
fn has(items: &[Found<'_>], value: &Node, mode: Mode) -> bool {
    items.iter().any(|item| item.item.node.is_some_and(|found| is_met(found, value, mode)))
}

/// Whether any of the items has the value a node asks for: fixed, a pattern, a code of a value set, or all that its children ask.
fn has_value(walk: &Walk<'_>, asked: Asked<'_>, items: &[Found<'_>]) -> Option<bool> {
    let node = asked.node();
    for (value, mode) in [(&node.fixed, Mode::Fixed), (&node.pattern, Mode::Pattern)] {
        if let Some(value) = value {
            return Some(has(items, value, mode));
        }
    }
    if node.name == "url"
        && node.fixed.is_none()
        && let Some(url) = extension_url(asked.profile, node)
    {
        return Some(items.iter().any(|item| item.item.node.and_then(Node::as_text) == Some(url)));
    }
    let children: Vec<NodeId> = node.children.iter().chain(&node.slices).copied().collect();
    let mut verdict = None;
    for item in items {
        let mut all = None;
        for &child in &children {
            let child = Asked { id: child, ..asked };
            let is_slice = child.node().slice_name.is_some();
            let below = if is_slice { vec![*item] } else { find(walk.types, item.item, &child.node().name) };
            if let Some(has) = has_value(walk, child, &below) {
                let optional = below.is_empty() && child.node().element.min == 0;
                all = Some(all.unwrap_or(true) && (has || optional));
            }
        }
        verdict = match (verdict, all) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (verdict, all) => verdict.or(all),
        };
    }
    if verdict.is_some() {
        return verdict;
    }
    if let Some(binding) = &node.element.binding {
        return Some(items.iter().any(|item| is_member(walk, &binding.value_set, *item)));
    }
    match (node.element.min, node.element.max) {
        (_, 0) => Some(items.is_empty()),
        (1.., _) => Some(!items.is_empty()),
        _ => None,
    }
}

fn is_member(walk: &Walk<'_>, set: &str, item: Found<'_>) -> bool {
    let Some(node) = item.item.node else { return false };
    let is_in =
        |system: Option<&str>, code: &str| matches!(walk.definitions.value_set_contains(set, system, code), Membership::Member { .. });
    let coding = |coding: &Node| coding.text("code").is_some_and(|code| is_in(Some(coding.text("system").unwrap_or_default()), code));
    match node.as_text() {
        Some(code) => is_in(None, code),
        None if node.get("coding").is_some() => node.items("coding").iter().any(coding),
        None => coding(node),
    }
}
