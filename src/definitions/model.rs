//! The facts of a definition package as plain data: what `build.rs` stores and what the rooms above read.
//!
//! Types of a release are not here but in [`crate::fhir::types`]; these are the facts beside them.

use crate::fhir::types::{Binding, Constraint, Element, TypeDefinition};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// `SearchParameter.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SearchKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl SearchKind {
    /// The kind a code of the value set `search-param-type` names.
    pub fn from_code(code: &str) -> Option<SearchKind> {
        Some(match code {
            "number" => SearchKind::Number,
            "date" => SearchKind::Date,
            "string" => SearchKind::String,
            "token" => SearchKind::Token,
            "reference" => SearchKind::Reference,
            "composite" => SearchKind::Composite,
            "quantity" => SearchKind::Quantity,
            "uri" => SearchKind::Uri,
            "special" => SearchKind::Special,
            _ => return None,
        })
    }

    /// The code of the value set `search-param-type`.
    pub fn code(self) -> &'static str {
        match self {
            SearchKind::Number => "number",
            SearchKind::Date => "date",
            SearchKind::String => "string",
            SearchKind::Token => "token",
            SearchKind::Reference => "reference",
            SearchKind::Composite => "composite",
            SearchKind::Quantity => "quantity",
            SearchKind::Uri => "uri",
            SearchKind::Special => "special",
        }
    }
}

/// A SearchParameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchParameter {
    pub url: CompactString,
    /// The name in a query: `birthdate`.
    pub code: CompactString,
    /// Resource types it applies to; `Resource` and `DomainResource` mean all of theirs.
    pub base: Vec<CompactString>,
    pub kind: SearchKind,
    /// FHIRPath that selects what is indexed, choices written `ofType(…)`. Joined with ` | ` over all of `base`:
    /// a part that begins with another type's name selects nothing. Empty when the definition gives none (`_text`, `_content`, `_query` and their like).
    pub expression: CompactString,
    /// Resource types a reference parameter may point to; empty means any.
    pub targets: Vec<CompactString>,
    /// The parts of a composite, in order; empty for every other kind.
    pub components: Vec<SearchComponent>,
}

/// One part of a composite SearchParameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchComponent {
    /// URL of the SearchParameter that says how this part is matched.
    pub definition: CompactString,
    /// FHIRPath relative to what the composite's own expression selects.
    pub expression: CompactString,
}

/// What a value set says about a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// In the set; the display is that of the set or else of the code system, where either gives one.
    Member {
        display: Option<CompactString>,
    },
    NotMember,
    /// The set, or the code system it draws from, is not in hand or not enumerable here.
    Undecidable,
}

/// What is known of a code in its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// A code of the system, with the display that the system gives it, and whether the system says that it is out of use.
    Known {
        display: Option<&'a str>,
        is_inactive: bool,
    },
    /// The system is in hand as a whole, or is a grammar, and the code is not of it.
    Absent,
    /// Only a part of the system is in hand, and the code is not of that part.
    Undecided,
    /// What is named is no system but a supplement, which only adds to the codes of another.
    Supplement,
    UnknownSystem,
    /// The system is in hand, but not in the version that is named.
    UnknownVersion,
}

/// Why a part of a value set is left open, where more can be said than that its system is not in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// It takes in this value set, of which another version is in hand.
    ValueSetVersion(CompactString),
    /// It draws from this version of a system, of which another version is in hand: `url|version`.
    SystemVersion(CompactString),
    /// It takes in itself, by way of this value set.
    Circle(CompactString),
    /// It reaches a limit, by its name.
    Limit(&'static str),
}

/// A StructureDefinition with its snapshot: a type, a profile or an extension.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Structure {
    pub url: CompactString,
    pub version: CompactString,
    pub name: CompactString,
    /// `StructureDefinition.type`: the type that is constrained or defined.
    pub type_name: CompactString,
    pub kind: StructureKind,
    pub is_abstract: bool,
    /// `true` for a profile or extension (`constraint`), `false` for a type of its own (`specialization`).
    pub is_constraint: bool,
    pub base: Option<CompactString>,
    /// Where an extension may stand; empty for everything else.
    pub contexts: Vec<ExtensionContext>,
    /// FHIRPath that must hold where an extension stands.
    pub context_invariants: Vec<CompactString>,
    /// Further profiles that what meets this one must meet.
    pub imposed: Vec<CompactString>,
    /// Whether only a differential is in hand.
    pub is_differential: bool,
    /// The snapshot, or else the differential, in its order; the first of a snapshot is the root.
    pub elements: Vec<ProfileElement>,
}

/// `StructureDefinition.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StructureKind {
    Primitive,
    Complex,
    Resource,
    Logical,
}

/// One `StructureDefinition.context`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionContext {
    pub kind: ContextKind,
    pub expression: CompactString,
    /// The first and the last release of FHIR that it is for, where it is not for all.
    pub releases: [Option<CompactString>; 2],
}

impl ExtensionContext {
    /// Whether it is for a release of FHIR, which the first two numbers of a version tell.
    pub fn is_of(&self, version: &str) -> bool {
        let number = |version: &str| {
            let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
            Some((parts.next()??, parts.next()??))
        };
        if self.releases.iter().all(Option::is_none) {
            return true;
        }
        let [first, last] = self.releases.each_ref().map(|one| one.as_deref().and_then(number));
        number(version).is_none_or(|here| first.is_none_or(|first| first <= here) && last.is_none_or(|last| here <= last))
    }
}

/// `StructureDefinition.context.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContextKind {
    FhirPath,
    Element,
    Extension,
}

/// One element of a snapshot, with all that a profile can say about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProfileElement {
    pub id: CompactString,
    pub path: CompactString,
    pub slice_name: Option<CompactString>,
    pub min: u32,
    /// [`UNBOUNDED`](crate::fhir::types::UNBOUNDED) for `*`.
    pub max: u32,
    pub types: Vec<ProfileType>,
    pub binding: Option<Binding>,
    pub constraints: Vec<Constraint>,
    /// As written: `#Observation.referenceRange`.
    pub content_reference: Option<CompactString>,
    pub slicing: Option<Slicing>,
    pub fixed: Option<TypedJson>,
    pub pattern: Option<TypedJson>,
    pub min_value: Option<TypedJson>,
    pub max_value: Option<TypedJson>,
    pub max_length: Option<u32>,
    pub must_support: bool,
    pub is_modifier: bool,
    pub is_summary: bool,
    /// What extensions ask of the element, of those that the validator obeys: the last segment of the URL and the value.
    pub controls: Vec<(CompactString, CompactString)>,
}

/// A type an element may have, with the profiles asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileType {
    /// As in [`TypeUse`](crate::fhir::types::TypeUse): FHIRPath system types are given as the FHIR type they stand for.
    pub code: CompactString,
    pub profiles: Vec<CompactString>,
    pub target_profiles: Vec<CompactString>,
    pub aggregation: Vec<CompactString>,
}

/// `ElementDefinition.slicing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicing {
    pub discriminators: Vec<Discriminator>,
    pub ordered: bool,
    /// `open`, `closed` or `openAtEnd`.
    pub rules: CompactString,
}

/// One discriminator of a slicing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discriminator {
    /// `value`, `exists`, `pattern`, `type` or `profile`.
    pub kind: CompactString,
    pub path: CompactString,
}

/// A value of a named type, as JSON text: of `fixedCode`, `patternCodeableConcept`, `minValueDate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedJson {
    /// The FHIR type, from the member's name: `CodeableConcept`, `code`.
    pub type_name: CompactString,
    pub json: String,
}

/// A ValueSet: its composition, or its expansion where only that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueSet {
    pub url: CompactString,
    pub version: CompactString,
    pub include: Vec<ConceptSet>,
    pub exclude: Vec<ConceptSet>,
    /// Whether concepts that are no longer active are left out (`compose.inactive` is false).
    pub active_only: bool,
    /// The supplements without which the set cannot be used (extension `valueset-supplement`).
    pub supplements: Vec<CompactString>,
    /// The codes of an expansion that came with a composition, for when the composition cannot be followed here.
    pub expansion: Option<GivenExpansion>,
}

/// An expansion that somebody else made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenExpansion {
    /// One set per system.
    pub sets: Vec<ConceptSet>,
    /// How many it has that are within no other.
    pub outermost: usize,
    /// Whether it lists every code: nothing says that it was cut short.
    pub is_whole: bool,
}

/// One `ValueSet.compose.include` or `exclude`. All that is given applies together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConceptSet {
    pub system: Option<CompactString>,
    /// The version of the system that is meant; any when there is none.
    pub version: Option<CompactString>,
    /// Listed codes; empty means every code of the system that the filters let through.
    pub concepts: Vec<Concept>,
    pub filters: Vec<Filter>,
    /// Value sets a code must be in as well.
    pub value_sets: Vec<CompactString>,
}

/// A code with its display.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concept {
    pub code: CompactString,
    pub display: Option<CompactString>,
    /// Other names that the set gives it.
    pub designations: Vec<CompactString>,
}

/// One `ValueSet.compose.include.filter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub property: CompactString,
    pub op: CompactString,
    pub value: CompactString,
}

/// A CodeSystem with the codes in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSystem {
    pub url: CompactString,
    pub version: CompactString,
    pub content: Content,
    pub case_sensitive: bool,
    /// The language that it says it is in.
    pub language: Option<CompactString>,
    /// URL of the system whose codes this one only adds to.
    pub supplements: Option<CompactString>,
    /// The properties that concepts may have.
    pub properties: Vec<PropertyDefinition>,
    /// The filters that it defines.
    pub filters: Vec<FilterDefinition>,
    /// What its hierarchy means, where it says so (`hierarchyMeaning`).
    pub hierarchy: Option<CompactString>,
    /// How many concepts it says that it has, whatever part of them is here.
    pub count: Option<u32>,
    /// In definition order, parents before their children.
    pub concepts: Vec<SystemConcept>,
}

/// The URI of a property that FHIR defines, before its name.
const CONCEPT_PROPERTIES: &str = "http://hl7.org/fhir/concept-properties#";

impl CodeSystem {
    /// The code under which the system has a property that FHIR defines, which is its name unless the system says otherwise.
    pub fn property_called<'s>(&'s self, name: &'s str) -> &'s str {
        let is_named = |one: &&PropertyDefinition| one.uri.as_deref().and_then(|uri| uri.strip_prefix(CONCEPT_PROPERTIES)) == Some(name);
        self.properties.iter().find(is_named).map_or(name, |one| one.code.as_str())
    }
}

/// One `CodeSystem.property`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyDefinition {
    pub code: CompactString,
    pub uri: Option<CompactString>,
    /// `code`, `Coding`, `string`, `integer`, `boolean`, `dateTime` or `decimal`.
    pub kind: CompactString,
}

/// One `CodeSystem.filter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterDefinition {
    pub code: CompactString,
    pub operators: Vec<CompactString>,
}

/// `CodeSystem.content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    NotPresent,
    Example,
    Fragment,
    Complete,
    Supplement,
}

/// A code of a CodeSystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemConcept {
    pub code: CompactString,
    pub display: Option<CompactString>,
    /// Other names for it, in other languages or for other uses.
    pub designations: Vec<Designation>,
    /// Indexes of its parents in [`CodeSystem::concepts`]: by nesting, and by `parent` and `subsumedBy` properties.
    pub parents: Vec<u32>,
    /// Whether its properties say that it is inactive, or retired.
    pub is_inactive: bool,
    /// Properties other than the hierarchy, as text, for filters.
    pub properties: Vec<(CompactString, CompactString)>,
}

/// `CodeSystem.concept.designation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Designation {
    pub language: Option<CompactString>,
    pub value: CompactString,
}

/// A CompartmentDefinition: which resources belong to a patient, an encounter, a practitioner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compartment {
    /// The resource type it is about: `Patient`.
    pub code: CompactString,
    /// Per resource type the codes of the search parameters through which it belongs; types without any are left out.
    pub members: Vec<(CompactString, Vec<CompactString>)>,
}

/// Everything a package states, decoded.
#[derive(Debug, Default)]
pub struct Pack {
    pub version: CompactString,
    pub types: Vec<TypeDefinition>,
    pub elements: Vec<Element>,
    pub search_parameters: Vec<SearchParameter>,
    pub compartments: Vec<Compartment>,
    pub value_sets: Vec<ValueSet>,
    pub code_systems: Vec<CodeSystem>,
    pub structures: Vec<Structure>,
}

/// A canonical reference without its `|version`.
pub fn without_version(url: &str) -> &str {
    url.split('|').next().unwrap_or(url)
}
