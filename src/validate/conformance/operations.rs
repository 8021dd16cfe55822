//! OperationDefinitions: the profiles of what goes in and comes out are of Parameters (<https://hl7.org/fhir/R4/operationdefinition.html>).

mod parameters;

use super::super::path::Path;
use super::super::profiles::base_type;
use super::super::report::Rule;
use super::super::structure::Walk;
use crate::fhir::Node;
use crate::outcome::IssueType;

const NOT_IN_HAND: Rule = Rule::error(IssueType::NotFound, "OPDEF_PROFILE_NOT_FOUND");
const NOT_OF_PARAMETERS: Rule = Rule::error(IssueType::Invalid, "OPDEF_PROFILE_NOT_PARAMETERS");

/// Judges an OperationDefinition. A profile that is not in hand is an error where what is not in hand is said: its parameters stand nowhere else.
pub fn check(walk: &mut Walk<'_>, operation: &Node, path: &Path<'_>) {
    let (types, definitions) = (walk.types, walk.definitions);
    for member in ["inputProfile", "outputProfile"] {
        let Some((node, url)) = operation.get(member).and_then(|node| Some((node, node.as_text()?))) else { continue };
        let type_name = base_type(types, url).or_else(|| definitions.structure(url).map(|found| found.type_name.as_str()));
        match type_name {
            Some("Parameters") => {
                if let Some(profile) = definitions.profile(url) {
                    parameters::check(walk, operation, profile, if member == "inputProfile" { "in" } else { "out" }, path);
                }
            }
            Some(_) => walk.report.add(NOT_OF_PARAMETERS, &path.name(member), node, "The profile must be one of Parameters"),
            None if walk.options.report_undecided => {
                walk.report.add(NOT_IN_HAND, &path.name(member), node, "The profile of the parameters is not in hand")
            }
            None => {}
        }
    }
}
