//! What goes because only what goes leads to it: the content of documents, and a Person who is only linked to relatives of who is erased.
//!
//! A Medication, a place, a practitioner is nobody's, and stays.

use super::erasure::{Key, PORTION, Plan, key};
use crate::audit;
use crate::consent::patients_of;
use crate::fhir::{Node, Value};
use crate::outcome::Fault;
use crate::store::{HistoryScope, Reader, StoredVersion};
use std::collections::{BTreeMap, BTreeSet};

/// Ids looked for at a time.
const WORDS: usize = 500;
/// The most versions of one record that are looked at.
const MAX_VERSIONS: usize = 1_000_000;
/// How often what follows is followed.
const MAX_STEPS: usize = 8;
const BINARY: &str = "Binary/";
/// What has a `url` that is no attachment's.
const UNATTACHED: [&str; 3] = ["extension", "modifierExtension", "link"];

impl Plan {
    /// Takes in what nothing leads to any more that stays.
    pub(super) fn follow(&mut self, reader: &Reader<'_>) -> Result<(), Fault> {
        let mut asked = BTreeSet::new();
        for _ in 0..MAX_STEPS {
            let new: Vec<Key> = self.gone.keys().chain(self.versions.keys()).filter(|key| !asked.contains(*key)).cloned().collect();
            if new.is_empty() {
                break;
            }
            let mut candidates = self.binaries(reader, &new)?;
            candidates.extend(self.persons(reader, &new)?);
            asked.extend(new);
            self.take_unled(reader, &candidates)?;
        }
        Ok(())
    }

    /// The Binaries here that these lead to, from the same source, and that are about nobody.
    fn binaries(&self, reader: &Reader<'_>, new: &[Key]) -> Result<BTreeMap<Key, u32>, Fault> {
        let mut found_in = BTreeSet::new();
        for (type_name, id) in new.iter().filter(|(type_name, _)| type_name != "Task") {
            let scope = HistoryScope::Instance { type_name: type_name.clone(), id: id.clone() };
            let history = reader.history(&scope, None, None, MAX_VERSIONS)?;
            for version in history.iter().filter(|version| !version.deleted() && self.takes(version)) {
                let mut led_to = BTreeSet::new();
                named("", &version.parse()?, &mut led_to);
                found_in.extend(led_to.into_iter().map(|id| (version.source.clone(), id)));
            }
        }
        let mut found = BTreeMap::new();
        for (source, id) in found_in.into_iter().filter(|(_, id)| !self.gone.contains_key(&("Binary".to_owned(), id.clone()))) {
            let history = reader.history(&HistoryScope::Instance { type_name: "Binary".to_owned(), id }, None, None, MAX_VERSIONS)?;
            let Some(newest) = history.first() else { continue };
            let mut is_takeable = true;
            for version in &history {
                is_takeable &= version.source == source && (version.deleted() || patients_of(&version.parse()?).is_empty());
            }
            if is_takeable {
                found.insert(key(newest), newest.version);
            }
        }
        Ok(found)
    }

    /// The Persons that are linked to these and to nothing else.
    fn persons(&self, reader: &Reader<'_>, new: &[Key]) -> Result<BTreeMap<Key, u32>, Fault> {
        let mut found = BTreeMap::new();
        for (_, id) in new.iter().filter(|(type_name, _)| matches!(type_name.as_str(), "RelatedPerson" | "Person")) {
            let (low, high) = crate::search::reference_keys(id);
            for person in reader.indexed_between(low, high, PORTION)?.sound.iter().filter(|version| version.type_name == "Person") {
                let links = person.parse()?;
                // A link by an identifier, or by a name, is one to somebody else.
                let mut targets = links.items("link").iter().map(|link| link.text_at(&["target", "reference"]));
                if targets.all(|target| target.is_some_and(|target| self.goes(target))) && !self.gone.contains_key(&key(person)) {
                    found.insert(key(person), person.version);
                }
            }
        }
        Ok(found)
    }

    /// Takes those in whose id nothing holds that stays. What the gateway says of them, or to people about them, leads nowhere by itself.
    fn take_unled(&mut self, reader: &Reader<'_>, candidates: &BTreeMap<Key, u32>) -> Result<(), Fault> {
        let all: Vec<&Key> = candidates.keys().collect();
        let mut led = BTreeSet::new();
        for part in all.chunks(WORDS) {
            let words: Vec<String> = part.iter().map(|(_, id)| id.clone()).collect();
            let mut after = 0;
            loop {
                let portion = reader.holding_any(&words, audit::SOURCE, after, PORTION)?;
                let Some(last) = portion.last() else { break };
                after = last;
                let stays = |version: &&StoredVersion| !matches!(version.type_name.as_str(), "Provenance" | "Task") && !self.takes(version);
                for version in portion.sound.iter().filter(stays) {
                    let holds = |of: &&&Key| ***of != key(version) && version.document.contains(of.1.as_str());
                    led.extend(part.iter().filter(holds).map(|of| (*of).clone()));
                }
            }
        }
        self.gone.extend(candidates.iter().filter(|(of, _)| !led.contains(*of)).map(|(of, version)| (of.clone(), *version)));
        Ok(())
    }

    /// Whether a version is to go.
    fn takes(&self, version: &StoredVersion) -> bool {
        let of = key(version);
        self.gone.contains_key(&of) || self.versions.get(&of).is_some_and(|(_, going)| going.contains(&version.version))
    }
}

/// The ids of the Binaries that a resource leads to: in references, and in the addresses of attachments. Words lead nowhere.
fn named(holder: &str, node: &Node, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| named(holder, item, found)),
        Value::Object(object) => {
            for member in object.members() {
                let leads = member.name == "reference" || member.name == "url" && !UNATTACHED.contains(&holder);
                match &member.node.value {
                    Value::Text(text) if leads => found.extend(binary_id(text)),
                    _ => named(&member.name, &member.node, found),
                }
            }
        }
        _ => {}
    }
}

fn binary_id(address: &str) -> Option<String> {
    let at = address.rfind(BINARY)?;
    let is_whole = address.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    let id = address.get(at + BINARY.len()..)?.split(['/', '?', '#']).next()?;
    (is_whole && !id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    #[test]
    fn references_and_attachments_lead_to_binaries_and_words_do_not() {
        let text = br#"{"resourceType":"DocumentReference","description":"Binary/words","content":[{"attachment":{"url":"Binary/a/_history/1","title":"Binary/t"}}],
            "extension":[{"url":"Binary/u","valueAttachment":{"url":"https://here.example/fhir/Binary/b?x"}},{"url":"urn:x","valueUri":"Binary/v"},
            {"url":"urn:y","valueReference":{"reference":"Binary/c","display":"Binary/d"}}],"subject":{"reference":"NoBinary/e"}}"#;
        let mut found = BTreeSet::new();
        named("", &json::parse(text, 99).unwrap(), &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
