//! How often records have changed since the store was opened that say who belongs to whom, and which did last: what was made of others is so still.

use super::makers::Makers;
use super::unit::Unit;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Types whose resources say who belongs to whom, but Patients, which change all the time.
pub const PARTIES: [&str; 5] = ["Organization", "Group", "CareTeam", "PractitionerRole", "Practitioner"];
const ORGANISATIONS: [&str; 1] = ["Organization"];
/// Of so many changes of parties it is remembered whose they were. What was made before them is looked at again whole.
const MAX_REMEMBERED: usize = 1_024;

#[derive(Default)]
pub(super) struct Changes {
    organisations: AtomicU64,
    parties: AtomicU64,
    changed: Mutex<Changed>,
    pub makers: Makers,
}

/// The parties that changed last, by type and id, each with the count of changes that it belongs to.
#[derive(Default)]
struct Changed {
    last: VecDeque<(u64, (String, String))>,
    /// Of changes up to this count it is not known any more whose they were.
    forgotten: u64,
}

impl Changed {
    fn add(&mut self, count: u64, name: (String, String)) {
        if self.last.len() >= MAX_REMEMBERED {
            self.forgotten = self.last.pop_front().map_or(count, |(oldest, _)| oldest);
        }
        self.last.push_back((count, name));
    }

    /// Forgets whose all changes up to this one were.
    fn forget(&mut self, count: u64) {
        self.last.clear();
        self.forgotten = count;
    }
}

impl Changes {
    /// Counts what was written, or may have been, before anybody is told.
    pub fn note(&self, units: &[Box<Unit>]) {
        self.makers.note(units);
        if units.iter().any(|unit| unit.changes(&ORGANISATIONS)) {
            self.organisations.fetch_add(1, Ordering::Release);
        }
        if units.iter().any(|unit| unit.changes(&PARTIES)) {
            // Whoever finds the new count finds what it is of.
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            let count = self.of_parties() + 1;
            if units.iter().any(|unit| unit.erasure.is_some()) {
                changed.forget(count);
            }
            let versions = units.iter().flat_map(|unit| &unit.versions);
            let parties = versions.filter(|version| PARTIES.contains(&version.type_name.as_str()));
            parties.for_each(|version| changed.add(count, (version.type_name.clone(), version.id.clone())));
            self.parties.store(count, Ordering::Release);
        }
    }

    pub fn of_organisations(&self) -> u64 {
        self.organisations.load(Ordering::Acquire)
    }

    pub fn of_parties(&self) -> u64 {
        self.parties.load(Ordering::Acquire)
    }

    /// Which parties changed after a count, by type and id; `None` where that is not known any more.
    pub fn of_parties_since(&self, count: u64) -> Option<Vec<(String, String)>> {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = changed.last.iter().rev().take_while(|(then, _)| *then > count).map(|(_, name)| name.clone());
        (changed.forgotten <= count).then(|| since.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::store::{Method, VersionDraft};

    fn version_of(type_name: &str, id: &str) -> VersionDraft {
        VersionDraft {
            type_name: type_name.to_owned(),
            id: id.to_owned(),
            version: 1,
            at: Instant::EPOCH,
            method: Method::Create,
            source: "a".to_owned(),
            document: String::new(),
            terms: Vec::new(),
            old_terms: Vec::new(),
            former: Vec::new(),
            leaf: None,
            place: None,
        }
    }

    fn writing(names: &[(&str, &str)]) -> Box<Unit> {
        let versions = names.iter().map(|(type_name, id)| version_of(type_name, id)).collect();
        Box::new(Unit { versions, ..Unit::default() })
    }

    #[test]
    fn whose_changes_they_were_is_known_for_a_while() {
        let changes = Changes::default();
        changes.note(&[writing(&[("Observation", "1")])]);
        assert_eq!(changes.of_parties(), 0);
        changes.note(&[writing(&[("Group", "g"), ("Patient", "p")]), writing(&[("Practitioner", "d")])]);
        changes.note(&[writing(&[("Organization", "o")])]);
        assert_eq!((changes.of_parties(), changes.of_organisations()), (2, 1));
        let name = |type_name: &str, id: &str| (type_name.to_owned(), id.to_owned());
        let mut all = changes.of_parties_since(0).unwrap();
        all.sort_unstable();
        assert_eq!(all, [name("Group", "g"), name("Organization", "o"), name("Practitioner", "d")]);
        assert_eq!(changes.of_parties_since(1).unwrap(), [name("Organization", "o")]);
        assert_eq!(changes.of_parties_since(2).unwrap(), []);
        for number in 0..MAX_REMEMBERED {
            changes.note(&[writing(&[("Practitioner", &number.to_string())])]);
        }
        assert!(changes.of_parties_since(1).is_none(), "the first of them is forgotten");
        assert_eq!(changes.of_parties_since(2).unwrap().len(), MAX_REMEMBERED);
    }

    #[test]
    fn what_was_erased_may_have_been_anybodys() {
        let changes = Changes::default();
        changes.note(&[writing(&[("Group", "g")])]);
        changes.note(&[Box::new(Unit { erasure: Some(crate::store::Erasure::default()), ..Unit::default() })]);
        assert!(changes.of_parties_since(1).is_none());
        assert_eq!(changes.of_parties_since(2).unwrap(), []);
    }
}
