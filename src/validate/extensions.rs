//! Extensions: their form, their definition, and where they may stand (<https://hl7.org/fhir/R4/extensibility.html>).

use super::environment::Surroundings;
use super::path::Path;
use super::primitives::has_scheme;
use super::profiles::{self, Found};
use super::references::Scope;
use super::report::Rule;
use super::structure::{Surrounding, Walk};
use crate::definitions::{ContextKind, ExtensionContext, Structure};
use crate::fhir::path::{DEFAULT_LIMITS, Expression, Focus, Item, Limits, TreeItem};
use crate::fhir::types::{ElementId, TypeTable};
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

const NO_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_Url_NotFound");
const RELATIVE_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_URL_Absolute");
const VALUE_OR_EXTENSIONS: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Extension#ext-1");
const UNKNOWN: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Unknown_NotHere");
const NOT_AN_EXTENSION: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Type");
const OTHER_VERSION: Rule = Rule::error(IssueType::BusinessRule, "EXT_VER_URL_REVERSION");
const NO_SUCH_RELEASE: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_Version_Invalid");
const WRONG_CONTEXT: Rule = Rule::error(IssueType::Extension, "Extension_EXTP_Context_Wrong");
const RULE_OF_CONTEXT: Rule = Rule::error(IssueType::Structure, "Profile_EXT_Not_Here");
const IS_MODIFIER: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Modifier_Y");
const IS_NO_MODIFIER: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Modifier_N");

/// Units of work that one context may cost.
const CONTEXT_STEPS_MAX: u64 = 200_000;

/// Whose extensions need no definition: examples, another standard's, and those of HL7's own tools.
const FREE_DOMAINS: [&str; 4] = ["example.org", "acme.com", "nema.org", "hl7.org/fhir/tools/"];

/// Extensions published by HL7 for every release, in a package of their own, may be genuine without being in hand.
const PUBLISHED_BEYOND_CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// R4's own resources use these in more places, and with other types of value, than R4 defines; later releases define them as they are used.
const WIDER_IN_USE: [&str; 14] = [
    "regex",
    "structuredefinition-ballot-status",
    "structuredefinition-category",
    "structuredefinition-codegen-super",
    "structuredefinition-display-hint",
    "structuredefinition-explicit-type-name",
    "structuredefinition-fhir-type",
    "structuredefinition-fmm",
    "structuredefinition-fmm-no-warnings",
    "structuredefinition-hierarchy",
    "structuredefinition-normative-version",
    "structuredefinition-standards-status",
    "structuredefinition-wg",
    "valueset-concept-comments",
];

/// Judges one extension: it has a URL, absolute unless it stands in another extension, either a value or extensions, and meets its definition.
pub fn check(walk: &mut Walk<'_>, extension: &Node, content: ElementId, scope: &Scope<'_>, path: &Path<'_>) {
    form(walk, extension, path);
    let Some(url) = extension.text("url").filter(|url| has_scheme(url)) else { return };
    let definitions = walk.definitions;
    if url.strip_prefix(PUBLISHED_BEYOND_CORE).is_some_and(|name| WIDER_IN_USE.contains(&name)) {
        return;
    }
    if let Some((plain, version)) = url.split_once('|') {
        let known = definitions.structure(plain).is_some_and(|structure| structure.version != version);
        if known {
            walk.report.add(
                OTHER_VERSION,
                path,
                extension,
                "An extension is named by its URL without a version, and the one in hand has another",
            );
        }
    }
    match definitions.profile(url) {
        Some(profile) if profile.type_name == "Extension" => {
            let found = Found::root(TreeItem { node: Some(extension), sibling: None, content });
            profiles::check(walk, profile, found, scope, path);
            modifier(walk, profile.root().element.is_modifier, extension, path);
            if let Some(structure) = definitions.structure(url) {
                context(walk, structure, extension, scope, path);
            }
        }
        None if definitions.structure(url).is_none() => unknown(walk, url, extension, path),
        _ => walk.report.add(NOT_AN_EXTENSION, path, extension, "The url of an extension names a definition that is not of an extension"),
    }
}

fn form(walk: &mut Walk<'_>, extension: &Node, path: &Path<'_>) {
    match extension.text("url") {
        None if extension.get("url").is_none() => walk.report.add(NO_URL, path, extension, "An extension must say what it is in its url"),
        Some(url) if !url.is_empty() && !has_scheme(url) && !path.is_in_extension() => {
            walk.report.add(RELATIVE_URL, path, extension, "The url of an extension that does not stand in another must be absolute");
        }
        _ => {}
    }
    let members = extension.as_object().map(Object::members).unwrap_or_default();
    let has_value = members.iter().any(|member| member.name.strip_prefix('_').unwrap_or(&member.name).starts_with("value"));
    let has_extensions = extension.get("extension").is_some();
    if has_value == has_extensions {
        walk.report.add(VALUE_OR_EXTENSIONS, path, extension, "Rule ext-1: an extension must have either a value or extensions, not both");
    }
}

/// The release of an extension that stands for an element of another release: `http://hl7.org/fhir/5.0/StructureDefinition/extension-…`
/// (<https://hl7.org/fhir/R4/versions.html#extensions>).
fn release_of(url: &str) -> Option<&str> {
    let (release, rest) = url.strip_prefix("http://hl7.org/fhir/")?.split_once('/')?;
    let is_release = release.starts_with(|first: char| first.is_ascii_digit()) && release.contains('.');
    (is_release && rest.starts_with("StructureDefinition/extension-")).then_some(release)
}

/// The releases whose elements may be carried in extensions.
const RELEASES: [&str; 7] = ["1.0", "1.4", "3.0", "4.0", "4.3", "5.0", "6.0"];

fn unknown(walk: &mut Walk<'_>, url: &str, extension: &Node, path: &Path<'_>) {
    let options = walk.options;
    let release = release_of(url);
    if release.is_some_and(|release| !RELEASES.contains(&release)) {
        return walk.report.add(NO_SUCH_RELEASE, path, extension, "The url of the extension names a release of FHIR that there is not");
    }
    let is_free = release.is_some()
        || FREE_DOMAINS.iter().any(|domain| url.contains(domain))
        || options.extension_domains.iter().any(|domain| url.starts_with(domain.as_str()))
        || url.starts_with(PUBLISHED_BEYOND_CORE);
    let severity = match (options.refuse_unknown_extensions && !is_free, options.report_undecided) {
        (true, _) => Severity::Error,
        (false, true) => Severity::Information,
        (false, false) => return,
    };
    walk.report.add(
        Rule { severity, ..UNKNOWN },
        path,
        extension,
        "The definition of this extension is not in hand, so it was not checked",
    );
}

fn modifier(walk: &mut Walk<'_>, is_modifier: bool, extension: &Node, path: &Path<'_>) {
    match (is_modifier, path.is_modifier_extension()) {
        (true, Some(false)) => {
            walk.report.add(IS_MODIFIER, path, extension, "This extension changes meaning, so it must be in modifierExtension")
        }
        (false, Some(true)) => {
            walk.report.add(
                IS_NO_MODIFIER,
                path,
                extension,
                "This extension does not change meaning, so it must not be in modifierExtension",
            );
        }
        _ => {}
    }
}

fn context(walk: &mut Walk<'_>, structure: &Structure, extension: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(around) = walk.around.last().cloned() else { return };
    let (types, contexts) = (walk.types, structure.contexts.as_slice());
    let is_selected = |one: &ExtensionContext| {
        one.kind == ContextKind::FhirPath && selects(walk, &one.expression, extension, scope).is_none_or(|found| found)
    };
    let fits = contexts.is_empty() || contexts.iter().any(|one| allows(types, one, &around, path) || is_selected(one));
    if !fits {
        let allowed: Vec<&str> = contexts.iter().map(|one| one.expression.as_str()).collect();
        let holder = path.container().unwrap_or(path);
        walk.report.add(WRONG_CONTEXT, holder, extension, format!("This extension may not stand here, only on: {}", allowed.join(", ")));
    }
    context_rules(walk, structure, extension, scope, path);
}

/// Rules about the element that has the extension must hold there.
fn context_rules(walk: &mut Walk<'_>, structure: &Structure, extension: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let broken = structure.context_invariants.iter().filter(|rule| is_broken(walk, rule, extension, scope) == Some(true));
    let texts: Vec<String> = broken.map(|rule| format!("This extension may not stand here: its definition asks that {rule}")).collect();
    for text in texts {
        walk.report.add(RULE_OF_CONTEXT, path.container().unwrap_or(path), extension, text);
    }
}

fn is_broken(walk: &Walk<'_>, rule: &str, extension: &Node, scope: &Scope<'_>) -> Option<bool> {
    let everything = Expression::compile("$this | descendants()", walk.types).ok()?;
    let rule = Expression::compile(rule, walk.types).ok()?;
    let surroundings = Surroundings::within(walk.definitions, walk.conforming).beside(scope.neighbours);
    let root = Item::Tree(TreeItem::resource(walk.types, scope.resource)?);
    let items = everything.evaluate(&focus(walk, scope, &surroundings, root)).ok()?;
    let holder = holder(items, extension)?;
    rule.truth(&focus(walk, scope, &surroundings, Item::Tree(holder))).ok().map(|held| !held)
}

/// Whether an expression selects the element that has an extension from the resource; `None` when that cannot be said.
fn selects(walk: &Walk<'_>, expression: &str, extension: &Node, scope: &Scope<'_>) -> Option<bool> {
    let expression = Expression::compile(expression, walk.types).ok()?;
    let surroundings = Surroundings::within(walk.definitions, walk.conforming).beside(scope.neighbours);
    let root = Item::Tree(TreeItem::resource(walk.types, scope.resource)?);
    let items = expression.evaluate(&focus(walk, scope, &surroundings, root)).ok()?;
    Some(holder(items, extension).is_some())
}

fn focus<'d>(walk: &'d Walk<'_>, scope: &'d Scope<'_>, environment: &'d Surroundings<'_>, context: Item<'d>) -> Focus<'d> {
    Focus {
        types: walk.types,
        context,
        resource: scope.resource,
        root_resource: scope.container,
        document: scope.document,
        environment,
        now: walk.options.now,
        limits: Limits { steps: CONTEXT_STEPS_MAX, ..DEFAULT_LIMITS },
    }
}

/// The item that has an extension.
fn holder<'d>(items: Vec<Item<'d>>, extension: &Node) -> Option<TreeItem<'d>> {
    let lists = |object: &Object| ["extension", "modifierExtension"].iter().any(|name| holds(object.get(name), extension));
    let has = |item: &TreeItem<'_>| item.node.and_then(Node::as_object).is_some_and(lists) || item.sibling.is_some_and(lists);
    items.into_iter().find_map(|item| if let Item::Tree(item) = item { has(&item).then_some(item) } else { None })
}

fn holds(list: Option<&Node>, extension: &Node) -> bool {
    list.and_then(Node::as_list).is_some_and(|items| items.iter().any(|item| std::ptr::eq(item, extension)))
}

/// Whether a context allows an extension in what surrounds it. Contexts in FHIRPath are judged by what they select.
fn allows(types: &TypeTable, context: &ExtensionContext, around: &Surrounding, path: &Path<'_>) -> bool {
    let expression = context.expression.as_str();
    match context.kind {
        ContextKind::FhirPath => false,
        ContextKind::Extension => around.extension.as_deref() == Some(expression),
        ContextKind::Element => {
            // A context may name an element of a profile; which profile applies is not followed here.
            let names_profile = has_scheme(expression);
            let same = |path: &str| path.replace("[x]", "") == expression.replace("[x]", "");
            let type_names = std::iter::once(around.content).chain(around.element.into_iter().flat_map(|id| roots(types, id)));
            let mut codes = around.element.into_iter().flat_map(|id| &types.element(id).types).map(|one| one.code.as_str());
            names_profile
                || expression == "*"
                || around.element.is_some_and(|id| same(&types.element(id).path))
                || same(&types.element(around.content).path)
                || type_names.into_iter().any(|id| types.is_kind_of(&types.element(id).path, expression))
                || codes.any(|code| types.is_kind_of(code, expression))
                || expression == "Element"
                || same(&path.element_path())
                || is_inherited(types, around, expression)
        }
    }
}

/// `DomainResource.text` stands for `Patient.text` too.
fn is_inherited(types: &TypeTable, around: &Surrounding, expression: &str) -> bool {
    let Some(path) = around.element.map(|id| &types.element(id).path) else { return false };
    let parts = (path.split_once('.'), expression.split_once('.'));
    matches!(parts, (Some((owner, rest)), Some((ancestor, asked))) if rest == asked && types.is_kind_of(owner, ancestor))
}

fn roots(types: &TypeTable, id: ElementId) -> impl Iterator<Item = ElementId> {
    types.element(id).types.iter().filter_map(|one| one.root)
}
