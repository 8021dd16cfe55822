//! Logical models: types of documents of their own, laid out behind FHIR's types when they are added
//! (<https://hl7.org/fhir/R4/structuredefinition.html#logical>).
//!
//! A snapshot is taken as it is; a differential is laid over the elements of what it is based on. Models that are based on each other, or on what is
//! not in hand, are left out: what they ask is not known.

use super::compile::type_tables::{flat, last_segment};
use super::{ProfileElement, Structure, StructureKind, without_version};
use crate::fhir::types::{Element, ElementId, TypeDefinition, TypeKind, TypeTable};
use compact_str::{CompactString, format_compact};
use std::collections::HashMap;

/// What every model is based on in the end, of which R4 has no definition: nothing stands in it.
const NOTHING: &str = "http://hl7.org/fhir/StructureDefinition/Base";

/// The names of models in the type table, by their types and by the URLs of their definitions.
type Names = HashMap<CompactString, CompactString>;

/// Adds the logical models among structures to the types.
pub fn add(types: &mut TypeTable, structures: &[Structure]) {
    let is_model = |one: &&Structure| one.kind == StructureKind::Logical && !one.is_constraint && !one.elements.is_empty();
    let mut open: Vec<&Structure> = structures.iter().filter(is_model).filter(|one| types.type_named(&one.url).is_none()).collect();
    if open.is_empty() {
        return;
    }
    let mut names = Names::new();
    for model in &open {
        let name = name_of(types, &names, &model.type_name);
        names.insert(model.type_name.clone(), name.clone());
        names.insert(model.url.clone(), name);
    }
    // A model comes after the one it is based on.
    loop {
        let waits =
            |model: &Structure| model.base.as_deref().is_some_and(|base| open.iter().any(|other| other.url == without_version(base)));
        let (later, ready): (Vec<&Structure>, Vec<&Structure>) = open.iter().partition(|model| waits(model));
        if ready.is_empty() {
            break;
        }
        for model in ready {
            add_model(types, model, &names);
        }
        open = later;
    }
    types.link();
}

/// What a model is called in the table: the last step of its type, unless something is called so already, or primitive types are.
fn name_of(types: &TypeTable, names: &Names, type_name: &str) -> CompactString {
    let last = last_segment(type_name);
    let is_free = types.type_named(&last).is_none() && !names.values().any(|taken| *taken == last);
    if is_free && last.starts_with(|first: char| first.is_ascii_uppercase()) { last } else { format_compact!("<{type_name}>") }
}

fn add_model(types: &mut TypeTable, model: &Structure, names: &Names) {
    let Some(name) = names.get(&model.url) else { return };
    let base = model.base.as_deref().map(without_version).filter(|base| *base != NOTHING);
    let base_name = base.map(|base| names.get(base).cloned().unwrap_or_else(|| last_segment(base)));
    let inherited = base_name.as_ref().and_then(|base| types.types().iter().rev().find(|one| one.name == *base)).map(|one| one.root);
    if base.is_some() && inherited.is_none() && model.is_differential {
        return;
    }
    let first = types.elements().len();
    let mut layout = Layout { types, names, first, elements: Vec::new(), by_path: HashMap::new() };
    layout.root(model, name, inherited);
    for stated in model.elements.iter().filter(|one| one.slice_name.is_none()) {
        if let Some((_, below)) = stated.path.split_once('.') {
            layout.element(stated, format_compact!("{name}.{below}"), model.is_differential);
        }
    }
    let elements = layout.elements;
    let definition =
        TypeDefinition { name: name.clone(), kind: TypeKind::Logical, is_abstract: model.is_abstract, base: base_name, root: id_of(first) };
    types.extend(definition, elements, &[model.url.clone(), model.type_name.clone(), last_segment(&model.type_name)]);
}

/// The elements of a model as they come to stand in the table.
struct Layout<'a> {
    types: &'a TypeTable,
    names: &'a Names,
    /// The place of the first in the table.
    first: usize,
    elements: Vec<Element>,
    by_path: HashMap<CompactString, ElementId>,
}

impl Layout<'_> {
    fn root(&mut self, model: &Structure, name: &CompactString, inherited: Option<ElementId>) {
        let stated = model.elements.first().filter(|one| !one.path.contains('.')).cloned().unwrap_or_default();
        let mut root = flat(&ProfileElement { path: name.clone(), types: Vec::new(), ..stated }, &self.by_path);
        let base = inherited.filter(|_| model.is_differential);
        root.constraints.extend(base.into_iter().flat_map(|base| self.types.element(base).constraints.clone()));
        let id = self.push(root);
        if let Some(base) = base {
            self.inherit(base, id);
        }
    }

    /// Copies the elements below one of the table to below a new one.
    fn inherit(&mut self, from: ElementId, to: ElementId) {
        for &child in &self.types.element(from).children {
            let child_element = self.types.element(child);
            let Some(parent) = self.get_mut(to).map(|parent| parent.path.clone()) else { return };
            let step = child_element.path.rsplit('.').next().unwrap_or_default();
            let copy = Element { path: format_compact!("{parent}.{step}"), children: Vec::new(), ..child_element.clone() };
            let id = self.push(copy);
            self.attach(id, to);
            self.inherit(child, id);
        }
    }

    /// Lays out what a model states of an element: a new one, or more of one that it has from its base.
    fn element(&mut self, stated: &ProfileElement, path: CompactString, is_differential: bool) {
        let mut element = flat(&ProfileElement { path: path.clone(), ..stated.clone() }, &self.by_path);
        for one in &mut element.types {
            one.code =
                self.names.get(&one.code).cloned().or_else(|| Some(self.types.model(&one.code)?.name.clone())).unwrap_or(one.code.clone());
        }
        if let Some(reference) = stated.content_reference.as_deref().and_then(|reference| reference.split_once('#')) {
            let root = path.split('.').next().unwrap_or_default();
            let below = reference.1.split_once('.').map(|(_, below)| below).unwrap_or_default();
            element.content_reference = self.by_path.get(&format_compact!("{root}.{below}")).copied();
        }
        if let Some(id) = self.by_path.get(&path).copied() {
            return self.get_mut(id).map_or((), |known| narrow(known, element));
        }
        let Some(&parent) = path.rsplit_once('.').and_then(|(parent, _)| self.by_path.get(parent)) else { return };
        if is_differential {
            self.open(parent);
        }
        let id = self.push(element);
        self.attach(id, parent);
    }

    /// Gives an element that states children of its own those that its type has before them, as a snapshot would.
    fn open(&mut self, id: ElementId) {
        let Some(element) = self.get_mut(id).filter(|element| element.children.is_empty()) else { return };
        let code = element.types.first().map(|one| one.code.clone());
        if let Some(root) = code.and_then(|code| self.types.type_named(&code)).map(|definition| definition.root) {
            self.inherit(root, id);
        }
    }

    fn push(&mut self, element: Element) -> ElementId {
        let id = id_of(self.first + self.elements.len());
        self.by_path.insert(element.path.clone(), id);
        self.elements.push(element);
        id
    }

    fn attach(&mut self, id: ElementId, parent: ElementId) {
        if let Some(parent) = self.get_mut(parent) {
            parent.children.push(id);
        }
    }

    fn get_mut(&mut self, id: ElementId) -> Option<&mut Element> {
        self.elements.get_mut((id.0 as usize).checked_sub(self.first)?)
    }
}

/// What a model says of an element that it has from its base can only ask more.
fn narrow(known: &mut Element, stated: Element) {
    known.min = known.min.max(stated.min);
    known.max = known.max.min(stated.max);
    known.constraints.extend(stated.constraints);
    if !stated.types.is_empty() {
        known.types = stated.types;
    }
    known.binding = stated.binding.or(known.binding.take());
}

fn id_of(index: usize) -> ElementId {
    ElementId(u32::try_from(index).unwrap_or(u32::MAX))
}
