//! Compiled consents, kept for as long as the rows they were compiled of are read again as they were. Nothing is decided by what was true once: whoever
//! decides has read the consents, and what they refer to, at that moment; only reading their text and compiling it is saved.

use crate::consent::Rules;
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::search::Query;
use crate::store::{Reader, StoredVersion};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// How much is kept before the older half is let go, counted in rules, in roles that matter to them, and one for each patient.
const MAX_KEPT: usize = 20_000;
/// The most rules of one patient that are kept.
const MAX_RULES: usize = 1_000;

/// What decides how a patient's consents are compiled, beside what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub patient: String,
    /// The names of whoever asks, by which the operator's rules go.
    pub partner: Vec<String>,
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
    /// How often institutions had changed: whoever asks may have become a part of another since.
    organisations: u64,
    pub rules: Rules,
}

impl Compiled {
    pub fn new((query, reader): (Arc<Query>, &Reader<'_>), consents: &[StoredVersion], directory: Looked, rules: Rules) -> Compiled {
        let seals = consents.iter().map(|version| version.seal.clone()).collect();
        Compiled { query, consents: seals, directory, organisations: reader.organisations(), rules }
    }

    /// Whether it would be compiled of the very same now.
    pub fn stands_on(&self, reader: &Reader<'_>, consents: &[StoredVersion]) -> Result<bool, Fault> {
        let is_same = self.organisations == reader.organisations();
        if !is_same || !self.consents.iter().eq(consents.iter().map(|version| &version.seal)) {
            return Ok(false);
        }
        for (name, seal) in &self.directory.0 {
            if current(reader, name)?.map(|version| version.seal) != *seal {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Its key weighs too: one that names many roles is as large as many rules.
    fn weight(&self, asked: &Asked) -> usize {
        1 + self.rules.len() + asked.roles.len()
    }
}

/// What was compiled last.
#[derive(Default)]
pub struct KeptRules(Mutex<Halves>);

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
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.recent.get(asked) {
            return Some(Arc::clone(found));
        }
        let (asked, found) = halves.older.remove_entry(asked)?;
        halves.put(asked, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn keep(&self, asked: Asked, compiled: Compiled) {
        if compiled.rules.len() <= MAX_RULES && asked.roles.len() <= MAX_RULES {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(asked, Arc::new(compiled));
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
        let before = self.recent.get(&asked).map_or(0, |replaced| replaced.weight(&asked));
        self.weight -= before;
        self.recent.insert(asked, compiled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Policy;

    fn asked(patient: usize) -> Asked {
        Asked { patient: patient.to_string(), partner: Vec::new(), roles: BTreeSet::new(), is_glass_broken: false }
    }

    fn compiled() -> Compiled {
        let query = Query::criteria(crate::definitions::Definitions::embedded(), "Consent", "patient=Patient/1").unwrap();
        Compiled {
            query: Arc::new(query),
            consents: Vec::new(),
            directory: Looked::default(),
            organisations: 0,
            rules: Rules::damaged(Policy::default()),
        }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let kept = KeptRules::default();
        kept.keep(asked(0), compiled());
        for patient in 1..=3 * MAX_KEPT {
            kept.keep(asked(patient), compiled());
            assert!(kept.find(&asked(0)).is_some(), "after {patient}");
        }
        let halves = kept.0.lock().unwrap();
        assert!(halves.recent.len() + halves.older.len() <= MAX_KEPT);
        drop(halves);
        assert!(kept.find(&asked(1)).is_none());
        assert!(kept.find(&asked(3 * MAX_KEPT)).is_some());
    }
}
