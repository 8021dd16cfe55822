//! The form that every extension has, known or not (<https://hl7.org/fhir/R4/extensibility.html>).

use super::path::Path;
use super::primitives::has_scheme;
use super::report::Rule;
use super::structure::Walk;
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;

const NO_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_Url_NotFound");
const RELATIVE_URL: Rule = Rule::error(IssueType::Invalid, "Extension_EXT_URL_Absolute");
const VALUE_OR_EXTENSIONS: Rule = Rule::error(IssueType::Invariant, "http://hl7.org/fhir/StructureDefinition/Extension#ext-1");

/// Judges one extension: it has a URL, absolute unless it stands in another extension, and either a value or extensions.
pub fn check(walk: &mut Walk<'_>, extension: &Node, path: &Path<'_>) {
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
