//! Records of what was done, of who said what and of what is to be worked on that are damaged, when somebody is erased.
//!
//! What such a row says is not believed, but it may hold what leads to the person. It goes with them unless it is certain that it is another's and does
//! not name them: its leaf is under another's tag, no other row says that the leaf is its own, and its text, whatever is left of it, leads nowhere. Its
//! leaf stays in the log; where that is in another's trail, this gets a leaf that says that something was erased. A row that stays is as damaged as
//! before: it is named and not served.

use super::subject::Place;
use crate::anchor::{Leaf, PatientTags};
use crate::fhir::{Node, json};
use crate::ledger::index::Tag;
use crate::outcome::{Fault, FaultKind};
use crate::store::{Damaged, Keyring, Reader};
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// Only these are judged so; anything else that is damaged refuses the erasure by name.
const TYPE_NAMES: [&str; 3] = [EVENT, "Provenance", "Task"];
const EVENT: &str = "AuditEvent";
/// What ends a reference in a text that may be no JSON any more.
const ENDS: [char; 5] = ['"', '\\', ' ', '<', '>'];

/// By what a damaged row is found out to be a person's.
#[derive(Default)]
pub(super) struct Suspects {
    /// `Patient/id`, or the record that goes.
    what: String,
    /// Under which the person's leaves stand.
    tags: BTreeSet<Tag>,
    /// Rows that the search index leads to from the person.
    indexed: BTreeSet<i64>,
    /// Those that go whatever else is found: type, id and newest version.
    going: BTreeMap<(String, String), u32>,
    severed: Vec<Severed>,
}

/// A leaf in another's trail that stands for nothing once the row is gone, and all references that the row's text holds.
struct Severed {
    position: u64,
    leaf: Leaf,
    references: BTreeSet<String>,
}

/// Whose trail must say that something was erased, of which record, and which of its leaves stands for nothing then.
type Told = (Option<String>, String, (u64, Leaf));

/// Whether damage to such a resource blocks no erasure.
pub(super) fn blocks_nobody(type_name: &str, fault: &Fault) -> bool {
    TYPE_NAMES.contains(&type_name) && fault.kind == FaultKind::StorageCorrupt
}

impl Suspects {
    /// Of a resource that goes, and the places under whose tags its leaves stand.
    pub fn of(type_name: &str, id: &str, places: &[Place]) -> Suspects {
        let tags = places.iter().filter_map(|place| place.under).map(|(tag, _)| tag).collect();
        Suspects { what: format!("{type_name}/{id}"), tags, ..Suspects::default() }
    }

    /// Takes in rows that were found by what goes. Records of what was done are judged with all others.
    ///
    /// # Errors
    /// When one is damaged that is not judged here.
    pub fn take(&mut self, reader: &Reader<'_>, found: Vec<Damaged>) -> Result<(), Fault> {
        for damaged in found {
            if damaged.type_name == EVENT {
                self.indexed.insert(damaged.seq);
            } else if TYPE_NAMES.contains(&damaged.type_name.as_str()) {
                self.goes(reader, &damaged)?;
            } else {
                return Err(damaged.fault);
            }
        }
        Ok(())
    }

    /// Takes in a resource that leads to the person, and of which some version is damaged.
    pub fn add(&mut self, reader: &Reader<'_>, key: (String, String)) -> Result<(), Fault> {
        let newest = reader.newest(&key.0, &key.1)?;
        self.going.extend(newest.map(|newest| (key, newest)));
        Ok(())
    }

    /// Takes in what a leaf of the person's stands for, where that is damaged.
    pub fn look(&mut self, reader: &Reader<'_>, position: u64) -> Result<(), Fault> {
        let (_, damaged) = reader.versions_of_leaves_apart(position, 1)?;
        self.take(reader, damaged)
    }

    /// Takes in a row that may speak of the person. `leads` says whether what it says leads there, `names` whether words do.
    pub fn judge(
        &mut self,
        reader: &Reader<'_>,
        damaged: &Damaged,
        leads: impl Fn(&Node) -> bool,
        names: impl Fn(&str) -> bool,
    ) -> Result<(), Fault> {
        if self.indexed.contains(&damaged.seq) || self.leaf_of_another(reader, damaged)?.is_none() {
            return self.goes(reader, damaged);
        }
        let text = String::from_utf8_lossy(&damaged.document);
        let quoted = || text.split('"').filter_map(|part| BASE64.decode(part.as_bytes()).ok());
        let said = || json::parse(&damaged.document, json::DEFAULT_DEPTH).is_ok_and(|node| leads(&node));
        let is_named = text.contains(&self.what) || names(&text) || quoted().any(|part| names(&String::from_utf8_lossy(&part))) || said();
        if is_named { self.goes(reader, damaged) } else { Ok(()) }
    }

    /// What goes: type, id and newest version of each.
    pub fn going(&self) -> &BTreeMap<(String, String), u32> {
        &self.going
    }

    /// Whose trails must say that what goes was erased, of which record and by which leaf: those whose tag a leaf bears, among whom the row named.
    pub fn told(&self, keyring: &Keyring) -> Result<Vec<Told>, Fault> {
        let mut told = Vec::new();
        for Severed { position, leaf, references } in &self.severed {
            for own in references.iter().filter(|reference| reference.starts_with("Patient/") && **reference != self.what) {
                let patient = own.trim_start_matches("Patient/");
                let secret = PatientTags::of(&keyring.patient(Some(patient))?, leaf.epoch());
                if leaf.tags.patient == Some(secret.tag(own)) {
                    let record = references.iter().find(|reference| leaf.tags.record == Some(secret.tag(reference)));
                    told.push((Some(patient.to_owned()), record.unwrap_or(own).clone(), (*position, leaf.clone())));
                }
            }
            let nobodys = PatientTags::of(&keyring.patient(None)?, leaf.epoch());
            let record = references.iter().find(|reference| leaf.is_nobodys() && leaf.tags.record == Some(nobodys.tag(reference)));
            told.extend(record.map(|record| (None, record.clone(), (*position, leaf.clone()))));
        }
        Ok(told)
    }

    fn goes(&mut self, reader: &Reader<'_>, damaged: &Damaged) -> Result<(), Fault> {
        if let Some((position, leaf)) = self.leaf_of_another(reader, damaged)? {
            self.severed.push(Severed { position, leaf, references: references(reader, &damaged.document)? });
        }
        self.going.insert((damaged.type_name.clone(), damaged.id.clone()), damaged.newest);
        Ok(())
    }

    /// The leaf that the row says is its own, where it is under another's tag, or that of what is nobody's, and no other row's.
    fn leaf_of_another(&self, reader: &Reader<'_>, damaged: &Damaged) -> Result<Option<(u64, Leaf)>, Fault> {
        let Some(position) = damaged.leaf else { return Ok(None) };
        let leaf = reader.leaves(position, 1)?.pop().and_then(|entry| Leaf::read(reader, &entry));
        let is_only = reader.rows_of_leaf(position)? == 1;
        let is_anothers = |leaf: &Leaf| leaf.is_nobodys() || leaf.tags.patient.is_some_and(|tag| !self.tags.contains(&tag));
        let leaf = leaf.filter(|leaf| is_only && is_anothers(leaf));
        Ok(leaf.map(|leaf| (position, leaf)))
    }
}

/// What a text refers to of what there is, without versions.
fn references(reader: &Reader<'_>, text: &[u8]) -> Result<BTreeSet<String>, Fault> {
    let text = String::from_utf8_lossy(text);
    let mut found = BTreeSet::new();
    for part in text.split(ENDS) {
        let mut steps = part.split('/');
        if let (Some(type_name), Some(id)) = (steps.next(), steps.next())
            && reader.newest(type_name, id)?.is_some()
        {
            found.insert(format!("{type_name}/{id}"));
        }
    }
    Ok(found)
}
