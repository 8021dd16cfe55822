//! The type tables of a FHIR release: every element of every type, flat, addressed by [`ElementId`].
//!
//! XML, FHIRPath, search and validation all walk a document beside these tables. `definitions` fills them; nothing here knows from where.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An upper cardinality of `*`.
pub const UNBOUNDED: u32 = u32::MAX;

/// The index of an element in its [`TypeTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ElementId(pub u32);

/// What a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    Primitive,
    Complex,
    Resource,
    /// A logical model: what stands in documents of its own, and is no resource.
    Logical,
}

/// One StructureDefinition of kind primitive-type, complex-type or resource, derivation specialization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeDefinition {
    pub name: CompactString,
    pub kind: TypeKind,
    pub is_abstract: bool,
    /// The type it specialises, `None` for `Element` and `Resource`.
    pub base: Option<CompactString>,
    pub root: ElementId,
}

/// One element of a type's snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Element {
    /// Full path as the definition writes it: `Observation.component.value[x]`.
    pub path: CompactString,
    /// Last step without `[x]`: `value`.
    pub name: CompactString,
    pub min: u32,
    /// [`UNBOUNDED`] for `*`.
    pub max: u32,
    /// Allowed types; more than one only for choices. Empty for roots and for content references.
    pub types: Vec<TypeUse>,
    /// Whether the path ends in `[x]`, so that the JSON name carries the type.
    pub is_choice: bool,
    pub is_modifier: bool,
    pub is_summary: bool,
    pub binding: Option<Binding>,
    pub constraints: Vec<Constraint>,
    /// The element whose children this one has, when it is a `contentReference`.
    pub content_reference: Option<ElementId>,
    /// Direct children in definition order. Empty for elements whose children are those of their type.
    pub children: Vec<ElementId>,
    pub max_length: Option<u32>,
}

impl Element {
    /// Whether the JSON form is a list.
    pub fn repeats(&self) -> bool {
        self.max > 1
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeUse {
    /// `HumanName`, `code`, `Reference`, `BackboneElement`; FHIRPath system types (of `id`, `xhtml`) are given as the FHIR type they stand for.
    pub code: CompactString,
    /// Root element of that type; filled when the table is built. `None` for `BackboneElement` and `Element` with own children.
    pub root: Option<ElementId>,
    /// Resource types a Reference or canonical may point to; empty means any.
    pub targets: Vec<CompactString>,
    /// The profile that the type's own definition asks of it: `SimpleQuantity` of many a `Quantity`.
    pub profile: Option<CompactString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindingStrength {
    Required,
    Extensible,
    Preferred,
    Example,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Binding {
    pub strength: BindingStrength,
    /// Canonical URL of the value set, without `|version`. Empty only in a differential that changes the strength of its base's binding.
    pub value_set: CompactString,
    /// Value sets that count beside it.
    pub further: Vec<FurtherBinding>,
}

/// A value set beside the one of a binding: the largest allowed (`elementdefinition-maxValueSet`), or an additional binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherBinding {
    pub purpose: BindingPurpose,
    pub value_set: CompactString,
}

/// What a further value set is for; purposes that only help people choose are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindingPurpose {
    /// No code may lie outside, whatever the strength.
    Maximum,
    Required,
    Extensible,
    Preferred,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Constraint {
    pub key: CompactString,
    /// `true` for error, `false` for warning.
    pub is_error: bool,
    pub expression: CompactString,
    pub best_practice: bool,
}

/// All types of one release.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TypeTable {
    /// `4.0.1`.
    pub version: CompactString,
    types: Vec<TypeDefinition>,
    elements: Vec<Element>,
    /// Names that types have beside their own: the URLs of logical models.
    #[serde(skip)]
    further_names: Vec<(CompactString, CompactString)>,
    #[serde(skip)]
    by_name: NameMap<usize>,
    /// Per element, its children (own, referenced, or those of its single type) by JSON member name.
    #[serde(skip)]
    members: Vec<NameMap<MemberUse>>,
    /// Per element, its children that are choices.
    #[serde(skip)]
    choices: Vec<Box<[ElementId]>>,
    /// Per element, the kind of the type it is the root of.
    #[serde(skip)]
    root_kinds: Vec<Option<TypeKind>>,
}

/// A lookup by name. Its names come from definitions and are few, so a hash that resists aimed collisions would only cost time.
type NameMap<T> = HashMap<CompactString, T, BuildHasherDefault<NameHasher>>;

/// Eight bytes at a time, mixed by a multiplication.
#[derive(Debug, Clone, Copy, Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, &byte| (word << 8) | u64::from(byte));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn finish(&self) -> u64 {
        // The table uses the low bits, the multiplication leaves its best ones high.
        self.0 ^ (self.0 >> 32)
    }
}

/// What a JSON member name means under an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberUse {
    pub element: ElementId,
    /// Index into the element's `types`: which type of a choice the name chose, else 0.
    pub type_index: usize,
}

impl TypeTable {
    /// Builds the table and its lookups. `types[..].root`, `children` and `content_reference` index into `elements`.
    pub fn new(version: &str, types: Vec<TypeDefinition>, elements: Vec<Element>) -> TypeTable {
        let mut table = TypeTable { version: version.into(), types, elements, ..TypeTable::default() };
        table.link();
        table
    }

    /// Fills every lookup that is not stored; call once after deserialising.
    pub fn link(&mut self) {
        self.by_name = self.types.iter().enumerate().map(|(index, definition)| (definition.name.clone(), index)).collect();
        for (further, name) in &self.further_names {
            if let Some(&index) = self.by_name.get(name) {
                self.by_name.entry(further.clone()).or_insert(index);
            }
        }
        let roots: HashMap<CompactString, ElementId> = self.types.iter().map(|t| (t.name.clone(), t.root)).collect();
        for element in &mut self.elements {
            let own_children = !element.children.is_empty();
            for type_use in &mut element.types {
                type_use.root = if own_children { None } else { roots.get(&type_use.code).copied() };
            }
        }
        self.members = self.elements.iter().map(|element| self.member_names(element)).collect();
        let choices_of = |parent: &Element| parent.children.iter().copied().filter(|&id| self.element(id).is_choice).collect();
        self.choices = self.elements.iter().map(choices_of).collect();
        self.root_kinds = vec![None; self.elements.len()];
        for definition in &self.types {
            if let Some(kind) = self.root_kinds.get_mut(definition.root.0 as usize) {
                *kind = Some(definition.kind);
            }
        }
    }

    fn member_names(&self, parent: &Element) -> NameMap<MemberUse> {
        let mut names = NameMap::with_capacity_and_hasher(parent.children.len(), BuildHasherDefault::default());
        for &id in &parent.children {
            let child = self.element(id);
            if !child.is_choice {
                names.insert(child.name.clone(), MemberUse { element: id, type_index: 0 });
                continue;
            }
            for (type_index, type_use) in child.types.iter().enumerate() {
                names.insert(choice_name(&child.name, &type_use.code), MemberUse { element: id, type_index });
            }
        }
        names
    }

    pub fn types(&self) -> &[TypeDefinition] {
        &self.types
    }

    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    pub fn type_named(&self, name: &str) -> Option<&TypeDefinition> {
        self.types.get(*self.by_name.get(name)?)
    }

    /// A concrete resource type by name.
    pub fn resource(&self, name: &str) -> Option<&TypeDefinition> {
        self.type_named(name).filter(|definition| definition.kind == TypeKind::Resource && !definition.is_abstract)
    }

    /// A logical model that has instances, by its type, the last step of it, or the URL of its definition.
    pub fn model(&self, name: &str) -> Option<&TypeDefinition> {
        self.type_named(name).filter(|definition| definition.kind == TypeKind::Logical && !definition.is_abstract)
    }

    /// The URL of a logical model's definition, by the model's name.
    pub fn model_url(&self, name: &str) -> Option<&str> {
        self.further_names.iter().find(|(_, of)| of == name).map(|(url, _)| url.as_str())
    }

    /// A concrete resource type or a logical model: what a document may be of.
    pub fn document(&self, name: &str) -> Option<&TypeDefinition> {
        self.resource(name).or_else(|| self.model(name))
    }

    /// Adds a type and the elements that were built for it behind those of the table, under further names that nothing has yet.
    /// Its lookups are filled by [`link`](TypeTable::link).
    pub fn extend(&mut self, definition: TypeDefinition, elements: Vec<Element>, names: &[CompactString]) {
        self.elements.extend(elements);
        self.further_names.extend(names.iter().map(|name| (name.clone(), definition.name.clone())));
        self.types.push(definition);
    }

    /// Whether `name` is `ancestor` or specialises it: `Age` is a `Quantity`.
    pub fn is_kind_of(&self, name: &str, ancestor: &str) -> bool {
        let mut current = Some(name);
        while let Some(step) = current {
            if step == ancestor {
                return true;
            }
            current = self.type_named(step).and_then(|definition| definition.base.as_deref());
        }
        false
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by the table that owns them")]
    #[inline]
    pub fn element(&self, id: ElementId) -> &Element {
        &self.elements[id.0 as usize]
    }

    /// The element under which the children of `id` (as its `type_index`-th type) are found.
    /// For `Bundle.entry.resource` and `contained` that is `Resource`: look up the actual `resourceType` with [`resource`](TypeTable::resource) instead.
    pub fn content(&self, id: ElementId, type_index: usize) -> ElementId {
        let element = self.element(id);
        if let Some(target) = element.content_reference {
            return target;
        }
        if !element.children.is_empty() {
            return id;
        }
        element.types.get(type_index).and_then(|type_use| type_use.root).unwrap_or(id)
    }

    /// What the JSON member `name` (without a leading `_`) means under `parent`, an id that [`content`](TypeTable::content) or a root gave.
    pub fn member(&self, parent: ElementId, name: &str) -> Option<MemberUse> {
        self.members.get(parent.0 as usize)?.get(name).copied()
    }

    /// The child of `parent` by its name in paths (`value` for `value[x]`).
    pub fn child_named(&self, parent: ElementId, name: &str) -> Option<ElementId> {
        match self.member(parent, name) {
            Some(member) if !self.element(member.element).is_choice => Some(member.element),
            _ => self.choices.get(parent.0 as usize)?.iter().copied().find(|&id| self.element(id).name == name),
        }
    }

    /// The kind of the type whose root `id` is; `None` for elements inside a type.
    #[inline]
    pub fn root_kind(&self, id: ElementId) -> Option<TypeKind> {
        self.root_kinds.get(id.0 as usize).copied().flatten()
    }

    /// Whether a type is primitive: its JSON form is a bare value with an optional `_name` sibling.
    pub fn is_primitive(&self, type_name: &str) -> bool {
        self.type_named(type_name).is_some_and(|definition| definition.kind == TypeKind::Primitive)
    }
}

/// The JSON name of a choice element for one of its types: `value` and `dateTime` give `valueDateTime`.
pub fn choice_name(name: &str, type_code: &str) -> CompactString {
    let mut full = CompactString::from(name);
    let mut letters = type_code.chars();
    full.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    full.push_str(letters.as_str());
    full
}
