//! Records of what was done that are damaged, when somebody is erased.
//!
//! What such a row says is not believed, but it may hold what leads to the person. It goes with them unless it is certain that it is another's and does
//! not name them: its leaf is under another's tag, no other row says that the leaf is its own, and its text, still JSON, leads nowhere. Its leaf stays in
//! the log. One that stays is as damaged as before: it is named and not served.

use super::subject::Place;
use super::traces::Traces;
use crate::anchor::Leaf;
use crate::fhir::{Node, json};
use crate::ledger::index::Tag;
use crate::outcome::Fault;
use crate::store::{Damaged, Reader};
use std::collections::BTreeSet;

/// Only these are judged so; anything else that is damaged refuses the erasure by name.
const TYPE_NAME: &str = "AuditEvent";

/// By what a damaged row is found out to be a person's.
pub(super) struct Suspects {
    /// `Patient/id`.
    person: String,
    /// Under which the person's leaves stand.
    tags: BTreeSet<Tag>,
    /// Rows that the search index leads to from the person.
    indexed: BTreeSet<i64>,
}

impl Suspects {
    /// Of what was found under the person's places, and damaged in the index beside them.
    pub fn of(person: &str, places: &[Place], indexed: Vec<Damaged>) -> Result<Suspects, Fault> {
        let (events, others): (Vec<Damaged>, Vec<Damaged>) = indexed.into_iter().partition(|damaged| damaged.type_name == TYPE_NAME);
        if let Some(other) = others.into_iter().next() {
            return Err(other.fault);
        }
        let tags = places.iter().filter_map(|place| place.under).map(|(tag, _)| tag).collect();
        Ok(Suspects { person: format!("Patient/{person}"), tags, indexed: events.iter().map(|damaged| damaged.seq).collect() })
    }

    /// Refuses a leaf that stands for something damaged, unless that is a record of what was done, which is judged with all others.
    pub fn look(&self, reader: &Reader<'_>, position: u64) -> Result<(), Fault> {
        let (_, damaged) = reader.versions_of_leaves_apart(position, 1)?;
        let other = damaged.into_iter().find(|damaged| damaged.type_name != TYPE_NAME);
        other.map_or(Ok(()), |damaged| Err(damaged.fault))
    }

    /// Whether a damaged row may speak of the person.
    pub fn may_speak(&self, reader: &Reader<'_>, damaged: &Damaged, leads: impl Fn(&Node) -> bool, traces: &Traces) -> Result<bool, Fault> {
        if self.indexed.contains(&damaged.seq) || !self.is_anothers(reader, damaged)? {
            return Ok(true);
        }
        let text = String::from_utf8_lossy(&damaged.document);
        let event = json::parse(&damaged.document, json::DEFAULT_DEPTH);
        Ok(text.contains(&self.person) || traces.lead_from(&text) || event.map_or(true, |event| leads(&event)))
    }

    /// Whether the leaf that the row says is its own is under another's tag, and no other row's.
    fn is_anothers(&self, reader: &Reader<'_>, damaged: &Damaged) -> Result<bool, Fault> {
        let Some(position) = damaged.leaf else { return Ok(false) };
        let leaf = reader.leaves(position, 1)?.pop().and_then(|entry| Leaf::decode(&entry));
        let is_under_another = leaf.and_then(|leaf| leaf.tags.patient).is_some_and(|tag| !self.tags.contains(&tag));
        Ok(is_under_another && reader.rows_of_leaf(position)? == 1)
    }
}
