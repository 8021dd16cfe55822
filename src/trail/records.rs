//! What an erasure takes from the records of what was done and of who said what: those of the person alone go, others lose what leads to them.

use super::damaged::Suspects;
use super::erasure::{Definitions, Key, MAX_RESOURCES, PORTION, Plan, key};
use super::is_event;
use super::traces::Traces;
use super::whose::names;
use crate::anchor::{audit_key, without_entity};
use crate::audit;
use crate::consent;
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::search;
use crate::store::{Keyring, Reader};
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
                let is_statement = version.type_name == "Provenance" && version.leaf.is_none();
                // One that somebody filed is a record like any other.
                if !is_statement || version.deleted() || !judged.insert(version.id.clone()) {
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
        keyring: &Keyring,
        (patient, traces): (&str, &Traces),
        suspects: &mut Suspects,
    ) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let portion = reader.of_type("AuditEvent", after, PORTION)?;
            let Some(last) = portion.last() else { return Ok(()) };
            after = last;
            for damaged in &portion.damaged {
                let names = |words: &str| self.named(words, traces) || traces.lead_from_words(words);
                suspects.judge(reader, damaged, |event| self.leads_in(event, traces), names)?;
            }
            for version in &portion.sound {
                if self.gone.contains_key(&key(version)) || version.deleted() || !is_event(version) {
                    continue;
                }
                let event = version.parse()?;
                let references: Vec<&str> =
                    event.items("entity").iter().filter_map(|entity| entity.text_at(&["what", "reference"])).collect();
                // A version of the person is the person, too.
                let patients = || references.iter().filter_map(|to| to.strip_prefix("Patient/")?.split('/').next());
                let (of_person, of_others) = (patients().any(|id| id == patient), patients().any(|id| id != patient));
                if of_person && !of_others {
                    self.gone.insert(key(version), version.version);
                } else if self.leads_in(&event, traces) {
                    self.told.extend(self.severing.shorten(reader, keyring, (version, &event), patient)?);
                    let kept = self.without(event, traces, keyring)?;
                    self.rewritten.push((version.type_name.clone(), version.id.clone(), json::write(&kept)));
                }
            }
        }
    }

    /// Whether a question leads to the person, or names what goes.
    fn named(&self, words: &str, traces: &Traces) -> bool {
        traces.lead_from(words) || self.gone.keys().any(|(type_name, id)| names(words, type_name, id))
    }

    /// Whether an entity of an event leads to what goes.
    fn leads_in(&self, event: &Node, traces: &Traces) -> bool {
        event.items("entity").iter().any(|entity| self.leads(entity, traces))
    }

    fn leads(&self, entity: &Node, traces: &Traces) -> bool {
        let refers = entity.text_at(&["what", "reference"]).is_some_and(|to| self.goes(to));
        let query = entity.text("query").and_then(|query| BASE64.decode(query.as_bytes()).ok());
        let asks = query.is_some_and(|query| self.named(&String::from_utf8_lossy(&query), traces));
        refers || asks
    }

    /// The event without the entities that lead to what goes. Of those that the patient is told whose it is stays a commitment, so that the rest of what is
    /// told still opens the leaf.
    fn without(&self, event: Node, traces: &Traces, keyring: &Keyring) -> Result<Node, Fault> {
        let owner = self.owner(&event);
        let key = owner.map(|owner| keyring.patient(Some(owner))).transpose()?;
        let key = key.zip(event.text("id")).map(|(key, id)| audit_key(&key, id));
        let told = owner.map(|owner| format!("Patient/{owner}")).zip(key);
        let kept = event.items("entity").iter().filter_map(|entity| match &told {
            _ if !self.leads(entity, traces) => Some(entity.clone()),
            Some((patient, key)) if audit::is_told(entity, patient) => Some(without_entity(key, entity)),
            _ => None,
        });
        let kept: Vec<Node> = kept.collect();
        let mut event = event;
        if let Some(object) = event.as_object_mut() {
            object.set("entity", kept);
        }
        consent::mark_redacted(&mut event);
        Ok(event)
    }

    /// The id of the patient whose an event is, if that one stays. It is the first that the event names, and its leaf is under that one's tag.
    fn owner<'e>(&self, event: &'e Node) -> Option<&'e str> {
        let entities = event.items("entity").iter();
        let mut patients = entities.filter_map(|entity| entity.text_at(&["what", "reference"])?.strip_prefix("Patient/"));
        patients.next().filter(|id| !id.contains('/') && !self.goes(&format!("Patient/{id}")))
    }
}
