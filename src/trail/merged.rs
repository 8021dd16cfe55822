//! The other records of a person: what was told of one before a merge stands in that one's trail and accounting, and these lead there.

use super::Trail;
use super::subject::{Subject, linked_by};
use crate::audit;
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::outcome::Fault;
use crate::pipeline::{linked_as_far_as_known, linked_patients, patient_ids, readable};
use crate::registry::Role;
use crate::search;
use crate::store::{HistoryScope, Reader};
use std::collections::BTreeSet;

type Definitions = &'static crate::definitions::Definitions;

/// The most records of others that say that they are one person's with this one.
const MAX_MERGED: usize = 1000;

impl Trail {
    /// Links to the same operation on the records that are, or were, said to be the same person's: by what either says in `Patient.link`, or by what
    /// the gateway or its operator found. Whoever speaks for the patient is led to those alone for which they speak too.
    pub(super) async fn related(&self, caller: &Caller, subject: &Subject, operation: &str) -> Result<Vec<Node>, Fault> {
        let Some(id) = subject.reference.strip_prefix("Patient/").map(str::to_owned) else { return Ok(Vec::new()) };
        let pipeline = &self.query.pipeline;
        let definitions = pipeline.definitions;
        let tags = self.tags(subject, None).await?.into_iter().map(|tag| tag.tag).collect();
        let mut told: Vec<u64> = self.indexer.positions(tags).await?.into_iter().flatten().collect();
        told.sort_unstable();
        let mut links = Vec::new();
        for other in pipeline.store.read(move |reader| merged(reader, definitions, &id, &told)).await? {
            if caller.has_role(Role::Regulator) || pipeline.represented(caller, &other).await? {
                let url = format!("Patient/{other}/{operation}");
                links.push(Object::new().with("relation", "related").with("url", url).into());
            }
        }
        Ok(links)
    }
}

/// Those of them that are, or were, here.
fn merged(reader: &Reader<'_>, definitions: Definitions, id: &str, told: &[u64]) -> Result<BTreeSet<String>, Fault> {
    let mut found = linked_by(reader, id)?;
    found.extend(told_of_both(reader, id, told)?);
    found.extend(linking(reader, definitions, id)?);
    found.extend(linked_as_far_as_known(reader.linked(id))?);
    found.remove(id);
    let mut here = BTreeSet::new();
    for other in found {
        if readable(reader.current("Patient", &other))?.is_some() {
            here.insert(other);
        }
    }
    Ok(here)
}

/// The others whose merge with this one stands in its trail, whatever is said by now: Patients of which versions are there, for these linked it, and
/// those of a Linkage of the gateway's.
fn told_of_both(reader: &Reader<'_>, id: &str, told: &[u64]) -> Result<BTreeSet<String>, Fault> {
    let (mut found, mut linkages) = (BTreeSet::new(), BTreeSet::new());
    for run in told.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
        let Some((first, last)) = run.first().copied().zip(run.last().copied()) else { continue };
        for anchored in reader.records_of_leaves((first, last), ["Patient", "Linkage"])? {
            if anchored.type_name == "Patient" {
                found.insert(anchored.id);
            } else if anchored.source == audit::SOURCE {
                linkages.insert(anchored.id);
            }
        }
    }
    for linkage in linkages {
        found.extend(linked_as_far_as_known(linked_in(reader, linkage, id))?);
    }
    Ok(found)
}

/// With whom the versions of a Linkage say that a Patient is one person.
fn linked_in(reader: &Reader<'_>, linkage: String, id: &str) -> Result<Vec<String>, Fault> {
    let scope = HistoryScope::Instance { type_name: "Linkage".to_owned(), id: linkage };
    let mut linked = Vec::new();
    for version in reader.history(&scope, None, None, MAX_MERGED)?.iter().filter(|version| !version.deleted()) {
        let patients = patient_ids(&version.parse()?);
        if patients.iter().any(|patient| patient == id) {
            linked.extend(patients);
        }
    }
    Ok(linked)
}

/// The Patients that link this one now.
fn linking(reader: &Reader<'_>, definitions: Definitions, id: &str) -> Result<Vec<String>, Fault> {
    let Some(key) = search::reference_key(definitions, "Patient", "link", id) else { return Ok(Vec::new()) };
    let found = reader.indexed_between(key, key, MAX_MERGED)?.sound;
    let mut linking = Vec::new();
    for version in found.into_iter().filter(|version| version.type_name == "Patient" && !version.deleted()) {
        if linked_patients(&version.parse()?).iter().any(|linked| linked == id) {
            linking.push(version.id);
        }
    }
    Ok(linking)
}
