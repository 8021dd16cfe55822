//! The codes of a value set, as far as they can be listed, and what is known about the rest.

use super::computed::{self, Judgement};
use super::{ConceptSet, Content, Definitions, Membership, ValueSet, filters};
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
    Expander { definitions, references_left: REFERENCES_MAX, codes_left: CODES_MAX }.set(set, 0)
}

/// One expansion, with what it may still cost: sets that refer to one another in circles would otherwise never end.
struct Expander<'a> {
    definitions: &'a Definitions,
    references_left: usize,
    codes_left: usize,
}

impl Expander<'_> {
    fn set(&mut self, set: &ValueSet, depth: usize) -> Expansion {
        let composed = self.composed(&set.include, &set.exclude, depth);
        match &set.expansion {
            // What cannot be followed here has been followed by whoever made the expansion.
            Some(given) if !composed.open.is_empty() || !composed.doubtful.is_empty() => {
                let mut expansion = self.composed(&given.sets, &[], depth);
                if !given.is_whole {
                    expansion.open.extend(composed.open);
                }
                expansion
            }
            _ => composed,
        }
    }

    fn composed(&mut self, include: &[ConceptSet], exclude: &[ConceptSet], depth: usize) -> Expansion {
        let mut expansion = Expansion::default();
        for part in include {
            if self.codes_left == 0 {
                expansion.open.push(None);
                break;
            }
            expansion.add(self.part(part, depth));
        }
        for part in exclude {
            expansion.unlist(&self.part(part, depth));
        }
        expansion
    }

    fn part(&mut self, part: &ConceptSet, depth: usize) -> Expansion {
        let mut sets = part.value_sets.iter();
        let start = match &part.system {
            Some(system) => {
                let codes = system_codes(self.definitions, system, part);
                self.codes_left = self.codes_left.saturating_sub(codes.listed.len());
                codes
            }
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
    // The version that is meant, if it is in hand; else the system as it is in hand.
    let system = match &part.version {
        Some(version) if !url.contains('|') => definitions.code_system(&format!("{url}|{version}")),
        _ => definitions.code_system(url),
    };
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
    let listed = system.and_then(|system| Some((system, filters::kept(system, &part.filters)?)));
    let Some((system, concepts)) = listed else { return unlistable(Some(url)) };
    for concept in concepts {
        codes.list(url, &concept.code, concept.display.as_ref());
    }
    if system.content != Content::Complete {
        codes.open.push(Some(url.into()));
    }
    codes
}
