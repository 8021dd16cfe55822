//! The codes of a value set, as far as they can be listed, and what is known about the rest.

use super::computed::{self, Judgement};
use super::{CodeSystem, ConceptSet, Content, Definitions, Filter, Membership, SystemConcept, ValueSet};
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};

/// How many value sets may refer to one another in a row; beyond, membership is undecidable.
const REFERENCE_DEPTH_MAX: usize = 16;
/// How many references one expansion follows in all; beyond, membership is undecidable.
const REFERENCES_MAX: usize = 1_000;

/// A value set made ready for lookup.
#[derive(Debug, Default)]
pub struct Expansion {
    listed: HashMap<CompactString, Vec<Listed>>,
    /// Parts that cannot be listed: of one system, or of any when there is none.
    open: Vec<Option<CompactString>>,
    /// Exclusions that cannot be listed: a code of that system may or may not be in.
    doubtful: Vec<Option<CompactString>>,
    /// Systems whose codes are the same in either case.
    case_blind: Vec<CompactString>,
}

#[derive(Debug, Clone)]
struct Listed {
    system: CompactString,
    display: Option<CompactString>,
}

impl Expansion {
    /// Whether a code is in the set; without a system, whether it is under any.
    pub fn contains(&self, system: Option<&str>, code: &str) -> Membership {
        let fits = |of: &str| system.is_none_or(|system| system == of);
        let found =
            self.listed.get(code).and_then(|all| all.iter().find(|one| fits(&one.system))).or_else(|| self.in_other_case(system, code));
        if let Some(listed) = found {
            let doubtful = self.doubtful.iter().any(|of| of.as_deref().is_none_or(|of| of == listed.system));
            return if doubtful { Membership::Undecidable } else { Membership::Member { display: listed.display.clone() } };
        }
        let mut verdict = Membership::NotMember;
        for part in &self.open {
            match part {
                Some(of) if fits(of) => match computed::judge(of, code) {
                    Judgement::Valid => return Membership::Member { display: None },
                    Judgement::Invalid => {}
                    Judgement::Unknown => verdict = Membership::Undecidable,
                },
                Some(_) => {}
                None => verdict = Membership::Undecidable,
            }
        }
        verdict
    }

    fn in_other_case(&self, system: Option<&str>, code: &str) -> Option<&Listed> {
        let of = self.case_blind.iter().find(|of| system.is_none_or(|system| system == of.as_str()))?;
        let same = self.listed.iter().find(|(listed, all)| listed.eq_ignore_ascii_case(code) && all.iter().any(|one| one.system == *of));
        same.and_then(|(_, all)| all.iter().find(|one| one.system == *of))
    }

    fn list(&mut self, system: &str, code: &str, display: Option<&CompactString>) {
        let all = self.listed.entry(code.into()).or_default();
        if !all.iter().any(|one| one.system == system) {
            all.push(Listed { system: system.into(), display: display.cloned() });
        }
    }

    fn unlist(&mut self, excluded: &Expansion) {
        for (code, systems) in &excluded.listed {
            if let Some(all) = self.listed.get_mut(code) {
                all.retain(|one| !systems.iter().any(|other| other.system == one.system));
            }
        }
        self.listed.retain(|_, all| !all.is_empty());
        self.doubtful.extend(excluded.open.iter().cloned());
    }

    fn add(&mut self, other: Expansion) {
        for (code, all) in other.listed {
            for one in all {
                self.list(&one.system, &code, one.display.as_ref());
            }
        }
        self.open.extend(other.open);
        self.doubtful.extend(other.doubtful);
        self.case_blind.extend(other.case_blind);
    }

    /// What is in both. A part that cannot be listed on one side keeps the other side's codes of that system undecided.
    fn meet(self, other: &Expansion) -> Expansion {
        let mut both = Expansion { case_blind: self.case_blind.clone(), ..Expansion::default() };
        for (code, all) in &self.listed {
            for one in all {
                match other.contains(Some(&one.system), code) {
                    Membership::Member { .. } => both.list(&one.system, code, one.display.as_ref()),
                    Membership::Undecidable => {
                        both.list(&one.system, code, one.display.as_ref());
                        both.doubtful.push(Some(one.system.clone()));
                    }
                    Membership::NotMember => {}
                }
            }
        }
        if !self.open.is_empty() {
            both.open.push(None);
        }
        both.doubtful.extend(self.doubtful);
        both
    }
}

/// Lists what can be listed of a value set.
pub fn expand(definitions: &Definitions, set: &ValueSet) -> Expansion {
    Expander { definitions, references_left: REFERENCES_MAX }.set(set, 0)
}

/// One expansion, with what it may still cost: sets that refer to one another in circles would otherwise never end.
struct Expander<'a> {
    definitions: &'a Definitions,
    references_left: usize,
}

impl Expander<'_> {
    fn set(&mut self, set: &ValueSet, depth: usize) -> Expansion {
        let mut expansion = Expansion::default();
        for part in &set.include {
            expansion.add(self.part(part, depth));
        }
        for part in &set.exclude {
            expansion.unlist(&self.part(part, depth));
        }
        expansion
    }

    fn part(&mut self, part: &ConceptSet, depth: usize) -> Expansion {
        let mut sets = part.value_sets.iter();
        let start = match &part.system {
            Some(system) => system_codes(self.definitions, system, part),
            None => sets.next().map_or_else(|| unlistable(None), |url| self.referred(url, depth)),
        };
        sets.fold(start, |codes, url| codes.meet(&self.referred(url, depth)))
    }

    fn referred(&mut self, url: &str, depth: usize) -> Expansion {
        let Some(set) = self.definitions.value_set(url).filter(|_| depth < REFERENCE_DEPTH_MAX && self.references_left > 0) else {
            return unlistable(None);
        };
        self.references_left -= 1;
        self.set(set, depth + 1)
    }
}

fn unlistable(system: Option<&str>) -> Expansion {
    Expansion { open: vec![system.map(CompactString::from)], ..Expansion::default() }
}

fn system_codes(definitions: &Definitions, url: &str, part: &ConceptSet) -> Expansion {
    let system = definitions.code_system(url);
    // Two R4 value sets name a version within the system; codes are matched by the system alone.
    let url = super::without_version(url);
    let mut codes = Expansion::default();
    if !system.is_none_or(|system| system.case_sensitive) {
        codes.case_blind.push(url.into());
    }
    if !part.concepts.is_empty() {
        let displays: HashMap<&str, &CompactString> = system
            .map(|system| system.concepts.iter().filter_map(|one| Some((one.code.as_str(), one.display.as_ref()?))).collect())
            .unwrap_or_default();
        for concept in &part.concepts {
            codes.list(url, &concept.code, concept.display.as_ref().or(displays.get(concept.code.as_str()).copied()));
        }
        return codes;
    }
    let listed = system.and_then(|system| Some((system, filtered(system, &part.filters)?)));
    let Some((system, concepts)) = listed else { return unlistable(Some(url)) };
    for concept in concepts {
        codes.list(url, &concept.code, concept.display.as_ref());
    }
    if system.content != Content::Complete {
        codes.open.push(Some(url.into()));
    }
    codes
}

/// The concepts that every filter lets through; `None` when a filter cannot be applied.
fn filtered<'a>(system: &'a CodeSystem, filters: &[Filter]) -> Option<Vec<&'a SystemConcept>> {
    let mut kept: Vec<(u32, &SystemConcept)> = (0..).zip(&system.concepts).collect();
    for filter in filters {
        let root = system.concepts.iter().position(|concept| concept.code == filter.value).and_then(|index| u32::try_from(index).ok());
        match (filter.property.as_str(), filter.op.as_str()) {
            ("concept" | "code", "is-a" | "descendent-of" | "is-not-a") => {
                let root = root?;
                let below = descendants(system, root);
                kept.retain(|(index, _)| match filter.op.as_str() {
                    "is-a" => *index == root || below.contains(index),
                    "descendent-of" => below.contains(index),
                    _ => *index != root && !below.contains(index),
                });
            }
            ("concept" | "code", "=") => kept.retain(|(_, concept)| concept.code == filter.value),
            ("concept" | "code", "in") => kept.retain(|(_, concept)| filter.value.split(',').any(|code| code.trim() == concept.code)),
            (property, "=") if states(system, property) => {
                kept.retain(|(_, concept)| concept.properties.iter().any(|(name, value)| name == property && *value == filter.value));
            }
            _ => return None,
        }
    }
    Some(kept.into_iter().map(|(_, concept)| concept).collect())
}

/// Whether the system gives the property for any code: if for none, a filter on it cannot be applied.
fn states(system: &CodeSystem, property: &str) -> bool {
    system.concepts.iter().any(|concept| concept.properties.iter().any(|(name, _)| name == property))
}

fn descendants(system: &CodeSystem, root: u32) -> HashSet<u32> {
    let mut below = HashSet::new();
    // Parents mostly stand before their children, so one pass finds all; links by property may need more.
    loop {
        let known = below.len();
        for (index, concept) in (0..).zip(&system.concepts) {
            if concept.parents.iter().any(|parent| *parent == root || below.contains(parent)) {
                below.insert(index);
            }
        }
        if below.len() == known {
            return below;
        }
    }
}
