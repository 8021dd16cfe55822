//! ImplementationGuides: the packages that they depend on have names and versions that a registry knows
//! (<https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.dependsOn>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;

const NO_NAME: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_INVALID_PACKAGEID");
const NO_VERSION: Rule = Rule::error(IssueType::BusinessRule, "IG_DEPENDENCY_INVALID_PACKAGE_VERSION");

/// Judges an ImplementationGuide.
pub fn check(walk: &mut Walk<'_>, guide: &Node, path: &Path<'_>) {
    let name = path.name("dependsOn");
    for (index, dependency) in guide.items("dependsOn").iter().enumerate() {
        let at = name.index(index);
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
