//! Lays the types of a release out as the flat tables of [`crate::fhir::types`].

use super::super::model::{ProfileElement, ProfileType, Structure, StructureKind};
use crate::fhir::types::{Element, ElementId, TypeDefinition, TypeKind, TypeUse};
use compact_str::CompactString;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// The types (not profiles, not logical models) among the structures, by name, and their elements.
pub fn build(structures: &[Structure]) -> (Vec<TypeDefinition>, Vec<Element>) {
    let mut sources: Vec<(&Structure, TypeKind)> = structures.iter().filter_map(|one| Some((one, type_kind(one)?))).collect();
    sources.sort_by(|a, b| a.0.type_name.cmp(&b.0.type_name));
    let mut tables = Tables::default();
    for (structure, kind) in sources {
        tables.add(structure, kind);
    }
    (tables.types, tables.elements)
}

fn type_kind(structure: &Structure) -> Option<TypeKind> {
    let kind = match structure.kind {
        StructureKind::Primitive => TypeKind::Primitive,
        StructureKind::Complex => TypeKind::Complex,
        StructureKind::Resource => TypeKind::Resource,
        StructureKind::Logical => return None,
    };
    (!structure.is_constraint && !structure.elements.is_empty()).then_some(kind)
}

#[derive(Default)]
struct Tables {
    types: Vec<TypeDefinition>,
    elements: Vec<Element>,
}

impl Tables {
    fn add(&mut self, structure: &Structure, kind: TypeKind) {
        let first = self.elements.len();
        let ids: HashMap<&str, ElementId> =
            structure.elements.iter().enumerate().map(|(index, element)| (element.path.as_str(), element_id(first + index))).collect();
        self.types.push(TypeDefinition {
            name: structure.type_name.clone(),
            kind,
            is_abstract: structure.is_abstract,
            base: structure.base.as_deref().map(last_segment),
            root: element_id(first),
        });
        for element in &structure.elements {
            self.elements.push(flat(element, &ids));
        }
        for element in &structure.elements {
            let parent = element.path.rsplit_once('.').and_then(|(parent, _)| ids.get(parent));
            if let (Some(parent), Some(&id)) = (parent, ids.get(element.path.as_str()))
                && let Some(parent) = self.elements.get_mut(parent.0 as usize)
            {
                parent.children.push(id);
            }
        }
    }
}

fn element_id(index: usize) -> ElementId {
    ElementId(u32::try_from(index).unwrap_or(u32::MAX))
}

/// An element as it stands in the table, without its children. `ids` are those of the elements it may take them from.
pub fn flat<K: Borrow<str> + Hash + Eq>(element: &ProfileElement, ids: &HashMap<K, ElementId>) -> Element {
    let last = element.path.rsplit('.').next().unwrap_or_default();
    Element {
        path: element.path.clone(),
        name: last.strip_suffix("[x]").unwrap_or(last).into(),
        min: element.min,
        max: element.max,
        types: element.types.iter().map(type_use).collect(),
        is_choice: last.ends_with("[x]"),
        is_modifier: element.is_modifier,
        is_summary: element.is_summary,
        binding: element.binding.clone(),
        constraints: element.constraints.clone(),
        content_reference: element.content_reference.as_deref().and_then(|reference| ids.get(reference.strip_prefix('#')?)).copied(),
        children: Vec::new(),
        max_length: element.max_length,
    }
}

/// `root` is filled in when the table is linked.
fn type_use(one: &ProfileType) -> TypeUse {
    let targets = one.target_profiles.iter().map(|url| last_segment(url));
    TypeUse {
        code: one.code.clone(),
        root: None,
        targets: targets.filter(|name| name != "Resource" && name != "Any").collect(),
        profile: one.profiles.first().cloned(),
    }
}

/// The last step of a URL.
pub fn last_segment(url: &str) -> CompactString {
    url.rsplit('/').next().unwrap_or(url).into()
}
