//! What was stated of others' versions and names whoever is erased beside them.
//!
//! A Provenance that somebody filed is a record like any other. One of the gateway's own the leaf of its version commits to, and without it the trail of whose
//! that is could not be told: it stays, without what names the person, and a leaf that erases says so in that trail.

use super::damaged::{Suspects, blocks_nobody};
use super::erasure::{Key, Plan};
use super::whose::Person;
use crate::consent;
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::sign;
use crate::store::{Keyring, Reader, StoredVersion};

/// Where a Provenance of the gateway's names somebody.
const NAMING: [&str; 3] = ["agent", "entity", "signature"];

impl Plan {
    /// Judges Provenances that name the person and whose targets stay.
    pub(super) fn statements(
        &mut self,
        (reader, keyring): (&Reader<'_>, &Keyring),
        statements: &[Key],
        person: &Person<'_>,
        suspects: &mut Suspects,
    ) -> Result<(), Fault> {
        for key in statements {
            let (type_name, id) = key;
            if self.is_rewritten(type_name, id) || !self.gone.contains_key(key) && self.unname(reader, keyring, id, person)? {
                continue;
            }
            self.judge(reader, (type_name, id), person, suspects)?;
            if self.gone.contains_key(key) || self.versions.contains_key(key) {
                self.tell_of(reader, (type_name, id), Some(person.id))?;
            }
        }
        Ok(())
    }

    /// Takes the person out of a Provenance of the gateway's own, if that is what it is and nothing else of it names them. What is damaged is judged as such.
    fn unname(&mut self, reader: &Reader<'_>, keyring: &Keyring, id: &str, person: &Person<'_>) -> Result<bool, Fault> {
        let version = match reader.current("Provenance", id) {
            Err(fault) if blocks_nobody("Provenance", &fault) => return Ok(false),
            read => read?,
        };
        let Some(version) = version.filter(|version| version.leaf.is_none() && !version.deleted()) else { return Ok(false) };
        let stated = version.parse()?;
        let kept = without(&stated, person);
        if person.is_in(&kept) || kept == stated {
            return Ok(false);
        }
        for target in stated.items("target").iter().filter_map(|target| target.text("reference")) {
            self.told.extend(self.severing.unname(reader, keyring, (target, &version), person.id)?);
        }
        self.rewritten.push((version.type_name, version.id, json::write(&kept)));
        Ok(true)
    }
}

/// A Provenance without what names somebody, and then without the gateway's signature, which was over that too.
fn without(stated: &Node, person: &Person<'_>) -> Node {
    let mut kept = stated.clone();
    for member in NAMING {
        let items = stated.items(member);
        let stay: Vec<Node> = items.iter().filter(|item| !person.is_in(item)).cloned().collect();
        if stay.len() < items.len()
            && let Some(object) = kept.as_object_mut()
        {
            object.set(member, stay);
        }
    }
    if kept != *stated {
        let signatures: Vec<Node> = kept.items("signature").iter().filter(|signature| !sign::is_gateways(signature)).cloned().collect();
        if let Some(object) = kept.as_object_mut() {
            object.remove("signature");
            if !signatures.is_empty() {
                object.set("signature", signatures);
            }
        }
        consent::mark_redacted(&mut kept);
    }
    kept
}

/// Whether a Provenance is the one that the leaf of its version commits to: it was stored with it, and whatever else is stated of that came later.
pub(super) fn is_committed(stated: &StoredVersion, version: &StoredVersion) -> bool {
    stated.at == version.at
}
