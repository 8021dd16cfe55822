//! Which records share an identifier of persons with one: few that may be linked, or a crowd, in which nobody can say who is who.

use super::{Record, query, record};
use crate::definitions::Definitions;
use crate::identity::crossref;
use crate::outcome::Fault;
use crate::person::{Grade, grade};
use crate::registry::Registry;
use crate::search::{Query, escaped};
use crate::store::{Assumption, Reader};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Identifiers by which other records are looked for.
const MAX_IDENTIFIERS: usize = 16;
/// Records that one identifier may find. One that finds more links nobody, and is asked of nobody.
const MAX_FOUND: usize = 32;
/// Of so many that it finds, whatever was filed about those that are surely of the same person denies for all of them. Where there are more, among them
/// those of the same birth date: nothing is shown of a record of which nobody can say whose else it is.
const MAX_CROWD: usize = 256;
/// Which records share an identifier of persons with one.
#[derive(Default)]
pub(super) struct Sharing {
    pub ids: BTreeSet<String>,
    /// Those of an identifier that more share than may be linked by it.
    pub crowd: BTreeSet<String>,
    /// Whether there are more of these than are looked at.
    pub is_beyond: bool,
    pub assumptions: Vec<Assumption>,
}

/// By which identifiers of persons a record goes, in one spelling each.
pub(super) fn names_of(me: &Record, registry: &Registry) -> Vec<String> {
    let identifiers = crossref::patient_identifiers(&me.patient);
    let naming = identifiers.iter().filter(|identifier| registry.is_person_system(&identifier.system)).take(MAX_IDENTIFIERS);
    naming.filter_map(|named| Some(format!("{}|{}", named.system, crossref::spellings(named).into_iter().min()?))).collect()
}

/// Those of a crowd that are surely of the same person.
pub(super) fn certain_among(reader: &Reader<'_>, registry: &Registry, me: &Record, crowd: &BTreeSet<String>) -> Result<Vec<Record>, Fault> {
    let mut certain = Vec::new();
    for id in crowd.iter().filter(|id| **id != me.id) {
        let found = record(reader, id)?;
        let is_same = |one: &Record| grade(&me.patient, &one.patient, |system| registry.is_person_system(system)) == Grade::Certain;
        certain.extend(found.filter(is_same));
    }
    Ok(certain)
}

/// The records that share an identifier of persons. That they are these is assumed to stay so until the commit.
pub(super) fn same_identifiers(
    reader: &Reader<'_>,
    registry: &Registry,
    definitions: &'static Definitions,
    me: &Record,
) -> Result<Sharing, Fault> {
    let mut sharing = Sharing::default();
    let identifiers = crossref::patient_identifiers(&me.patient);
    let naming = identifiers.iter().filter(|identifier| registry.is_person_system(&identifier.system)).take(MAX_IDENTIFIERS);
    for (system, value) in naming.flat_map(|named| crossref::spellings(named).into_iter().map(|value| (named.system.as_str(), value))) {
        let token = format!("{}|{}", escaped(system), escaped(&value));
        let Some(named) = query(definitions, vec![("identifier".to_owned(), token.clone())]) else { continue };
        let named = Arc::new(named);
        let found = reader.matching_ids(&named, None, MAX_CROWD + 1)?;
        if found.len() < MAX_FOUND {
            sharing.ids.extend(found.iter().cloned());
            sharing.assumptions.push(Assumption::Matches { query: named, source: None, ids: found });
            continue;
        }
        let nearer = (found.len() > MAX_CROWD).then(|| of_birth_date(definitions, me, token)).flatten();
        let found = nearer.map_or(Ok(found), |nearer| reader.matching_ids(&nearer, None, MAX_CROWD + 1))?;
        sharing.is_beyond |= found.len() > MAX_CROWD;
        sharing.crowd.extend(found);
    }
    Ok(sharing)
}

/// What finds the records that share an identifier and the birth date with one.
fn of_birth_date(definitions: &'static Definitions, me: &Record, token: String) -> Option<Query> {
    let birth = me.patient.text("birthDate").filter(|date| date.len() == 10)?;
    query(definitions, vec![("identifier".to_owned(), token), ("birthdate".to_owned(), birth.to_owned())])
}
