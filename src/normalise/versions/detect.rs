//! Which release a resource is written in: what is declared first, then its shape.

use super::Release;
use super::table::Conversions;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Object, Value};
use crate::normalise::Context;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The releases that fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detected {
    One(Release),
    Several(Vec<Release>),
}

/// The form of a member's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    is_list: bool,
    is_primitive: bool,
}

/// How a type of another release differs from R4's.
#[derive(Debug, Default)]
struct Difference {
    /// R4 has no such type.
    unknown_to_r4: bool,
    /// Members that R4 does not have or has in another shape.
    other: HashMap<&'static str, Shape>,
    /// Members that only R4 has.
    only_r4: Vec<&'static str>,
}

type Differences = HashMap<&'static str, Vec<(Release, Difference)>>;

static DIFFERENCES: LazyLock<Differences> = LazyLock::new(|| {
    let mut all = Differences::new();
    for line in include_str!("../facts/releases.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(release), Some(type_name), Some(members)) = (columns.next().and_then(Release::parse), columns.next(), columns.next())
        else {
            continue;
        };
        all.entry(type_name).or_default().push((release, difference(members)));
    }
    all
});

fn difference(members: &'static str) -> Difference {
    let mut difference = Difference::default();
    for word in members.split(' ') {
        let (sign, written) = word.split_at(usize::from(!word.is_empty()));
        let name = written.trim_end_matches(['*', '\'']);
        match (sign, name) {
            ("+", "") => difference.unknown_to_r4 = true,
            ("-", name) => difference.only_r4.push(name),
            (_, name) => {
                let shape = Shape { is_list: written.contains('*'), is_primitive: written.ends_with('\'') };
                difference.other.insert(name, shape);
            }
        }
    }
    difference
}

/// Whether a type has other members of its own in a release than in R4.
pub(super) fn differs(release: Release, type_name: &str) -> bool {
    DIFFERENCES.get(type_name).is_some_and(|rows| rows.iter().any(|(of, _)| *of == release))
}

/// The types that a release has and R4 has not, or has with other members, in alphabetical order.
pub(super) fn differing(release: Release) -> Vec<&'static str> {
    let mut names: Vec<&str> =
        DIFFERENCES.iter().filter(|(_, rows)| rows.iter().any(|(of, _)| *of == release)).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

pub(super) fn detect(resource: &Object, type_name: &str, context: &Context<'_>) -> Detected {
    if let Some(declared) = claims(resource).or(context.source.release) {
        return Detected::One(declared);
    }
    let rows = DIFFERENCES.get(type_name).map(Vec::as_slice).unwrap_or_default();
    let Some(definition) = context.types.resource(type_name) else {
        let releases: Vec<Release> = rows.iter().filter(|(_, row)| row.unknown_to_r4).map(|(release, _)| *release).collect();
        return one_of(releases);
    };
    let is_r4 = |name: &str, node: &Node| fits_r4(context.types, definition.root, name, node);
    if resource.members().iter().all(|member| is_r4(&member.name, &member.node)) {
        return inner_marks(resource, type_name);
    }
    let fits = |row: &Difference| {
        resource.members().iter().all(|member| {
            let name = member.name.trim_start_matches('_');
            match row.other.get(name) {
                Some(shape) => member.name.starts_with('_') || *shape == shape_of(&member.node),
                None => is_r4(&member.name, &member.node) && !row.only_r4.contains(&name),
            }
        })
    };
    one_of(rows.iter().filter(|(_, row)| fits(row)).map(|(release, _)| *release).collect())
}

/// No release that fits leaves R4, whose validation then names what it does not know.
fn one_of(releases: Vec<Release>) -> Detected {
    match releases.as_slice() {
        [] => Detected::One(Release::R4),
        [one] => Detected::One(*one),
        _ => Detected::Several(releases),
    }
}

/// Looks inside, where the members of the resource itself are all R4's.
fn inner_marks(resource: &Object, type_name: &str) -> Detected {
    let releases = [Release::Stu3, Release::R5].into_iter().filter(|&release| {
        Conversions::of(release).is_some_and(|conversions| conversions.has(type_name) && conversions.marks(type_name, resource))
    });
    one_of(releases.collect())
}

fn fits_r4(types: &TypeTable, root: crate::fhir::types::ElementId, name: &str, node: &Node) -> bool {
    if name == "resourceType" {
        return true;
    }
    let (plain, is_sibling) = name.strip_prefix('_').map_or((name, false), |plain| (plain, true));
    let Some(found) = types.member(root, plain) else { return false };
    let element = types.element(found.element);
    let shape = shape_of(node);
    if is_sibling || element.repeats() != shape.is_list {
        return is_sibling;
    }
    // A choice's name carries its type, and what a member of a known name holds is for validation; here only text for an object tells releases apart.
    let type_name = element.types.get(found.type_index).map_or("", |type_use| type_use.code.as_str());
    element.is_choice || type_name.starts_with(|first: char| first.is_ascii_lowercase()) == shape.is_primitive
}

fn shape_of(node: &Node) -> Shape {
    match &node.value {
        Value::List(items) => Shape { is_list: true, is_primitive: !items.iter().any(|item| item.as_object().is_some()) },
        Value::Object(_) => Shape { is_list: false, is_primitive: false },
        _ => Shape { is_list: false, is_primitive: true },
    }
}

/// The release that `meta.profile` names, when all profiles that name one name the same.
fn claims(resource: &Object) -> Option<Release> {
    let profiles = resource.get("meta")?.items("profile");
    let mut releases = profiles.iter().filter_map(|profile| claimed(profile.as_text()?));
    let first = releases.next()?;
    releases.all(|release| release == first).then_some(first)
}

/// The release of FHIR's own profiles, by a version behind the bar or in the path; versions of others' guides are their own.
pub(super) fn claimed(profile: &str) -> Option<Release> {
    let rest = profile.strip_prefix("http://hl7.org/fhir/")?;
    if let Some(versioned) = rest.strip_prefix("StructureDefinition/") {
        return Release::parse(versioned.split_once('|')?.1);
    }
    let (number, _) = rest.split_once("/StructureDefinition/")?;
    Release::parse(number)
}
