//! What a discriminator compares, on the definition's side: its path followed from a slice through the profile and the profiles of its types.

use super::super::profiles::{Asked, Found, base_type};
use super::super::structure::Walk;
use super::super::values::Mode;
use super::{has, has_value};
use crate::definitions::profile::{NodeId, Profile, ProfileNode};
use crate::fhir::Node;

/// How many profiles and elements the search for what a discriminator compares may go through.
const CANDIDATES_MAX: usize = 64;

/// What a discriminator's path leads to on the definition's side.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    Node(Asked<'a>),
    /// A profile or type that a reference's target must meet.
    Canonical(&'a str),
    /// A part of a value or pattern that is stated further up.
    Value(&'a Node, Mode),
}

/// Follows a path from a slice through the profile and the profiles of its types.
pub fn candidates<'a>(walk: &Walk<'a>, slice: Asked<'a>, path: &str) -> Vec<Candidate<'a>> {
    let mut current = vec![Candidate::Node(slice)];
    for step in steps(path) {
        let mut next = Vec::new();
        for one in current {
            one.follow(walk, step, &mut next);
        }
        next.truncate(CANDIDATES_MAX);
        current = next;
    }
    current
}

/// The steps of a path; a dot inside brackets or quotes does not part them.
pub fn steps(path: &str) -> Vec<&str> {
    let (mut steps, mut start, mut depth) = (Vec::new(), 0, 0);
    for (index, letter) in path.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if depth == 0 => {
                steps.extend(path.get(start..index));
                start = index + 1;
            }
            _ => {}
        }
    }
    steps.extend(path.get(start..));
    steps
}

impl<'a> Candidate<'a> {
    fn follow(self, walk: &Walk<'a>, step: &str, next: &mut Vec<Candidate<'a>>) {
        let argument = |prefix: &str| step.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(')'));
        if step == "$this" || argument("ofType(").is_some() {
            return next.push(self);
        }
        if let Candidate::Value(value, mode) = self {
            return next.extend(parts(value, step, mode));
        }
        let asked = match self.resolved(walk) {
            Some(asked) => asked,
            None => return,
        };
        if step == "resolve()" {
            let targets = asked.node().element.types.iter().flat_map(|one| &one.target_profiles);
            return next.extend(targets.map(|url| Candidate::Canonical(url.as_str())));
        }
        let (name, url) = match argument("extension(") {
            Some(url) => ("extension", Some(url.trim_matches(['\'', '"']))),
            None => (step.strip_suffix("[x]").unwrap_or(step), None),
        };
        if url.is_none() {
            let stated = [(&asked.node().fixed, Mode::Fixed), (&asked.node().pattern, Mode::Pattern)];
            next.extend(
                stated
                    .into_iter()
                    .filter_map(|(value, mode)| Some((value.as_ref()?, mode)))
                    .flat_map(|(value, mode)| parts(value, name, mode)),
            );
        }
        let before = next.len();
        if let Some(child) = asked.profile.child(asked.node(), name) {
            let child = Asked { id: child, ..asked };
            match url {
                None => {
                    next.push(Candidate::Node(child));
                    // `contentString` states what `content` is.
                    let slices = child.node().slices.iter().filter(|_| child.node().element.types.is_empty());
                    next.extend(slices.map(|&id| Candidate::Node(Asked { id, ..child })));
                }
                Some(url) => next.extend(extension_slice(child, url)),
            }
        }
        if next.len() > before {
            return;
        }
        let profiles = asked.node().element.types.iter().flat_map(|one| &one.profiles);
        for (profile, part) in profiles.filter_map(|url| walk.definitions.profile_part(url)) {
            if let Some(child) = part.iter().rev().find_map(|&id| profile.child(profile.node(id), name)) {
                let child = Asked { profile, id: child };
                match url {
                    None => next.push(Candidate::Node(child)),
                    Some(url) => next.extend(extension_slice(child, url)),
                }
            }
        }
    }

    /// The node itself, or the root of the profile.
    pub fn resolved(self, walk: &Walk<'a>) -> Option<Asked<'a>> {
        match self {
            Candidate::Node(asked) => Some(asked),
            Candidate::Canonical(url) => walk.definitions.profile(url).map(|profile| Asked { profile, id: 0 }),
            Candidate::Value(..) => None,
        }
    }

    /// Whether the items have the value asked for; `None` when nothing is.
    pub fn value(&self, walk: &Walk<'_>, items: &[Found<'_>]) -> Option<bool> {
        match (self, self.resolved(walk)) {
            (Candidate::Value(value, mode), _) => Some(has(items, value, *mode)),
            (_, Some(asked)) => has_value(walk, asked, items),
            (_, None) => None,
        }
    }

    /// Whether something is asked to be there, or not to be.
    pub fn exists(&self) -> Option<bool> {
        let Candidate::Node(asked) = self else { return None };
        match (asked.node().element.min, asked.node().element.max) {
            (_, 0) => Some(false),
            (1.., _) => Some(true),
            _ => None,
        }
    }

    pub fn has_type(&self, walk: &Walk<'_>, item: Found<'_>) -> bool {
        let (types, name) = (walk.types, item.type_name(walk.types));
        match self {
            Candidate::Node(asked) if asked.id == 0 => types.is_kind_of(name, &asked.profile.type_name),
            Candidate::Node(asked) => asked.node().element.types.iter().any(|one| types.is_kind_of(name, &one.code)),
            Candidate::Canonical(url) => match base_type(types, url) {
                Some(asked) => types.is_kind_of(name, asked),
                None => {
                    walk.definitions.structure_in_any_version(url).is_some_and(|structure| types.is_kind_of(name, &structure.type_name))
                }
            },
            Candidate::Value(..) => false,
        }
    }

    pub fn profiles(&self) -> Vec<&'a str> {
        match self {
            Candidate::Canonical(url) => vec![url],
            Candidate::Value(..) => Vec::new(),
            Candidate::Node(asked) => {
                let types = asked.profile.node(asked.id).element.types.iter();
                types
                    .flat_map(|one| if one.profiles.is_empty() { &one.target_profiles } else { &one.profiles })
                    .map(|url| url.as_str())
                    .collect()
            }
        }
    }
}

/// The parts of a value under a name, each by itself where there are several.
fn parts<'a>(value: &'a Node, name: &str, mode: Mode) -> impl Iterator<Item = Candidate<'a>> {
    let found = value.get(name);
    let each = found.and_then(Node::as_list).or(found.map(std::slice::from_ref)).unwrap_or_default();
    each.iter().map(move |part| Candidate::Value(part, mode))
}

/// The slice for an extension: its `url` is fixed, or its profile is that extension's.
fn extension_slice<'a>(extensions: Asked<'a>, url: &str) -> Vec<Candidate<'a>> {
    let is_for = |id: NodeId| {
        let node = extensions.profile.node(id);
        extension_url(extensions.profile, node) == Some(url)
    };
    let found = extensions.node().slices.iter().copied().filter(|&id| is_for(id));
    found.map(|id| Candidate::Node(Asked { id, ..extensions })).collect()
}

pub fn extension_url<'a>(profile: &'a Profile, node: &'a ProfileNode) -> Option<&'a str> {
    let fixed = profile.child(node, "url").and_then(|id| profile.node(id).fixed.as_ref()).and_then(Node::as_text);
    fixed.or_else(|| node.element.types.iter().flat_map(|one| &one.profiles).next().map(|url| url.split('|').next().unwrap_or(url)))
}
