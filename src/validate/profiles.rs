//! What a profile asks of an element beyond its type (<https://hl7.org/fhir/R4/profiling.html>).

use super::canonicals;
use super::path::Path;
use super::references::{self, Scope};
use super::report::{Report, Rule};
use super::slicing;
use super::structure::Walk;
use super::values::{Mode, difference, extended};
use super::verdicts::Question;
use super::{bindings, controls, invariants, limits};
use crate::definitions::ProfileType;
use crate::definitions::profile::{DERIVATION_DEPTH_MAX, Incomplete, NodeId, Profile, ProfileNode};
use crate::fhir::path::{Item, TreeItem};
use crate::fhir::types::{BindingStrength, ElementId, TypeTable, UNBOUNDED};
use crate::fhir::{Node, Object, Value};
use crate::outcome::{Finding, IssueType, Severity};
use compact_str::CompactString;

const MINIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Minimum_one");
const MAXIMUM: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_Maximum_one");
const WRONG_TYPE: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_WrongType");
const TYPE_NOT_ALLOWED: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NoType");
const WRONG_TYPE_OF_EXTENSION: Rule = Rule::error(IssueType::Structure, "Extension_EXT_Type");
const FIXED: Rule = Rule::error(IssueType::Value, "_DT_Fixed_Wrong");
const EXTENDED: Rule = Rule::error(IssueType::Value, "EXTENSION_EXT_FIXED_BANNED");
const TOO_LONG: Rule = Rule::error(IssueType::Invalid, "Type_Specific_Checks_DT_String_Length");
const NO_PROFILE_FITS: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NoMatch");
const UNKNOWN: Rule = Rule::warning(IssueType::NotFound, "VALIDATION_VAL_PROFILE_UNKNOWN_NOT_POLICY");
const OF_ENTRY_NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "BUNDLE_BUNDLE_ENTRY_NOPROFILE_EXPL");
const ONE_OF_ENTRY_NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "BUNDLE_BUNDLE_ENTRY_NOPROFILE_TYPE");
const NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "Validation_VAL_Unknown_Profile");
/// A profile of which only a part is known cannot be met as far as anybody knows; where it only tells things apart, it is said all the same.
const BASE_NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "Validation_VAL_Profile_NoSnapshot");
const CIRCLE: Rule = Rule::error(IssueType::Processing, "Circular_snapshot_references_detected_cannot_generate_snapshot__stack__");
const DERIVED_TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "DERIVATION_DEPTH_MAX");
const CONTRADICTORY: Rule = Rule::warning(IssueType::Processing, "PROFILE_CONTRADICTS_BASE");
const TOO_DEEP: Rule = Rule::error(IssueType::TooCostly, "PROFILE_DEPTH_MAX");

/// How many profiles may ask for one another around one element.
const PROFILE_DEPTH_MAX: usize = 32;

/// Where the definitions of FHIR's own types live.
pub const BASE_DEFINITIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// An element found in the document.
#[derive(Debug, Clone, Copy)]
pub struct Found<'d> {
    pub item: TreeItem<'d>,
    /// The element of the type table it is a value of; none for a root.
    pub element: Option<ElementId>,
    pub type_index: usize,
    /// Its place in a list.
    pub index: Option<usize>,
}

impl<'d> Found<'d> {
    /// A resource, or something a rule led to.
    pub fn root(item: TreeItem<'d>) -> Found<'d> {
        Found { item, element: None, type_index: 0, index: None }
    }

    /// `Quantity`; a resource's own type.
    pub fn type_name<'t>(&self, types: &'t TypeTable) -> &'t str {
        self.item.type_name(types)
    }

    fn offset(&self) -> Option<u32> {
        self.item.node.and_then(Node::place)
    }
}

/// One profile being checked, and where.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub profile: &'a Profile,
    pub id: NodeId,
}

impl<'a> Asked<'a> {
    pub fn node(self) -> &'a ProfileNode {
        self.profile.node(self.id)
    }
}

/// Checks an element against a profile by canonical URL; one that is not in hand is said to be unchecked, at `stated_at`.
pub fn check_url(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>, stated_at: &Path<'_>) {
    if let Some(type_name) = base_type(walk.types, url).filter(|_| is_version(url, &walk.types.version)) {
        if !walk.types.is_kind_of(found.type_name(walk.types), type_name) {
            walk.report.add_at(WRONG_TYPE, path, found.offset(), format!("The type {type_name} is asked for here"));
        }
        return;
    }
    match walk.definitions.profile(url) {
        Some(profile) => check(walk, profile, found, scope, path),
        None if url.contains('#') && walk.definitions.profile_part(url).is_some() => check_part(walk, url, found, scope, path),
        None => {
            let text = unknown(walk, url);
            walk.report.add_at(UNKNOWN, stated_at, found.offset(), text)
        }
    }
}

/// Why a profile was not checked. One that is in hand in another version says nothing about this one.
fn unknown(walk: &Walk<'_>, url: &str) -> String {
    if version_in_hand(walk, url).is_some_and(|version| !is_version(url, version)) {
        return "A profile named here is in hand in another version only, so it was not checked".to_owned();
    }
    canonicals::absent(walk, url, "StructureDefinition", "it was not checked")
}

/// The version in hand of what a canonical URL names, be it a type or a profile.
fn version_in_hand<'w>(walk: &'w Walk<'_>, url: &str) -> Option<&'w str> {
    match base_type(walk.types, url) {
        Some(_) => Some(walk.types.version.as_str()),
        None => walk.definitions.structure_in_any_version(url).map(|structure| structure.version.as_str()),
    }
}

/// Whether a version is the one that a canonical URL asks for. None asked for is any, and `4.0` is every `4.0.x`.
fn is_version(url: &str, version: &str) -> bool {
    url.split_once('|').is_none_or(|(_, asked)| version.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Checks a resource against a profile that was asked for; one that is not in hand is an error, since the question cannot be answered.
pub fn check_requested(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    if version_in_hand(walk, url).is_none_or(|version| !is_version(url, version)) {
        return walk.report.add_at(NOT_IN_HAND, path, found.offset(), format!("The profile {url} that was asked for is not in hand"));
    }
    check_url(walk, url, found, scope, path, path);
}

/// The type that the URL of one of FHIR's own definitions names, or that of a logical model.
pub fn base_type<'t>(types: &'t TypeTable, url: &str) -> Option<&'t str> {
    let url = url.split('|').next().unwrap_or(url);
    let definition = match url.strip_prefix(BASE_DEFINITIONS) {
        Some(name) => types.type_named(name),
        None => types.model(url),
    };
    definition.map(|definition| definition.name.as_str())
}

/// Checks an element against a profile.
pub fn check(walk: &mut Walk<'_>, profile: &Profile, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    asking(walk, profile, 0, found, path, |walk| {
        if !walk.types.is_kind_of(found.type_name(walk.types), &profile.type_name) {
            let text = format!("The profile {} is for {}, and this is none", profile.canonical(), profile.type_name);
            return walk.report.add_at(WRONG_TYPE, path, found.offset(), text);
        }
        wholeness(walk, profile, found, path);
        walk.report.contexts.push((profile.url.clone(), profile.version.clone()));
        element(walk, Asked { profile, id: 0 }, found, scope, scope, path);
        for url in &profile.imposed {
            check_url(walk, url, found, scope, path, path);
        }
        walk.report.contexts.pop();
    });
}

/// Says what is not known of a profile, or cannot be met.
fn wholeness(walk: &mut Walk<'_>, profile: &Profile, found: Found<'_>, path: &Path<'_>) {
    if let Some(why) = &profile.incomplete {
        let (rule, why) = match why {
            Incomplete::NotInHand(base) => {
                let severity = if walk.profiles_open.len() == 1 { Severity::Error } else { Severity::Warning };
                (Rule { severity, ..BASE_NOT_IN_HAND }, format!("{base} is not in hand"))
            }
            Incomplete::Circle(base) => (CIRCLE, format!("it derives from itself, by way of {base}")),
            Incomplete::TooDeep => (DERIVED_TOO_DEEP, format!("more than {DERIVATION_DEPTH_MAX} profiles stand one on another")),
        };
        let text = format!("What the base of {} asks was not checked: {why}", profile.canonical());
        walk.report.add_at(rule, path, found.offset(), text);
    }
    if let Some(element) = &profile.contradiction {
        let text = format!("{} contradicts what it is based on at {element}, so no resource can meet it there", profile.canonical());
        walk.report.add_at(CONTRADICTORY, path, found.offset(), text);
    }
}

/// Checks an element against one element of a profile.
fn check_part(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let Some((profile, part)) = walk.definitions.profile_part(url) else { return };
    asking(walk, profile, part.last().copied().unwrap_or_default(), found, path, |walk| {
        walk.report.contexts.push((profile.url.clone(), profile.version.clone()));
        for id in part {
            element(walk, Asked { profile, id }, found, scope, scope, path);
        }
        walk.report.contexts.pop();
    });
}

/// Asks whether an element meets a profile, or the part of it that a node begins. What is being asked already holds as far as anybody knows.
fn asking(walk: &mut Walk<'_>, profile: &Profile, part: NodeId, found: Found<'_>, path: &Path<'_>, ask: impl FnOnce(&mut Walk<'_>)) {
    let question = question(profile, part, found);
    let depth = walk.profiles_open.len();
    // Profiles that ask for each other around a circle of references hold when nothing else contradicts them.
    if let Some(open) = walk.profiles_open.iter().position(|open| *open == question) {
        return walk.verdicts.lean_on(open);
    }
    if depth == PROFILE_DEPTH_MAX {
        walk.verdicts.is_too_deep = true;
        let text = format!("Profiles ask for one another more than {PROFILE_DEPTH_MAX} levels deep; the rest was not checked");
        return walk.report.add_at(TOO_DEEP, path, found.offset(), text);
    }
    let (opened, before) = (walk.verdicts.open(), walk.report.errors_met());
    walk.profiles_open.push(question);
    ask(walk);
    walk.profiles_open.pop();
    let verdict = walk.report.errors_met() == before;
    walk.verdicts.close(question, opened, depth, verdict);
}

/// Says that profiles ask for one another too deep, where that was met only in finding out what meets them.
pub fn say_too_deep(walk: &mut Walk<'_>, resource: &Node, path: &Path<'_>) {
    if walk.verdicts.is_too_deep && !walk.report.has(&[TOO_DEEP.message_id]) {
        let rule = Rule { severity: Severity::Warning, ..TOO_DEEP };
        let text =
            format!("Profiles ask for one another more than {PROFILE_DEPTH_MAX} levels deep; what lies deeper counts as not meeting them");
        walk.report.add(rule, path, resource, text);
    }
}

fn question(profile: &Profile, part: NodeId, found: Found<'_>) -> Question {
    // Nodes are numbers within their profile, which is larger than there may be of them.
    let element = found.item.node.map_or(0, |node| std::ptr::from_ref(node).addr());
    (std::ptr::from_ref(profile).addr() ^ part.rotate_right(16), element, found.item.content.0)
}

/// Whether it was found out before that an element meets a profile.
pub fn is_known_to_conform(walk: &mut Walk<'_>, url: &str, found: Found<'_>) -> Option<bool> {
    let part = walk.definitions.profile_part(url).and_then(|(profile, part)| Some((profile, *part.last()?)));
    part.filter(|_| found.item.node.is_some()).and_then(|(profile, id)| walk.verdicts.of(question(profile, id, found)))
}

/// Whether an element meets a profile; what it breaks is not reported.
pub fn conforms(walk: &mut Walk<'_>, url: &str, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) -> bool {
    is_known_to_conform(walk, url, found).unwrap_or_else(|| {
        walk.verdicts.trials += 1;
        let broken = trial(walk, |walk| check_url(walk, url, found, scope, path, path));
        walk.verdicts.trials -= 1;
        broken.iter().all(|finding| !finding.is_error())
    })
}

/// Does something and takes back what it reported.
fn trial(walk: &mut Walk<'_>, act: impl FnOnce(&mut Walk<'_>)) -> Vec<Finding> {
    let aside = Report::new(walk.options.findings_max);
    let kept = std::mem::replace(&mut walk.report, aside);
    act(walk);
    std::mem::replace(&mut walk.report, kept).done()
}

/// Checks one element against one node of a profile. For a resource in another, `scope` is its own, and `outer` that of the rules which the
/// outer resource's profile states for it.
fn element(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, outer: &Scope<'_>, path: &Path<'_>) {
    value(walk, asked, found, scope, path);
    types_of(walk, asked, found, scope, path);
    if !asked.node().element.controls.is_empty() {
        controls::check(walk, asked.node(), found, scope.resource, path);
    }
    for rule in &asked.node().invariants {
        invariants::one(walk, rule, found.item, outer, path);
    }
    for &child in &asked.node().children {
        children(walk, Asked { id: child, ..asked }, found, scope, path);
    }
}

fn children(walk: &mut Walk<'_>, asked: Asked<'_>, parent: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let node = asked.node();
    let all = find(walk.types, parent.item, &node.name);
    count(walk, asked, all.len(), parent, path);
    let slices = slicing::sort(walk, asked, &all, parent, scope, path);
    for (found, slices) in all.iter().zip(&slices) {
        let steps = Steps::of(walk.types, *found);
        let (named, typed);
        let indexed;
        named = path.name(steps.name.unwrap_or(&node.name));
        let mut at = &named;
        if let Some(index) = found.index {
            indexed = at.index(index);
            at = &indexed;
        }
        if let Some(type_name) = steps.type_name {
            typed = at.of_type(type_name);
            at = &typed;
        }
        // A resource inside another is a root of its own.
        let resource = steps.is_resource.then_some(found.item.node).flatten();
        let own = resource.map(|resource| Scope::of(resource, found.type_name(walk.types), Some(scope), node.name == "contained"));
        let inner = own.as_ref().unwrap_or(scope);
        element(walk, asked, *found, inner, scope, at);
        for &slice in slices {
            element(walk, Asked { id: slice, ..asked }, *found, inner, scope, at);
        }
    }
}

/// How an element is named in paths.
struct Steps<'a> {
    name: Option<&'a str>,
    /// For choices.
    type_name: Option<&'a str>,
    is_resource: bool,
}

impl<'a> Steps<'a> {
    fn of(types: &'a TypeTable, found: Found<'_>) -> Steps<'a> {
        let element = found.element.map(|id| types.element(id));
        let type_use = element.and_then(|element| element.types.get(found.type_index));
        Steps {
            name: element.map(|element| element.name.as_str()),
            type_name: type_use.filter(|_| element.is_some_and(|element| element.is_choice)).map(|one| one.code.as_str()),
            is_resource: type_use.is_some_and(|one| one.code == "Resource"),
        }
    }
}

/// How many there are, of all or of a slice.
pub fn count(walk: &mut Walk<'_>, asked: Asked<'_>, number: usize, parent: Found<'_>, path: &Path<'_>) {
    let node = asked.node();
    let (element, profile) = (&node.element, asked.profile.canonical());
    if number < element.min as usize {
        let text = format!("{}: at least {} is required by {profile}, there are {number}", node.path, element.min);
        walk.report.add_at(MINIMUM, path, parent.offset(), text);
    }
    if element.max != UNBOUNDED && number > element.max as usize {
        let text = format!("{}: at most {} are allowed by {profile}, there are {number}", node.path, element.max);
        walk.report.add_at(MAXIMUM, path, parent.offset(), text);
    }
}

/// The children of an element by their name in paths, in document order.
pub fn find<'d>(types: &TypeTable, parent: TreeItem<'d>, name: &str) -> Vec<Found<'d>> {
    let mut all = Vec::new();
    let object = parent.node.and_then(Node::as_object).or(parent.sibling);
    let members = object.map(Object::members).unwrap_or_default();
    for member in members {
        let plain = member.name.strip_prefix('_').unwrap_or(&member.name);
        let is_sibling = plain.len() != member.name.len();
        // A sibling without the value beside it stands for itself; else the value comes with its sibling.
        let is_named = plain.starts_with(name) && !(is_sibling && object.is_some_and(|object| object.get(plain).is_some()));
        let Some(used) = types.member(parent.content, plain).filter(|_| is_named) else { continue };
        if types.element(used.element).name != name {
            continue;
        }
        let sibling = if is_sibling { Some(&member.node) } else { object.and_then(|object| object.get(&format!("_{plain}"))) };
        let node = (!is_sibling).then_some(&member.node);
        let repeats = types.element(used.element).repeats();
        let length = |node: Option<&Node>| node.map_or(0, |node| node.as_list().map_or(1, <[Node]>::len));
        for index in 0..length(node).max(length(sibling)) {
            let (node, sibling) = (nth(node, index), nth(sibling, index).and_then(Node::as_object));
            let item = match node {
                Some(node) => TreeItem { sibling, ..TreeItem::element(types, node, used.element, used.type_index) },
                None => TreeItem { node: None, sibling, content: types.content(used.element, used.type_index) },
            };
            all.push(Found { item, element: Some(used.element), type_index: used.type_index, index: repeats.then_some(index) });
        }
    }
    all
}

fn nth(node: Option<&Node>, index: usize) -> Option<&Node> {
    let node = node?;
    let one = if let Some(items) = node.as_list() { items.get(index) } else { (index == 0).then_some(node) };
    one.filter(|one| one.value != Value::Null)
}

/// Fixed values, patterns, lengths, ranges and codes.
fn value(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let node = asked.node();
    for (value, mode, words) in [(&node.fixed, Mode::Fixed, "the fixed value"), (&node.pattern, Mode::Pattern, "the pattern")] {
        let Some(value) = value else { continue };
        let below = found.item.node.map_or(Some(String::new()), |found| difference(found, value, mode));
        if let Some(below) = below {
            let text = format!("{}: the value is not {words} that {} asks for", node.path, asked.profile.canonical());
            walk.report.add_below(FIXED, path, &below, found.offset(), text);
        }
    }
    if let Some(fixed) = &node.fixed {
        without_extensions(walk, asked, fixed, found, path);
    }
    let Some(value) = found.item.node else {
        let of_type = found.element.and_then(|id| walk.types.element(id).binding.as_ref());
        // What the type asks was said where the type was judged.
        let binding = node.element.binding.as_ref().filter(|_| !of_type.is_some_and(|one| one.strength == BindingStrength::Required));
        return bindings::check_missing(walk, binding, found.offset(), path);
    };
    if let Some(max) = node.element.max_length
        && value.as_text().is_some_and(|text| text.chars().count() > max as usize)
    {
        walk.report.add(TOO_LONG, path, value, format!("{} must not be longer than {max} characters", node.path));
    }
    limits::check(walk, asked, found, scope, path);
    // A value of a type that may not be here is not also held to codes that are for another.
    if let Some(binding) = node.element.binding.as_ref().filter(|_| allowed_type(walk.types, asked, found) != Allowed::No) {
        let type_name = found.type_name(walk.types).to_owned();
        bindings::check(walk, binding, &type_name, value, path);
    }
}

/// A fixed value that has no extensions is met by none that has some.
fn without_extensions(walk: &mut Walk<'_>, asked: Asked<'_>, fixed: &Node, found: Found<'_>, path: &Path<'_>) {
    let beside = found.item.sibling.is_some_and(|sibling| sibling.get("extension").is_some());
    let place = beside.then(String::new).or_else(|| found.item.node.and_then(|value| extended(value, fixed)));
    if let Some(below) = place {
        let text =
            format!("{}: the value fixed by {} has no extension, so there may be none", asked.node().path, asked.profile.canonical());
        walk.report.add_below(EXTENDED, path, &below, found.offset(), text);
    }
}

/// What a profile says of the type of an element.
#[derive(PartialEq, Eq)]
enum Allowed<'a> {
    /// Nothing.
    Any,
    No,
    Yes(&'a ProfileType),
}

fn allowed_type<'a>(types: &TypeTable, asked: Asked<'a>, found: Found<'_>) -> Allowed<'a> {
    let allowed = &asked.node().element.types;
    if allowed.is_empty() || asked.id == 0 {
        return Allowed::Any;
    }
    let name = found.type_name(types);
    let same = allowed.iter().find(|one| one.code == name);
    // A choice names its type, and so has exactly that.
    let is_choice = found.element.is_some_and(|id| types.element(id).is_choice);
    match same.or_else(|| allowed.iter().find(|one| !is_choice && types.is_kind_of(name, &one.code))) {
        Some(one) => Allowed::Yes(one),
        // `BackboneElement` and `Element` are not told apart by every definition.
        None if allowed.iter().any(|one| matches!(one.code.as_str(), "BackboneElement" | "Element")) => Allowed::Any,
        None => Allowed::No,
    }
}

/// Which types are allowed, and the profiles asked of them.
fn types_of(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
    let (types, allowed) = (walk.types, &asked.node().element.types);
    let type_name = found.type_name(types);
    let one = match allowed_type(types, asked, found) {
        Allowed::Any => return,
        Allowed::No => {
            let names: Vec<&str> = allowed.iter().map(|one| one.code.as_str()).collect();
            let text = format!("{} may be {} by {}, not {type_name}", asked.node().path, names.join(", "), asked.profile.canonical());
            // Where there is a choice, it is the element that has it whose choice is wrong.
            let is_of_extension = asked.node().path == "Extension.value[x]";
            let at = if allowed.len() > 1 || is_of_extension { path.container().unwrap_or(path) } else { path };
            let rule = if is_of_extension { WRONG_TYPE_OF_EXTENSION } else { TYPE_NOT_ALLOWED };
            return walk.report.add_at(rule, at, found.offset(), text);
        }
        Allowed::Yes(one) => one,
    };
    // What a resource within another must meet has to be known.
    let is_resource = !one.profiles.is_empty() && Steps::of(types, found).is_resource;
    let absent = if is_resource { absent(walk, &one.profiles) } else { Vec::new() };
    let rule = if one.profiles.len() == 1 { OF_ENTRY_NOT_IN_HAND } else { ONE_OF_ENTRY_NOT_IN_HAND };
    for url in &absent {
        walk.report.add_at(
            rule,
            path,
            found.offset(),
            format!("{}: the profile {url} that is asked for is not in hand", asked.node().path),
        );
    }
    match one.profiles.as_slice() {
        _ if !absent.is_empty() => {}
        [] => {}
        [url] => check_url(walk, url, found, scope, path, path),
        urls => {
            let fits = urls.iter().any(|url| conforms(walk, url, found, scope, path));
            if !fits {
                let text = format!("{}: none of the profiles that {} allows is met", asked.node().path, asked.profile.canonical());
                walk.report.add_at(NO_PROFILE_FITS, path, found.offset(), text);
            }
        }
    }
    if let (Some(reference), "Reference") = (found.item.node, type_name) {
        references::check_profiles(walk, one, reference, scope, path);
    }
}

/// Those of some profiles that are not in hand.
fn absent<'p>(walk: &Walk<'_>, profiles: &'p [CompactString]) -> Vec<&'p str> {
    let is_type = |url: &str| base_type(walk.types, url).is_some() && is_version(url, &walk.types.version);
    profiles.iter().map(CompactString::as_str).filter(|url| !is_type(url) && walk.definitions.profile_part(url).is_none()).collect()
}

/// The items that a compiled path leads to, of those that stand in the document.
pub fn items_at<'d>(items: Vec<Item<'d>>) -> Vec<Found<'d>> {
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Tree(item) => Some(Found::root(item)),
            Item::System(_) => None,
        })
        .collect()
}
