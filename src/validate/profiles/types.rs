//! Of which types an element may be, and the profiles asked of them.

use super::super::path::Path;
use super::super::references::{self, Scope};
use super::super::report::Rule;
use super::super::structure::Walk;
use super::elements::Steps;
use super::{Asked, Found, check_url, conforms, is_in_hand};
use crate::definitions::ProfileType;
use crate::fhir::types::TypeTable;
use crate::outcome::IssueType;

const TYPE_NOT_ALLOWED: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NoType");
const WRONG_TYPE_OF_EXTENSION: Rule = Rule::error(IssueType::Structure, "Extension_EXT_Type");
const NO_PROFILE_FITS: Rule = Rule::error(IssueType::Structure, "Validation_VAL_Profile_NoMatch");
const OF_ENTRY_NOT_IN_HAND: Rule = Rule::error(IssueType::Invalid, "Bundle_BUNDLE_Entry_NoProfile_EXPL");
const ONE_OF_ENTRY_NOT_IN_HAND: Rule = Rule::error(IssueType::Invalid, "Bundle_BUNDLE_Entry_NoProfile_TYPE");

/// What a profile says of the type of an element.
#[derive(PartialEq, Eq)]
pub enum Allowed<'a> {
    /// Nothing.
    Any,
    No,
    Yes(&'a ProfileType),
}

pub fn allowed_type<'a>(types: &TypeTable, asked: Asked<'a>, found: Found<'_>) -> Allowed<'a> {
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
pub fn check(walk: &mut Walk<'_>, asked: Asked<'_>, found: Found<'_>, scope: &Scope<'_>, path: &Path<'_>) {
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
    match one.profiles.as_slice() {
        [] => {}
        _ if is_resource && says_absent(walk, asked, one, found, path) => {}
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

/// Says which of the profiles that a resource within another may meet are not in hand, and whether any is not. Where no more is reported, the first
/// has said it all.
fn says_absent(walk: &mut Walk<'_>, asked: Asked<'_>, one: &ProfileType, found: Found<'_>, path: &Path<'_>) -> bool {
    let rule = if one.profiles.len() == 1 { OF_ENTRY_NOT_IN_HAND } else { ONE_OF_ENTRY_NOT_IN_HAND };
    let mut is_any = false;
    for url in &one.profiles {
        if !is_part_in_hand(walk, url) {
            let text = format!("{}: the profile {url} that is asked for is not in hand", asked.node().path);
            walk.report.add_at(rule, path, found.offset(), text);
            is_any = true;
        }
        if is_any && walk.report.is_full_of_errors() {
            break;
        }
    }
    is_any
}

fn is_part_in_hand(walk: &Walk<'_>, url: &str) -> bool {
    is_in_hand(walk, url) && (!url.contains('#') || walk.definitions.profile_part(url).is_some())
}
