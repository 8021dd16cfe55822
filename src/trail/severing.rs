//! What each leaf that erases names: of whoever's trail it stands in, the leaves that stand for nothing once the erasure is done.

use super::erasure::MAX_RESOURCES;
use crate::anchor::{Anchor, Leaf, LeafKind, PatientTags, Severed};
use crate::clock::Instant;
use crate::outcome::{Fault, FaultKind};
use crate::store::{HistoryScope, LeafDraft, Reader};
use std::collections::{BTreeMap, BTreeSet};

/// Leaves that stand for nothing once the erasure is done, and versions that lack, by `Type/id`.
#[derive(Default)]
pub(super) struct Severing {
    leaves: BTreeMap<String, Vec<(u64, Leaf)>>,
    versions: BTreeMap<String, BTreeSet<u32>>,
}

impl Severing {
    /// Takes in the versions of a record that go; all of them, where none are given.
    pub fn take(&mut self, reader: &Reader<'_>, (type_name, id): (&str, &str), going: Option<&BTreeSet<u32>>) -> Result<(), Fault> {
        let record = format!("{type_name}/{id}");
        if self.leaves.contains_key(&record) {
            return Ok(());
        }
        let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
        let mut found = Vec::new();
        for version in reader.history(&scope, None, None, MAX_RESOURCES)? {
            if let Some(first) = version.leaf.filter(|_| going.is_none_or(|going| going.contains(&version.version))) {
                let entries = reader.leaves(first, usize::try_from(version.leaves).unwrap_or(usize::MAX))?;
                found.extend((first..).zip(entries).filter_map(|(position, entry)| Some((position, Leaf::decode(&entry)?))));
            }
        }
        self.versions.extend(going.map(|going| (record.clone(), going.clone())));
        self.leaves.insert(record, found);
        Ok(())
    }

    /// Takes in a single leaf.
    pub fn add(&mut self, record: &str, position: u64, leaf: Leaf) {
        self.leaves.entry(record.to_owned()).or_default().push((position, leaf));
    }

    /// Whether one of the leaves of a record is nobody's.
    pub fn is_nobodys(&self, record: &str) -> bool {
        self.leaves.get(record).into_iter().flatten().any(|(_, leaf)| leaf.tags.patient.is_none())
    }

    /// What the leaves name that tell somebody, or nobody, of a record: the leaves in that one's own trail.
    pub fn named(&self, anchor: &Anchor, patient: Option<&str>, record: &str) -> Result<Vec<Severed>, Fault> {
        let (key, own) = (anchor.keyring.patient(patient)?, patient.map(|patient| format!("Patient/{patient}")));
        let tag = |leaf: &Leaf| own.as_deref().map(|own| PatientTags::of(&key, leaf.epoch()).tag(own));
        let leaves = self.leaves.get(record).into_iter().flatten().filter(|(_, leaf)| leaf.tags.patient == tag(leaf));
        let leaves = leaves.map(|(position, _)| *position).collect();
        Ok(Severed::naming(&leaves, self.versions.get(record).unwrap_or(&BTreeSet::new()), || anchor.entropy.bytes()))
    }

    /// The leaves that tell these of what was erased, and what opens each.
    pub fn leaves(
        &self,
        anchor: &Anchor,
        told: &BTreeSet<(Option<String>, String)>,
        (partner, at): (Option<&str>, Instant),
    ) -> Result<Vec<(LeafDraft, Option<Severed>)>, Fault> {
        let mut leaves = Vec::new();
        for (patient, record) in told {
            let patient = patient.as_deref();
            // The leaf of whoever is erased names nothing: with their trail goes what could be missing from it.
            let named = if patient.is_some_and(|patient| record.strip_prefix("Patient/") == Some(patient)) && !self.has(record) {
                Vec::new()
            } else {
                self.named(anchor, patient, record)?
            };
            let named: Vec<Option<Severed>> = if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() };
            for severed in named {
                leaves.push((anchor.erase_leaf(patient, Some(record), partner, at, severed.as_ref())?, severed));
            }
        }
        Ok(leaves)
    }

    fn has(&self, record: &str) -> bool {
        self.leaves.contains_key(record)
    }
}

/// What a leaf that erases names, as it was noted; nothing for other leaves, and where nothing is noted.
///
/// # Errors
/// When what is noted is not what the leaf commits to.
pub(super) fn severed(reader: &Reader<'_>, position: u64, leaf: &Leaf) -> Result<Option<Severed>, Fault> {
    if leaf.kind != LeafKind::Erase || !leaf.names_what_it_erased() {
        return Ok(None);
    }
    let Some(noted) = reader.severed(&leaf.canonical)? else { return Ok(None) };
    let severed = serde_json::from_slice(&noted).ok().filter(|severed: &Severed| severed.opens(leaf));
    let damaged = || Fault::new(FaultKind::StorageCorrupt, format!("what leaf {position} erased is not as it was noted"));
    severed.map(Some).ok_or_else(damaged)
}
