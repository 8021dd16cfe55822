//! What an erasure takes from the records of what was done and of who said what: those of the person alone go, others lose what leads to them.

use super::damaged::Suspects;
use super::erasure::{Definitions, Key, MAX_RESOURCES, PORTION, Plan, key};
use super::traces::Traces;
use crate::consent;
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::search;
use crate::store::Reader;
use data_encoding::BASE64;
use std::collections::BTreeSet;

impl Plan {
    /// The Provenances of everything that goes; one that is about more is kept without what goes.
    pub(super) fn provenances(&mut self, reader: &Reader<'_>, definitions: Definitions, suspects: &mut Suspects) -> Result<(), Fault> {
        let records: Vec<Key> = self.gone.keys().chain(self.versions.keys()).cloned().collect();
        let mut judged = BTreeSet::new();
        for (_, id) in records {
            let Some(index_key) = search::reference_key(definitions, "Provenance", "target", &id) else { continue };
            let found = reader.indexed_between(index_key, index_key, MAX_RESOURCES)?;
            suspects.take(reader, found.damaged)?;
            for version in found.sound {
                if version.type_name != "Provenance" || version.deleted() || !judged.insert(version.id.clone()) {
                    continue;
                }
                let mut provenance = version.parse()?;
                let stays = |target: &Node| !target.text("reference").is_some_and(|to| self.goes(to));
                let (kept, all): (Vec<Node>, usize) =
                    (provenance.items("target").iter().filter(|target| stays(target)).cloned().collect(), provenance.items("target").len());
                if kept.is_empty() {
                    self.gone.insert(key(&version), version.version);
                } else if kept.len() < all {
                    if let Some(object) = provenance.as_object_mut() {
                        object.set("target", kept);
                    }
                    consent::mark_redacted(&mut provenance);
                    self.rewritten.push((version.type_name.clone(), version.id.clone(), json::write(&provenance)));
                }
            }
        }
        Ok(())
    }

    /// Looks through all records of what was done: those of this person alone go, others lose what leads to them.
    pub(super) fn audit_records(
        &mut self,
        reader: &Reader<'_>,
        patient: &str,
        traces: &Traces,
        suspects: &mut Suspects,
    ) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let portion = reader.of_type("AuditEvent", after, PORTION)?;
            let Some(last) = portion.last() else { return Ok(()) };
            after = last;
            for damaged in &portion.damaged {
                let names = |words: &str| self.named(words, traces) || traces.lead_from_words(words);
                suspects.judge(reader, damaged, |event| self.without(event, traces).is_some(), names)?;
            }
            for version in &portion.sound {
                if self.gone.contains_key(&key(version)) || version.deleted() {
                    continue;
                }
                let event = version.parse()?;
                let references: Vec<&str> =
                    event.items("entity").iter().filter_map(|entity| entity.text_at(&["what", "reference"])).collect();
                let own = format!("Patient/{patient}");
                let of_person = references.contains(&own.as_str());
                let of_others = references.iter().any(|to| to.starts_with("Patient/") && *to != own);
                if of_person && !of_others {
                    self.gone.insert(key(version), version.version);
                } else if let Some(kept) = self.without(&event, traces) {
                    self.rewritten.push((version.type_name.clone(), version.id.clone(), json::write(&kept)));
                }
            }
        }
    }

    /// Whether a question leads to the person, or names what goes.
    fn named(&self, words: &str, traces: &Traces) -> bool {
        traces.lead_from(words) || self.gone.keys().any(|(_, id)| words.contains(id.as_str()))
    }

    /// The event without the entities that lead to what goes; `None` when none does.
    fn without(&self, event: &Node, traces: &Traces) -> Option<Node> {
        let leads = |entity: &Node| {
            let refers = entity.text_at(&["what", "reference"]).is_some_and(|to| self.goes(to));
            let query = entity.text("query").and_then(|query| BASE64.decode(query.as_bytes()).ok());
            let asks = query.is_some_and(|query| self.named(&String::from_utf8_lossy(&query), traces));
            refers || asks
        };
        let entities = event.items("entity");
        let kept: Vec<Node> = entities.iter().filter(|entity| !leads(entity)).cloned().collect();
        if kept.len() == entities.len() {
            return None;
        }
        let mut event = event.clone();
        event.as_object_mut()?.set("entity", kept);
        consent::mark_redacted(&mut event);
        Some(event)
    }
}
