//! Compares what is stored with the leaves that accepted it, and the search index with what is stored.
//!
//! A seal says that a row is as it was written, and not that it is still there, nor that a search finds it. Both are told by what the log and the
//! documents themselves say. It takes a look at everything, a row at a time.

use super::{data_file, fault};
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::ledger::index::Tag;
use crate::outcome::Fault;
use crate::search::{Term, terms};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Rows};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// What an entry of the log says of what is stored.
#[derive(Debug, Clone, Copy)]
pub struct LeafSays {
    pub epoch: i64,
    pub accepts: bool,
    pub erases: bool,
    pub patient: Option<Tag>,
    pub record: Option<Tag>,
    /// Of one that erases: what it commits to, if that is anything.
    pub commitment: Option<[u8; 32]>,
    /// Of such: whether it is noted where nothing opens it. Older gateways did not.
    pub is_noted: bool,
}

/// How entries of the log are understood.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    /// What an entry says; none of what is no leaf of the gateway's.
    pub says: fn(&[u8]) -> Option<LeafSays>,
    /// Whether something opens the commitment of an entry that erases.
    pub opens: fn(&[u8], &[u8]) -> bool,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    pub resources: u64,
    pub problems: Vec<String>,
}

/// Compares the rows with the leaves, and the index with the rows, beside a running gateway or without one.
///
/// # Errors
/// When the data cannot be read.
pub fn compare_rows(folder: &Path, definitions: &'static Definitions, language: Language) -> Result<Compared, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let data = Connection::open_with_flags(data_file(folder), flags).map_err(fault)?;
    let data = data.unchecked_transaction().map_err(fault)?;
    let mut compared = Compared::default();
    compare_leaves(&data, language, &mut compared)?;
    compare_index(&data, definitions, &mut compared)?;
    Ok(compared)
}

/// What later leaves say was erased.
#[derive(Default)]
struct Erasures {
    newest_epoch: Option<i64>,
    /// What went in an epoch: everything of a patient, or a record.
    tags: HashSet<(i64, Tag)>,
}

impl Erasures {
    fn take(&mut self, says: &LeafSays) {
        self.newest_epoch = self.newest_epoch.max(Some(says.epoch));
        self.tags.extend(says.record.or(says.patient).map(|tag| (says.epoch, tag)));
    }

    /// Within an epoch a record has one tag; in a later one it has another, which nobody can compare. What is nobody's has none.
    fn may_explain(&self, says: &LeafSays) -> bool {
        let is_named = |tag: Option<Tag>| tag.is_some_and(|tag| self.tags.contains(&(says.epoch, tag)));
        let is_later = self.newest_epoch.is_some_and(|newest| newest > says.epoch || says.patient.is_none());
        is_later || is_named(says.patient) || is_named(says.record)
    }
}

/// From the newest leaf on: each that accepts has its row, or something after it erases; and of each that erases it is noted what, or that nothing opens it.
fn compare_leaves(data: &Connection, language: Language, compared: &mut Compared) -> Result<(), Fault> {
    let mut leaves = data.prepare("SELECT position, entry FROM leaf ORDER BY position DESC").map_err(fault)?;
    let mut versions = data.prepare("SELECT leaf, leaves FROM version WHERE leaf IS NOT NULL ORDER BY leaf DESC").map_err(fault)?;
    let (mut leaves, mut versions) = (leaves.query([]).map_err(fault)?, versions.query([]).map_err(fault)?);
    let mut row = next_version(&mut versions)?;
    let mut erasures = Erasures::default();
    while let Some(leaf) = leaves.next().map_err(fault)? {
        let (position, entry): (u64, Vec<u8>) = (leaf.get(0).map_err(fault)?, leaf.get(1).map_err(fault)?);
        while row.is_some_and(|(first, _)| first > position) {
            row = next_version(&mut versions)?;
        }
        let Some(says) = (language.says)(&entry) else { continue };
        if says.erases {
            erasures.take(&says);
            compared.problems.extend(unfounded(data, language, (position, &entry), &says)?);
        }
        let is_there = row.is_some_and(|(first, count)| position < first.saturating_add(count));
        if says.accepts && !is_there && !erasures.may_explain(&says) {
            compared
                .problems
                .push(format!("data.db: what leaf {position} accepts is not there, and no later leaf says that it was erased"));
        }
    }
    Ok(())
}

/// What is wrong with what is noted of a leaf that erases.
fn unfounded(data: &Connection, language: Language, (position, entry): (u64, &[u8]), says: &LeafSays) -> Result<Option<String>, Fault> {
    let Some(commitment) = says.commitment else { return Ok(None) };
    let look = |sql: &str| -> Result<Option<Vec<u8>>, Fault> {
        let mut statement = data.prepare_cached(sql).map_err(fault)?;
        statement.query_row([&commitment[..]], |row| row.get(0)).optional().map_err(fault)
    };
    let problem = match look("SELECT opening FROM severed WHERE commitment = ?")? {
        Some(opening) if (language.opens)(entry, &opening) => None,
        Some(_) => Some("not as it was noted"),
        None if !says.is_noted || look("SELECT commitment FROM unopened WHERE commitment = ?")?.is_some() => None,
        None => Some("not noted any more"),
    };
    Ok(problem.map(|what| format!("data.db: what leaf {position} erased is {what}")))
}

fn next_version(versions: &mut Rows<'_>) -> Result<Option<(u64, u64)>, Fault> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    versions.next().map_err(fault)?.map(read).transpose().map_err(fault)
}

/// An entry of the index: which table's, parameter or key, text, and bounds as bits.
type Entry = (u8, i64, String, u64, u64);

const ENTRIES: &str = "
SELECT rid, 0, key, '', 0.0, 0.0 FROM exact UNION ALL
SELECT rid, 1, parameter, value, 0.0, 0.0 FROM words UNION ALL
SELECT rid, 2, parameter, '', low, high FROM span ORDER BY 1";

const RESOURCES: &str = "
SELECT r.rid, r.type, r.id, coalesce(v.document, '') FROM resource r LEFT JOIN version v ON v.seq = r.current ORDER BY r.rid";

/// Each resource is found by what it says, and by nothing else.
fn compare_index(data: &Connection, definitions: &'static Definitions, compared: &mut Compared) -> Result<(), Fault> {
    let mut resources = data.prepare(RESOURCES).map_err(fault)?;
    let mut entries = data.prepare(ENTRIES).map_err(fault)?;
    let (mut resources, mut entries) = (resources.query([]).map_err(fault)?, entries.query([]).map_err(fault)?);
    let mut ahead = next_entry(&mut entries)?;
    while let Some(row) = resources.next().map_err(fault)? {
        let (rid, type_name, id, document) = read_resource(row).map_err(fault)?;
        compared.resources += 1;
        let mut found = BTreeSet::new();
        while let Some((of, entry)) = ahead.take_if(|(of, _)| *of <= rid) {
            if of == rid {
                found.insert(entry);
            } else {
                compared.problems.push(format!("data.db: the search index leads to a resource that is not there, row {of}"));
            }
            ahead = next_entry(&mut entries)?;
        }
        // A document that does not parse is named where it is read.
        let Ok(resource) = parsed(&document) else { continue };
        let wanted = resource.as_ref().map(|resource| wanted(definitions, resource)).unwrap_or_default();
        if wanted != found && !resource.is_some_and(|resource| is_shortened(&resource)) {
            let (lacking, surplus) = (wanted.difference(&found).count(), found.difference(&wanted).count());
            compared.problems.push(format!(
                "data.db: the search index does not lead to {type_name}/{id} as it is stored: {lacking} entries lack, {surplus} are too many"
            ));
        }
    }
    if let Some((of, _)) = ahead {
        compared.problems.push(format!("data.db: the search index leads to a resource that is not there, row {of}"));
    }
    Ok(())
}

fn read_resource(row: &Row<'_>) -> rusqlite::Result<(i64, String, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn next_entry(entries: &mut Rows<'_>) -> Result<Option<(i64, Entry)>, Fault> {
    let read = |row: &Row<'_>| {
        let (low, high): (f64, f64) = (row.get(4)?, row.get(5)?);
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, bits(low), bits(high))))
    };
    entries.next().map_err(fault)?.map(read).transpose().map_err(fault)
}

/// The database keeps no negative zero.
fn bits(bound: f64) -> u64 {
    (bound + 0.0).to_bits()
}

/// `None` of a deletion.
fn parsed(document: &str) -> Result<Option<Node>, json::SyntaxError> {
    if document.is_empty() { Ok(None) } else { json::parse(document.as_bytes(), usize::MAX).map(Some) }
}

fn wanted(definitions: &'static Definitions, resource: &Node) -> BTreeSet<Entry> {
    let entry = |term: Term| match term {
        Term::Exact { key } => (0, key, String::new(), 0, 0),
        Term::Text { parameter, value } => (1, parameter, value, 0, 0),
        Term::Range { parameter, low, high } => (2, parameter, String::new(), bits(low), bits(high)),
    };
    terms(definitions, resource).into_iter().map(entry).collect()
}

/// Records out of which an erasure took something are found by what they said before.
fn is_shortened(resource: &Node) -> bool {
    let labels = resource.get("meta").map(|meta| meta.items("security")).unwrap_or_default();
    matches!(resource.resource_type(), Some("AuditEvent" | "Provenance"))
        && labels.iter().any(|label| label.text("code") == Some("REDACTED"))
}
