//! The entries of the search index that lead to a resource.

use super::fault;
use crate::definitions::Definitions;
use crate::fhir::json;
use crate::outcome::Fault;
use crate::search::{Term, terms};
use rusqlite::{Connection, OptionalExtension, Params, params};

pub(super) fn insert(data: &Connection, term: &Term, rid: i64) -> Result<(), Fault> {
    match term {
        Term::Exact { key } => execute(data, "INSERT OR IGNORE INTO exact (key, rid) VALUES (?, ?)", params![key, rid]),
        Term::Text { parameter, value } => {
            execute(data, "INSERT OR IGNORE INTO words (parameter, value, rid) VALUES (?, ?, ?)", params![parameter, value.as_str(), rid])
        }
        Term::Range { parameter, low, high } => {
            execute(data, "INSERT OR IGNORE INTO span (parameter, low, high, rid) VALUES (?, ?, ?, ?)", params![parameter, low, high, rid])
        }
    }
}

pub(super) fn remove(data: &Connection, term: &Term, rid: i64) -> Result<(), Fault> {
    match term {
        Term::Exact { key } => execute(data, "DELETE FROM exact WHERE key = ? AND rid = ?", params![key, rid]),
        Term::Text { parameter, value } => {
            execute(data, "DELETE FROM words WHERE parameter = ? AND value = ? AND rid = ?", params![parameter, value.as_str(), rid])
        }
        Term::Range { parameter, low, high } => {
            execute(data, "DELETE FROM span WHERE parameter = ? AND low = ? AND high = ? AND rid = ?", params![parameter, low, high, rid])
        }
    }
}

fn execute(data: &Connection, sql: &str, values: impl Params) -> Result<(), Fault> {
    data.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map(drop).map_err(fault)
}

/// Records whose document was replaced, to be found by what they say now: row of the resource.
const ANEW: &str = "
CREATE TEMP TABLE IF NOT EXISTS anew (rid INTEGER PRIMARY KEY);
DELETE FROM temp.anew;
";
const FORGET: &str = "
DELETE FROM exact WHERE rid IN (SELECT rid FROM temp.anew);
DELETE FROM words WHERE rid IN (SELECT rid FROM temp.anew);
DELETE FROM span WHERE rid IN (SELECT rid FROM temp.anew);
DELETE FROM temp.anew;
";

/// Has nothing lead to these resources but what their newest versions say. It looks through the index once. To what cannot be read nothing leads.
pub(super) fn make_anew(data: &Connection, rids: &[i64]) -> Result<(), Fault> {
    if rids.is_empty() {
        return Ok(());
    }
    data.execute_batch(ANEW).map_err(fault)?;
    rids.iter().try_for_each(|rid| execute(data, "INSERT OR IGNORE INTO temp.anew VALUES (?)", [rid]))?;
    data.execute_batch(FORGET).map_err(fault)?;
    for rid in rids {
        said_by(data, *rid)?.iter().try_for_each(|term| insert(data, term, *rid))?;
    }
    Ok(())
}

fn said_by(data: &Connection, rid: i64) -> Result<Vec<Term>, Fault> {
    let sql = "SELECT CAST(v.document AS BLOB) FROM resource r JOIN version v ON v.seq = r.current WHERE r.rid = ?";
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let document: Option<Vec<u8>> = statement.query_row([rid], |row| row.get(0)).optional().map_err(fault)?;
    let resource = document.and_then(|document| json::parse(&document, usize::MAX).ok());
    Ok(resource.map(|resource| terms(Definitions::embedded(), &resource)).unwrap_or_default())
}
