//! Rule 23. What a profile demands and the resource's own content already says is written where the profile wants it.
//!
//! Nothing clinical is made up: a category follows from the code or from the profile that fixes it; where a profile demands a value and none was
//! sent, the sender's silence is said (`unknown`), and only there. Race, birth sex, performers and the like are never filled.

use super::super::facts::{FILLS, Fill};
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::PROFILE_FILL;
use super::super::vocabulary::{DATA_ABSENT, DATA_ABSENT_REASON};
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Fills what the resource's profiles demand: those it claims, and those R4 demands of its code.
pub(in super::super) fn apply(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(PROFILE_FILL) {
        return;
    }
    for fill in demanded(resource) {
        match fill {
            Fill::Category { system, code } => category(resource, system, code, path, work),
            Fill::Result => result(resource, path, work),
            Fill::Complex(name) => absent(resource, name, true, path, work),
            Fill::Primitive(name) => absent(resource, name, false, path, work),
        }
    }
}

/// What is demanded by the codes and profiles of the resource, in the table's order.
fn demanded(resource: &Object) -> Vec<&'static Fill> {
    let type_name = resource.get("resourceType").and_then(Node::as_text).unwrap_or_default();
    let Some(rows) = FILLS.get(type_name) else { return Vec::new() };
    let profiles = resource.get("meta").map(|meta| meta.items("profile")).unwrap_or_default();
    let codings = resource.get("code").map(|code| code.items("coding")).unwrap_or_default();
    let claims = |wanted: &str| profiles.iter().filter_map(Node::as_text).any(|profile| profile.split('|').next() == Some(wanted));
    let coded = |wanted: &str| {
        codings.iter().any(|coding| {
            wanted.split_once('|').is_some_and(|(system, code)| coding.text("system") == Some(system) && coding.text("code") == Some(code))
        })
    };
    rows.iter().filter(|(demand, _)| if demand.contains('|') { coded(demand) } else { claims(demand) }).map(|(_, fill)| fill).collect()
}

fn category(resource: &mut Object, system: &str, code: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let concepts = resource.get("category").and_then(Node::as_list).unwrap_or_default();
    let has = |concept: &Node| {
        concept.items("coding").iter().any(|coding| coding.text("system") == Some(system) && coding.text("code") == Some(code))
    };
    // What is no list is for validation to name.
    if concepts.iter().any(has) || resource.get("category").is_some_and(|category| category.as_list().is_none()) {
        return;
    }
    let coding = Object::new().with("system", system).with("code", code);
    work.append(PROFILE_FILL, resource, path, "category", Object::new().with("coding", vec![coding.into()]).into());
    let text = "the category follows from the code or the claimed profile; it was added";
    work.flag(Severity::Information, IssueType::Informational, "category-added", &path.member("category"), text);
}

/// A result that is neither there nor in parts: that it is not known is what the profile wants to read.
fn result(resource: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if is_answered(resource) {
        return;
    }
    let coding = Object::new().with("system", DATA_ABSENT_REASON).with("code", "unknown");
    work.set(PROFILE_FILL, resource, path, "dataAbsentReason", Object::new().with("coding", vec![coding.into()]));
    let text = "the profile demands a value or the reason why there is none; none was sent, so the reason is unknown";
    work.flag(Severity::Warning, IssueType::Incomplete, "value-absent", path, text);
}

pub(super) fn is_answered(resource: &Object) -> bool {
    resource.members().iter().any(|member| {
        let name = member.name.trim_start_matches('_');
        name.starts_with("value") || matches!(name, "dataAbsentReason" | "component" | "hasMember")
    })
}

/// An element that is demanded and absent, with the reason `unknown`.
fn absent(resource: &mut Object, name: &str, is_list_of_complex: bool, path: &Path<'_>, work: &mut Work<'_>) {
    let sibling = format!("_{name}");
    if resource.get(name).is_some() || resource.get(&sibling).is_some() {
        return;
    }
    let said: Node = Object::new().with("url", DATA_ABSENT).with("valueCode", "unknown").into();
    let element: Node = Object::new().with("extension", vec![said]).into();
    if is_list_of_complex {
        work.set(PROFILE_FILL, resource, path, name, vec![element]);
    } else {
        work.set(PROFILE_FILL, resource, path, &sibling, element);
    }
    let text = "the profile demands the element and it was not sent; its absence is said in its place";
    work.flag(Severity::Warning, IssueType::Incomplete, "element-absent", &path.member(name), text);
}
