//! What each leaf that erases names: of whoever's trail it stands in, the leaves that stand for nothing once the erasure is done.

use super::erasure::MAX_RESOURCES;
use super::statements::is_committed;
use super::subject::told_of;
use crate::anchor::{Anchor, Epoch, Leaf, LeafKind, Missing, PatientTags, Severed};
use crate::clock::Instant;
use crate::fhir::Node;
use crate::ledger::index::Tag;
use crate::outcome::{Fault, FaultKind};
use crate::store::{HistoryScope, Keyring, LeafDraft, Reader, StoredVersion};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Leaves that stand for nothing once the erasure is done, and versions that lack, by `Type/id`.
#[derive(Default)]
pub(super) struct Severing {
    leaves: BTreeMap<String, Vec<(u64, Leaf)>>,
    versions: BTreeMap<String, BTreeSet<u32>>,
    /// Leaves whose records of what was done, or Provenances, are shortened, by whose trail they stand in and the one record they are about.
    shortened: BTreeMap<Whose, BTreeSet<u64>>,
}

/// Whose trail, if it is not nobody's, and the record.
type Whose = (Option<String>, String);

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
                found.extend((first..).zip(entries).filter_map(|(position, entry)| Some((position, Leaf::read(reader, &entry)?))));
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

    /// Takes in a record of what was done that loses what led to somebody. Gives in whose trail its leaf stands, if that is another's or nobody's, and the
    /// one record that is about.
    pub fn shorten(
        &mut self,
        reader: &Reader<'_>,
        keyring: &Keyring,
        (version, event): (&StoredVersion, &Node),
        erased: &str,
    ) -> Result<Option<Whose>, Fault> {
        let Some(position) = version.leaf else { return Ok(None) };
        let leaf = reader.leaves(position, 1)?.pop().and_then(|entry| Leaf::read(reader, &entry));
        let Some(leaf) = leaf else { return Err(Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} cannot be read"))) };
        let references = event.items("entity").iter().filter_map(|entity| entity.text_at(&["what", "reference"]));
        let records = references.map(|reference| reference.split("/_history/").next().unwrap_or(reference)).collect();
        let whose = whose(keyring, &leaf, &records, erased)?;
        if let Some(whose) = &whose {
            self.shortened.entry(whose.clone()).or_default().insert(position);
        }
        Ok(whose)
    }

    /// Takes in the Provenance of a version that loses what led to somebody. Gives in whose trails the leaves stand that commit to it.
    pub fn unname(
        &mut self,
        reader: &Reader<'_>,
        keyring: &Keyring,
        (target, stated): (&str, &StoredVersion),
        erased: &str,
    ) -> Result<Vec<Whose>, Fault> {
        let Some((record, number)) = target.split_once("/_history/") else { return Ok(Vec::new()) };
        let Some(((type_name, id), number)) = record.split_once('/').zip(number.parse().ok()) else { return Ok(Vec::new()) };
        let version = reader.version(type_name, id, number)?.filter(|version| is_committed(stated, version));
        let Some((first, count)) = version.and_then(|version| Some((version.leaf?, version.leaves))) else { return Ok(Vec::new()) };
        let patients = told_of(reader, type_name, id)?;
        let mut owners = Owners { keyring, patients: &patients, known: BTreeMap::new() };
        let mut found = Vec::new();
        for (position, entry) in (first..).zip(reader.leaves(first, usize::try_from(count).unwrap_or(usize::MAX))?) {
            let leaf = Leaf::read(reader, &entry)
                .ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, format!("leaf {position} cannot be read")))?;
            if let Some(owner) = owners.of(&leaf)?.filter(|owner| owner.as_deref() != Some(erased)) {
                let whose = (owner, record.to_owned());
                self.shortened.entry(whose.clone()).or_default().insert(position);
                found.push(whose);
            }
        }
        Ok(found)
    }

    /// Whether one of the leaves of a record is nobody's.
    pub fn is_nobodys(&self, record: &str) -> bool {
        self.leaves.get(record).into_iter().flatten().any(|(_, leaf)| leaf.tags.patient.is_none())
    }

    /// What the leaves name that tell somebody, or nobody, of a record: the leaves in that one's own trail, as they stand under its tags.
    fn named(&self, anchor: &Anchor, patient: Option<&str>, record: &str, tagged: &Tagged) -> Result<Vec<Severed>, Fault> {
        let (key, own) = (anchor.keyring.patient(patient)?, patient.map(|patient| format!("Patient/{patient}")));
        let tag = |epoch: &Epoch| own.as_deref().map(|own| PatientTags::of(&key, *epoch).tag(own));
        let missing = Missing {
            leaves: tagged.iter().flat_map(|(epoch, tagged)| tagged.get(&tag(epoch)).into_iter().flatten()).copied().collect(),
            versions: self.versions.get(record).cloned().unwrap_or_default(),
            shortened: self.shortened.get(&(patient.map(str::to_owned), record.to_owned())).cloned().unwrap_or_default(),
        };
        Ok(Severed::naming(&missing, || anchor.entropy.bytes()))
    }

    /// The leaves that tell these of what was erased, and what opens each. That of whoever is erased names nothing: with their trail goes what could be
    /// missing from it.
    pub fn leaves(
        &self,
        anchor: &Anchor,
        (told, erased): (&BTreeSet<Whose>, Option<&str>),
        (partner, at): (Option<&str>, Instant),
    ) -> Result<Vec<(LeafDraft, Option<Severed>)>, Fault> {
        let mut leaves = Vec::new();
        let mut all: BTreeMap<&str, Tagged> = BTreeMap::new();
        for (patient, record) in told {
            let patient = patient.as_deref();
            let tagged = all.entry(record).or_insert_with(|| tagged(self.leaves.get(record).into_iter().flatten()));
            let named: Vec<Option<Severed>> = if patient.is_some() && patient == erased {
                vec![None]
            } else {
                self.named(anchor, patient, record, tagged)?.into_iter().map(Some).collect()
            };
            for severed in named {
                leaves.push((anchor.erase_leaf(patient, Some(record), partner, at, severed.as_ref())?, severed));
            }
        }
        Ok(leaves)
    }
}

/// Where leaves stand, by their epoch and the tag of whose they are.
type Tagged = BTreeMap<Epoch, HashMap<Option<Tag>, Vec<u64>>>;

fn tagged<'l>(leaves: impl Iterator<Item = &'l (u64, Leaf)>) -> Tagged {
    let mut tagged = Tagged::new();
    for (position, leaf) in leaves {
        tagged.entry(leaf.epoch()).or_default().entry(leaf.tags.patient).or_default().push(*position);
    }
    tagged
}

/// These patients by their tags, made once for each epoch.
struct Owners<'p> {
    keyring: &'p Keyring,
    patients: &'p [String],
    known: BTreeMap<Epoch, HashMap<Tag, &'p str>>,
}

impl Owners<'_> {
    /// Which of them a leaf is about; of a leaf about nobody, nobody. Nothing where it is another's.
    fn of(&mut self, leaf: &Leaf) -> Result<Option<Option<String>>, Fault> {
        let Some(tag) = leaf.tags.patient else { return Ok(Some(None)) };
        let epoch = leaf.epoch();
        if !self.known.contains_key(&epoch) {
            let tag =
                |patient: &String| Ok(PatientTags::of(&self.keyring.patient(Some(patient))?, epoch).tag(&format!("Patient/{patient}")));
            let tags = self.patients.iter().map(|patient| Ok((tag(patient)?, patient.as_str()))).collect::<Result<_, Fault>>()?;
            self.known.insert(epoch, tags);
        }
        let owner = self.known.get(&epoch).and_then(|known| known.get(&tag));
        Ok(owner.map(|owner| Some((*owner).to_owned())))
    }
}

/// By the tags that the leaf of an act bears, in whose trail it stands, if not in that of whoever is erased, and which of these records it is about.
fn whose(keyring: &Keyring, leaf: &Leaf, records: &BTreeSet<&str>, erased: &str) -> Result<Option<Whose>, Fault> {
    let about = |secret: &PatientTags| records.iter().find(|record| leaf.tags.record == Some(secret.tag(record)));
    if leaf.is_nobodys() {
        let secret = PatientTags::of(&keyring.patient(None)?, leaf.epoch());
        return Ok(about(&secret).map(|record| (None, (*record).to_owned())));
    }
    let patients = records.iter().filter_map(|record| Some((record, record.strip_prefix("Patient/")?)));
    for (own, patient) in patients.filter(|(_, patient)| *patient != erased) {
        let secret = PatientTags::of(&keyring.patient(Some(patient))?, leaf.epoch());
        if leaf.tags.patient == Some(secret.tag(own)) {
            return Ok(Some((Some(patient.to_owned()), (*about(&secret).unwrap_or(own)).to_owned())));
        }
    }
    Ok(None)
}

/// What a leaf of a trail that erases names, as it was noted; nothing for other leaves, and for those of older gateways that name nothing. With a trail
/// goes what is noted of it, so that of one that is there nothing lacks.
///
/// # Errors
/// When nothing is noted, or not what the leaf commits to.
pub(super) fn severed(reader: &Reader<'_>, position: u64, leaf: &Leaf) -> Result<Option<Severed>, Fault> {
    if leaf.kind != LeafKind::Erase || !leaf.names_what_it_erased() {
        return Ok(None);
    }
    let damaged = |what: &str| Fault::new(FaultKind::StorageCorrupt, format!("what leaf {position} erased is {what}"));
    let noted = reader.severed(&leaf.canonical)?.ok_or_else(|| damaged("not noted any more"))?;
    Severed::read(&noted, leaf).map(Some).ok_or_else(|| damaged("not as it was noted"))
}
