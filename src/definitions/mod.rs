//! What the gateway knows about FHIR's definitions: packages trimmed to machine-checkable facts, compiled, and looked up.
//!
//! In scope: the embedded R4 pack ([`Definitions::embedded`]), its types, search parameters, value sets, code systems, profiles and extensions;
//! making such a pack ([`trim`]). Out of scope: judging resources (`validate`), evaluating expressions (`fhir::path`), the network.
//!
//! Invariants: a pack states the facts of its source and no prose; loading decodes the type table and the search parameters, everything else
//! on first use; a question that the pack cannot answer is answered [`Membership::Undecidable`] or `None`, never guessed.
//!
//! Follows <https://hl7.org/fhir/R4/conformance-module.html> and <https://hl7.org/fhir/R4/terminology-module.html>.

mod blob;
mod compile;
mod computed;
mod countries;
mod expansion;
mod filters;
mod invariants;
mod language_tags;
mod logical;
mod model;
mod packages;
pub mod profile;
mod shelf;
mod store;
pub mod trim;
mod versions;

pub use invariants::Invariant;
pub use model::*;

use crate::fhir::Node;
use crate::fhir::types::{ElementId, TypeTable};
use blob::{Blob, Core};
use compact_str::CompactString;
pub use expansion::Expansion;
use profile::{NodeId, Profile};
use shelf::Shelf;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, RwLock};

/// The file that `build.rs` made of `profiles/`.
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/definitions.bin"));

/// One release's definitions, ready for lookup. Shared by reference; what is decoded late is decoded once.
pub struct Definitions {
    types: TypeTable,
    search_parameters: Vec<SearchParameter>,
    /// Indexes into `search_parameters` by the type that declares them.
    search_by_base: HashMap<CompactString, Vec<usize>>,
    compartments: Vec<Compartment>,
    value_sets: Shelf<ValueSet>,
    expansions: Vec<OnceLock<Expansion>>,
    /// Of value sets that name no version of a system: their codes by an older one, by the places of both.
    expansions_by_version: RwLock<HashMap<(usize, usize), Arc<Expansion>>>,
    code_systems: Shelf<CodeSystem>,
    /// Per code system, its concepts by code.
    concepts: Vec<OnceLock<HashMap<CompactString, usize>>>,
    structures: Shelf<Structure>,
    profiles: Vec<OnceLock<Option<Profile>>>,
    /// By element of the type table.
    invariants: Vec<OnceLock<Box<[Invariant]>>>,
    /// By the URL of a code system, the places of its supplements.
    supplements: HashMap<CompactString, Vec<usize>>,
    /// What was added and is judged by as it stands, by `url` and `url|version`.
    resources: HashMap<String, Node>,
    /// Types and the profiles that every resource of them must meet.
    global_profiles: Vec<(CompactString, CompactString)>,
    blob: Blob<'static>,
}

impl std::fmt::Debug for Definitions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Definitions").finish_non_exhaustive()
    }
}

impl Definitions {
    /// The R4 definitions the binary carries, decoded on the first call.
    pub fn embedded() -> &'static Definitions {
        static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(Definitions::fresh);
        &DEFINITIONS
    }

    /// The embedded definitions, decoded anew, to be added to.
    fn fresh() -> Definitions {
        #[expect(clippy::expect_used, reason = "build.rs wrote the file with the same types; a test loads it")]
        Definitions::open(EMBEDDED).expect("the embedded definitions decode")
    }

    fn open(bytes: &'static [u8]) -> Result<Definitions, postcard::Error> {
        let blob = Blob::open(bytes)?;
        let Core { types, search_parameters, compartments } = blob.core()?;
        let mut search_by_base: HashMap<CompactString, Vec<usize>> = HashMap::new();
        for (index, parameter) in search_parameters.iter().enumerate() {
            for base in &parameter.base {
                search_by_base.entry(base.clone()).or_default().push(index);
            }
        }
        let invariants = types.elements().iter().map(|_| OnceLock::new()).collect();
        Ok(Definitions {
            types,
            invariants,
            search_parameters,
            search_by_base,
            compartments,
            value_sets: Shelf::new(&blob.index.value_sets),
            expansions: blob.index.value_sets.iter().map(|_| OnceLock::new()).collect(),
            expansions_by_version: RwLock::default(),
            code_systems: Shelf::new(&blob.index.code_systems),
            concepts: blob.index.code_systems.iter().map(|_| OnceLock::new()).collect(),
            structures: Shelf::new(&blob.index.structures),
            profiles: blob.index.structures.iter().map(|_| OnceLock::new()).collect(),
            supplements: HashMap::new(),
            resources: HashMap::new(),
            global_profiles: Vec::new(),
            blob,
        })
    }

    /// Every element of every type.
    pub fn types(&self) -> &TypeTable {
        &self.types
    }

    /// The rules that an element of the type table states, compiled on the first call. Those that a walk over a document judges without
    /// an expression (`ele-1`, `ext-1`, `dom-2` and their like) are not among them.
    pub fn invariants(&self, id: ElementId) -> &[Invariant] {
        let Some(cell) = self.invariants.get(id.0 as usize) else { return &[] };
        cell.get_or_init(|| invariants::of_element(self, id))
    }

    /// The search parameters of a resource type, with those of `Resource` and `DomainResource`; none for an unknown type.
    pub fn search_parameters(&self, type_name: &str) -> impl Iterator<Item = &SearchParameter> {
        let own = self.types.type_named(type_name);
        std::iter::successors(own, |definition| self.types.type_named(definition.base.as_deref()?))
            .filter_map(|definition| self.search_by_base.get(&definition.name))
            .flatten()
            .filter_map(|&index| self.search_parameters.get(index))
    }

    /// The search parameter a resource type has under a code.
    pub fn search_parameter(&self, type_name: &str, code: &str) -> Option<&SearchParameter> {
        self.search_parameters(type_name).find(|parameter| parameter.code == code)
    }

    /// The search parameter with a canonical URL; composites name their parts so.
    pub fn search_parameter_by_url(&self, url: &str) -> Option<&SearchParameter> {
        let url = without_version(url);
        self.search_parameters.iter().find(|parameter| parameter.url == url)
    }

    /// The codes of the search parameters through which a resource of `type_name` belongs to the compartment of a `Patient`, `Encounter`, …;
    /// empty when it does not.
    pub fn compartment(&self, code: &str, type_name: &str) -> &[CompactString] {
        let compartment = self.compartments.iter().find(|compartment| compartment.code == code);
        let member = compartment.and_then(|compartment| compartment.members.iter().find(|(name, _)| name == type_name));
        member.map(|(_, codes)| codes.as_slice()).unwrap_or_default()
    }

    /// Whether a code is in a value set. `system` is `None` for `code` elements: any system of the set will do.
    /// `url` is the canonical URL; another version than the one that it names decides nothing.
    pub fn value_set_contains(&self, url: &str, system: Option<&str>, code: &str) -> Membership {
        match self.value_set_place(url) {
            Some(place) => self.expansion(place).map_or(Membership::Undecidable, |expansion| expansion.contains(system, code)),
            None => Membership::Undecidable,
        }
    }

    /// The expansion of a value set that some resource contains.
    pub fn contained_expansion(&self, set: &Node) -> Expansion {
        expansion::expand(self, &compile::terminology::contained_set(set), None)
    }

    /// The same of a coding: where the set names no version of its system, the version that the coding names is meant, if it is in hand.
    pub fn value_set_contains_coding(&self, url: &str, system: &str, version: Option<&str>, code: &str) -> Membership {
        let older = version.and_then(|version| self.code_systems.find_version(system, version));
        match older.filter(|place| self.code_systems.find(system) != Some(*place)).zip(self.value_set_place(url)) {
            Some((of, set)) => self.expansion_by(set, of).map_or(Membership::Undecidable, |codes| codes.contains(Some(system), code)),
            None => self.value_set_contains(url, Some(system), code),
        }
    }

    /// Why a value set in hand says of some codes neither that they are in nor that they are not.
    pub fn hindrance(&self, url: &str) -> Option<&Hindrance> {
        self.expansion(self.value_set_place(url)?)?.hindrance()
    }

    /// The expansion of a value set by an older version of a system, made once.
    fn expansion_by(&self, set: usize, system: usize) -> Option<Arc<Expansion>> {
        if let Some(known) = self.expansions_by_version.read().ok()?.get(&(set, system)) {
            return Some(known.clone());
        }
        let older = self.code_systems.get(system, &self.blob)?;
        let made = Arc::new(expansion::expand(self, self.value_sets.get(set, &self.blob)?, Some(older)));
        self.expansions_by_version.write().ok()?.insert((set, system), made.clone());
        Some(made)
    }

    /// The expansion of the value set at a place of the shelf, made once.
    fn expansion(&self, place: usize) -> Option<&Expansion> {
        let set = self.value_sets.get(place, &self.blob)?;
        Some(self.expansions.get(place)?.get_or_init(|| expansion::expand(self, set, None)))
    }

    /// The value set with a canonical URL: that version of `url|version`, or the newest where none is named.
    pub fn value_set(&self, url: &str) -> Option<&ValueSet> {
        self.value_sets.get(self.value_set_place(url)?, &self.blob)
    }

    /// Whether a value set is in hand, but not in the version that is named.
    pub fn lacks_value_set_version(&self, url: &str) -> bool {
        self.value_set_place(url).is_none() && self.value_sets.find_any(url).is_some()
    }

    /// Whether two canonical URLs name the same version of the same value set.
    pub fn is_same_value_set(&self, one: &str, other: &str) -> bool {
        one == other || self.value_set_place(one).is_some_and(|place| self.value_set_place(other) == Some(place))
    }

    fn value_set_place(&self, url: &str) -> Option<usize> {
        // A release names its own version where it binds value sets that have versions of their own.
        let names_release = || url.split_once('|').is_some_and(|(_, version)| version == self.types.version);
        self.value_sets.find(url).or_else(|| self.value_sets.find_in_release(url).filter(|_| names_release()))
    }

    /// The code system with a canonical URL: that version of `url|version` if it is in hand, else the newest.
    pub fn code_system(&self, url: &str) -> Option<&CodeSystem> {
        self.code_systems.get(self.code_systems.find_any(url)?, &self.blob)
    }

    /// What is known of a code in its system.
    pub fn standing(&self, url: &str, code: &str) -> Standing<'_> {
        self.standing_in(url, None, code)
    }

    /// What is known of a code in the version of its system that is named, or in the newest.
    pub fn standing_in(&self, url: &str, version: Option<&str>, code: &str) -> Standing<'_> {
        let Some(newest) = self.code_systems.find_any(url) else { return self.computed_standing(url, code) };
        let has_codes = || self.code_systems.get(newest, &self.blob).is_some_and(|system| system.content != Content::NotPresent);
        let place = match version.map(|version| self.code_systems.find_version(url, version)) {
            None => newest,
            Some(Some(place)) => place,
            Some(None) if has_codes() => return Standing::UnknownVersion,
            Some(None) => newest,
        };
        let Some(system) = self.code_systems.get(place, &self.blob) else { return Standing::UnknownSystem };
        let index = self.concepts.get(place).map(|cell| cell.get_or_init(|| concepts_by_code(system)));
        let folded = if system.case_sensitive { Cow::Borrowed(code) } else { Cow::Owned(code.to_lowercase()) };
        let found = index.and_then(|index| index.get(folded.as_ref())).and_then(|&index| system.concepts.get(index));
        match (found, system.content) {
            // Some say that they are complete, and name what they supplement all the same.
            _ if system.content == Content::Supplement || system.supplements.is_some() => Standing::Supplement,
            (Some(concept), _) => Standing::Known { display: concept.display.as_deref(), is_inactive: concept.is_inactive },
            (None, Content::Complete) => Standing::Absent,
            (None, Content::NotPresent) => self.computed_standing(url, code),
            (None, _) => Standing::Undecided,
        }
    }

    /// Whether a code system is in hand, but not in the version that is named, so that nothing is known of its codes.
    pub fn lacks_system_version(&self, url: &str, version: &str) -> bool {
        self.standing_in(url, Some(version), "") == Standing::UnknownVersion
    }

    /// Whether a code system in hand says that a code is out of use.
    fn is_inactive(&self, url: &str, code: &str) -> bool {
        let Some(place) = self.code_systems.find(url) else { return false };
        let Some(system) = self.code_systems.get(place, &self.blob) else { return false };
        let index = self.concepts.get(place).map(|cell| cell.get_or_init(|| concepts_by_code(system)));
        index.and_then(|index| system.concepts.get(*index.get(code)?)).is_some_and(|concept| concept.is_inactive)
    }

    /// The names that a value set gives a code in it, or takes from the system.
    pub fn value_set_names(&self, url: &str, system: &str, code: &str) -> impl Iterator<Item = &str> {
        let expansion = self.value_set_place(url).and_then(|place| self.expansion(place));
        expansion.into_iter().flat_map(move |expansion| expansion.names(system, code))
    }

    /// The first supplement that a value set needs and that is not in hand.
    pub fn lacks_supplement(&self, url: &str) -> Option<&str> {
        let set = self.value_set(url)?;
        let is_missing = |supplement: &&CompactString| self.code_systems.find_any(without_version(supplement)).is_none();
        set.supplements.iter().find(is_missing).map(CompactString::as_str)
    }

    /// That version of a code system, if it is in hand; without a version the newest. The URL may have a version after it.
    fn code_system_in(&self, url: &str, version: Option<&str>) -> Option<&CodeSystem> {
        let place = match version {
            Some(version) => self.code_systems.find_version(url, version),
            None => self.code_systems.find(url),
        };
        self.code_systems.get(place?, &self.blob)
    }

    /// The names of a code that its system gives beside the display, and those that supplements give, each with its language.
    pub fn designations(&self, url: &str, version: Option<&str>, code: &str) -> Vec<(Option<&str>, &str)> {
        let base = self.system_place(url, version);
        let supplements = self.supplements.get(without_version(url)).into_iter().flatten().copied();
        let mut names = Vec::new();
        for place in base.into_iter().chain(supplements) {
            let Some(system) = self.code_systems.get(place, &self.blob) else { continue };
            let index = self.concepts.get(place).map(|cell| cell.get_or_init(|| concepts_by_code(system)));
            let Some(concept) = index.and_then(|index| index.get(code)).and_then(|&index| system.concepts.get(index)) else { continue };
            names.extend(concept.designations.iter().map(|one| (one.language.as_deref(), one.value.as_str())));
            names.extend(concept.display.as_deref().filter(|_| Some(place) != base).map(|display| (None, display)));
        }
        names
    }

    /// The language that a code system says it is in.
    pub fn language_of(&self, url: &str, version: Option<&str>) -> Option<&str> {
        self.code_systems.get(self.system_place(url, version)?, &self.blob)?.language.as_deref()
    }

    /// Where a code system is: in the version that is named, or in any.
    fn system_place(&self, url: &str, version: Option<&str>) -> Option<usize> {
        let named = version.and_then(|version| self.code_systems.find_version(url, version));
        named.or_else(|| self.code_systems.find_any(url))
    }

    /// What is known of a code from its form, or from a list that is part of the program.
    fn computed_standing(&self, url: &str, code: &str) -> Standing<'_> {
        match computed::judge(url, code) {
            computed::Judgement::Valid => Standing::Known { display: None, is_inactive: false },
            computed::Judgement::Invalid => Standing::Absent,
            computed::Judgement::Unknown => Standing::UnknownSystem,
        }
    }

    /// The type, profile or extension with a canonical URL: that version of `url|version`, or the newest where none is named.
    pub fn structure(&self, url: &str) -> Option<&Structure> {
        self.structures.get(self.structures.find(url)?, &self.blob)
    }

    /// The same, or another version where the one that is named is not in hand: what something is a profile of does not change with its versions.
    pub fn structure_in_any_version(&self, url: &str) -> Option<&Structure> {
        self.structures.get(self.structures.find_any(url)?, &self.blob)
    }

    /// The elements and slices of the profile or extension that a definition is, be it in hand or not, without its rules. `None` for types.
    pub fn profile_of(&self, definition: &Node) -> Option<Profile> {
        Profile::without_rules(self, &compile::structures::structure(definition)?)
    }

    /// The profile or extension with a canonical URL, as the tree to check against, made once. `None` for types and what is not in hand.
    /// Another version than the one that is named says nothing about it.
    pub fn profile(&self, url: &str) -> Option<&Profile> {
        let place = self.structures.find(url)?;
        let structure = self.structures.get(place, &self.blob)?;
        self.profiles.get(place)?.get_or_init(|| Profile::of(self, structure)).as_ref()
    }

    /// The profile that a type's definition names, with what of it is meant: the whole, or the element whose id stands behind the URL.
    pub fn profile_part(&self, url: &str) -> Option<(&Profile, Vec<NodeId>)> {
        let (url, id) = url.split_once('#').map_or((url, None), |(url, id)| (url, Some(id)));
        let profile = self.profile(url)?;
        let part = id.map_or_else(|| vec![0], |id| profile.part(id));
        (!part.is_empty()).then_some((profile, part))
    }
}

fn concepts_by_code(system: &CodeSystem) -> HashMap<CompactString, usize> {
    let key = |concept: &SystemConcept| if system.case_sensitive { concept.code.clone() } else { concept.code.to_lowercase() };
    system.concepts.iter().enumerate().map(|(index, concept)| (key(concept), index)).collect()
}

#[cfg(test)]
mod tests;
