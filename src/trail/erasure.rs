//! Erasing a record, or a patient with everything that leads to them. The log keeps its leaves; what they refer to is gone.

use super::Trail;
use super::damaged::{Suspects, blocks_nobody};
use super::ending::Ending;
use super::named::{Identifiers, Pair};
use super::severing::Severing;
use super::subject::{Place, Subject, told_of};
use super::tasks::tasks;
use super::traces::Traces;
use super::waiting::Waiting;
use super::whose::{self, Person};
use crate::anchor::{Epoch, Leaf, LeafKind, OwnVersion};
use crate::audit::{self, Closing, Outcome};
use crate::identity::Caller;
use crate::intake;
use crate::normalise::is_gateway_id;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::query::not_found;
use crate::registry::{Registry, Role};
use crate::search;
use crate::store::{self, Assumption, Committed, Erasure, HistoryScope, Keyring, Reader, StoredVersion, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often an erasure is planned anew, because something was added meanwhile.
const MAX_ROUNDS: u32 = 10;

/// The most resources one person's erasure takes in.
pub(super) const MAX_RESOURCES: usize = 1_000_000;
/// Records read at a time when all are looked through.
pub(super) const PORTION: usize = 1000;

/// What an erasure came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Resources that are gone with all their versions.
    pub resources: usize,
    /// Versions that are gone from resources that are others' now.
    pub versions: usize,
    /// Records of others that were kept without what led to the person.
    pub rewritten: usize,
}

pub(super) type Key = (String, String);

/// What is to go.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) gone: BTreeMap<Key, u32>,
    /// Versions that go of resources that stay, since others of their versions are about others alone; with the newest version.
    pub(super) versions: BTreeMap<Key, (u32, BTreeSet<u32>)>,
    /// Resources that are about others too.
    shared: BTreeSet<Key>,
    pub(super) rewritten: Vec<(String, String, String)>,
    /// Resources that stay and whose newest version goes, with those whose they are: they are deleted first.
    headless: Vec<(StoredVersion, Vec<String>)>,
    /// Whose trails must say that what goes was erased: patient and record.
    pub(super) told: BTreeSet<(Option<String>, String)>,
    /// What is missing from these then.
    pub(super) severing: Severing,
    /// What was filed that stops counting for other records of the person.
    ending: Ending,
    /// What earlier erasures noted of the trail that goes.
    forgotten: Vec<[u8; 32]>,
    /// Those of the person who goes.
    pub(super) identifiers: Identifiers,
}

impl Trail {
    /// Erases a resource, for whoever was given that role. `shared` says that what is about others too may go with it.
    pub async fn erase(
        &self,
        caller: &Caller,
        (type_name, id): (&str, &str),
        shared: bool,
        opened: &audit::Opened,
    ) -> Result<Erased, Failure> {
        let pipeline = &self.query.pipeline;
        let outcome = if caller.has_role(Role::Eraser) {
            self.carry_out(type_name, &pipeline.dialect(caller).id(type_name, id), shared, opened).await
        } else {
            let text = "Erasing is for clients that are registered as eraser.";
            Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text).into())
        };
        if let Err(Failure::Refused(refusal)) = &outcome {
            let named = (intake::named(&format!("{type_name}/{id}"), None), None);
            pipeline.record_refused_request(caller, named, opened, refusal).await?;
        }
        outcome
    }

    /// Erases a resource. The audit record says that something was erased, and nothing of what it was.
    pub async fn carry_out(&self, type_name: &str, id: &str, shared: bool, opened: &audit::Opened) -> Result<Erased, Failure> {
        if self.is_account(type_name, id).await? {
            let text = "What the gateway itself noted is erased with the records and persons that it is about, and not alone.";
            return Err(Refusal::new(Reason::MethodNotAllowed, IssueType::NotSupported, text).into());
        }
        let mut erased = Erased::default();
        for round in 0..MAX_ROUNDS {
            let plan = self.plan(type_name, id, erased != Erased::default()).await?;
            if plan.is_empty() {
                return if round == 0 { Err(not_found(type_name).into()) } else { Ok(erased) };
            }
            let waiting = self.waiting(&plan, Some(id).filter(|_| type_name == "Patient")).await?;
            let about_others = plan.shared.len() + waiting.iter().filter(|one| one.is_shared).count();
            let of_others = (about_others > 0).then(|| {
                format!(
                    "{about_others} resource(s) have versions that are about other patients too, or lead to this one. Ask with shared=true, and these go as well."
                )
            });
            let to_be_known: Vec<String> = of_others.into_iter().chain(plan.ending.told()).collect();
            if !shared && !to_be_known.is_empty() {
                return Err(Refusal::new(Reason::Invalid, IssueType::BusinessRule, to_be_known.join(" ")).into());
            }
            if !plan.headless.is_empty() {
                // What then is current is a deletion, in the trail of whose the rest is. Planning goes on from there.
                self.delete_first(plan.headless, opened).await?;
                continue;
            }
            let done = self.commit((type_name, id), &plan, &waiting, opened).await?;
            erased.resources += done.resources;
            erased.versions += done.versions;
            erased.rewritten += done.rewritten;
        }
        Err(Fault::new(FaultKind::Overloaded, "more keeps being written about what is to be erased; ask again").into())
    }

    /// Whether something is what the gateway noted of what others did: without it trails and accountings would lack that.
    async fn is_account(&self, type_name: &str, id: &str) -> Result<bool, Fault> {
        let current = self.query.pipeline.store.glance(|reader| reader.current(type_name, id)).await?;
        // A Provenance that somebody sent has a leaf of its own.
        let is_noted = |version: StoredVersion| {
            let is_own = version.source == audit::SOURCE && audit::is_account(type_name);
            is_own || type_name == "Provenance" && version.leaf.is_none()
        };
        Ok(current.is_some_and(is_noted))
    }

    /// Deletes records of which the newest version is to go and others stay. No record is without a newest version.
    async fn delete_first(&self, headless: Vec<(StoredVersion, Vec<String>)>, opened: &audit::Opened) -> Result<(), Fault> {
        let mut unit = Unit::default();
        for (newest, patients) in headless {
            let (type_name, id, source) = (newest.type_name.clone(), newest.id.clone(), newest.source.clone());
            unit.assumptions.push(Assumption::Version { type_name: type_name.clone(), id: id.clone(), version: newest.version });
            let own = OwnVersion {
                type_name: &type_name,
                id: &id,
                previous: Some(newest),
                resource: None,
                patients: &patients,
                reason: "Deleted: what was current was another patient's and is erased.",
                source: &source,
                at: opened.at,
            };
            let (drafts, leaves) = self.query.pipeline.anchor.own_version(own, unit.leaves.len())?;
            unit.versions.extend(drafts);
            unit.leaves.extend(leaves);
        }
        // Where somebody was faster with one of them, it is planned anew as well.
        self.query.pipeline.store.commit(unit).await.map(drop)
    }

    async fn commit(
        &self,
        (type_name, id): (&str, &str),
        plan: &Plan,
        waiting: &[Waiting],
        opened: &audit::Opened,
    ) -> Result<Erased, Failure> {
        let anchor = &self.query.pipeline.anchor;
        let partner = opened.caller.as_ref().map(|caller| caller.organisation.key());
        let patient = (type_name == "Patient").then(|| id.to_owned());
        let mut unit = Unit::default();
        let (mut severed, mut unopened) = (Vec::new(), plan.forgotten.clone());
        for (leaf, named) in plan.severing.leaves(anchor, (&plan.told, patient.as_deref()), (partner.as_deref(), opened.at))? {
            match named.and_then(|named| Some((named.commitment()?, serde_json::to_vec(&named).ok()?))) {
                Some(opening) => severed.push(opening),
                None => unopened.extend(Leaf::decode(&leaf.entry).map(|leaf| leaf.canonical)),
            }
            unit.leaves.push(leaf);
        }
        let newest =
            plan.gone.iter().map(|(key, version)| (key, *version)).chain(plan.versions.iter().map(|(key, (version, _))| (key, *version)));
        unit.assumptions = newest
            .map(|((type_name, id), version)| Assumption::Version { type_name: type_name.clone(), id: id.clone(), version })
            .collect();
        self.end_waiting(&mut unit, waiting, opened)?;
        unit.erasure = Some(Erasure {
            resources: plan.gone.keys().cloned().collect(),
            versions: plan
                .versions
                .iter()
                .map(|((type_name, id), (_, going))| (type_name.clone(), id.clone(), going.iter().copied().collect()))
                .collect(),
            patient_key: patient.as_deref().map(|patient| anchor.keyring.patient_name(patient)),
            patient,
            pending: waiting.iter().map(|one| one.id.clone()).collect(),
            rewritten: plan.rewritten.clone(),
            severed,
            unopened,
        });
        let closing = Closing { description: Some(format!("erased {} resource(s)", plan.gone.len())), ..Closing::default() };
        match self.query.pipeline.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await? {
            Committed::Done { .. } | Committed::Kept => Ok(plan.erased()),
            // Somebody was faster with one of them: it is planned anew.
            Committed::Stale { .. } | Committed::Replayed(_) => Ok(Erased::default()),
        }
    }

    /// Looks for everything that leads to the resource. Nothing is found when it is gone already.
    async fn plan(&self, type_name: &str, id: &str, again: bool) -> Result<Plan, Failure> {
        self.query.pipeline.store.release(store::Whose::All).await?;
        let (type_name, id) = (type_name.to_owned(), id.to_owned());
        let pipeline = &self.query.pipeline;
        let definitions = pipeline.definitions;
        let is_patient = type_name == "Patient";
        let places = if again || !is_patient { Vec::new() } else { self.patient_leaves(&id).await? };
        let keyring = pipeline.anchor.keyring.clone();
        let registry = Arc::clone(&pipeline.registry);
        let planned = pipeline.store.read(move |reader| {
            let mut suspects = Suspects::of(&type_name, &id, &places);
            let plan = if is_patient {
                plan_patient(reader, (definitions, &keyring, &registry), &id, &places, &mut suspects)?
            } else {
                plan_record(reader, definitions, (&type_name, &id), &mut suspects)?
            };
            Ok((plan, suspects))
        });
        let (mut plan, suspects) = planned.await?;
        plan.gone.extend(suspects.going().clone());
        for (patient, record, (position, leaf)) in suspects.told(&pipeline.anchor.keyring)? {
            plan.severing.add(&record, position, leaf);
            plan.told.insert((patient, record));
        }
        Ok(plan)
    }

    /// The leaves under the patient's tags: they lead to what the search index no longer knows, such as deleted resources.
    async fn patient_leaves(&self, id: &str) -> Result<Vec<Place>, Failure> {
        let tags = self.tags(&Subject::of_patient(id), None::<Epoch>).await?;
        self.places(&tags).await
    }
}

pub(super) type Definitions = &'static crate::definitions::Definitions;

/// A record goes with its Provenances. That it was disclosed stays on record, under an id that nothing leads on from.
fn plan_record(
    reader: &Reader<'_>,
    definitions: Definitions,
    (type_name, id): (&str, &str),
    suspects: &mut Suspects,
) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    let Some(current) = reader.current(type_name, id)? else { return Ok(plan) };
    plan.gone.insert((type_name.to_owned(), id.to_owned()), current.version);
    plan.follow(reader)?;
    plan.tell(reader, None)?;
    plan.tasks(reader, &Traces::default(), suspects)?;
    plan.provenances(reader, definitions, suspects)?;
    Ok(plan)
}

/// The identifiers by which institutions are registered.
fn registered(registry: &Registry) -> BTreeSet<Pair> {
    let clients = registry.clients().map(|client| &client.organisation);
    let sources = registry.sources().filter_map(|(name, _)| registry.organisation_of(name));
    let holders = registry.holders().iter().filter_map(|holder| registry.organisation_of(&holder.name));
    let destinations = registry.destinations().iter().map(|destination| &destination.organisation);
    let all = clients.chain(sources).chain(holders).chain(destinations).filter_map(|organisation| organisation.identifier.as_ref());
    all.map(|identifier| (identifier.system.clone(), identifier.value.clone())).collect()
}

fn plan_patient(
    reader: &Reader<'_>,
    (definitions, keyring, registry): (Definitions, &Keyring, &Registry),
    id: &str,
    places: &[Place],
    suspects: &mut Suspects,
) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    let mut traces = Traces::of(definitions, id);
    let mut patients = Vec::new();
    let scope = HistoryScope::Instance { type_name: "Patient".to_owned(), id: id.to_owned() };
    for version in reader.history(&scope, None, None, MAX_RESOURCES)? {
        plan.gone.entry(key(&version)).or_insert(version.version);
        if !version.deleted() {
            let patient = version.parse()?;
            traces.add(&patient);
            patients.push(patient);
        }
    }
    // An id that no Patient here has or had may be any word, a code or a number that others' records hold.
    if plan.gone.is_empty() && places.is_empty() && !is_gateway_id(id) {
        return Ok(plan);
    }
    let mut identifiers = Identifiers::of(&patients);
    identifiers.without_institutions(&registered(registry));
    identifiers.told_from_others(reader, definitions, id, |system| registry.is_person_system(system))?;
    let (low, high) = search::reference_keys(id);
    let found = reader.indexed_between(low, high, MAX_RESOURCES)?;
    if plan.gone.is_empty() && found.is_empty() && places.is_empty() {
        return Ok(plan);
    }
    suspects.take(reader, found.damaged)?;
    for place in places {
        let leaf = check(reader, place)?;
        plan.forgotten.extend(leaf.names_what_it_erased().then_some(leaf.canonical));
        suspects.look(reader, place.position)?;
    }
    let positions: BTreeSet<u64> = places.iter().map(|place| place.position).collect();
    let person = Person { id, identifiers: &identifiers, positions: &positions };
    let (statements, records): (Vec<Key>, Vec<Key>) =
        leading(reader, &person, suspects)?.into_iter().partition(|(type_name, _)| type_name == "Provenance");
    for (type_name, of) in &records {
        plan.judge(reader, (type_name, of), &person, suspects)?;
    }
    plan.follow(reader)?;
    plan.tell(reader, Some(id))?;
    plan.tasks(reader, &traces, suspects)?;
    plan.provenances(reader, definitions, suspects)?;
    plan.statements((reader, keyring), &statements, &person, suspects)?;
    plan.audit_records(reader, keyring, (id, &traces), suspects)?;
    plan.identifiers = identifiers;
    plan.ending = Ending::of(reader, id)?;
    Ok(plan)
}

/// The records that have a version, newest or not, in which the person is named.
fn leading(reader: &Reader<'_>, person: &Person<'_>, suspects: &mut Suspects) -> Result<BTreeSet<Key>, Fault> {
    let words: Vec<String> = std::iter::once(person.word()).chain(person.identifiers.words()).collect();
    let (mut after, mut found) = (0, BTreeSet::new());
    loop {
        let portion = reader.holding_any(&words, audit::SOURCE, after, PORTION)?;
        let Some(last) = portion.last() else { break };
        after = last;
        found.extend(portion.sound.iter().map(key));
        suspects.take(reader, portion.damaged)?;
    }
    found.retain(|key| !suspects.going().contains_key(key));
    Ok(found)
}

/// What another's leaf stands for does not go with this person.
fn check(reader: &Reader<'_>, place: &Place) -> Result<Leaf, Fault> {
    let entry = reader.leaves(place.position, 1)?.pop();
    let leaf = entry.and_then(|entry| Leaf::read(reader, &entry));
    let leaf = leaf.ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "a leaf cannot be read"))?;
    place.check(&leaf).map(|()| leaf)
}

pub(super) fn key(version: &StoredVersion) -> Key {
    (version.type_name.clone(), version.id.clone())
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.versions.is_empty() && self.rewritten.is_empty()
    }

    fn erased(&self) -> Erased {
        let versions = self.versions.values().map(|(_, going)| going.len()).sum();
        Erased { resources: self.gone.len(), versions, rewritten: self.rewritten.len() }
    }

    /// Whether a reference leads to what goes.
    pub(super) fn goes(&self, reference: &str) -> bool {
        let key = type_and_id(reference);
        let number = reference.split_once("/_history/").and_then(|(_, number)| number.parse().ok());
        let of_others = self.versions.get(&key).zip(number);
        self.gone.contains_key(&key) || of_others.is_some_and(|((_, going), number)| going.contains(&number))
    }

    /// Takes in a record that names the person in any of its versions. Records of what was done are judged on their own.
    pub(super) fn judge(
        &mut self,
        reader: &Reader<'_>,
        (type_name, id): (&str, &str),
        person: &Person<'_>,
        suspects: &mut Suspects,
    ) -> Result<(), Fault> {
        let key = (type_name.to_owned(), id.to_owned());
        if self.gone.contains_key(&key) {
            return Ok(());
        }
        let fate = match whose::judge(reader, (type_name, id), person) {
            Ok(Some(fate)) => fate,
            Ok(None) => return Ok(()),
            Err(fault) if blocks_nobody(type_name, &fault) => return suspects.add(reader, key),
            Err(fault) => return Err(fault),
        };
        self.shared.extend(fate.is_shared.then(|| key.clone()));
        if fate.is_gone {
            self.gone.insert(key, fate.newest.version);
            return Ok(());
        }
        let newest = fate.newest.version;
        if fate.going.contains(&newest) {
            self.headless.push((fate.newest, fate.others.into_iter().collect()));
        }
        if !fate.going.is_empty() {
            self.versions.insert(key, (newest, fate.going));
        }
        Ok(())
    }

    /// Sees to it that everybody's trail that what goes stands in says that it was erased: also of whom it was about before it was corrected. The
    /// person who goes has one leaf for everything.
    fn tell(&mut self, reader: &Reader<'_>, person: Option<&str>) -> Result<(), Fault> {
        self.told.extend(person.map(|person| (Some(person.to_owned()), format!("Patient/{person}"))));
        let going: Vec<Key> = self.gone.keys().chain(self.versions.keys()).cloned().collect();
        going.iter().try_for_each(|(type_name, id)| self.tell_of(reader, (type_name, id), person))
    }

    pub(super) fn tell_of(&mut self, reader: &Reader<'_>, (type_name, id): (&str, &str), person: Option<&str>) -> Result<(), Fault> {
        let (about, record) = (told_of(reader, type_name, id)?, format!("{type_name}/{id}"));
        let going = self.versions.get(&(type_name.to_owned(), id.to_owned())).map(|(_, going)| going);
        self.severing.take(reader, (type_name, id), going)?;
        let nobody = (about.is_empty() || self.severing.is_nobodys(&record)).then_some(None);
        let others = about.into_iter().filter(|patient| Some(patient.as_str()) != person).map(Some);
        self.told.extend(nobody.into_iter().chain(others).map(|patient| (patient, record.clone())));
        Ok(())
    }

    pub(super) fn is_rewritten(&self, type_name: &str, id: &str) -> bool {
        self.rewritten.iter().any(|(of_type, of, _)| of_type == type_name && of == id)
    }

    /// What people were to work on because of what goes. Tasks are in nobody's trail.
    fn tasks(&mut self, reader: &Reader<'_>, traces: &Traces, suspects: &mut Suspects) -> Result<(), Fault> {
        let leads = |reference: &str| {
            let of = type_and_id(reference);
            self.gone.contains_key(&of) || self.versions.contains_key(&of)
        };
        let going = tasks(reader, leads, traces, suspects)?;
        self.gone.extend(going.into_iter().map(|(id, version)| (("Task".to_owned(), id), version)));
        Ok(())
    }
}

fn type_and_id(reference: &str) -> Key {
    let mut steps = reference.split('/');
    let (type_name, id) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
    (type_name.to_owned(), id.to_owned())
}
