//! What is kept of a submission that was refused: the audit record, what a person must do, and, where it named a patient who is known here, a
//! place in that patient's trail, and in that of the record that it would have changed. The sender learns nothing of that.

use super::plan::{OfOthers, Planner};
use super::{Pipeline, patient_ids, readable};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::Release;
use crate::identity::Caller;
use crate::intake::{Interaction, Write};
use crate::normalise::{Context, Links, normalise};
use crate::outcome::{Failure, Fault, Refusal};
use crate::search::Query;
use crate::store::{Reader, Unit};
use crate::worklist;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most patients whose trails one refused submission stands in. What names more is about nobody in particular, and must not cost a record for
/// each.
const MAX_PATIENTS: usize = 50;
/// The most patients whose trails an attempt to delete the records of more than these stands in: of so many it is said in several records.
const MAX_ATTEMPTED_PATIENTS: usize = 1000;

impl Pipeline {
    /// The audit record of a submission that was refused, with what a person must do about it.
    pub(crate) async fn record_refused_submission(
        &self,
        caller: &Caller,
        (writes, declared): (Vec<Write>, Option<Release>),
        opened: &audit::Opened,
        refusal: &Refusal,
    ) -> Result<(), Fault> {
        let known = self.known_here(caller, writes, declared).await?;
        self.record_refused_of(caller, known, opened, refusal).await
    }

    /// The same of deletions of what others sent, of which the caller may read this one: whatever is left out, it is on record of whose that is.
    pub(crate) async fn record_refused_deletions(
        &self,
        caller: &Caller,
        (writes, declared): (Vec<Write>, Option<Release>),
        opened: &audit::Opened,
        refusal: &Refusal,
        seen: (String, String),
    ) -> Result<(), Fault> {
        let mut known = self.known_here(caller, writes, declared).await?;
        let seen = self.store.read(move |reader| owned(reader, &[seen])).await?;
        known.patients.extend(seen.values().flatten().cloned());
        known.attempted.extend(seen.clone());
        known.records.extend(seen);
        self.record_refused_of(caller, known, opened, refusal).await
    }

    async fn record_refused_of(&self, caller: &Caller, known: Known, opened: &audit::Opened, refusal: &Refusal) -> Result<(), Fault> {
        let items = caller.source.as_deref().map(|source| worklist::refused(source, refusal)).unwrap_or_default();
        let mut unit = Unit { work: self.work(&items, self.clock.now())?, ..Unit::default() };
        for closing in known.closings() {
            self.close(&mut unit, opened, &Outcome::Refused(refusal.reason.label()), LeafKind::Refuse, closing)?;
        }
        self.store.commit(unit).await.map(drop)
    }

    /// The audit record of a request that was refused before anything of it was planned: `named` is what it names ([`crate::intake::named`]), and the
    /// release of FHIR that it was said to be of.
    pub async fn record_refused_request(
        &self,
        caller: &Caller,
        named: (Vec<Write>, Option<Release>),
        opened: &audit::Opened,
        refusal: &Refusal,
    ) -> Result<(), Fault> {
        for closing in self.known_here(caller, named.0, named.1).await?.closings() {
            self.record_refusal_of(opened, refusal, closing).await?;
        }
        Ok(())
    }

    /// The patients these writes name, those who are known here.
    pub(super) async fn known_patients(
        &self,
        caller: &Caller,
        writes: Vec<Write>,
        declared: Option<Release>,
    ) -> Result<Vec<String>, Fault> {
        Ok(self.known_here(caller, writes, declared).await?.or_nobodys().patients.into_iter().collect())
    }

    /// What of what these writes name is known here.
    async fn known_here(&self, caller: &Caller, writes: Vec<Write>, declared: Option<Release>) -> Result<Known, Fault> {
        let planner = self.planner(caller.source.as_deref().unwrap_or_default());
        self.store
            .read(move |reader| {
                let mut known = Known::default();
                for write in &writes {
                    known.records.extend(replaced(&planner, reader, write)?);
                    let attempted = attempted(&planner, reader, write)?;
                    known.attempted.extend(owned(reader, &attempted.records)?);
                    known.are_more |= attempted.are_more;
                    for id in readable(named(&planner, reader, write, declared).map(Some))?.unwrap_or_default() {
                        if known.patients.len() <= MAX_PATIENTS && readable(reader.current("Patient", &id))?.is_some() {
                            known.patients.insert(id);
                        }
                    }
                }
                Ok(known)
            })
            .await
    }

    /// Which of these writes would delete records of others, with their places among them.
    pub(crate) async fn attempted(&self, caller: &Caller, writes: &[Write]) -> Result<Vec<Attempted>, Fault> {
        let is_deletion = |write: &&Write| matches!(write.interaction, Interaction::Delete { .. } | Interaction::ConditionalDelete { .. });
        let deletions: Vec<Write> = writes.iter().filter(is_deletion).cloned().collect();
        let Some(source) = caller.source.as_deref().filter(|_| !deletions.is_empty()) else { return Ok(Vec::new()) };
        let planner = self.planner(source);
        let read = self.store.read(move |reader| {
            let attempted = deletions.into_iter().map(|write| {
                let Some(OfOthers { records, .. }) = planner.attempted(&write, reader)? else { return Ok(None) };
                let meant = match &write.interaction {
                    Interaction::ConditionalDelete { type_name, criteria } => {
                        planner.criteria(type_name, criteria).ok().map(|query| Meant::By(Arc::new(query)))
                    }
                    _ => records.into_iter().next().map(|(type_name, id)| Meant::Record(type_name, id)),
                };
                Ok(meant.map(|meant| Attempted { meant, path: write.path }))
            });
            attempted.filter_map(Result::transpose).collect::<Result<Vec<_>, Fault>>()
        });
        read.await
    }

    /// What is put on record of an attempt to delete these records of others, for everybody whose they are.
    pub(super) async fn attempt_on(&self, of_others: OfOthers) -> Result<Vec<Closing>, Fault> {
        let known = self.store.read(move |reader| {
            let records = owned(reader, &of_others.records)?;
            let patients = records.values().flatten().cloned().collect();
            Ok(Known { patients, attempted: records.clone(), records, are_more: of_others.are_more })
        });
        let said = |closing: Closing| {
            let more = closing.description.map(|more| format!("; {more}")).unwrap_or_default();
            Closing { description: Some(format!("what was to be deleted was sent by another{more}")), ..closing }
        };
        Ok(known.await?.closings().into_iter().map(said).collect())
    }
}

/// A write that would delete what others sent.
pub(crate) struct Attempted {
    pub meant: Meant,
    /// Of the write in what was received.
    pub path: String,
}

/// What a deletion names.
pub(crate) enum Meant {
    /// One record, by type and id.
    Record(String, String),
    /// Whatever meets criteria.
    By(Arc<Query>),
}

/// What is said on record where not all is named that was to be deleted.
const MORE: &str = "more records meet the criteria than are named here";

/// What is here of what a refused submission names.
#[derive(Default)]
struct Known {
    patients: BTreeSet<String>,
    /// The records it would have changed, with the patients whose they are.
    records: BTreeMap<String, Vec<String>>,
    /// Those of others that it would have deleted, likewise.
    attempted: BTreeMap<String, Vec<String>>,
    /// Whether there are more of these than are named.
    are_more: bool,
}

impl Known {
    /// Nothing, where it is about more patients than a record is written for.
    fn or_nobodys(self) -> Known {
        if self.patients.len() <= MAX_PATIENTS { self } else { Known::default() }
    }

    /// What is put on record. Where it is about more patients than a record is written for, an attempt to delete is on record of each all the same: the
    /// more somebody would destroy, the less could otherwise be told of it.
    fn closings(self) -> Vec<Closing> {
        if self.patients.len() <= MAX_PATIENTS || self.attempted.is_empty() {
            return vec![self.or_nobodys().closing()];
        }
        let owners: BTreeSet<&String> = self.attempted.values().flatten().collect();
        let owners: Vec<String> = owners.into_iter().take(MAX_ATTEMPTED_PATIENTS).cloned().collect();
        if owners.is_empty() {
            return vec![Known { records: self.attempted, are_more: self.are_more, ..Known::default() }.closing()];
        }
        let of = |patients: &[String]| Known {
            records: self.attempted.clone(),
            patients: patients.iter().cloned().collect(),
            are_more: self.are_more,
            ..Known::default()
        };
        owners.chunks(MAX_PATIENTS).map(|patients| of(patients).closing()).collect()
    }

    fn closing(self) -> Closing {
        let Known { patients, mut records, are_more, .. } = self;
        // What is nobody's is named where no patient is: beside one it would stand in the way of the record of theirs.
        records.retain(|_, owners| owners.iter().any(|owner| patients.contains(owner)) || (owners.is_empty() && patients.is_empty()));
        Closing {
            resources: records.keys().cloned().collect(),
            owners: records.into_iter().collect(),
            withheld: patients.into_iter().collect(),
            description: are_more.then(|| MORE.to_owned()),
            ..Closing::default()
        }
    }
}

/// The records of others that a write would delete.
fn attempted(planner: &Planner, reader: &Reader<'_>, write: &Write) -> Result<OfOthers, Fault> {
    match &write.interaction {
        Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => Ok(planner.attempted(write, reader)?.unwrap_or_default()),
        _ => Ok(OfOthers::default()),
    }
}

/// The records that a write would replace or delete, each with the patients whose it is.
fn replaced(planner: &Planner, reader: &Reader<'_>, write: &Write) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let records = match &write.interaction {
        Interaction::Update { type_name, id, .. } | Interaction::Delete { type_name, id, .. } => {
            vec![(type_name.clone(), planner.gateway_id(type_name, id))]
        }
        Interaction::ConditionalDelete { .. } => attempted(planner, reader, write)?.records,
        _ => Vec::new(),
    };
    owned(reader, &records)
}

/// Those of these records that are here and can be read, each with the patients whose it is.
fn owned(reader: &Reader<'_>, records: &[(String, String)]) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut owned = BTreeMap::new();
    for (type_name, id) in records {
        let Some(current) = readable(reader.current(type_name, id))?.filter(|current| !current.deleted()) else { continue };
        let owners = readable(current.parse().map(|resource| Some(patient_ids(&resource))))?;
        owned.extend(owners.map(|owners| (format!("{type_name}/{id}"), owners)));
    }
    Ok(owned)
}

/// Whom a write names: the patient it would write, those of the resource it would replace or delete, and those of what was sent, as it would have
/// been read.
fn named(planner: &Planner, reader: &Reader<'_>, write: &Write, declared: Option<Release>) -> Result<Vec<String>, Fault> {
    let mut named: Vec<String> = replaced(planner, reader, write)?.into_values().flatten().collect();
    if let Interaction::Update { type_name, id, .. } | Interaction::Delete { type_name, id, .. } = &write.interaction {
        named.extend((type_name == "Patient").then(|| planner.gateway_id(type_name, id)));
    }
    let Some(resource) = &write.resource else { return Ok(named) };
    let Some(source) = planner.rules.get(&planner.source) else {
        named.extend(patient_ids(resource));
        return Ok(named);
    };
    let links = match planner.relink(resource, Links::new(), reader) {
        Ok(links) => links,
        Err(Failure::Refused(_)) => Links::new(),
        Err(Failure::Fault(fault)) => return Err(fault),
    };
    let context = Context { source, ids: &planner.ids, links: &links, types: planner.definitions.types(), declared };
    named.extend(patient_ids(&normalise(resource.clone(), &context).resource));
    Ok(named)
}
