//! Walking a document along a compiled path.

use super::parameter::{Parameter, Source};
use super::reference;
use super::target::Shape;
use crate::fhir::Node;
use crate::fhir::node::{NO_OFFSET, Value};
use compact_str::CompactString;

static TRUE: Node = Node { value: Value::Bool(true), offset: NO_OFFSET };
static FALSE: Node = Node { value: Value::Bool(false), offset: NO_OFFSET };

/// One step down a document. Lists on the way are walked item by item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(CompactString),
    Nth(CompactString, usize),
    Equals(CompactString, CompactString),
    Resolves(CompactString),
    HasExtension(CompactString),
    Extension(CompactString),
}

/// A path to values of one type.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub steps: Vec<Step>,
    pub shape: Shape,
    /// Systems that a bare `code` implies.
    pub systems: Vec<CompactString>,
    /// When there are any, the one value is a boolean: whether anything but false lies at the end of any of these.
    pub truth: Vec<Vec<Step>>,
    /// The path begins at the resource, wherever it is asked for.
    pub is_from_resource: bool,
}

/// A selected value, with what is known of its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    pub node: &'a Node,
    pub shape: Shape,
    pub systems: &'a [CompactString],
    /// The resource it was found in.
    pub resource: &'a Node,
}

impl Selector {
    /// Hands every value below `from` to `visit`.
    pub fn visit<'a>(&'a self, from: &'a Node, resource: &'a Node, visit: &mut dyn FnMut(Site<'a>)) {
        let site = |node| Site { node, shape: self.shape, systems: &self.systems, resource };
        if !self.truth.is_empty() {
            let mut is_true = false;
            for steps in &self.truth {
                descend(from, steps, resource, &mut |node| is_true |= node.as_bool() != Some(false));
            }
            visit(site(if is_true { &TRUE } else { &FALSE }));
            return;
        }
        let start = if self.is_from_resource { resource } else { from };
        descend(start, &self.steps, resource, &mut |node| visit(site(node)));
    }
}

impl Parameter {
    /// Hands every value the parameter has in a resource to `visit`. `_id`, `_lastUpdated` and composites have none here.
    pub(super) fn visit<'a>(&'a self, resource: &'a Node, visit: &mut dyn FnMut(Site<'a>)) {
        if let Source::Elements(selectors) = &self.source {
            selectors.iter().for_each(|selector| selector.visit(resource, resource, visit));
        }
    }

    /// Whether any of the parameter's values satisfies `test`.
    pub(super) fn any<'a>(&'a self, resource: &'a Node, mut test: impl FnMut(Site<'a>) -> bool) -> bool {
        let mut is_met = false;
        self.visit(resource, &mut |site| is_met = is_met || test(site));
        is_met
    }
}

/// Walks the steps; the recursion is as deep as the path plus its lists, whatever the document.
pub(super) fn descend<'a>(node: &'a Node, steps: &[Step], resource: &'a Node, visit: &mut dyn FnMut(&'a Node)) {
    if let Some(items) = node.as_list() {
        items.iter().filter(|item| item.as_list().is_none()).for_each(|item| descend(item, steps, resource, visit));
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        if node.value != Value::Null {
            visit(node);
        }
        return;
    };
    match step {
        Step::Member(name) => {
            if let Some(child) = node.get(name) {
                descend(child, rest, resource, visit);
            }
        }
        Step::Nth(name, index) => {
            if let Some(child) = node.items(name).get(*index) {
                descend(child, rest, resource, visit);
            }
        }
        Step::Extension(url) => extensions(node, url).for_each(|extension| descend(extension, rest, resource, visit)),
        filter => {
            if keeps(filter, node, resource) {
                descend(node, rest, resource, visit);
            }
        }
    }
}

fn keeps(filter: &Step, node: &Node, resource: &Node) -> bool {
    match filter {
        Step::Equals(member, text) => node.text(member) == Some(text),
        Step::Resolves(type_name) => reference::target_type(node, resource) == Some(type_name),
        Step::HasExtension(url) => extensions(node, url).next().is_some(),
        Step::Member(_) | Step::Nth(..) | Step::Extension(_) => true,
    }
}

fn extensions<'a>(node: &'a Node, url: &str) -> impl Iterator<Item = &'a Node> {
    node.items("extension").iter().filter(move |extension| extension.text("url") == Some(url))
}
