//! Discriminators: paths by which slices are told apart lead to something in what is sliced (<https://hl7.org/fhir/R4/profiling.html#discriminator>).

use super::super::path::Path;
use super::super::report::Rule;
use super::super::structure::Walk;
use super::elements::{Listed, codes};
use super::rules;
use crate::fhir::Node;
use crate::fhir::path::PathError;
use crate::outcome::IssueType;

const LEADS_NOWHERE: Rule = Rule::error(IssueType::Invalid, "SD_PATH_NOT_VALID");
const UNREADABLE: Rule = Rule::error(IssueType::Invalid, "SD_PATH_ERROR");

/// Judges the discriminators of an element that says of which types it is; of which the others are, its base says.
pub fn check(walk: &mut Walk<'_>, list: &Listed<'_>, element: &Node, path: &Path<'_>) {
    let Some(slicing) = element.get("slicing") else { return };
    let element_path = element.text("path").unwrap_or_default();
    if !list.is_constraint || codes(element).is_empty() || !rules::is_element(walk.types, list.type_name, element_path) {
        return;
    }
    let (sliced, types) = (path.name("slicing"), walk.types);
    let name = sliced.name("discriminator");
    for (index, discriminator) in slicing.items("discriminator").iter().enumerate() {
        let Some(stated) = discriminator.text("path") else { continue };
        let Err(error) = rules::of_element(types, list, None, element, stated) else { continue };
        let rule = if matches!(error, PathError::UnknownElement { .. }) { LEADS_NOWHERE } else { UNREADABLE };
        let text = format!("Nothing can be told apart by this path: {}", rules::reason(&error));
        walk.report.add(rule, &name.index(index), discriminator, text);
    }
}
