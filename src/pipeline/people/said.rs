//! Which records a source says are one person's: those that it merged, in whichever order they came, and those that a Person of its leads to.

use super::{MAX_MERGED, People, Record, query};
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::search::{Handling, Query, escaped};
use crate::store::{PersonChange, Reader};
use std::collections::{BTreeSet, HashMap};

/// The records of its own source that a record says are the same person's, that say so of it, and that a Person links with it. One that was deleted was
/// the person's all the same.
pub(super) fn merged_with(reader: &Reader<'_>, definitions: &'static Definitions, me: &Record) -> Result<Vec<Record>, Fault> {
    let mut ids: BTreeSet<String> = linked_by(&me.patient, "link", "other").into_iter().collect();
    for (system, value) in named_by(&me.patient) {
        ids.extend(of_identifier(reader, definitions, &me.source, (&system, &value))?);
    }
    ids.extend(that_say(reader, definitions, "Patient", me)?.into_iter().map(|(id, _)| id));
    for (_, person) in that_say(reader, definitions, "Person", me)? {
        ids.extend(linked_by(&person, "link", "target"));
    }
    ids.remove(&me.id);
    let records = ids.into_iter().take(MAX_MERGED).filter_map(|id| last_record(reader, &id).transpose());
    records.filter(|record| record.as_ref().map_or(true, |record| record.source == me.source)).collect()
}

/// The Patients that a resource links literally.
pub(super) fn linked_by(resource: &Node, list: &str, member: &str) -> Vec<String> {
    let literal = |link: &Node| {
        let id = link.get(member)?.text("reference")?.strip_prefix("Patient/")?;
        Some(id.split('/').next().unwrap_or(id).to_owned())
    };
    resource.items(list).iter().filter_map(literal).take(MAX_MERGED).collect()
}

/// The identifiers by which a Patient links others: those beside its references, and those of the Patients it contains for that.
fn named_by(patient: &Node) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let parts = |identifier: &Node| Some((identifier.text("system")?.to_owned(), identifier.text("value")?.to_owned()));
    for other in patient.items("link").iter().filter_map(|link| link.get("other")).take(MAX_MERGED) {
        found.extend(other.get("identifier").and_then(parts));
        let Some(fragment) = other.text("reference").and_then(|reference| reference.strip_prefix('#')) else { continue };
        let contained = patient.items("contained").iter().filter(|inner| inner.text("id") == Some(fragment));
        found.extend(contained.flat_map(|inner| inner.items("identifier")).filter_map(parts));
    }
    found.truncate(MAX_MERGED);
    found
}

fn of_identifier(
    reader: &Reader<'_>,
    definitions: &'static Definitions,
    source: &str,
    (system, value): (&str, &str),
) -> Result<Vec<String>, Fault> {
    let token = format!("{}|{}", escaped(system), escaped(value));
    let Some(query) = query(definitions, vec![("identifier".to_owned(), token)]) else { return Ok(Vec::new()) };
    reader.matching_ids(&query, Some(source), MAX_MERGED)
}

/// The records of a type, of its own source, that link a Patient.
fn that_say(reader: &Reader<'_>, definitions: &'static Definitions, type_name: &str, me: &Record) -> Result<Vec<(String, Node)>, Fault> {
    let pairs = [("link".to_owned(), format!("Patient/{}", me.id))];
    let Ok(query) = Query::parse(definitions, type_name, &pairs, Handling::Strict) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for version in reader.first_candidates(&query, MAX_MERGED)?.into_iter().filter(|version| version.source == me.source) {
        let resource = version.parse()?;
        if query.matches(&resource) {
            found.push((version.id, resource));
        }
    }
    Ok(found)
}

/// A record as it is, or as it was before it was deleted.
fn last_record(reader: &Reader<'_>, id: &str) -> Result<Option<Record>, Fault> {
    let Some(newest) = reader.current("Patient", id)? else { return Ok(None) };
    let last = match newest.deleted() {
        true => reader.version("Patient", id, newest.version.saturating_sub(1))?.filter(|version| !version.deleted()),
        false => Some(newest),
    };
    last.map(|version| Ok(Record { id: id.to_owned(), source: version.source.clone(), patient: version.parse()? })).transpose()
}

/// What the Persons of a submission say: what is filed about one of those that each leads to denies for the others.
pub(super) fn by_persons(reader: &Reader<'_>, source: &str, versions: &[(String, Node)], people: &mut People) -> Result<(), Fault> {
    let here: BTreeSet<&str> =
        versions.iter().filter(|(type_name, _)| type_name == "Patient").filter_map(|(_, one)| one.text("id")).collect();
    for (_, person) in versions.iter().filter(|(type_name, _)| type_name == "Person") {
        let mut same = Vec::new();
        for id in linked_by(person, "link", "target") {
            let is_own = here.contains(id.as_str()) || last_record(reader, &id)?.is_some_and(|record| record.source == source);
            if is_own && !same.contains(&id) {
                same.push(id);
            }
        }
        let Some((first, others)) = same.split_first() else { continue };
        for other in others {
            let is_apart = reader.apart_from(first)?.iter().any(|(one, another)| one == other || another == other);
            people.changes.extend((!is_apart).then(|| PersonChange::Doubted { one: first.clone(), other: other.clone() }));
        }
    }
    Ok(())
}

/// The Patients of one submission by what says that two of them are one person's, so that each is compared with those alone that may be.
#[derive(Default)]
pub(super) struct Together {
    records: Vec<Record>,
    by_id: HashMap<String, usize>,
    by_identifier: HashMap<String, Vec<usize>>,
    /// By the id that is linked, those that link it.
    by_link: HashMap<String, Vec<usize>>,
}

impl Together {
    /// Adds a record that goes by these identifiers of persons; answers the earlier ones that share one, and those that are linked with it.
    pub fn add(&mut self, me: &Record, identifiers: Vec<String>) -> (Vec<Record>, Vec<Record>) {
        let (at, links) = (self.records.len(), linked_by(&me.patient, "link", "other"));
        let mut linked: BTreeSet<usize> = self.by_link.get(&me.id).into_iter().flatten().copied().collect();
        linked.extend(links.iter().filter_map(|id| self.by_id.get(id)));
        let alike: BTreeSet<usize> = identifiers.iter().filter_map(|name| self.by_identifier.get(name)).flatten().copied().collect();
        let records = |places: &BTreeSet<usize>| places.iter().filter_map(|at| self.records.get(*at)).cloned().collect::<Vec<_>>();
        let found = (records(&alike), records(&linked));
        for name in identifiers {
            let known = self.by_identifier.entry(name).or_default();
            if known.len() < MAX_MERGED {
                known.push(at);
            }
        }
        links.into_iter().for_each(|id| self.by_link.entry(id).or_default().push(at));
        self.by_id.insert(me.id.clone(), at);
        self.records.push(me.clone());
        found
    }
}
