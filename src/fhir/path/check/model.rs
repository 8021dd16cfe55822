//! A type that the table does not have, by the elements that its own definition lists: a logical model, or a type of another's.

use super::outlook::{Kind, Outlook};
use crate::fhir::node::Node;
use crate::fhir::types::TypeTable;
use std::collections::{HashMap, HashSet};

/// What every element may have, whatever it is specialised from.
const EVERY: &str = "Element";

/// What later releases specialise everything from; it has no elements.
const NOTHING: &str = "Base";

/// The elements of a definition, by their paths.
#[derive(Debug, Default)]
pub struct Model<'n> {
    elements: Vec<&'n Node>,
    by_path: HashMap<&'n str, usize>,
    /// Paths that others begin with.
    parents: HashSet<&'n str>,
    /// The type that the whole is specialised from.
    base: &'n str,
}

impl<'n> Model<'n> {
    /// `elements` are ElementDefinitions, the first that of the whole; `base` is the name of the type it is specialised from.
    pub fn of(elements: &'n [Node], base: &'n str) -> Model<'n> {
        let mut model = Model { base, ..Model::default() };
        for element in elements {
            let Some(path) = element.text("path") else { continue };
            if let Some((parent, _)) = path.rsplit_once('.') {
                model.parents.insert(parent);
            }
            model.by_path.entry(path).or_insert(model.elements.len());
            model.elements.push(element);
        }
        model
    }

    fn path(&self, index: usize) -> &'n str {
        self.elements.get(index).and_then(|element| element.text("path")).unwrap_or_default()
    }

    /// Whether this is the name that the paths begin with.
    pub(super) fn is_named(&self, name: &str) -> bool {
        !self.elements.is_empty() && self.path(0) == name
    }

    pub(super) fn name_of(&self, index: usize) -> &'n str {
        self.path(index)
    }

    /// What the values of an element are.
    pub(super) fn at(&self, types: &TypeTable, path: &str) -> Outlook {
        self.by_path.get(path).map_or_else(Outlook::unknown, |&index| self.values(types, index))
    }

    fn values(&self, types: &TypeTable, index: usize) -> Outlook {
        let path = self.path(index);
        let Some(element) = self.elements.get(index) else { return Outlook::unknown() };
        if let Some(reference) = element.text("contentReference") {
            let target = reference.rsplit('#').next().and_then(|path| self.by_path.get(path));
            return target.map_or_else(Outlook::unknown, |&target| Outlook::of(Kind::Own(target)));
        }
        let mut codes = codes(element).peekable();
        if self.parents.contains(path) || index == 0 && codes.peek().is_none() {
            return Outlook::of(Kind::Own(index));
        }
        codes.map(|code| Outlook::of_type(types, code)).reduce(Outlook::or).unwrap_or_else(Outlook::unknown)
    }

    /// The child of an element by its name in paths; `None` when it has no such child.
    pub(super) fn child(&self, types: &TypeTable, parent: usize, name: &str) -> Option<Outlook> {
        let path = self.path(parent);
        let own = [format!("{path}.{name}"), format!("{path}.{name}[x]")].iter().find_map(|path| self.by_path.get(path.as_str()).copied());
        match own {
            Some(index) => Some(self.values(types, index)),
            None => self.inherited(types, parent, name),
        }
    }

    /// What an element has from its types. Those that the table does not have may have anything.
    fn inherited(&self, types: &TypeTable, parent: usize, name: &str) -> Option<Outlook> {
        let stated = self.elements.get(parent).into_iter().flat_map(|element| codes(element));
        let base = Some(self.base).filter(|_| parent == 0);
        for code in base.into_iter().chain(stated).chain([EVERY]).filter(|code| *code != NOTHING) {
            let Some(definition) = types.type_named(code) else { return Some(Outlook::unknown()) };
            if let Some(child) = types.child_named(definition.root, name) {
                return Some(Outlook::of_element(types, child));
            }
        }
        None
    }
}

fn codes(element: &Node) -> impl Iterator<Item = &str> {
    element.items("type").iter().filter_map(|one| one.text("code"))
}
