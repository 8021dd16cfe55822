//! Compiled consents, kept for as long as the rows they were compiled of are read again as they were. Nothing is decided by what was true once: whoever
//! decides has read the consents, and what they refer to, at that moment; only reading their text and compiling it is saved.

use super::kept_affiliations::{Affiliations, KeptAffiliations};
use crate::consent::Rules;
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::search::Query;
use crate::store::{Reader, StoredVersion};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// How much is kept before the older half is let go, counted in rules, the records they were compiled with, and one for each patient.
const MAX_KEPT: usize = 20_000;
/// The most of one patient that is kept.
const MAX_OF_ONE: usize = 2_000;

/// What decides how a patient's consents are compiled, beside what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub patient: String,
    /// The other records of the same person.
    pub linked: Vec<String>,
    /// Those that were the same person's.
    pub parted: Vec<String>,
    /// The names of whoever asks, by which the operator's rules go.
    pub partner: Vec<String>,
    /// The records of the organisations that ask, and of what they are part of.
    pub organisations: Affiliations,
    pub roles: BTreeSet<(String, String)>,
    pub is_glass_broken: bool,
}

/// The seal of a row, which stands for all it says.
type Seal = Vec<u8>;

/// What was looked up in the directory: each name with the seal of what was found.
#[derive(Default)]
pub(crate) struct Looked(Vec<((String, String), Option<Seal>)>);

impl Looked {
    /// The current forms of what is named, where there are any.
    pub fn up<'n>(&mut self, reader: &Reader<'_>, named: impl Iterator<Item = &'n (String, String)>) -> Result<Vec<Node>, Fault> {
        let mut found = Vec::new();
        for name in named {
            let version = current(reader, name)?;
            self.0.push((name.clone(), version.as_ref().map(|version| version.seal.clone())));
            found.extend(version.map(|version| version.parse()).transpose()?);
        }
        Ok(found)
    }
}

fn current(reader: &Reader<'_>, (type_name, id): &(String, String)) -> Result<Option<StoredVersion>, Fault> {
    Ok(reader.current(type_name, id)?.filter(|version| !version.deleted()))
}

/// A patient's compiled consents, and what they were compiled of.
pub(crate) struct Compiled {
    /// What finds the consents.
    pub query: Arc<Query>,
    consents: Vec<Seal>,
    directory: Looked,
    pub rules: Rules,
}

impl Compiled {
    pub fn new(query: Arc<Query>, consents: &[StoredVersion], directory: Looked, rules: Rules) -> Compiled {
        Compiled { query, consents: consents.iter().map(|version| version.seal.clone()).collect(), directory, rules }
    }

    /// Whether it would be compiled of the very same now.
    pub fn stands_on(&self, reader: &Reader<'_>, consents: &[StoredVersion]) -> Result<bool, Fault> {
        if !self.consents.iter().eq(consents.iter().map(|version| &version.seal)) {
            return Ok(false);
        }
        for (name, seal) in &self.directory.0 {
            if current(reader, name)?.map(|version| version.seal) != *seal {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn weight(&self, asked: &Asked) -> usize {
        1 + self.rules.len() + self.consents.len() + self.directory.0.len() + asked.roles.len()
    }
}

/// What was compiled last.
#[derive(Default)]
pub struct KeptRules {
    rules: Mutex<Halves>,
    pub(crate) affiliations: KeptAffiliations,
}

/// What was used since the last time that something was let go, and what was used before.
#[derive(Default)]
struct Halves {
    recent: HashMap<Asked, Arc<Compiled>>,
    older: HashMap<Asked, Arc<Compiled>>,
    /// Of what is recent.
    weight: usize,
}

impl KeptRules {
    pub(crate) fn find(&self, asked: &Asked) -> Option<Arc<Compiled>> {
        let mut halves = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.recent.get(asked) {
            return Some(Arc::clone(found));
        }
        let (asked, found) = halves.older.remove_entry(asked)?;
        halves.put(asked, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn keep(&self, asked: Asked, compiled: Compiled) {
        if compiled.weight(&asked) <= MAX_OF_ONE {
            self.rules.lock().unwrap_or_else(PoisonError::into_inner).put(asked, Arc::new(compiled));
        }
    }
}

impl Halves {
    fn put(&mut self, asked: Asked, compiled: Arc<Compiled>) {
        let weight = compiled.weight(&asked);
        if self.weight + weight > MAX_KEPT / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.weight = 0;
        }
        self.weight += weight;
        let replaced = self.recent.get(&asked).map_or(0, |replaced| replaced.weight(&asked));
        self.weight -= replaced;
        self.recent.insert(asked, compiled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Policy;

    fn asked(patient: usize) -> Asked {
        Asked {
            patient: patient.to_string(),
            linked: Vec::new(),
            parted: Vec::new(),
            partner: Vec::new(),
            organisations: None,
            roles: BTreeSet::new(),
            is_glass_broken: false,
        }
    }

    fn compiled() -> Compiled {
        let query = Query::criteria(crate::definitions::Definitions::embedded(), "Consent", "patient=Patient/1").unwrap();
        Compiled { query: Arc::new(query), consents: Vec::new(), directory: Looked::default(), rules: Rules::damaged(Policy::default()) }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let kept = KeptRules::default();
        kept.keep(asked(0), compiled());
        for patient in 1..=3 * MAX_KEPT {
            kept.keep(asked(patient), compiled());
            assert!(kept.find(&asked(0)).is_some(), "after {patient}");
        }
        let halves = kept.rules.lock().unwrap();
        assert!(halves.recent.len() + halves.older.len() <= MAX_KEPT);
        drop(halves);
        assert!(kept.find(&asked(1)).is_none());
        assert!(kept.find(&asked(3 * MAX_KEPT)).is_some());
    }
}
