//! Which release a resource is written in: what is declared first, then its shape.

use super::Release;
use super::table::{Conversions, any_at};
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
    /// Elements that no one release has all of.
    Mixed,
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
    match (claims(resource), context.declared) {
        (Some(one), Some(other)) if one != other => return Detected::Several(vec![one, other]),
        (claimed, said) => {
            if let Some(declared) = claimed.or(said).or(context.source.release) {
                return Detected::One(declared);
            }
        }
    }
    by_shape(resource, type_name, context.types)
}

/// The releases that a resource says it is of, or that have what it holds; none where that is R4, or no one release.
pub fn other_releases(resource: &Node, types: &TypeTable) -> Vec<Release> {
    let Some((object, type_name)) = resource.as_object().zip(resource.resource_type()) else { return Vec::new() };
    match claims(object).map_or_else(|| by_shape(object, type_name, types), Detected::One) {
        Detected::One(Release::R4) | Detected::Mixed => Vec::new(),
        Detected::One(release) => vec![release],
        Detected::Several(releases) => releases,
    }
}

fn by_shape(resource: &Object, type_name: &str, types: &TypeTable) -> Detected {
    let rows = DIFFERENCES.get(type_name).map(Vec::as_slice).unwrap_or_default();
    let Some(definition) = types.resource(type_name) else {
        let releases: Vec<Release> = rows.iter().filter(|(_, row)| row.unknown_to_r4).map(|(release, _)| *release).collect();
        return one_of(releases);
    };
    let is_r4 = |name: &str, node: &Node| fits_r4(types, definition.root, name, node);
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
    let fitting: Vec<Release> = rows.iter().filter(|(_, row)| fits(row)).map(|(release, _)| *release).collect();
    let is_known_elsewhere = |name: &str| rows.iter().any(|(_, row)| row.other.contains_key(name.trim_start_matches('_')));
    let is_mixed = fitting.is_empty()
        && resource.members().iter().any(|member| {
            let plain = member.name.trim_start_matches('_');
            member.name != "resourceType" && types.member(definition.root, plain).is_none() && is_known_elsewhere(&member.name)
        });
    if is_mixed { Detected::Mixed } else { one_of(fitting) }
}

/// The release that the contained resources of what looks like R4 are written in. They are of their container's release, so it must be one that the
/// container's own elements have too.
pub(super) fn inside(resource: &Object, type_name: &str, context: &Context<'_>) -> Detected {
    let contained = resource.get("contained").and_then(Node::as_list).unwrap_or_default();
    if claims(resource).or(context.declared).or(context.source.release).is_some() {
        return Detected::One(Release::R4);
    }
    for object in contained.iter().filter_map(Node::as_object) {
        let inner = object.get("resourceType").and_then(Node::as_text).unwrap_or_default();
        match by_shape(object, inner, context.types) {
            Detected::One(Release::R4) => {}
            Detected::One(release) if may_be(resource, type_name, release) => return Detected::One(release),
            Detected::Several(mut releases) => {
                releases.retain(|release| may_be(resource, type_name, *release));
                return if releases.is_empty() { Detected::Mixed } else { one_of(releases) };
            }
            _ => return Detected::Mixed,
        }
    }
    Detected::One(Release::R4)
}

/// Whether a resource of R4's elements has none that the release does not know.
fn may_be(resource: &Object, type_name: &str, release: Release) -> bool {
    let rows = DIFFERENCES.get(type_name).map(Vec::as_slice).unwrap_or_default();
    let row = rows.iter().find(|(of, _)| *of == release);
    row.is_none_or(|(_, row)| !resource.members().iter().any(|member| row.only_r4.contains(&member.name.trim_start_matches('_'))))
}

/// The releases that know all these members, none of which R4 gives the type; `None` where R4 is at fault for nothing.
pub(super) fn by_names(type_name: &str, names: &[String], types: &TypeTable) -> Option<Detected> {
    let rows = DIFFERENCES.get(type_name).map(Vec::as_slice).unwrap_or_default();
    let Some(definition) = types.resource(type_name) else {
        let releases: Vec<Release> = rows.iter().filter(|(_, row)| row.unknown_to_r4).map(|(release, _)| *release).collect();
        return (!releases.is_empty()).then(|| one_of(releases));
    };
    let unknown: Vec<&str> = names.iter().map(String::as_str).filter(|name| types.member(definition.root, name).is_none()).collect();
    let known = |row: &Difference| unknown.iter().filter(|name| row.other.contains_key(**name)).count();
    rows.iter().find(|(_, row)| known(row) > 0)?;
    let own = |row: &Difference| names.iter().any(|name| row.only_r4.contains(&name.as_str()));
    let releases = rows.iter().filter(|(_, row)| known(row) == unknown.len() && !own(row)).map(|(release, _)| *release);
    let releases: Vec<Release> = releases.collect();
    Some(if releases.is_empty() { Detected::Mixed } else { one_of(releases) })
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
    let converted = |release: Release| {
        Conversions::of(release).is_some_and(|conversions| conversions.has(type_name) && conversions.marks(type_name, resource))
    };
    let listed = |release: Release| {
        let marks = INNER_MARKS.get(type_name).map(Vec::as_slice).unwrap_or_default();
        marks.iter().any(|mark| mark.release == release && mark.is_in(resource))
    };
    one_of(Release::ALL.into_iter().filter(|&release| release != Release::R4 && (converted(release) || listed(release))).collect())
}

/// A member inside a resource that a release has and R4 has not, or has in another shape.
struct InnerMark {
    release: Release,
    /// The members that lead to the object that holds it.
    steps: &'static str,
    member: &'static str,
    /// Whether it must be a list; `None` when R4 has no such member.
    is_list: Option<bool>,
}

impl InnerMark {
    fn is_in(&self, resource: &Object) -> bool {
        any_at(resource, self.steps, &mut |object| {
            object.get(self.member).is_some_and(|node| self.is_list.is_none_or(|is_list| node.as_list().is_some() == is_list))
        })
    }
}

static INNER_MARKS: LazyLock<HashMap<&'static str, Vec<InnerMark>>> = LazyLock::new(|| {
    let mut marks: HashMap<&'static str, Vec<InnerMark>> = HashMap::new();
    for line in include_str!("../facts/inner-marks.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(releases), Some(place), Some(members)) = (columns.next(), columns.next(), columns.next()) else { continue };
        let Some((type_name, steps)) = place.split_once('.') else { continue };
        for release in releases.split(' ').filter_map(Release::parse) {
            let each = members.split(' ').map(|written| InnerMark {
                release,
                steps,
                member: written.trim_end_matches(['*', '!']),
                is_list: written.ends_with(['*', '!']).then(|| written.ends_with('*')),
            });
            marks.entry(type_name).or_default().extend(each);
        }
    }
    marks
});

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
