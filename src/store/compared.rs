//! Compares what is stored with the leaves that stand for it and with its seals, and the search index with what is stored.
//!
//! A seal says that a row is as it was written, and not that it is still there, that it is the newest, nor that a search finds it. The first is told by
//! the leaves (`compared/leaves.rs`), the others by the documents themselves. It takes a look at everything, a row at a time; a row that cannot be read for
//! what it is ends nothing.

mod erasures;
mod leaves;
mod links;
mod provenances;
mod received;
mod seals;

pub use leaves::{Erases, LeafReader, LeafSays};

use super::row::text;
use super::seal::Sealer;
use super::{bound, data_file, destroyed, fault, held, pending};
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::search::{Term, terms};
use rusqlite::{Connection, OpenFlags, Row, Rows};
use std::collections::BTreeSet;
use std::path::Path;

/// Leaves at the end of the log by which it is told whether a key opens them.
const NEWEST_LEAVES: u32 = 256;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    pub resources: u64,
    /// How many versions' seals were looked at; none without the gateway's key.
    pub seals: Option<u64>,
    pub problems: Vec<String>,
}

/// The newest leaves of the log in a data folder.
///
/// # Errors
/// When the data cannot be read.
pub fn newest_leaves(folder: &Path) -> Result<Vec<Vec<u8>>, Fault> {
    let data = opened(folder)?;
    let mut statement = data.prepare("SELECT CAST(entry AS BLOB) FROM leaf ORDER BY position DESC LIMIT ?").map_err(fault)?;
    let rows = statement.query_map([NEWEST_LEAVES], |row| row.get(0)).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

fn opened(folder: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(data_file(folder), flags).map_err(fault)
}

/// Compares the rows with the leaves, where these can be read, and with their seals, where the gateway's key is given, and the index with the rows: beside a
/// running gateway or without one.
///
/// # Errors
/// When the data cannot be read.
pub fn compare_rows(
    (folder, keys): (&Path, &Path),
    definitions: &'static Definitions,
    reader: Option<&dyn LeafReader>,
    gateway: Option<&[u8; 32]>,
) -> Result<Compared, Fault> {
    let data = opened(folder)?;
    let told = destroyed::told_in(keys)?;
    let data = data.unchecked_transaction().map_err(fault)?;
    let mut compared = Compared::default();
    let sealer = gateway.map(|gateway| sealer(&data, gateway, &mut compared)).transpose()?.flatten();
    reader.map_or(Ok(()), |reader| leaves::compare(&data, reader, sealer.as_ref(), &mut compared.problems))?;
    if let Some(sealer) = &sealer {
        compared.seals = Some(seals::compare(&data, sealer, &mut compared.problems)?);
    }
    seals::compare_newest(&data, &mut compared.problems)?;
    links::compare(&data, sealer.as_ref(), &mut compared.problems)?;
    compare_notes(&data, sealer.as_ref(), &mut compared.problems)?;
    reader.map_or(Ok(()), |reader| provenances::compare(&data, definitions, reader, &mut compared.problems))?;
    let gateway = gateway.filter(|_| sealer.is_some());
    told.map_or(Ok(()), |told| destroyed::compare(&data, told, gateway, &mut compared.problems))?;
    compare_index(&data, definitions, &mut compared)?;
    Ok(compared)
}

/// Whether the data in a folder was written under a gateway's key.
///
/// # Errors
/// When the data cannot be read.
pub fn is_of_gateway(folder: &Path, gateway: &[u8; 32]) -> Result<bool, Fault> {
    bound::is_of_gateway(&opened(folder)?, gateway)
}

/// What the gateway notes beside the versions: of erasures, of what it received, of what waits for signatures.
fn compare_notes(data: &Connection, sealer: Option<&Sealer>, problems: &mut Vec<String>) -> Result<(), Fault> {
    let is_sealed = has_table(data, "tally")?;
    erasures::compare(data, sealer, is_sealed, problems)?;
    received::compare(data, sealer, is_sealed, problems)?;
    let Some(sealer) = sealer.filter(|_| is_sealed) else { return Ok(()) };
    if has_table(data, "held")? {
        held::compare(data, sealer.of_notes(), problems)?;
    }
    pending::compare(data, sealer.of_notes(), problems)
}

/// Data that no newer gateway has opened yet lacks newer tables.
fn has_table(data: &Connection, name: &str) -> Result<bool, Fault> {
    data.prepare_cached("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)))
        .map_err(fault)
}

/// What checks the seals, if the key is the one that the data was written under.
fn sealer(data: &Connection, gateway: &[u8; 32], compared: &mut Compared) -> Result<Option<Sealer>, Fault> {
    if bound::is_of_gateway(data, gateway)? {
        return Sealer::of_gateway(gateway).map(Some);
    }
    compared.problems.push("keys/gateway.key is another than the one that data.db was written with".to_owned());
    Ok(None)
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
        let (rid, type_name, id, document): (i64, _, _, _) = (row.get(0).map_err(fault)?, text(row, 1), text(row, 2), text(row, 3));
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
        if wanted != found {
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

/// What is not of its column's kind is read as what no document says.
fn next_entry(entries: &mut Rows<'_>) -> Result<Option<(i64, Entry)>, Fault> {
    let read = |row: &Row<'_>| {
        let bound = |column| row.get(column).map_or(u64::MAX, bits);
        let number = |column| row.get(column).unwrap_or(i64::MIN);
        (number(0), (row.get(1).unwrap_or(u8::MAX), number(2), text(row, 3), bound(4), bound(5)))
    };
    Ok(entries.next().map_err(fault)?.map(read))
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
