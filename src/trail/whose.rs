//! Whose each version of a record is, when somebody is erased who is in it.
//!
//! * Whoever is named by an identifier of theirs (`named.rs`) is named. A version is about them where they are its subject, and not where they are
//!   mentioned so.
//! * A version about the person alone goes, and one about others alone stays. Who else's it is decides nothing about the versions beside it.
//! * A version about the person and others, or about others (or nobody) that leads to the person, goes where that is asked for.
//! * One about nobody is whose the version before it was, or the one after it where there is none before. Where it has a subject that it does not tell,
//!   it goes where that is asked for.
//! * A deletion goes where its leaf is under the person's tag alone. It says nothing of anybody.
//! * What the gateway wrote itself of who is who and of what is to be worked on goes where it leads to the person, whole where its newest does.

use super::named::{Identifiers, Naming, Who};
use crate::audit;
use crate::fhir::{Node, json};
use crate::normalise::is_gateway_id;
use crate::outcome::Fault;
use crate::pipeline::patient_ids;
use crate::store::{HistoryScope, Reader, StoredVersion};
use std::collections::BTreeSet;

/// The most versions of one record that are looked at.
const MAX_VERSIONS: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Persons,
    Both,
    Others,
    /// Somebody's who is not told.
    Untold,
    Nobody,
}

/// Who is erased.
pub(super) struct Person<'a> {
    pub id: &'a str,
    pub identifiers: &'a Identifiers,
    /// The leaves under the person's tags.
    pub positions: &'a BTreeSet<u64>,
}

impl Person<'_> {
    /// What stands in whatever names the person by the gateway's id.
    pub fn word(&self) -> String {
        word("Patient", self.id)
    }

    fn is_named(&self, text: &str) -> bool {
        names(text, "Patient", self.id)
    }

    /// Whether some part of a resource names the person, by id or by an identifier.
    pub fn is_in(&self, part: &Node) -> bool {
        self.is_named(&json::write(part)) || self.identifiers.stands_in(part)
    }
}

/// Whether a text names a resource by the gateway's id, which stands for nothing else. Any other id may be any word, a code or a number: it names a resource
/// where the type stands before it.
pub(super) fn names(text: &str, type_name: &str, id: &str) -> bool {
    let word = word(type_name, id);
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '.'));
    text.match_indices(&word).any(|(at, _)| word == id || text.get(at + word.len()..).is_some_and(ends))
}

fn word(type_name: &str, id: &str) -> String {
    if is_gateway_id(id) { id.to_owned() } else { format!("{type_name}/{id}") }
}

/// What becomes of a record.
pub(super) struct Fate {
    pub newest: StoredVersion,
    /// The versions that go.
    pub going: BTreeSet<u32>,
    /// Whom the versions are about that stay.
    pub others: BTreeSet<String>,
    /// Whether nothing stays.
    pub is_gone: bool,
    /// Whether something goes that is about others too.
    pub is_shared: bool,
}

/// Judges every version of a record. `None` where no version names the person.
pub(super) fn judge(reader: &Reader<'_>, (type_name, id): (&str, &str), person: &Person<'_>) -> Result<Option<Fate>, Fault> {
    let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
    let mut history = reader.history(&scope, None, None, MAX_VERSIONS)?;
    history.reverse();
    let Some(newest) = history.last().cloned() else { return Ok(None) };
    let (mut found, mut others, mut is_named) = (Vec::with_capacity(history.len()), BTreeSet::new(), false);
    for version in &history {
        let resource = if version.deleted() { None } else { Some(version.parse()?) };
        let about = resource.as_ref().map(patient_ids).unwrap_or_default();
        let naming = resource.as_ref().map(|resource| person.identifiers.naming(resource, person.id)).unwrap_or_default();
        is_named |= person.is_named(&version.document) || naming.person;
        let whose = whose(version, &about, &naming, person);
        if whose == Whose::Others {
            others.extend(about);
        }
        found.push(whose);
    }
    if !is_named {
        // It holds the same number as something else.
        return Ok(None);
    }
    inherit(&mut found);
    let is_own_gone = is_own(&newest) && found.last() == Some(&Whose::Persons);
    let judged = || history.iter().zip(&found);
    let is_gone = is_own_gone || judged().all(|(version, whose)| version.deleted() || *whose != Whose::Others);
    Ok(Some(Fate {
        going: judged().filter(|(_, whose)| **whose != Whose::Others).map(|(version, _)| version.version).collect(),
        is_shared: found.contains(&Whose::Both),
        newest,
        others,
        is_gone,
    }))
}

fn whose(version: &StoredVersion, about: &[String], naming: &Naming, person: &Person<'_>) -> Whose {
    if version.deleted() {
        let is_persons = version.leaves == 1 && version.leaf.is_some_and(|leaf| person.positions.contains(&leaf));
        return if is_persons { Whose::Persons } else { Whose::Others };
    }
    let leads = person.is_named(&version.document) || naming.person;
    let has = |who: Who| naming.subjects.contains(&who);
    let is_about = has(Who::Person) || !about.is_empty();
    let is_others =
        has(Who::Other) || about.iter().any(|patient| patient != person.id && !naming.known_as.contains(&format!("Patient/{patient}")));
    match (leads, is_others) {
        (true, _) if is_own(version) => Whose::Persons,
        (false, _) if is_own(version) => Whose::Others,
        (true, false) if is_about && !has(Who::Untold) => Whose::Persons,
        (true, _) => Whose::Both,
        (false, true) => Whose::Others,
        (false, false) if has(Who::Untold) => Whose::Untold,
        (false, false) => Whose::Nobody,
    }
}

/// What is about nobody is whose its neighbour is.
fn inherit(found: &mut [Whose]) {
    let first = found.iter().copied().find(|whose| !matches!(whose, Whose::Nobody | Whose::Untold)).unwrap_or(Whose::Others);
    let mut before = first;
    for whose in found {
        *whose = match *whose {
            Whose::Nobody => before,
            Whose::Untold if before == Whose::Others => before,
            Whose::Untold => Whose::Both,
            told => told,
        };
        before = *whose;
    }
}

/// Which records are one person's, and what somebody had to decide of them, the gateway itself wrote down.
fn is_own(version: &StoredVersion) -> bool {
    matches!(version.type_name.as_str(), "Linkage" | "Task") && version.source == audit::SOURCE
}
