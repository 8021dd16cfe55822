//! ImplementationGuides: the packages that they depend on have names and versions that a registry knows
//! (<https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.dependsOn>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::publishers;
use crate::fhir::Node;
use crate::outcome::IssueType;

const NO_NAME: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_INVALID_PACKAGEID");
const VERSION_EMPTY: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_CAN_VERSION_NONE");
const VERSION_ALONE: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_CAN_VERSION_ALONE");
const VERSION_DIFFERS: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_CAN_VERSION_ERROR");
const NO_GUIDE: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_DIRECT");
const NO_STATUS: Rule = Rule::error(IssueType::BusinessRule, "IG_HL7_STANDARDS_STATUS_REQUIRED");
const NO_GROUP: Rule = Rule::error(IssueType::BusinessRule, "IG_HL7_WG_REQUIRED");
const NO_VERSION: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_INVALID_PACKAGE_VERSION");

const STATUS: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status";

/// Judges an ImplementationGuide.
pub fn check(walk: &mut Walk<'_>, guide: &Node, path: &Path<'_>) {
    let name = path.name("dependsOn");
    for (index, dependency) in guide.items("dependsOn").iter().enumerate() {
        let at = name.index(index);
        uri(walk, dependency, &at);
        match (dependency.text("packageId"), dependency.text("version")) {
            (Some(package), _) if !is_name(package) => {
                walk.report.add(NO_NAME, &at, dependency, "The name of a package has two parts or more, parted by dots")
            }
            (Some(_), Some(version)) if !is_version(version) => {
                walk.report.add(NO_VERSION, &at, dependency, "The version of a package is of letters, digits and hyphens, parted by dots")
            }
            _ => {}
        }
    }
    if publishers::is_hl7(guide) || walk.options.as_hl7 && names_hl7(guide) {
        let states = |url: &str| guide.items("extension").iter().any(|one| one.text("url") == Some(url));
        if !states(STATUS) {
            walk.report.add(
                NO_STATUS,
                path,
                guide,
                "A guide of HL7's states how far it is a standard (structuredefinition-standards-status)",
            );
        }
        if !states(publishers::WORK_GROUP) {
            walk.report.add(NO_GROUP, path, guide, "A guide of HL7's states the work group that keeps it (structuredefinition-wg)");
        }
    }
}

/// Whether the URL of a guide has HL7's name anywhere, which is enough for HL7's validator.
fn names_hl7(guide: &Node) -> bool {
    guide.text("url").is_some_and(|url| url.contains("hl7"))
}

/// The URI of a guide that is depended on, which may name the version that stands beside it.
fn uri(walk: &mut Walk<'_>, dependency: &Node, path: &Path<'_>) {
    let Some(uri) = dependency.text("uri") else { return };
    let (url, version) = uri.split_once('|').map_or((uri, None), |(url, version)| (url, Some(version)));
    let is_guide = url.contains("/ImplementationGuide/");
    match (version, dependency.text("version")) {
        (Some(""), _) => walk.report.add(VERSION_EMPTY, path, dependency, "Behind the bar in the URI of a guide stands its version"),
        (Some(_), None) => {
            walk.report.add(VERSION_ALONE, path, dependency, "The version in the URI of a guide must stand in 'version' too")
        }
        // HL7's validator says so only of what is no guide's URI.
        (Some(named), Some(stated)) if named != stated && !is_guide => {
            walk.report.add(VERSION_DIFFERS, path, dependency, "The version in the URI of a guide is not the one in 'version'");
        }
        _ => {}
    }
    if !is_guide {
        walk.report.add(NO_GUIDE, path, dependency, "The URI must be that of the ImplementationGuide itself");
    }
}

fn is_name(package: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    package.starts_with(|first: char| first.is_ascii_alphabetic()) && package.contains('.') && package.split('.').all(is_part)
}

fn is_version(version: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'));
    version.split('.').all(is_part)
}
