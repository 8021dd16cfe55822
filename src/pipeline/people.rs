//! Who is who: what a stored Patient means for the person it may belong to, and what an operator decides about it.

mod said;
mod sharing;

use super::{Pipeline, readable};
use crate::anchor::{AnchoredVersion, LeafKind, OwnVersion};
use crate::audit::{self, Closing, Outcome};
use crate::fhir::Node;
use crate::identity::crossref;
use crate::outcome::{Failure, Fault, FaultKind, IssueType, Reason, Refusal};
use crate::person::{Grade, grade, likeness_keys, linkage, search_words};
use crate::registry::Registry;
use crate::search::{Handling, Query, escaped};
use crate::store::{Assumption, CROWD, Committed, LeafDraft, MAX_PERSON_RECORDS, PersonChange, Reader, StoredVersion, Unit, VersionDraft};
use crate::worklist::{Item, Kind};
use sharing::{Sharing, certain_among, names_of, same_identifiers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Records of the same name and birth date that are compared. Where there are more, they say too little to ask anybody.
const MAX_NAMESAKES: usize = 32;
/// Questions that one record may raise.
const MAX_QUESTIONS: usize = 8;
/// How often a decision is taken anew because another was faster.
const MAX_ATTEMPTS: usize = 20;

/// What follows from a change, ready to join a unit.
#[derive(Default)]
pub(super) struct People {
    pub assumptions: Vec<Assumption>,
    pub changes: Vec<PersonChange>,
    pub items: Vec<Item>,
    pub drafts: Vec<VersionDraft>,
    pub leaves: Vec<LeafDraft>,
    /// Under which keys the records are found from now on.
    pub alike: Vec<([u8; 32], String)>,
}

/// A Patient record as it is compared.
#[derive(Clone)]
struct Record {
    id: String,
    source: String,
    patient: Node,
}

/// Somebody it may be, with all records of that person.
struct Candidate {
    record: Record,
    grade: Grade,
    person: Option<String>,
    /// The other records of its person.
    others: Vec<Record>,
}

/// All that is known when a record is decided on.
struct Known {
    me: Record,
    person: Option<String>,
    others: Vec<Record>,
    candidates: Vec<Candidate>,
    /// Other records of the same source that it says are the same person's: it was merged with them.
    merged: Vec<Record>,
    /// Records that are the same person's by an identifier that names more than may be linked, and whether there are more than are looked at.
    crowd: Vec<Record>,
    is_beyond: bool,
    /// Pairs of these records, in the order of their ids, of which an operator said that they are two persons'.
    apart: BTreeSet<(String, String)>,
    assumptions: Vec<Assumption>,
    /// The Linkages of all persons concerned.
    linkages: BTreeMap<String, StoredVersion>,
}

/// What is to be done, before it is written as resources.
#[derive(Default)]
struct Decided {
    /// The person's records from now on, the decided one among them; empty when it stands alone.
    group: Vec<String>,
    /// Whether it leaves its person.
    leaves: bool,
    /// Persons whose records join this one's.
    dissolved: Vec<String>,
    questions: Vec<Item>,
    /// Records of the same person, by their identifiers, that are not linked: another of the same source is.
    doubted: Vec<String>,
}

impl Known {
    fn are_apart(&self, one: &Record, other: &Record) -> bool {
        let (one, other) = if one.id <= other.id { (one, other) } else { (other, one) };
        self.apart.contains(&(one.id.clone(), other.id.clone()))
    }

    /// The records that are the same person's by their identifiers, or may be, unless somebody said that they are not.
    fn certain(&self) -> impl Iterator<Item = &Record> {
        // One number and another birth date may be two persons: until somebody has said so, what was filed about either denies for both.
        let certain = self.candidates.iter().filter(|candidate| matches!(candidate.grade, Grade::Certain | Grade::Conflicting));
        let all = certain.map(|candidate| &candidate.record).chain(&self.merged).chain(&self.crowd);
        all.filter(|record| !self.are_apart(&self.me, record))
    }

    /// Takes in other Patients of the same submission, which the store does not have yet: those that share an identifier with it, and those that are
    /// linked with it.
    fn meet(&mut self, (alike, linked): (Vec<Record>, Vec<Record>), registry: &Registry) {
        let is_same = |one: &Record| grade(&self.me.patient, &one.patient, |system| registry.is_person_system(system)) == Grade::Certain;
        let same: Vec<Record> = alike.into_iter().filter(is_same).chain(linked).filter(|one| one.id != self.me.id).collect();
        self.merged.extend(same);
    }

    /// What an operator is asked about the record when nothing can be decided.
    fn questions(&self) -> Vec<Item> {
        let open = self.candidates.iter().filter(|candidate| candidate.grade.is_question() || candidate.grade == Grade::Certain);
        open.take(MAX_QUESTIONS).map(|candidate| question(&self.me, &candidate.record, candidate.grade)).collect()
    }
}

impl Decided {
    /// The ids of the records whose person the decision changes.
    fn concerns<'a>(&'a self, known: &'a Known) -> impl Iterator<Item = &'a str> {
        let left = known.others.iter().filter(|_| self.leaves).map(|record| record.id.as_str());
        self.group.iter().map(String::as_str).chain(left)
    }
}

impl Pipeline {
    /// What the Patients of a submission mean for the persons they belong to.
    pub(super) async fn people(&self, source: &str, versions: &[AnchoredVersion], leaves: usize) -> Result<People, Fault> {
        let mut people = self.people_of_persons(source, versions).await?;
        let mut settled: BTreeSet<String> = BTreeSet::new();
        let mut together = said::Together::default();
        for version in versions.iter().filter(|version| version.target.type_name == "Patient") {
            let Some(patient) = version.resource.clone() else { continue };
            let me = Record { id: version.target.id.clone(), source: source.to_owned(), patient };
            people.alike.extend(likeness_keys(&me.patient).into_iter().map(|key| (key, me.id.clone())));
            let met = together.add(&me, names_of(&me, &self.registry));
            let mut known = self.known(me, None).await?;
            known.meet(met, &self.registry);
            let mut decided = decide(&known, &self.registry, false);
            if decided.concerns(&known).any(|id| settled.contains(id)) {
                // Another Patient of this submission has just been decided on with these records, and what the store says of them is no longer so.
                let doubted = known.certain().map(|record| record.id.clone()).collect();
                decided = Decided { questions: known.questions(), doubted, ..Decided::default() };
            }
            settled.extend(decided.concerns(&known).map(str::to_owned));
            self.carry_out(known, decided, "Linked by an identifier that names persons.", leaves, &mut people)?;
        }
        Ok(people)
    }

    /// What the Persons among the versions mean for the Patients that they link.
    async fn people_of_persons(&self, source: &str, versions: &[AnchoredVersion]) -> Result<People, Fault> {
        let is_one = |version: &&AnchoredVersion| version.target.type_name == "Person" && version.resource.is_some();
        if !versions.iter().any(|version| is_one(&version)) {
            return Ok(People::default());
        }
        let concerned = versions.iter().filter(|version| matches!(version.target.type_name.as_str(), "Person" | "Patient"));
        let concerned: Vec<(String, Node)> =
            concerned.filter_map(|version| Some((version.target.type_name.clone(), version.resource.clone()?))).collect();
        let source = source.to_owned();
        self.store
            .read(move |reader| {
                let mut people = People::default();
                said::by_persons(reader, &source, &concerned, &mut people)?;
                Ok(people)
            })
            .await
    }

    /// Links two records because an operator says so. Records that disagree in an identifier of persons stay apart.
    pub async fn link(&self, one: &str, other: &str, opened: &audit::Opened) -> Result<(), Failure> {
        for _ in 0..MAX_ATTEMPTS {
            let me = self.record_of(one).await?;
            let mut known = self.known(me, Some(other.to_owned())).await?;
            known.candidates.retain(|candidate| candidate.record.id == other);
            let decided = decide(&known, &self.registry, true);
            if !decided.group.iter().any(|id| id == other) {
                let text = "The records disagree in an identifier that names persons, or are too many for one person. They stay apart.";
                return self.refused(opened, Refusal::new(Reason::IdempotencyConflict, IssueType::Conflict, text)).await;
            }
            let mut people = People::default();
            self.carry_out(known, decided, "Linked by an operator.", 0, &mut people)?;
            people.changes.push(PersonChange::NotApart { one: one.to_owned(), other: other.to_owned() });
            people.items.clear();
            if self.commit_people(people, [one, other], opened, "linked").await? {
                return Ok(());
            }
        }
        Err(overtaken().into())
    }

    /// Takes a record out of its person; it is not linked to these records again by itself, and what was filed about either no longer counts for the
    /// other. So it is with the records from which it was parted by what its source says.
    pub async fn unlink(&self, patient: &str, opened: &audit::Opened) -> Result<(), Failure> {
        for _ in 0..MAX_ATTEMPTS {
            let known = self.known(self.record_of(patient).await?, None).await?;
            let mut others: Vec<String> = known.others.iter().map(|record| record.id.clone()).collect();
            others.extend(self.parted_from(patient).await?);
            if others.is_empty() {
                let text = "This record is linked to no other.";
                return self.refused(opened, Refusal::new(Reason::NotFound, IssueType::NotFound, text)).await;
            }
            let mut people = People::default();
            let decided = Decided { leaves: true, ..Decided::default() };
            self.carry_out(known, decided, "Unlinked by an operator.", 0, &mut people)?;
            people.changes.extend(others.into_iter().map(|other| PersonChange::Apart { one: patient.to_owned(), other }));
            if self.commit_people(people, [patient, patient], opened, "unlinked").await? {
                return Ok(());
            }
        }
        Err(overtaken().into())
    }

    /// Writes down that two records are two persons'.
    pub async fn keep_apart(&self, one: &str, other: &str, opened: &audit::Opened) -> Result<(), Failure> {
        let changes = vec![PersonChange::Apart { one: one.to_owned(), other: other.to_owned() }];
        let people = People { changes, ..People::default() };
        self.commit_people(people, [one, other], opened, "kept apart").await.map(drop).map_err(Failure::Fault)
    }

    /// The stored records that may be a given patient's, each with its grade.
    pub async fn look_alike(&self, patient: Node) -> Result<Vec<(StoredVersion, Grade)>, Fault> {
        let (registry, definitions) = (Arc::clone(&self.registry), self.definitions);
        self.store
            .read(move |reader| {
                let me = Record { id: String::new(), source: String::new(), patient };
                let mut ids = same_identifiers(reader, &registry, definitions, &me)?.ids;
                ids.extend(same_names(reader, definitions, &me)?);
                let mut found = Vec::new();
                for id in ids {
                    if let Some(version) = readable(reader.current("Patient", &id))?.filter(|version| !version.deleted()) {
                        let grade = grade(&me.patient, &version.parse()?, |system| registry.is_person_system(system));
                        found.push((version, grade));
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn refused(&self, opened: &audit::Opened, refusal: Refusal) -> Result<(), Failure> {
        self.record_refusal(opened, &refusal).await?;
        Err(refusal.into())
    }

    /// `false` when something it relied on has changed.
    async fn commit_people(&self, people: People, patients: [&str; 2], opened: &audit::Opened, what: &str) -> Result<bool, Fault> {
        let resources = people.drafts.iter().filter(|draft| draft.type_name == "Linkage");
        let resources = resources.map(|draft| format!("Linkage/{}/_history/{}", draft.id, draft.version)).collect();
        let patients: BTreeSet<String> = patients.into_iter().map(str::to_owned).collect();
        let closing =
            Closing { resources, patients: patients.into_iter().collect(), description: Some(what.to_owned()), ..Closing::default() };
        let mut unit = Unit::default();
        people.join(&mut unit);
        let done = self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(matches!(done, Committed::Done { .. }))
    }

    async fn parted_from(&self, patient: &str) -> Result<Vec<String>, Fault> {
        let patient = patient.to_owned();
        self.store.read(move |reader| Ok(reader.filed(&patient)?.parted)).await
    }

    async fn record_of(&self, id: &str) -> Result<Record, Failure> {
        let wanted = id.to_owned();
        let stored = self.store.read(move |reader| record(reader, &wanted)).await?;
        stored.ok_or_else(|| Refusal::new(Reason::NotFound, IssueType::NotFound, "No Patient with this id is known here.").into())
    }

    async fn known(&self, me: Record, named: Option<String>) -> Result<Known, Fault> {
        let (registry, definitions) = (Arc::clone(&self.registry), self.definitions);
        self.store
            .read(move |reader| {
                let person = reader.person_of(&me.id)?;
                let others = others(reader, person.as_deref(), &me.id)?;
                let Sharing { mut ids, crowd, is_beyond, assumptions } = same_identifiers(reader, &registry, definitions, &me)?;
                ids.extend(namesakes(reader, &me)?);
                let merged = said::merged_with(reader, definitions, &me)?;
                let crowd = certain_among(reader, &registry, &me, &crowd)?;
                let (candidates, apart, linkages) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
                let mut known = Known { me, person, others, candidates, merged, crowd, is_beyond, apart, assumptions, linkages };
                for id in ids.into_iter().chain(named).collect::<BTreeSet<String>>() {
                    known.candidates.extend(candidate(reader, &registry, &known.me, &id)?);
                }
                let records = known.candidates.iter().flat_map(|candidate| std::iter::once(&candidate.record).chain(&candidate.others));
                for id in records.chain(&known.others).chain([&known.me]).map(|record| record.id.clone()).collect::<BTreeSet<String>>() {
                    known.apart.extend(reader.apart_from(&id)?);
                }
                known.is_beyond &= !known.apart.contains(&(CROWD.to_owned(), known.me.id.clone()));
                let persons = known.candidates.iter().filter_map(|candidate| candidate.person.clone()).chain(known.person.clone());
                for person in persons.collect::<BTreeSet<String>>() {
                    if let Some(version) = reader.current("Linkage", &person)? {
                        known.linkages.insert(person, version);
                    }
                }
                Ok(known)
            })
            .await
    }

    /// Turns a decision into rows: changes of persons, Linkages, questions.
    fn carry_out(&self, known: Known, decided: Decided, reason: &str, leaves: usize, people: &mut People) -> Result<(), Fault> {
        let Known { me, person, others, assumptions, mut linkages, is_beyond, crowd, .. } = known;
        if is_beyond || !crowd.is_empty() {
            tracing::warn!(is_beyond, "an identifier of persons names very many records: what is filed about one of them denies for all");
            metrics::counter!("hearthgate_crowded_identifiers_total").increment(1);
        }
        people.changes.extend(is_beyond.then(|| PersonChange::Doubted { one: me.id.clone(), other: CROWD.to_owned() }));
        people.assumptions.extend(assumptions);
        people.items.extend(decided.questions);
        people.changes.extend(decided.doubted.iter().map(|other| PersonChange::Doubted { one: me.id.clone(), other: other.clone() }));
        let at = self.clock.now();
        let mut changed: Vec<(String, Vec<String>, bool)> = Vec::new();
        if let Some(person) = person.clone().filter(|_| decided.leaves) {
            let rest: Vec<String> = others.iter().map(|record| record.id.clone()).collect();
            people.changes.push(PersonChange::Leaves { patient: me.id.clone() });
            if let [only] = rest.as_slice() {
                people.changes.push(PersonChange::Leaves { patient: only.clone() });
                changed.push((person, vec![only.clone(), me.id.clone()], false));
            } else {
                changed.push((person, rest, true));
            }
        }
        if decided.group.len() > 1 {
            let mine = person.filter(|_| !decided.leaves);
            let kept = mine.or_else(|| decided.dissolved.first().cloned()).unwrap_or_else(|| self.anchor.fresh_id(at));
            let joins = decided.group.iter().map(|patient| PersonChange::Joins { patient: patient.clone(), person: kept.clone() });
            people.changes.extend(joins);
            for gone in decided.dissolved.iter().filter(|gone| **gone != kept) {
                changed.push((gone.clone(), decided.group.clone(), false));
            }
            changed.push((kept, decided.group, true));
        }
        for (person, records, is_active) in changed {
            let previous = linkages.remove(&person);
            people.assumptions.push(match &previous {
                Some(version) => Assumption::Version { type_name: "Linkage".to_owned(), id: person.clone(), version: version.version },
                None => Assumption::Absent { type_name: "Linkage".to_owned(), id: person.clone() },
            });
            let own = OwnVersion {
                type_name: "Linkage",
                id: &person,
                previous,
                resource: Some(linkage(&records, is_active)),
                patients: &records,
                reason: if is_active && !decided.leaves { reason } else { "No longer linked." },
                source: audit::SOURCE,
                at,
            };
            let (drafts, leaf) = self.anchor.own_version(own, leaves + people.leaves.len())?;
            people.drafts.extend(drafts);
            people.leaves.extend(leaf);
        }
        Ok(())
    }
}

impl People {
    /// Adds itself to a unit. Its leaves must come where they were counted to.
    pub fn join(self, unit: &mut Unit) {
        unit.assumptions.extend(self.assumptions);
        unit.people.extend(self.changes);
        unit.versions.extend(self.drafts);
        unit.leaves.extend(self.leaves);
        unit.alike.extend(self.alike);
    }
}

fn overtaken() -> Fault {
    Fault::new(FaultKind::Overloaded, "a decision about patients kept being overtaken by others")
}

fn record(reader: &Reader<'_>, id: &str) -> Result<Option<Record>, Fault> {
    let stored = reader.current("Patient", id)?.filter(|version| !version.deleted());
    stored.map(|version| Ok(Record { id: version.id.clone(), source: version.source.clone(), patient: version.parse()? })).transpose()
}

fn others(reader: &Reader<'_>, person: Option<&str>, but: &str) -> Result<Vec<Record>, Fault> {
    let Some(person) = person else { return Ok(Vec::new()) };
    let records = reader.records_of(person)?.into_iter().filter(|id| id != but);
    records.filter_map(|id| record(reader, &id).transpose()).collect()
}

fn candidate(reader: &Reader<'_>, registry: &Registry, me: &Record, id: &str) -> Result<Option<Candidate>, Fault> {
    let Some(record) = record(reader, id)?.filter(|record| record.id != me.id) else { return Ok(None) };
    let grade = grade(&me.patient, &record.patient, |system| registry.is_person_system(system));
    let person = reader.person_of(id)?;
    let others = others(reader, person.as_deref(), id)?;
    Ok(Some(Candidate { record, grade, person, others }))
}

/// The most records that one says it was merged with.
const MAX_MERGED: usize = 32;

/// Ids of records of other sources with the same name and birth date. A source's own namesakes are its own business.
fn namesakes(reader: &Reader<'_>, me: &Record) -> Result<BTreeSet<String>, Fault> {
    let mut ids = BTreeSet::new();
    for key in likeness_keys(&me.patient) {
        let found = reader.alike(&key, MAX_NAMESAKES + 1)?;
        if found.len() > MAX_NAMESAKES {
            continue;
        }
        for id in found {
            if reader.current("Patient", &id)?.is_some_and(|version| version.source != me.source) {
                ids.insert(id);
            }
        }
    }
    Ok(ids)
}

/// Ids of records whose names begin like these.
fn same_names(reader: &Reader<'_>, definitions: &'static crate::definitions::Definitions, me: &Record) -> Result<BTreeSet<String>, Fault> {
    let Some((family, given)) = search_words(&me.patient) else { return Ok(BTreeSet::new()) };
    let pairs = vec![("family".to_owned(), escaped(&family)), ("given".to_owned(), escaped(&given))];
    let Some(query) = query(definitions, pairs) else { return Ok(BTreeSet::new()) };
    let found = reader.first_candidates(&query, MAX_NAMESAKES + 1)?;
    if found.len() > MAX_NAMESAKES {
        return Ok(BTreeSet::new());
    }
    Ok(found.into_iter().map(|version| version.id).collect())
}

/// A value that is too long or odd to be searched for finds nothing.
fn query(definitions: &'static crate::definitions::Definitions, pairs: Vec<(String, String)>) -> Option<Query> {
    Query::parse(definitions, "Patient", &pairs, Handling::Strict).ok()
}

/// What becomes of a record. With `by_person` the named candidates are linked whatever their grade, unless identifiers forbid it.
fn decide(known: &Known, registry: &Registry, by_person: bool) -> Decided {
    let mut decided = Decided::default();
    let identifiers = |record: &Record| crossref::patient_identifiers(&record.patient);
    let disagree = |one: &Record, other: &Record| {
        crossref::disagree(&identifiers(one), &identifiers(other), |system| registry.is_person_system(system))
    };
    let mut group: Vec<Record> = vec![known.me.clone()];
    match known.others.iter().find(|other| disagree(&known.me, other)) {
        // What the record says now tells it from its person: better apart than wrong.
        Some(_) => {
            decided.leaves = true;
            // What was filed about either goes on denying for the other until somebody has answered.
            let left = known.others.iter().take(MAX_QUESTIONS);
            decided.questions.extend(left.map(|other| question(&known.me, other, Grade::Conflicting)));
        }
        None => group.extend(known.others.iter().cloned()),
    }
    for candidate in &known.candidates {
        let is_in = |id: &str, group: &[Record]| group.iter().any(|record| record.id == id);
        if is_in(&candidate.record.id, &group) || (known.are_apart(&known.me, &candidate.record) && !by_person) {
            continue;
        }
        let theirs = || std::iter::once(&candidate.record).chain(&candidate.others);
        let fits = !theirs().any(|their| group.iter().any(|our| disagree(our, their)));
        let has_room = group.len() + 1 + candidate.others.len() <= MAX_PERSON_RECORDS;
        // What is linked by itself is linked with every record of the person: none of the same source, and none that was said to be another's.
        let stands_apart = |our: &Record, their: &Record| our.source == their.source || known.are_apart(our, their);
        let may_join = !theirs().any(|their| group.iter().any(|our| stands_apart(our, their)));
        let is_sure = by_person || (candidate.grade == Grade::Certain && may_join);
        if is_sure && fits && has_room {
            group.extend(theirs().cloned());
            decided.dissolved.extend(candidate.person.clone());
        } else if !by_person
            && decided.questions.len() < MAX_QUESTIONS
            && (candidate.grade.is_question() || candidate.grade == Grade::Certain)
        {
            decided.questions.push(question(&known.me, &candidate.record, candidate.grade));
        }
    }
    if !by_person {
        // What is filed about either denies for both until somebody has answered.
        let is_in = |record: &&Record| group.iter().any(|other| other.id == record.id);
        decided.doubted = known.certain().filter(|record| !is_in(record)).map(|record| record.id.clone()).collect();
    }
    if group.len() > known.others.len() + 1 || (decided.leaves && group.len() > 1) {
        decided.group = group.into_iter().map(|record| record.id).collect();
    }
    decided
}

/// The same for both orders of two records.
fn question(one: &Record, other: &Record, grade: Grade) -> Item {
    let (first, second) = if one.id <= other.id { (one, other) } else { (other, one) };
    let name = match grade {
        Grade::Conflicting => "conflicting",
        other => other.code(),
    };
    Item {
        kind: Kind::UncertainMatch,
        source: first.source.clone(),
        words: vec![first.id.clone(), second.id.clone()],
        inputs: vec![("grade", name.to_owned())],
        focus: vec![format!("Patient/{}", first.id), format!("Patient/{}", second.id)],
    }
}
