//! Where an extension may stand: the contexts that its definition allows, and its rules about what it stands on
//! (<https://hl7.org/fhir/R4/defining-extensions.html#context>).
//!
//! An expression is evaluated once for a resource, not once for each extension in it.

mod names;

use super::environment::Surroundings;
use super::exhausted::{Exhausted, GIVEN_UP};
use super::path::Path;
use super::primitives::has_scheme;
use super::references::{Scope, address};
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::{ContextKind, ExtensionContext, Structure};
use crate::fhir::Node;
use crate::fhir::path::{DEFAULT_LIMITS, Expression, Focus, Item, Limits, PathError, TreeItem};
use crate::outcome::IssueType;
use compact_str::CompactString;
use names::{is_of_profile, names, without_choice};
use std::collections::{HashMap, HashSet};

const WRONG_CONTEXT: Rule = Rule::error(IssueType::Extension, "Extension_EXTP_Context_Wrong");
const WRONG_IN_RELEASE: Rule = Rule::error(IssueType::Extension, "Extension_EXTP_Context_Wrong_VER");
const RULE_OF_CONTEXT: Rule = Rule::error(IssueType::Structure, "Profile_EXT_Not_Here");
const NOT_EVALUATED: Rule = Rule::information(IssueType::NotSupported, "EXT_CONTEXT_NOT_EVALUATED");
const TOO_MANY: Rule = Rule::error(IssueType::TooCostly, "CONTEXTS_MAX");

/// Units of work that one expression may cost on one resource, or one rule on one element.
const STEPS_MAX: u64 = 2_000_000;

/// How many contexts may be looked at for the extensions of one resource.
pub const CONTEXTS_MAX: usize = 5_000_000;

/// Extensions of one definition on one element, of which a rule about what they say is evaluated.
const RULED_MAX: usize = 1_000;

/// How a rule calls the extension itself (<https://hl7.org/fhir/R4/fhirpath.html#vars>).
const ITSELF: [&str; 3] = ["%extension", "%`extension`", "%'extension'"];

/// What was found about the contexts of one resource's extensions, which are named by their addresses.
#[derive(Debug, Default)]
pub struct Contexts {
    /// The extensions on what an expression selects.
    selected: HashMap<CompactString, Result<HashSet<usize>, PathError>>,
    /// By the rule's address: for each extension whose definition has it, whether it holds.
    ruled: HashMap<usize, Result<Ruled, PathError>>,
    /// By the URL of a profile that a context names: whether the resource meets it.
    met: HashMap<CompactString, bool>,
    /// How many contexts were looked at.
    looked_at: usize,
}

/// For each extension by its address, whether a rule holds where it stands, or why that cannot be said.
type Ruled = HashMap<usize, Result<bool, String>>;

/// Judges the place of an extension that has a definition.
pub fn check(walk: &mut Walk<'_>, structure: &Structure, extension: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let looked_at = {
        let mut contexts = scope.contexts.borrow_mut();
        contexts.looked_at += structure.contexts.len() + structure.context_invariants.len();
        contexts.looked_at
    };
    if looked_at > CONTEXTS_MAX {
        let text =
            format!("The extensions of the resource have more than {CONTEXTS_MAX} contexts; where the rest may stand was not checked");
        return walk.report.add(TOO_MANY, &Path::root(scope.resource.resource_type().unwrap_or_default()), scope.resource, text);
    }
    place(walk, structure, extension, scope, path);
    for rule in &structure.context_invariants {
        match holds(walk, rule, &structure.url, extension, scope) {
            Ok(true) => {}
            Ok(false) => {
                let text = format!("This extension may not stand here: its definition asks that {rule}");
                walk.report.add(RULE_OF_CONTEXT, path.container().unwrap_or(path), extension, text);
            }
            Err(why) => not_evaluated(walk, &why, extension, path),
        }
    }
}

fn not_evaluated(walk: &mut Walk<'_>, why: &str, extension: &Node, path: &Path<'_>) {
    walk.report.add(NOT_EVALUATED, path, extension, format!("Whether this extension may stand here could not be evaluated: {why}"));
}

/// One of the contexts must allow the place. If none is known to, one that cannot be evaluated may.
fn place(walk: &mut Walk<'_>, structure: &Structure, extension: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(around) = walk.around.last().cloned() else { return };
    let names = names(walk.types, &around, path);
    let mut unknown = None;
    let version = &walk.types.version;
    let contexts = || structure.contexts.iter().filter(|one| one.is_of(version));
    for one in contexts() {
        let is_allowed = match one.kind {
            ContextKind::FhirPath => selects(walk, &one.expression, extension, scope).unwrap_or_else(|why| {
                unknown = Some(why);
                false
            }),
            ContextKind::Extension => around.extension.as_deref() == Some(one.expression.as_str()),
            ContextKind::Element if has_scheme(&one.expression) => {
                is_of_profile(walk, &one.expression, &names, scope).unwrap_or_else(|why| {
                    unknown = Some(why);
                    false
                })
            }
            ContextKind::Element => names.contains(&without_choice(&one.expression)),
        };
        if is_allowed {
            return;
        }
    }
    if let Some(why) = unknown {
        not_evaluated(walk, &why, extension, path);
    } else if !structure.contexts.is_empty() {
        let contexts: Vec<&ExtensionContext> = contexts().collect();
        let (rule, release) = match contexts.len() < structure.contexts.len() {
            true => (WRONG_IN_RELEASE, " in this release of FHIR"),
            false => (WRONG_CONTEXT, ""),
        };
        let text = format!("This extension may not stand here{release}, only on: {}", listed(&contexts));
        walk.report.add(rule, path.container().unwrap_or(path), extension, text);
    }
}

/// How many contexts a finding names.
const CONTEXTS_SHOWN_MAX: usize = 20;

fn listed(contexts: &[&ExtensionContext]) -> String {
    if contexts.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<&str> = contexts.iter().take(CONTEXTS_SHOWN_MAX).map(|one| one.expression.as_str()).collect();
    shown.join(", ") + if contexts.len() > CONTEXTS_SHOWN_MAX { ", …" } else { "" }
}

/// Whether an expression selects the element that has an extension from the resource, or why that cannot be said.
fn selects(walk: &mut Walk<'_>, expression: &CompactString, extension: &Node, scope: &Scope<'_>) -> Result<bool, String> {
    if !scope.contexts.borrow().selected.contains_key(expression) {
        if walk.exhausted.is_given_up(expression) {
            return Err(GIVEN_UP.to_owned());
        }
        let selected = selected(walk, expression, scope);
        walk.exhausted.note(expression, &selected);
        scope.contexts.borrow_mut().selected.insert(expression.clone(), selected);
    }
    match scope.contexts.borrow().selected.get(expression) {
        Some(Ok(selected)) => Ok(selected.contains(&address(extension))),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(false),
    }
}

/// The extensions on what an expression selects from the resource.
fn selected(walk: &Walk<'_>, expression: &str, scope: &Scope<'_>) -> Result<HashSet<usize>, PathError> {
    let expression = Expression::compile(expression, walk.types)?;
    let Some(root) = TreeItem::resource(walk.types, scope.resource) else { return Ok(HashSet::new()) };
    let surroundings = Surroundings::within(walk, scope);
    let items = expression.evaluate(&focus(walk, scope, &surroundings, root))?;
    Ok(holders(items).flat_map(extensions).map(address).collect())
}

/// Whether a rule holds of the element that has an extension, or why that cannot be said.
fn holds(walk: &mut Walk<'_>, rule: &CompactString, url: &str, extension: &Node, scope: &Scope<'_>) -> Result<bool, String> {
    let key = std::ptr::from_ref(rule).addr();
    if !scope.contexts.borrow().ruled.contains_key(&key) {
        let mut exhausted = std::mem::take(&mut walk.exhausted);
        let ruled = ruled(walk, &mut exhausted, rule, url, scope);
        walk.exhausted = exhausted;
        scope.contexts.borrow_mut().ruled.insert(key, ruled);
    }
    match scope.contexts.borrow().ruled.get(&key) {
        Some(Ok(ruled)) => ruled.get(&address(extension)).cloned().unwrap_or(Ok(true)),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(true),
    }
}

/// For each extension with a URL, whether a rule holds of what has it.
fn ruled(walk: &Walk<'_>, exhausted: &mut Exhausted, rule: &str, url: &str, scope: &Scope<'_>) -> Result<Ruled, PathError> {
    let everything = Expression::compile("descendants()", walk.types)?;
    let compiled = Expression::compile(rule, walk.types)?;
    let Some(root) = TreeItem::resource(walk.types, scope.resource) else { return Ok(Ruled::new()) };
    let surroundings = Surroundings::within(walk, scope);
    let focus = focus(walk, scope, &surroundings, root);
    let items = everything.evaluate(&Focus { limits: DEFAULT_LIMITS, ..focus.clone() })?;
    let is_of_extension = ITSELF.iter().any(|name| rule.contains(name));
    let mut ruled = Ruled::new();
    for holder in holders(items).chain([root]) {
        let mut those = extensions(holder).filter(|extension| extension.text("url") == Some(url)).peekable();
        if is_of_extension {
            for (number, extension) in those.enumerate() {
                let itself = surroundings.about(extension);
                let held = match number {
                    ..RULED_MAX => holds_of(&compiled, &self::focus(walk, scope, &itself, holder), rule, exhausted),
                    _ => Err(format!("more than {RULED_MAX} extensions of its kind stand beside it")),
                };
                ruled.insert(address(extension), held);
            }
        } else if those.peek().is_some() {
            let held = holds_of(&compiled, &focus.at(holder), rule, exhausted);
            ruled.extend(those.map(|extension| (address(extension), held.clone())));
        }
    }
    Ok(ruled)
}

fn holds_of<'d>(compiled: &'d Expression, focus: &Focus<'d>, rule: &str, exhausted: &mut Exhausted) -> Result<bool, String> {
    if exhausted.is_given_up(rule) {
        return Err(GIVEN_UP.to_owned());
    }
    let held = compiled.truth(focus);
    exhausted.note(rule, &held);
    held.map_err(|error| error.to_string())
}

fn focus<'d>(walk: &'d Walk<'_>, scope: &'d Scope<'_>, environment: &'d Surroundings<'_>, context: TreeItem<'d>) -> Focus<'d> {
    Focus {
        types: walk.types,
        context: Item::Tree(context),
        resource: scope.resource,
        root_resource: scope.container,
        document: scope.document,
        environment,
        now: walk.options.now,
        limits: Limits { steps: STEPS_MAX, ..DEFAULT_LIMITS },
    }
}

/// The elements among the items, each once.
fn holders<'d>(items: Vec<Item<'d>>) -> impl Iterator<Item = TreeItem<'d>> {
    let mut met = HashSet::new();
    let places = items.into_iter().filter_map(|item| if let Item::Tree(place) = item { Some(place) } else { None });
    places.filter(move |place| met.insert((place.node.map(address), place.sibling.map(|beside| std::ptr::from_ref(beside).addr()))))
}

/// The extensions of an element.
fn extensions<'d>(holder: TreeItem<'d>) -> impl Iterator<Item = &'d Node> {
    let objects = [holder.node.and_then(Node::as_object), holder.sibling];
    let lists = objects.into_iter().flatten().flat_map(|object| ["extension", "modifierExtension"].map(|name| object.get(name)));
    lists.flatten().flat_map(|list| list.as_list().unwrap_or_default())
}
