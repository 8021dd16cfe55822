//! Extensions: their form and their definition (<https://hl7.org/fhir/R4/extensibility.html>).

use super::contexts;
use super::path::Path;
use super::primitives::has_scheme;
use super::profiles::{self, Found};
use super::references::Scope;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::path::TreeItem;
use crate::fhir::types::ElementId;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

const NO_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_Url_NotFound");
const RELATIVE_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_URL_Absolute");
const VALUE_OR_EXTENSIONS: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Extension#ext-1");
const UNKNOWN: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Unknown_NotHere");
const NOT_AN_EXTENSION: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Type");
const OTHER_VERSION: Rule = Rule::error(IssueType::BusinessRule, "EXT_VER_URL_REVERSION");
const NO_SUCH_RELEASE: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_Version_Invalid");
const IS_MODIFIER: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Modifier_Y");
const IS_NO_MODIFIER: Rule = Rule::error(IssueType::Extension, "Extension_EXT_Modifier_N");

/// Whose extensions need no definition: another standard's, and those of HL7's own tools, with the ones that the build of R4 left in its snapshots.
const FREE_DOMAINS: [&str; 3] = ["nema.org", "hl7.org/fhir/tools/", "hl7.org/fhir/build/"];

/// The same of examples, where URLs of examples are allowed.
const EXAMPLE_DOMAINS: [&str; 2] = ["example.org", "acme.com"];

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

/// R4 allows them in fewer places than HL7's own definitions have them in, as later releases allow: wherever something may be expected of a
/// capability, and where a parameter of an operation is bound.
const STATED_ANYWHERE: [&str; 2] = [
    "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation",
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-bindingName",
];

/// Judges one extension: it has a URL, absolute unless it stands in another extension, either a value or extensions, and meets its definition.
pub fn check(walk: &mut Walk<'_>, extension: &Node, content: ElementId, scope: &Scope<'_>, path: &Path<'_>) {
    form(walk, extension, path);
    let Some(url) = extension.text("url").filter(|url| has_scheme(url)) else { return };
    let definitions = walk.definitions;
    if url.strip_prefix(PUBLISHED_BEYOND_CORE).is_some_and(|name| WIDER_IN_USE.contains(&name)) {
        return;
    }
    let mut asked = url;
    if let Some((plain, _)) = url.split_once('|').filter(|_| definitions.structure(url).is_none()) {
        asked = plain;
        if definitions.structure(plain).is_some() {
            walk.report.add(
                OTHER_VERSION,
                path,
                extension,
                "An extension is named by its URL without a version, and the one in hand has another",
            );
        }
    }
    match definitions.profile(asked) {
        Some(profile) if profile.type_name == "Extension" => {
            let found = Found::root(TreeItem { node: Some(extension), sibling: None, content });
            profiles::check(walk, profile, found, scope, path);
            modifier(walk, profile.root().element.is_modifier, extension, path);
            if let Some(structure) = definitions.structure(asked).filter(|_| !STATED_ANYWHERE.contains(&url)) {
                contexts::check(walk, structure, extension, scope, path);
            }
        }
        None if definitions.structure(asked).is_none() => unknown(walk, url, extension, path),
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
    // What may change the meaning of all that stands beside it cannot be passed over (https://hl7.org/fhir/R4/extensibility.html#modifierExtension).
    let is_modifier = path.is_modifier_extension() == Some(true);
    let release = release_of(url);
    if release.is_some_and(|release| !RELEASES.contains(&release)) {
        return walk.report.add(NO_SUCH_RELEASE, path, extension, "The url of the extension names a release of FHIR that there is not");
    }
    let is_example = EXAMPLE_DOMAINS.iter().any(|domain| url.contains(domain));
    let is_free = release.is_some()
        || (is_example && !options.refuse_example_urls)
        || FREE_DOMAINS.iter().any(|domain| url.contains(domain))
        || options.extension_domains.iter().any(|domain| url.starts_with(domain.as_str()))
        || (url.starts_with(PUBLISHED_BEYOND_CORE) && !is_modifier);
    let is_refused = options.refuse_unknown_extensions || (is_example && options.refuse_example_urls);
    let severity = match (is_refused && !is_free, options.report_undecided) {
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
