//! Looking up what decisions need: the consents of everybody concerned, what these name, and what the records refer to, all in one reading.

use super::place::{PatientRules, Place, RolesOf, close_over};
use super::recipient::Partner;
use super::{FEW, earlier_result, provenance_target};
use crate::outcome::{Fault, FaultKind};
use crate::pipeline::{Halt, Pipeline, Room, patient_ids, readable};
use crate::query::Candidate;
use crate::query::addresses::Addresses;
use crate::query::beside::{Beside, MAX_BESIDE, Pointing, Wanted};
use crate::store::{Reader, Store};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// So many records that consents name are looked up where the question is asked: those of a patient and of whoever asks, and not a group of thousands.
const FEW_NAMED: usize = 64;

/// What is to be looked up.
pub(super) struct Gathering {
    patients: BTreeSet<String>,
    /// What Provenances and repeated results speak of, by type and id.
    targets: BTreeSet<(String, String)>,
    named: Wanted,
    place: Place,
    addresses: Addresses,
}

/// What was.
pub(super) struct Gathered {
    pub targets: HashMap<String, Candidate>,
    pub beside: Beside,
    pub rules: HashMap<String, PatientRules>,
}

impl Gathering {
    pub fn of<'r>(
        pipeline: &Pipeline,
        partner: Partner,
        addresses: &Addresses,
        resources: impl Iterator<Item = Pointing<'r>>,
    ) -> Gathering {
        let (mut patients, mut targets) = (BTreeSet::new(), BTreeSet::new());
        let mut named = Wanted::with_makers(pipeline.store.makers_may_be_hidden());
        let (mut roles, mut at_hand) = (RolesOf::default(), BTreeSet::new());
        for (resource, source) in resources {
            at_hand.extend(resource.text("id").filter(|_| resource.resource_type() == Some("Patient")).map(str::to_owned));
            patients.extend(patient_ids(resource));
            targets.extend(provenance_target(resource).or_else(|| earlier_result(resource)));
            named.add((resource, source), addresses);
            roles.add(resource);
        }
        let (settings, kept) = (Arc::clone(&pipeline.consent), Arc::clone(&pipeline.kept_rules));
        let (definitions, now, room) = (pipeline.definitions, pipeline.clock.now(), Room::of(FEW_NAMED));
        let registry = Arc::clone(&pipeline.registry);
        let place = Place { definitions, settings, registry, now, partner, roles, kept, room, at_hand };
        Gathering { patients, targets, named, place, addresses: addresses.clone() }
    }

    /// Looks it up: where the question is asked if it is little, else on a thread that may block.
    pub async fn done(mut self, store: &Store) -> Result<Gathered, Fault> {
        if self.patients.len() + self.targets.len() + self.named.len() <= FEW
            && let Some(gathered) = store.glance(|reader| self.within_room(reader)).await?
        {
            return Ok(gathered);
        }
        self.place.room = Room::of(usize::MAX);
        let gathered = store.read(move |reader| self.within_room(reader)).await?;
        gathered.ok_or_else(|| Fault::new(FaultKind::Internal, "there was no room for what consents name"))
    }

    /// What is found in one reading; `None` where more is named than there is room for. What was added by then is added again to no effect.
    fn within_room(&mut self, reader: &Reader<'_>) -> Result<Option<Gathered>, Fault> {
        match self.gathered(reader) {
            Ok(gathered) => Ok(Some(gathered)),
            Err(Halt::NoRoom) => Ok(None),
            Err(Halt::Fault(fault)) => Err(fault),
        }
    }

    fn gathered(&mut self, reader: &Reader<'_>) -> Result<Gathered, Halt> {
        let mut targets = HashMap::new();
        for (type_name, id) in &self.targets {
            // A target that cannot be read is as one that is not there: what speaks of it is denied.
            if let Some(version) = readable(reader.current(type_name, id))?.filter(|version| !version.deleted()) {
                let candidate = Candidate::stored(&version)?;
                self.patients.extend(patient_ids(&candidate.resource));
                self.named.add((&candidate.resource, &candidate.source), &self.addresses);
                self.place.roles.add(&candidate.resource);
                targets.insert(format!("{type_name}/{id}"), candidate);
            }
        }
        let beside = Beside::gather(reader, self.place.definitions, &self.named, MAX_BESIDE)?;
        beside.records().for_each(|candidate| self.patients.extend(patient_ids(&candidate.resource)));
        let mut rules = HashMap::new();
        for patient in &self.patients {
            self.place.add_rules_of(reader, patient, &mut rules)?;
        }
        self.patients.iter().for_each(|patient| close_over(patient, &mut rules));
        Ok(Gathered { targets, beside, rules })
    }
}
