//! The codes of a value set, as far as they can be listed, and what is known about the rest.

use super::computed::{self, Judgement};
use super::{CodeSystem, ConceptSet, Content, Definitions, Hindrance, Membership, SystemConcept, ValueSet, filters};
use compact_str::CompactString;
use std::collections::HashMap;

/// How many value sets may refer to one another in a row; beyond, membership is undecidable.
const REFERENCE_DEPTH_MAX: usize = 16;
/// How many references one expansion follows in all; beyond, membership is undecidable.
const REFERENCES_MAX: usize = 1_000;

/// How many codes one expansion lists; beyond, membership of what is not listed is undecidable.
const CODES_MAX: usize = 2_000_000;

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
    /// Systems of which filters let through a part that cannot be listed.
    filtered: Vec<CompactString>,
    /// The first thing that kept codes from being listed.
    hindrance: Option<Hindrance>,
}

#[derive(Debug, Clone)]
struct Listed {
    system: CompactString,
    display: Option<CompactString>,
    /// What the set calls it beside the display.
    names: Box<[CompactString]>,
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
                    Judgement::Valid if self.filtered.iter().any(|filtered| filtered == of) => verdict = Membership::Undecidable,
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

    /// The names of a listed code.
    pub fn names<'s>(&'s self, system: &str, code: &str) -> impl Iterator<Item = &'s str> + use<'s> {
        let listed = self.listed.get(code).and_then(|all| all.iter().find(|one| one.system == system));
        listed.into_iter().flat_map(|one| one.display.iter().chain(&one.names)).map(CompactString::as_str)
    }

    pub fn hindrance(&self) -> Option<&Hindrance> {
        self.hindrance.as_ref()
    }

    fn in_other_case(&self, system: Option<&str>, code: &str) -> Option<&Listed> {
        let of = self.case_blind.iter().find(|of| system.is_none_or(|system| system == of.as_str()))?;
        let same = self.listed.iter().find(|(listed, all)| listed.eq_ignore_ascii_case(code) && all.iter().any(|one| one.system == *of));
        same.and_then(|(_, all)| all.iter().find(|one| one.system == *of))
    }

    fn list(&mut self, system: &str, code: &str, display: Option<&CompactString>, names: &[CompactString]) {
        let all = self.listed.entry(code.into()).or_default();
        if !all.iter().any(|one| one.system == system) {
            all.push(Listed { system: system.into(), display: display.cloned(), names: names.into() });
        }
    }

    /// Leaves out what is out of use.
    fn keep_active(&mut self, definitions: &Definitions) {
        for (code, all) in &mut self.listed {
            all.retain(|one| !definitions.is_inactive(&one.system, code));
        }
        self.listed.retain(|_, all| !all.is_empty());
    }

    fn unlist(&mut self, excluded: &Expansion) {
        for (code, systems) in &excluded.listed {
            if let Some(all) = self.listed.get_mut(code) {
                all.retain(|one| !systems.iter().any(|other| other.system == one.system));
            }
        }
        self.listed.retain(|_, all| !all.is_empty());
        self.doubtful.extend(excluded.open.iter().cloned());
        self.hindrance = self.hindrance.take().or_else(|| excluded.hindrance.clone());
    }

    fn add(&mut self, other: Expansion) {
        for (code, all) in other.listed {
            for one in all {
                self.list(&one.system, &code, one.display.as_ref(), &one.names);
            }
        }
        self.open.extend(other.open);
        self.doubtful.extend(other.doubtful);
        self.case_blind.extend(other.case_blind);
        self.filtered.extend(other.filtered);
        self.hindrance = self.hindrance.take().or(other.hindrance);
    }

    /// What is in both. A part that cannot be listed on one side keeps the other side's codes of that system undecided.
    fn meet(self, other: &Expansion) -> Expansion {
        let mut both = Expansion { case_blind: self.case_blind.clone(), ..Expansion::default() };
        for (code, all) in &self.listed {
            for one in all {
                match other.contains(Some(&one.system), code) {
                    Membership::Member { .. } => both.list(&one.system, code, one.display.as_ref(), &one.names),
                    Membership::Undecidable => {
                        both.list(&one.system, code, one.display.as_ref(), &one.names);
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
        both.hindrance = self.hindrance.or_else(|| other.hindrance.clone());
        both
    }
}

/// Lists what can be listed of a value set. Of one system the version that counts where none is named may be given.
pub fn expand<'a>(definitions: &'a Definitions, set: &'a ValueSet, older: Option<&'a CodeSystem>) -> Expansion {
    Expander { definitions, older, around: Vec::new(), references_left: REFERENCES_MAX, codes_left: CODES_MAX, is_excluding: false }
        .set(set)
}

/// One expansion, with what it may still cost: sets that refer to one another in circles would otherwise never end.
struct Expander<'a> {
    definitions: &'a Definitions,
    older: Option<&'a CodeSystem>,
    /// The value sets that lead to the one at hand, and that one.
    around: Vec<&'a ValueSet>,
    references_left: usize,
    codes_left: usize,
    /// Whether what is listed is left out of a set.
    is_excluding: bool,
}

impl<'a> Expander<'a> {
    fn set(&mut self, set: &'a ValueSet) -> Expansion {
        self.around.push(set);
        let composed = self.composed(&set.include, &set.exclude);
        let mut expansion = match &set.expansion {
            // What cannot be followed here has been followed by whoever made the expansion.
            Some(given) if !composed.open.is_empty() || !composed.doubtful.is_empty() => {
                let mut expansion = self.composed(&given.sets, &[]);
                if !given.is_whole {
                    expansion.open.extend(composed.open);
                    expansion.hindrance = composed.hindrance;
                }
                expansion
            }
            _ => composed,
        };
        self.around.pop();
        if set.active_only {
            expansion.keep_active(self.definitions);
        }
        expansion
    }

    fn composed(&mut self, include: &[ConceptSet], exclude: &[ConceptSet]) -> Expansion {
        let mut expansion = Expansion::default();
        for part in include {
            if self.codes_left == 0 {
                expansion.add(hindered(None, Hindrance::Limit("CODES_MAX")));
                break;
            }
            expansion.add(self.part(part));
        }
        let outer = std::mem::replace(&mut self.is_excluding, true);
        for part in exclude {
            expansion.unlist(&self.part(part));
        }
        self.is_excluding = outer;
        expansion
    }

    fn part(&mut self, part: &ConceptSet) -> Expansion {
        let mut sets = part.value_sets.iter();
        let start = match &part.system {
            Some(system) => {
                let codes = system_codes(self.definitions, system, part, self.older, self.is_excluding);
                self.codes_left = self.codes_left.saturating_sub(codes.listed.len());
                codes
            }
            None => sets.next().map_or_else(|| unlistable(None), |url| self.referred(url)),
        };
        sets.fold(start, |codes, url| codes.meet(&self.referred(url)))
    }

    fn referred(&mut self, url: &str) -> Expansion {
        let Some(set) = self.definitions.value_set(url) else {
            let is_other = self.definitions.lacks_value_set_version(url);
            return Expansion { hindrance: is_other.then(|| Hindrance::ValueSetVersion(url.into())), ..unlistable(None) };
        };
        if self.around.iter().any(|around| std::ptr::eq(*around, set)) {
            return hindered(None, Hindrance::Circle(set.url.clone()));
        }
        if self.around.len() > REFERENCE_DEPTH_MAX {
            return hindered(None, Hindrance::Limit("REFERENCE_DEPTH_MAX"));
        }
        if self.references_left == 0 {
            return hindered(None, Hindrance::Limit("REFERENCES_MAX"));
        }
        self.references_left -= 1;
        self.set(set)
    }
}

fn unlistable(system: Option<&str>) -> Expansion {
    Expansion { open: vec![system.map(CompactString::from)], ..Expansion::default() }
}

fn hindered(system: Option<&str>, hindrance: Hindrance) -> Expansion {
    Expansion { hindrance: Some(hindrance), ..unlistable(system) }
}

/// What a part takes of a system. Codes that only group others stand for nothing (<https://hl7.org/fhir/R4/valueset-operation-validate-code.html>,
/// `abstract`): they are in a set that names them or asks for them, and in no other.
fn system_codes(definitions: &Definitions, url: &str, part: &ConceptSet, older: Option<&CodeSystem>, takes_abstract: bool) -> Expansion {
    let older = older.filter(|older| part.version.is_none() && older.url == url);
    let system = older.or_else(|| definitions.code_system_in(url, part.version.as_deref()));
    let is_other_version = system.is_none() && definitions.code_system(url).is_some_and(|other| other.content != Content::NotPresent);
    // Two R4 value sets name a version within the system; codes are matched by the system alone.
    let url = super::without_version(url);
    if !part.concepts.is_empty() {
        return listed_codes(url, system, part);
    }
    if is_other_version {
        let version = part.version.as_deref().unwrap_or_default();
        return hindered(Some(url), Hindrance::SystemVersion(format!("{url}|{version}").trim_end_matches('|').into()));
    }
    let Some(system) = system else {
        let filtered = part.filters.first().map(|_| url.into()).into_iter().collect();
        return Expansion { filtered, ..unlistable(Some(url)) };
    };
    let Some(concepts) = filters::kept(system, &part.filters) else {
        return Expansion { hindrance: filters::limit(&part.filters).map(Hindrance::Limit), ..unlistable(Some(url)) };
    };
    let marker = system.property_called("notSelectable");
    let takes_abstract = takes_abstract || part.filters.iter().any(|filter| filter.property == marker);
    let is_abstract = |concept: &SystemConcept| concept.properties.iter().any(|(name, value)| name == marker && value == "true");
    let mut codes = beginning(url, Some(system));
    for concept in concepts.into_iter().filter(|concept| takes_abstract || !is_abstract(concept)) {
        codes.list(url, &concept.code, concept.display.as_ref(), &[]);
    }
    if system.content != Content::Complete {
        codes.open.push(Some(url.into()));
    }
    codes
}

/// The codes that a value set names one by one.
fn listed_codes(url: &str, system: Option<&CodeSystem>, part: &ConceptSet) -> Expansion {
    let mut codes = beginning(url, system);
    let displays: HashMap<&str, &CompactString> = system
        .map(|system| system.concepts.iter().filter_map(|one| Some((one.code.as_str(), one.display.as_ref()?))).collect())
        .unwrap_or_default();
    for concept in &part.concepts {
        let display = concept.display.as_ref().or(displays.get(concept.code.as_str()).copied());
        codes.list(url, &concept.code, display, &concept.designations);
    }
    codes
}

/// No codes yet.
fn beginning(url: &str, system: Option<&CodeSystem>) -> Expansion {
    let is_blind = !system.is_none_or(|system| system.case_sensitive);
    Expansion { case_blind: is_blind.then(|| url.into()).into_iter().collect(), ..Expansion::default() }
}
