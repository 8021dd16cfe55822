//! Redaction: what of a resource may not be shown is taken out before the rest is released.
//!
//! In scope: contained resources and a Bundle's entries, each decided as a resource of its own; elements that carry an inline label (HL7 DS4P);
//! codes and words that tell of something withheld; references to what is withheld; and, where anything was taken out, whatever was written
//! freely beside it, because it may say the same in words that no list knows. Out of scope: whether the resource itself may be shown.
//!
//! Always true:
//! - Nothing is added but the marks that the policy asks for, and what nobody withholds anything from is left exactly as it was.
//! - What is left would be permitted whole, and redacting it again changes nothing.
//! - What cannot be taken out without breaking the resource, or is what the resource is about, keeps the whole of it back.

mod marks;
mod nested;
mod prose;
mod walk;

use super::code::items;
use super::facts::ResourceFacts;
use super::screen::{Memory, Part, Screen};
use super::vocabulary::Concept;
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::fhir::types::TypeTable;
use compact_str::CompactString;
pub use marks::{is_marked_redacted, mark_redacted};
use std::collections::HashSet;
use std::sync::Arc;

/// How often a resource is gone through until nothing more has to go. What one round takes out can orphan what the next finds.
const ROUNDS_LIMIT: usize = 16;

/// How deep resources may stand in one another. What stands deeper is withheld.
const DEPTH_LIMIT: usize = 8;

/// The resource cannot be shown without what has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Withheld;

/// What is left of a resource.
#[derive(Debug)]
pub(super) struct Rest {
    pub resource: Node,
    /// The facts of what is left; `None` when nothing was taken out.
    pub facts: Option<ResourceFacts>,
}

/// References to what is not shown, as they are written: `Type/id`, full URLs, and apart `#id`, which means nothing outside its resource. What stands
/// inside a resource is gone through with the same, which is not copied for each.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone {
    everywhere: Arc<HashSet<CompactString>>,
    inside: Arc<HashSet<CompactString>>,
}

impl Gone {
    pub(super) fn add(&mut self, reference: &str) {
        if reference.starts_with('#') {
            Arc::make_mut(&mut self.inside).insert(reference.into());
            return;
        }
        let everywhere = Arc::make_mut(&mut self.everywhere);
        everywhere.extend(super::Reference::new(reference).and_then(|read| read.relative().map(CompactString::from)));
        everywhere.insert(reference.into());
    }

    fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.inside.is_empty()
    }

    fn lists(&self, reference: &str) -> bool {
        self.everywhere.contains(reference) || self.inside.contains(reference)
    }

    fn has(&self, reference: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let current = reference.split_once("/_history/").map_or(reference, |(before, _)| before);
        self.lists(current) || super::Reference::new(current).is_some_and(|read| read.relative().is_some_and(|text| self.lists(text)))
    }

    /// What of it still means the same inside another resource: all but the fragments.
    fn outside(&self) -> Gone {
        Gone { everywhere: Arc::clone(&self.everywhere), inside: Arc::default() }
    }
}

/// Takes out of a resource what its screen withholds. `None` when nothing of it may be shown.
///
/// `is_permitted` is the decision on the whole. `gone` is what is hidden elsewhere, so that references to it go too.
pub(super) fn redact(screen: Screen, resource: Node, is_permitted: bool, gone: Gone) -> Option<Rest> {
    redact_at(DEPTH_LIMIT, screen, resource, is_permitted, gone).ok()
}

fn redact_at(depth: usize, mut screen: Screen, mut resource: Node, is_permitted: bool, gone: Gone) -> Result<Rest, Withheld> {
    let doubtful = marks::doubtful_labels(&screen, &resource);
    if !doubtful.is_empty() {
        screen.disregard(&doubtful);
    }
    if screen.is_telling {
        screen.define(&defining_part(&screen, &resource));
    }
    if !is_permitted && !screen.permits_bare() {
        return Err(Withheld);
    }
    let mut pass = Pass {
        screen: &screen,
        memory: Memory::default(),
        types: Definitions::embedded().types(),
        gone,
        removed: 0,
        is_told: false,
        removed_labels: Vec::new(),
        referred: nested::fragments(&resource),
        writers: if screen.names_authors { items(&resource, "contained").to_vec() } else { Vec::new() },
        depth,
    };
    let mut is_changed = false;
    for _ in 0..ROUNDS_LIMIT {
        let before = pass.removed;
        pass.go_through(&mut resource)?;
        if pass.removed == before {
            let is_marked = marks::settle(&mut pass, &mut resource, &doubtful, is_changed)?;
            return finish(&screen, resource, is_permitted, is_changed || is_marked);
        }
        is_changed = true;
        prose::remove(&mut pass, &mut resource)?;
    }
    Err(Withheld)
}

/// What is left is decided once more, as a whole.
fn finish(screen: &Screen, resource: Node, is_permitted: bool, is_changed: bool) -> Result<Rest, Withheld> {
    if !is_changed {
        return if is_permitted { Ok(Rest { resource, facts: None }) } else { Err(Withheld) };
    }
    let facts = screen.facts_of_rest(&resource);
    if screen.permits(&facts) { Ok(Rest { resource, facts: Some(facts) }) } else { Err(Withheld) }
}

/// What the elements tell that a resource cannot be without.
fn defining_part(screen: &Screen, resource: &Node) -> Part {
    let type_name = resource.resource_type().unwrap_or_default();
    let members = resource.as_object().map(|object| object.members()).unwrap_or_default();
    let mut whole = Part::default();
    for member in members.iter().filter(|member| walk::is_defining(type_name, &member.name)) {
        let part = screen.part(&member.node);
        whole.labels.extend(part.labels);
        whole.codes.extend(part.codes);
    }
    whole
}

/// One resource being gone through.
struct Pass<'a> {
    screen: &'a Screen,
    memory: Memory,
    types: &'static TypeTable,
    gone: Gone,
    /// How many elements have been taken out.
    removed: usize,
    /// Whether any of it went for what it tells, and not only for the type it points at.
    is_told: bool,
    /// The labels of what has been taken out.
    removed_labels: Vec<Concept>,
    /// The contained resources that were referred to at first.
    referred: HashSet<CompactString>,
    /// What is contained, by which a part may say whose it is.
    writers: Vec<Node>,
    depth: usize,
}

impl Pass<'_> {
    fn go_through(&mut self, resource: &mut Node) -> Result<(), Withheld> {
        self.redact_contained(resource)?;
        if resource.resource_type() == Some("Bundle") {
            self.redact_entries(resource)?;
        }
        self.walk_resource(resource)?;
        self.walk_labels(resource);
        self.remove_orphans(resource);
        Ok(())
    }
}
