//! Whose trail is asked for, and under which tags its leaves stand.

use super::Trail;
use crate::anchor::{Epoch, Leaf, PatientTags};
use crate::ledger::index::Tag;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::pipeline::{Pipeline, linked_patients, patient_ids};
use crate::store::{HistoryScope, PatientKey, Reader, StoredVersion};
use std::collections::BTreeSet;

/// The most leaves one trail has; a longer one is refused, to be asked for by record.
pub(super) const MAX_LEAVES: usize = 100_000;
/// The most patients a record may have been about for it to have a trail of its own.
pub(super) const MAX_PATIENTS: usize = 100;
/// The versions of a record that are read at a time, to learn whose it is and was.
const PORTION: usize = 1000;

/// Whose trail is asked for.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// `Patient/…`, or the record.
    pub reference: String,
    /// The id of the patient it is; of a record, of every patient it is or ever was about, the newest version's first. Of none, where it is about nobody.
    pub patients: Vec<String>,
    /// Where its versions stand, if one of them is about nobody: in a log of an older gateway such a one has no tag.
    pub leaves: Vec<(u64, u64)>,
    pub opens: Opens,
}

/// Whose a resource is and was, and where its versions stand in the log.
#[derive(Default)]
pub(super) struct Known {
    /// Every patient it is about, or was before it was corrected or deleted.
    pub patients: Vec<String>,
    /// The first leaf of each version that has any, and how many it has.
    pub leaves: Vec<(u64, u64)>,
    /// Whether one of its versions is about nobody.
    is_nobodys: bool,
}

impl Known {
    fn take(&mut self, version: &StoredVersion, about: Vec<String>) {
        self.leaves.extend(version.leaf.map(|leaf| (leaf, version.leaves)));
        self.is_nobodys |= about.is_empty() && !version.deleted();
        for patient in about {
            if !self.patients.contains(&patient) {
                self.patients.push(patient);
            }
        }
    }
}

/// The keys that go with receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    /// Those of records, as far as the reader may see these.
    Records,
    /// Of disclosures and refusals those that open what the patient is told.
    Accounting,
}

impl Subject {
    pub fn of_patient(id: &str) -> Subject {
        Subject { reference: format!("Patient/{id}"), patients: vec![id.to_owned()], leaves: Vec::new(), opens: Opens::Records }
    }

    pub fn is_patient(&self) -> bool {
        self.reference.starts_with("Patient/")
    }

    /// Whether a reference to a version is to one of its own.
    pub fn is_of(&self, version: &str) -> bool {
        version.strip_prefix(&self.reference).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The patient under whose tags a place was found; of what is nobody's there is none.
    pub fn patient(&self, number: usize) -> &str {
        self.patients.get(number).map_or("", String::as_str)
    }

    /// By whose keys its tags are made: its patients', and behind them, as nobody's, those of what of a record is about nobody.
    fn owners(&self) -> impl Iterator<Item = Option<&str>> {
        let nobody = (!self.is_patient()).then_some(None);
        self.patients.iter().map(|patient| Some(patient.as_str())).chain(nobody)
    }

    /// Whether a place was found under the tags of what is nobody's.
    pub fn is_nobodys(&self, number: usize) -> bool {
        number >= self.patients.len()
    }
}

/// The subject, if there is or was such a resource.
pub(super) async fn subject(pipeline: &Pipeline, type_name: &str, id: &str) -> Result<Option<Subject>, Failure> {
    let (of_type, of_id) = (type_name.to_owned(), id.to_owned());
    pipeline.store.settle_for(type_name).await?;
    let known = pipeline.store.read(move |reader| known(reader, &of_type, &of_id)).await?;
    if known.patients.len() > MAX_PATIENTS {
        let text = format!("This record is, or was, about more than {MAX_PATIENTS} patients. Ask for the trails of these.");
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into());
    }
    // What was done is told in the trails of what it was done with, and what the gateway says of a version in that of what it is of.
    let is_told = !known.patients.is_empty() || (type_name != "AuditEvent" && !known.leaves.is_empty());
    let leaves = if known.is_nobodys { known.leaves } else { Vec::new() };
    let found = Subject { reference: format!("{type_name}/{id}"), patients: known.patients, leaves, opens: Opens::Records };
    Ok(Some(found).filter(|_| is_told))
}

/// Every patient a resource is about, or was before it was corrected or deleted: its leaves are under the tags of each. Nobody where there was no
/// such resource, or it is nobody's.
pub(super) fn patients_of(reader: &Reader<'_>, type_name: &str, id: &str) -> Result<Vec<String>, Fault> {
    known(reader, type_name, id).map(|known| known.patients)
}

/// In whose trails versions of a resource stand: of everybody it is or was about and, where it is a Patient, of those that it links or linked.
pub(super) fn told_of(reader: &Reader<'_>, type_name: &str, id: &str) -> Result<Vec<String>, Fault> {
    let mut told = patients_of(reader, type_name, id)?;
    if type_name == "Patient" {
        told.extend(linked_by(reader, id)?.into_iter().filter(|linked| linked != id));
    }
    Ok(told)
}

/// The Patients that a version of this one links.
pub(super) fn linked_by(reader: &Reader<'_>, id: &str) -> Result<BTreeSet<String>, Fault> {
    let scope = HistoryScope::Instance { type_name: "Patient".to_owned(), id: id.to_owned() };
    let (mut linked, mut before) = (BTreeSet::new(), None);
    loop {
        let portion = reader.history(&scope, before, None, PORTION)?;
        for version in portion.iter().filter(|version| version.document.contains("\"link\"")) {
            linked.extend(linked_patients(&version.parse()?));
        }
        before = portion.last().map(|version| version.seq);
        if portion.len() < PORTION {
            return Ok(linked);
        }
    }
}

/// Whose a resource is and was, and where its versions stand: nobody's and nowhere, where there was no such resource.
pub(super) fn known(reader: &Reader<'_>, type_name: &str, id: &str) -> Result<Known, Fault> {
    let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
    let erased = reader.erased_of(type_name, id)?;
    let (mut known, mut before, mut next) = (Known::default(), None, None);
    loop {
        let portion = reader.history(&scope, before, None, PORTION)?;
        next = without_gap(&portion, next, &erased)?;
        if type_name == "Patient" {
            let patients = portion.first().map(|version| version.id.clone()).into_iter().collect();
            return Ok(Known { patients, ..known });
        }
        for version in &portion {
            known.take(version, patients(version)?);
        }
        before = portion.last().map(|version| version.seq);
        if portion.len() < PORTION {
            return Ok(known);
        }
    }
}

/// Refuses a history from which a version was taken away that was not erased. The numbers of versions go down to 1, where there are all; only Tasks
/// begin later, with what nobody submitted. Gives the number that comes next.
fn without_gap(portion: &[StoredVersion], mut next: Option<u32>, erased: &BTreeSet<u32>) -> Result<Option<u32>, Fault> {
    let gap = |version: &StoredVersion, missing: u32| {
        let text = format!("{}/{} version {missing} is not there, and was not erased", version.type_name, version.id);
        Err(Fault::new(FaultKind::StorageCorrupt, text))
    };
    for version in portion {
        if let Some(missing) = left(next, erased).filter(|next| *next != version.version) {
            return gap(version, missing);
        }
        next = version.version.checked_sub(1);
    }
    match (portion.last(), left(next, erased)) {
        (Some(first), Some(missing @ 1..)) if portion.len() < PORTION && first.type_name != "Task" => gap(first, missing),
        _ => Ok(next),
    }
}

/// The number that comes next among those that were not erased.
fn left(mut next: Option<u32>, erased: &BTreeSet<u32>) -> Option<u32> {
    while let Some(number) = next.filter(|number| erased.contains(number)) {
        next = number.checked_sub(1);
    }
    next
}

fn patients(version: &StoredVersion) -> Result<Vec<String>, Fault> {
    if version.deleted() { Ok(Vec::new()) } else { Ok(patient_ids(&version.parse()?)) }
}

/// The subject's tag of one epoch, by one of its patients.
#[derive(Debug, Clone)]
pub(super) struct EpochTag {
    /// Which of the subject's patients; the number behind them for what is nobody's.
    pub patient: usize,
    pub epoch: Epoch,
    pub tag: Tag,
    pub secret: PatientTags,
}

/// Where a leaf of the subject stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub position: u64,
    /// Which of the subject's patients it was found by; the number behind them where it is nobody's.
    pub patient: usize,
    /// Under which tag, and as which of its leaves; none where it was not found by a tag.
    pub under: Option<(Tag, u64)>,
}

impl Place {
    /// Refuses a leaf that does not bear the tag it was found under.
    pub fn check(&self, leaf: &Leaf) -> Result<(), Fault> {
        if self.under.is_none_or(|under| leaf.counted().any(|counted| counted == under)) {
            return Ok(());
        }
        let text = format!("index.db: leaf {} is listed under a tag, or a number, that it does not bear", self.position);
        Err(Fault::new(FaultKind::StorageCorrupt, text))
    }
}

/// The places of lists that belong to these tags, in the log's order.
pub(super) fn places(tags: &[EpochTag], lists: impl Iterator<Item = Vec<u64>>) -> Result<Vec<Place>, Refusal> {
    let of_tag = |(tag, list): (&EpochTag, Vec<u64>)| {
        let (patient, tag) = (tag.patient, tag.tag);
        (1..).zip(list).map(move |(number, position)| Place { position, patient, under: Some((tag, number)) })
    };
    let mut places: Vec<Place> = tags.iter().zip(lists).flat_map(of_tag).collect();
    places.sort_unstable();
    no_more_than_told(&places).map(|()| places)
}

/// Refuses a trail that is too long.
pub(super) fn no_more_than_told(places: &[Place]) -> Result<(), Refusal> {
    if places.len() <= MAX_LEAVES {
        return Ok(());
    }
    let text = format!("This trail has more than {MAX_LEAVES} entries. Ask for the trails of single records.");
    Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text))
}

impl Trail {
    /// The subject's tags from the log's first epoch, or a later one, to now: patient by patient.
    pub(super) async fn tags(&self, subject: &Subject, since: Option<Epoch>) -> Result<Vec<EpochTag>, Fault> {
        let pipeline = &self.query.pipeline;
        let read = pipeline.store.read(|reader| Ok(reader.leaves(0, 1)?.pop().map(|entry| Leaf::read(reader, &entry))));
        let now = Epoch::of(pipeline.anchor.time.of(pipeline.clock.now()));
        let first = match read.await? {
            None => now,
            Some(Some(leaf)) => leaf.epoch(),
            Some(None) => {
                return Err(Fault::new(FaultKind::Ledger, "the log's first entry is not the gateway's: nothing says when it began"));
            }
        };
        let first = first.max(since.unwrap_or(Epoch(i64::MIN)));
        let keys = self.keys_of(subject)?;
        let of_owner = |(patient, key): (usize, PatientKey)| {
            first.to(now).map(move |epoch| {
                let secret = PatientTags::of(&key, epoch);
                (patient, epoch, secret)
            })
        };
        let all = keys.into_iter().enumerate().flat_map(of_owner);
        Ok(all.map(|(patient, epoch, secret)| EpochTag { patient, epoch, tag: secret.tag(&subject.reference), secret }).collect())
    }

    /// The keys of the subject's patients, and behind them that of what is nobody's.
    pub(super) fn keys_of(&self, subject: &Subject) -> Result<Vec<PatientKey>, Fault> {
        subject.owners().map(|owner| self.query.pipeline.anchor.keyring.patient(owner)).collect()
    }

    /// Where the subject's leaves are, in the log's order.
    pub(super) async fn places(&self, tags: &[EpochTag]) -> Result<Vec<Place>, Failure> {
        let lists = self.indexer.positions(tags.iter().map(|tag| tag.tag).collect()).await?;
        Ok(places(tags, lists.into_iter())?)
    }
}
