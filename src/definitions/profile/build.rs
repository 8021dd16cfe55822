//! Lays the elements of a structure and of those it derives from into one tree.

mod reduce;

use super::super::{Definitions, Invariant, ProfileElement, ProfileType, Structure, TypedJson, invariants};
use super::{DERIVATION_DEPTH_MAX, Incomplete, NodeId, Profile, ProfileNode};
use crate::fhir::types::{Binding, Constraint, Element, ElementId, TypeTable, UNBOUNDED, choice_name};
use crate::fhir::{Node, json};
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};

/// R4 binds the components of vital signs to these units as required, and so shuts out components that are no quantity or have other units.
/// HL7 reads the binding as extensible, and the profiles that build on it say so.
pub const ONLY_RECOMMENDED: &str = "http://hl7.org/fhir/ValueSet/ucum-vitals-common";

/// How deep a fixed or pattern value may nest.
const VALUE_DEPTH_MAX: usize = 64;

/// Whether the rules that definitions state are to be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    Compiled,
    LeftOut,
}

pub(super) fn build(definitions: &Definitions, structure: &Structure, rules: Rules) -> Profile {
    let types = definitions.types();
    let (layers, incomplete) = layers(definitions, structure);
    let of = types.type_named(&structure.type_name);
    // A logical model's type is a URL, and its name another.
    let type_name = of.map_or(&structure.type_name, |definition| &definition.name);
    let root = ProfileNode {
        path: type_name.clone(),
        name: type_name.clone(),
        base: of.map(|definition| definition.root),
        element: unconstrained(),
        ..ProfileNode::default()
    };
    let mut tree =
        Tree { types, rules, nodes: vec![root], places: vec![0], children: HashMap::new(), slices: HashMap::new(), contradicted: None };
    for layer in layers.iter().rev() {
        tree.lay(layer);
    }
    let contradiction = tree.contradiction();
    tree.finish(definitions);
    Profile {
        url: structure.url.clone(),
        version: structure.version.clone(),
        type_name: type_name.clone(),
        nodes: tree.nodes,
        imposed: layers.iter().flat_map(|layer| layer.imposed.iter().cloned()).collect(),
        incomplete,
        contradiction,
    }
}

fn unconstrained() -> ProfileElement {
    ProfileElement { max: UNBOUNDED, ..ProfileElement::default() }
}

/// The structure and those it derives from, down to the first that has a snapshot; what is missing of them.
fn layers<'a>(definitions: &'a Definitions, structure: &'a Structure) -> (Vec<&'a Structure>, Option<Incomplete>) {
    let mut layers = vec![structure];
    loop {
        let Some(last) = layers.last().copied().filter(|last| last.is_differential && last.is_constraint) else { return (layers, None) };
        let Some(url) = last.base.as_deref() else { return (layers, None) };
        let Some(base) = definitions.structure(url) else { return (layers, Some(Incomplete::NotInHand(url.into()))) };
        if layers.iter().any(|layer| std::ptr::eq(*layer, base)) {
            return (layers, Some(Incomplete::Circle(url.into())));
        }
        if !base.is_constraint {
            return (layers, None);
        }
        if layers.len() == DERIVATION_DEPTH_MAX {
            return (layers, Some(Incomplete::TooDeep));
        }
        layers.push(base);
    }
}

struct Tree<'a> {
    types: &'a TypeTable,
    rules: Rules,
    nodes: Vec<ProfileNode>,
    /// Per node, the one that it is a child or a slice of; the root is its own.
    places: Vec<NodeId>,
    /// The children of each node by name, and its slices: there may be very many.
    children: HashMap<(NodeId, CompactString), NodeId>,
    slices: HashMap<(NodeId, CompactString), NodeId>,
    /// The first element for which a definition fixes another value than the one below it.
    contradicted: Option<NodeId>,
}

impl Tree<'_> {
    fn lay(&mut self, structure: &Structure) {
        let has_ids = structure.elements.iter().any(|element| element.id.contains(':'));
        // The node last laid on each level, for definitions whose elements have no ids: children follow their slice.
        let mut open: Vec<NodeId> = vec![0];
        let sliced_before: Vec<NodeId> = (0..self.nodes.len()).filter(|&id| !self.node(id).slices.is_empty()).collect();
        let mut shortcuts = Vec::new();
        for element in &structure.elements {
            let id = if has_ids { self.find_by_id(element) } else { self.find_by_order(element, &mut open) };
            self.merge(id, element, &structure.url);
            shortcuts.extend(structure.is_differential.then(|| self.choice_of_shortcut(id, element)).flatten());
        }
        let mut met: HashSet<NodeId> = sliced_before.into_iter().collect();
        shortcuts.retain(|choice| met.insert(*choice));
        if shortcuts.is_empty() {
            return;
        }
        let typed = structure.elements.iter().filter(|one| !one.types.is_empty()).filter_map(|one| one.path.rsplit('.').next());
        let typed: HashSet<&str> = typed.collect();
        for choice in shortcuts {
            self.narrow(choice, &typed);
        }
    }

    /// The choice of which an element is the short form for one type: `value[x]` of `valueQuantity`. One that names the slice
    /// beside a slicing of the choice only adds to that.
    fn choice_of_shortcut(&self, id: NodeId, element: &ProfileElement) -> Option<NodeId> {
        let step = element.path.rsplit('.').next()?;
        let is_short = self.node(id).slice_name.as_deref() == Some(step);
        let choice = self.place(id).filter(|_| is_short)?;
        (element.slice_name.is_none() || self.node(choice).element.slicing.is_none()).then_some(choice)
    }

    /// A differential that speaks of a choice only by the short forms of types allows no others, if it states these types, asks for one to be there, or
    /// speaks of a slice. `typed` are the last steps of the paths for which it states types.
    fn narrow(&mut self, choice: NodeId, typed: &HashSet<&str>) {
        let slices = self.node(choice).slices.clone();
        let base_min = self.node(choice).base.map_or(0, |base| self.types.element(base).min);
        let least = slices.iter().map(|&slice| self.node(slice).element.min).max().unwrap_or(0);
        let states_type = |slice: &NodeId| self.node(*slice).slice_name.as_deref().is_some_and(|name| typed.contains(name));
        let is_slice = |id: NodeId| self.node(id).slice_name.is_some();
        let is_in_slice = !is_slice(choice) && self.place(choice).is_some_and(is_slice);
        if least == 0 && base_min == 0 && !is_in_slice && !slices.iter().all(states_type) {
            return;
        }
        let named: Vec<ProfileType> = slices.iter().flat_map(|&slice| self.node(slice).element.types.clone()).collect();
        let element = &mut self.node_mut(choice).element;
        element.min = element.min.max(least);
        let is_allowed = |one: &ProfileType| element.types.is_empty() || element.types.iter().any(|other| other.code == one.code);
        let narrowed: Vec<ProfileType> = named.into_iter().filter(is_allowed).collect();
        if !narrowed.is_empty() {
            element.types = narrowed;
        }
    }

    /// `Observation.component:systolic.value[x]` names its slices.
    fn find_by_id(&mut self, element: &ProfileElement) -> NodeId {
        let mut node = 0;
        for step in element.id.split('.').skip(1) {
            let (name, slice) = step.split_once(':').map_or((step, None), |(name, slice)| (name, Some(slice)));
            node = self.child_or_slice(node, name, slice);
        }
        node
    }

    fn find_by_order(&mut self, element: &ProfileElement, open: &mut Vec<NodeId>) -> NodeId {
        let steps: Vec<&str> = element.path.split('.').skip(1).collect();
        let Some((last, before)) = steps.split_last() else { return 0 };
        for (level, step) in before.iter().enumerate() {
            let is_open = open.get(level + 1).is_some_and(|&id| self.is_named(id, step));
            if !is_open {
                let parent = open.get(level).copied().unwrap_or(0);
                open.truncate(level + 1);
                let child = self.child(parent, step);
                open.push(child);
            }
        }
        open.truncate(steps.len());
        let parent = open.last().copied().unwrap_or(0);
        let node = self.child_or_slice(parent, last, element.slice_name.as_deref());
        open.push(node);
        node
    }

    /// The child of a name, or the slice of it that is named. `valueQuantity` is a slice already, and a definition may say its name once more.
    fn child_or_slice(&mut self, parent: NodeId, step: &str, slice: Option<&str>) -> NodeId {
        let node = self.child(parent, step);
        match slice.filter(|slice| self.node(node).slice_name.as_deref() != Some(*slice)) {
            Some(slice) => self.slice(node, slice),
            None => node,
        }
    }

    fn is_named(&self, id: NodeId, step: &str) -> bool {
        let node = self.node(id);
        node.name == bare(step) || node.slice_name.as_deref() == Some(step)
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by the tree that owns them")]
    fn node(&self, id: NodeId) -> &ProfileNode {
        &self.nodes[id]
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by the tree that owns them")]
    fn node_mut(&mut self, id: NodeId) -> &mut ProfileNode {
        &mut self.nodes[id]
    }

    /// The child of a name, made when it is new. `valueQuantity` is the slice of `value[x]` for that type.
    fn child(&mut self, parent: NodeId, step: &str) -> NodeId {
        let name = bare(step);
        if let Some(&found) = self.children.get(&(parent, name.into())) {
            return found;
        }
        let content = self.content(parent);
        let base = content.and_then(|content| self.types.child_named(content, name));
        let chosen = content.filter(|_| base.is_none()).and_then(|content| self.types.member(content, name));
        if let Some(used) = chosen {
            let choice = self.child(parent, &format!("{}[x]", self.types.element(used.element).name));
            return self.slice(choice, step);
        }
        let path = CompactString::from(format!("{}.{step}", self.node(parent).path));
        let id = self.add(parent, ProfileNode { path, name: name.into(), base, element: unconstrained(), ..ProfileNode::default() });
        self.children.insert((parent, name.into()), id);
        self.node_mut(parent).children.push(id);
        id
    }

    /// The slice of a name, made when it is new; `outer/inner` is a slice of the slice `outer`.
    fn slice(&mut self, of: NodeId, name: &str) -> NodeId {
        if let Some(&found) = self.slices.get(&(of, name.into())) {
            return found;
        }
        let outer = name.rsplit_once('/').and_then(|(outer, _)| self.slices.get(&(of, outer.into())).copied());
        if let Some(outer) = outer {
            return self.slice(outer, name);
        }
        let (path, own_name, base) = (self.node(of).path.clone(), self.node(of).name.clone(), self.node(of).base);
        let element = ProfileElement { types: self.type_of_short(base, name).into_iter().collect(), ..unconstrained() };
        let slice = ProfileNode { path, name: own_name, base, slice_name: Some(name.into()), element, ..ProfileNode::default() };
        let id = self.add(of, slice);
        self.slices.insert((of, name.into()), id);
        self.node_mut(of).slices.push(id);
        id
    }

    /// The one type of a choice that a slice of this name is for: Quantity of `valueQuantity`.
    fn type_of_short(&self, choice: Option<ElementId>, name: &str) -> Option<ProfileType> {
        let choice = self.types.element(choice?);
        let mut types = choice.types.iter().filter(|_| choice.is_choice);
        types.find(|one| choice_name(&choice.name, &one.code) == name).map(|one| plain_type(one.code.clone()))
    }

    /// The node that one is a child or a slice of; none of the root.
    fn place(&self, id: NodeId) -> Option<NodeId> {
        self.places.get(id).copied().filter(|_| id != 0)
    }

    fn add(&mut self, place: NodeId, node: ProfileNode) -> NodeId {
        self.places.push(place);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Where the children of a node stand in the type table, when it can be only one place.
    fn content(&self, id: NodeId) -> Option<ElementId> {
        let node = self.node(id);
        let base = node.base?;
        let stated = match node.element.types.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        let element = self.types.element(base);
        match stated {
            _ if id == 0 => Some(base),
            Some(stated) => match element.types.iter().position(|one| one.code == stated.code) {
                Some(index) => Some(self.types.content(base, index)),
                None => self.types.type_named(&stated.code).map(|definition| definition.root),
            },
            None if element.types.len() <= 1 => Some(self.types.content(base, 0)),
            None => None,
        }
    }

    /// Adds what one more definition says of an element. It can only ask more.
    fn merge(&mut self, id: NodeId, more: &ProfileElement, source: &str) {
        let types = self.types;
        let node = self.node_mut(id);
        let element = &mut node.element;
        element.min = element.min.max(more.min);
        element.max = element.max.min(more.max);
        if !more.types.is_empty() {
            element.types.clone_from(&more.types);
        }
        if let Some(binding) = &more.binding {
            let value_set = match binding.value_set.as_str() {
                "" => bound_before(element, node.base.map(|base| types.element(base))),
                _ => binding.value_set.clone(),
            };
            element.binding = Some(Binding { value_set, ..binding.clone() }).filter(|binding| !binding.value_set.is_empty());
        }
        replace(&mut element.slicing, &more.slicing);
        replace(&mut element.max_length, &more.max_length);
        element.must_support |= more.must_support;
        element.is_modifier |= more.is_modifier;
        element.controls.extend(more.controls.iter().cloned());
        if node.fixed.as_ref().zip(more.fixed.as_ref()).is_some_and(|(old, new)| !is_same(old, new)) {
            self.contradicted.get_or_insert(id);
        }
        let node = self.node_mut(id);
        set_value(&mut node.fixed, more.fixed.as_ref());
        set_value(&mut node.pattern, more.pattern.as_ref());
        set_value(&mut node.min_value, more.min_value.as_ref());
        set_value(&mut node.max_value, more.max_value.as_ref());
        if self.rules == Rules::Compiled {
            self.add_rules(id, &more.constraints, source);
        }
    }

    fn add_rules(&mut self, id: NodeId, constraints: &[Constraint], source: &str) {
        let types = self.types;
        let node = self.node_mut(id);
        let mut keys: HashSet<CompactString> = node.invariants.iter().map(|known| known.key.clone()).collect();
        for constraint in constraints {
            let is_known = node.base.is_some_and(|base| is_stated(types, base, &constraint.key))
                || invariants::is_judged_by_the_walk(&constraint.key)
                || !keys.insert(constraint.key.clone());
            if !is_known {
                node.invariants.push(Invariant::compile(constraint, source, types));
            }
        }
    }

    /// The first element that cannot be as the definitions together ask: it must have two values, it is no element of its type, or it must be there more
    /// often than it may.
    fn contradiction(&self) -> Option<CompactString> {
        let is_foreign = |id: NodeId| {
            let content = self.place(id).and_then(|parent| self.content(parent));
            // What stands in a resource of any type is told by the type that is found there.
            content.is_some_and(|content| !matches!(self.types.element(content).path.as_str(), "Resource" | "DomainResource"))
        };
        let is_impossible = |id: NodeId| {
            let node = self.node(id);
            let most = node.base.map_or(UNBOUNDED, |base| self.types.element(base).max);
            match node.base {
                None if id != 0 && node.slice_name.is_none() => is_foreign(id),
                _ => node.element.min > node.element.max.min(most),
            }
        };
        let contradicted = self.contradicted.into_iter();
        contradicted.chain((0..self.nodes.len()).filter(|&id| is_impossible(id))).next().map(|id| self.node(id).path.clone())
    }
}

/// The value set that an element is bound to so far, by the definitions below or by its type.
fn bound_before(element: &ProfileElement, base: Option<&Element>) -> CompactString {
    let stated = element.binding.as_ref().or_else(|| base?.binding.as_ref());
    stated.map(|binding| binding.value_set.clone()).unwrap_or_default()
}

fn bare(step: &str) -> &str {
    step.strip_suffix("[x]").unwrap_or(step)
}

fn plain_type(code: CompactString) -> ProfileType {
    ProfileType { code, profiles: Vec::new(), target_profiles: Vec::new(), aggregation: Vec::new() }
}

fn replace<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        old.clone_from(new);
    }
}

/// Whether a value is the one that stands fixed already.
fn is_same(old: &Node, new: &TypedJson) -> bool {
    json::parse(new.json.as_bytes(), VALUE_DEPTH_MAX).is_ok_and(|new| json::write(&new) == json::write(old))
}

fn set_value(old: &mut Option<Node>, new: Option<&TypedJson>) {
    if let Some(value) = new.and_then(|new| json::parse(new.json.as_bytes(), VALUE_DEPTH_MAX).ok()) {
        *old = Some(value);
    }
}

/// Whether the type table states a rule of that key for the element or its type.
fn is_stated(types: &TypeTable, base: ElementId, key: &str) -> bool {
    let states = |id: ElementId| types.element(id).constraints.iter().any(|one| one.key == key);
    states(base) || types.element(base).types.iter().filter_map(|one| one.root).any(states)
}
