//! Definitions beyond the embedded ones: packages and single definitions, added when the process starts.

use super::trim::SourceError;
use super::{Content, Definitions, compile, logical, store, trim, versions};
use crate::fhir::Node;
use std::path::Path;
use std::sync::{OnceLock, RwLock};

/// What is judged by as it stands.
const KEPT_WHOLE: [&str; 4] = ["Questionnaire", "Measure", "Library", "StructureMap"];

/// The definition that every release's core has.
const ROOT: &str = "http://hl7.org/fhir/StructureDefinition/Element";

impl Definitions {
    /// The embedded definitions with those of packages (`.tgz` or folder), later ones taking the place of earlier ones.
    pub fn with_packages(packages: &[&Path]) -> Result<Definitions, SourceError> {
        let mut definitions = Definitions::fresh();
        for package in packages {
            definitions.add(&trim::read_resources(package)?);
        }
        Ok(definitions)
    }

    /// The definitions of another release, made of packages of which one is its core. `None` when none of them defines the types.
    /// `version` may name the release (`4.3`); the definitions have the version of their core (`4.3.0`).
    pub fn of_release(version: &str, packages: &[&Path]) -> Result<Option<Definitions>, SourceError> {
        let mut resources = Vec::new();
        for package in packages {
            resources.extend(trim::read_resources(package)?);
        }
        let mut pack = compile::compile(version, resources.iter());
        if !pack.types.iter().any(|one| one.name == "Element") {
            return Ok(None);
        }
        let of_core = pack.structures.iter().find(|one| one.url == ROOT).map(|element| element.version.clone());
        pack.version = of_core.filter(|of_core| versions::fits(version, of_core)).unwrap_or(pack.version);
        let is_model = |one: &&Node| one.text("kind") == Some("logical") && one.text("derivation") == Some("specialization");
        let models: Vec<Node> = resources.iter().filter(is_model).cloned().collect();
        let Ok(bytes) = store::write(pack) else { return Ok(None) };
        // A process reads a release once and keeps it to its end.
        let definitions = Definitions::open(Vec::leak(bytes)).ok();
        Ok(definitions.map(|mut definitions| {
            definitions.add(&models);
            definitions.keep_whole(&resources);
            // The core of a release comes with guides that are examples, of profiles that there are not.
            let asked = std::mem::take(&mut definitions.global_profiles);
            definitions.global_profiles = asked.into_iter().filter(|one| definitions.structure(&one.1).is_some()).collect();
            definitions
        }))
    }

    /// The embedded definitions with further ones, given as the resources that state them.
    pub fn with(resources: &[Node]) -> Definitions {
        let mut definitions = Definitions::fresh();
        definitions.add(resources);
        definitions
    }

    /// Adds definitions. Types of their own are passed over, for a gateway speaks one release; logical models are none of its types.
    pub fn add(&mut self, resources: &[Node]) {
        let pack = compile::compile(&self.types.version.clone(), resources.iter());
        let elements_before = self.types.elements().len();
        logical::add(&mut self.types, &pack.structures);
        self.invariants.extend((elements_before..self.types.elements().len()).map(|_| OnceLock::new()));
        for structure in pack.structures {
            if structure.is_constraint || self.structures.find(&structure.url).is_none() {
                self.structures.put(structure.url.clone(), structure.version.clone(), structure);
            }
        }
        for set in pack.value_sets {
            self.value_sets.put(set.url.clone(), set.version.clone(), set);
        }
        for system in pack.code_systems {
            if let (Content::Supplement, Some(base)) = (system.content, &system.supplements) {
                self.supplements.entry(base.clone()).or_default().push(self.code_systems.len());
            }
            self.code_systems.put(system.url.clone(), system.version.clone(), system);
        }
        self.keep_whole(resources);
    }

    fn keep_whole(&mut self, resources: &[Node]) {
        for resource in resources.iter().filter(|one| KEPT_WHOLE.contains(&one.resource_type().unwrap_or_default())) {
            if let Some(url) = resource.text("url") {
                let versioned = format!("{url}|{}", resource.text("version").unwrap_or_default());
                self.resources.insert(versioned, resource.clone());
                self.resources.insert(url.to_owned(), resource.clone());
            }
        }
        for guide in resources.iter().filter(|one| one.resource_type() == Some("ImplementationGuide")) {
            let stated = guide.items("global").iter();
            self.global_profiles.extend(stated.filter_map(|one| Some((one.text("type")?.into(), one.text("profile")?.into()))));
        }
        // What was expanded or built from the definitions before may differ now.
        self.expansions = (0..self.value_sets.len()).map(|_| OnceLock::new()).collect();
        self.expansions_by_version = RwLock::default();
        self.concepts = (0..self.code_systems.len()).map(|_| OnceLock::new()).collect();
        self.profiles = (0..self.structures.len()).map(|_| OnceLock::new()).collect();
    }
}

impl Definitions {
    /// The profiles that the implementation guides in hand ask of every resource of a type (`ImplementationGuide.global`).
    pub fn global_profiles(&self, type_name: &str) -> impl Iterator<Item = &str> {
        self.global_profiles.iter().filter(move |one| one.0 == type_name).map(|one| one.1.as_str())
    }

    /// A Questionnaire, Measure or Library that was added, by its canonical URL. Where that names a version, no other stands for it.
    pub fn resource(&self, url: &str) -> Option<&Node> {
        let Some((any, asked)) = url.split_once('|') else { return self.resources.get(url) };
        let fits = |found: &&Node| found.text("version").is_some_and(|version| versions::fits(asked, version));
        self.resources.get(url).or_else(|| self.resources.get(any).filter(fits))
    }
}
