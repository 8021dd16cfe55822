//! What people work on, and which patients are one person: small tables beside the FHIR resources that say the same.

use super::fault;
use super::reader::Reader;
use super::unit::{PersonChange, WorkDraft};
use crate::clock::Instant;
use crate::outcome::Fault;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// How many items of one kind one source may have on the work list. What comes beyond is counted in a metric: a list nobody can finish helps
/// nobody, and a hostile sender must not fill the store with it.
pub const MAX_WORK: usize = 10_000;

/// How many patient records one person may have. More is a mistake in the identifiers, not a person.
pub const MAX_PERSON_RECORDS: usize = 64;

/// Stands for other records of a person where there are more than can be looked at.
pub const CROWD: &str = "*";

/// One item of the work list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRow {
    /// The id of the Task.
    pub task: String,
    pub kind: String,
    pub source: String,
    /// How often it was met.
    pub count: u64,
    pub first: Instant,
    pub last: Instant,
}

/// Counts an item; answers whether it is new, so that its Task is to be stored.
pub(super) fn count_work(connection: &Connection, draft: &WorkDraft) -> Result<bool, Fault> {
    let known = connection
        .prepare_cached("UPDATE work SET count = count + 1, last_at = ? WHERE key = ?")
        .and_then(|mut statement| statement.execute(params![draft.at.micros(), &draft.key[..]]))
        .map_err(fault)?;
    if known > 0 {
        return Ok(false);
    }
    let is_full = connection
        .prepare_cached("SELECT 1 FROM work WHERE source = ? AND kind = ? LIMIT 1 OFFSET ?")
        .and_then(|mut statement| statement.exists(params![draft.source, draft.kind, MAX_WORK - 1]))
        .map_err(fault)?;
    if is_full {
        metrics::counter!("hearthgate_work_dropped_total", "kind" => draft.kind).increment(1);
        return Ok(false);
    }
    let at = draft.at.micros();
    connection
        .prepare_cached("INSERT INTO work (key, task, kind, source, count, first_at, last_at) VALUES (?, ?, ?, ?, 1, ?, ?)")
        .and_then(|mut statement| statement.execute(params![&draft.key[..], draft.task.id, draft.kind, draft.source, at, at]))
        .map_err(fault)?;
    Ok(true)
}

/// Two patients in the one order in which the table holds them.
fn ordered<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other { (one, other) } else { (other, one) }
}

pub(super) fn apply(connection: &Connection, change: &PersonChange) -> Result<(), Fault> {
    let (sql, first, second) = match change {
        PersonChange::Joins { patient, person } => ("INSERT OR REPLACE INTO person (patient, person) VALUES (?, ?)", patient, Some(person)),
        PersonChange::Leaves { patient } => ("DELETE FROM person WHERE patient = ?", patient, None),
        PersonChange::Apart { one, other } => ("INSERT OR IGNORE INTO apart (one, other) VALUES (?, ?)", one, Some(other)),
        PersonChange::NotApart { one, other } => ("DELETE FROM apart WHERE one = ? AND other = ?", one, Some(other)),
        // It stands among what was filed alone.
        PersonChange::Doubted { .. } => return Ok(()),
    };
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let done = match (change, second) {
        (PersonChange::Apart { .. } | PersonChange::NotApart { .. }, Some(second)) => {
            let (one, other) = ordered(first, second);
            statement.execute([one, other])
        }
        (_, Some(second)) => statement.execute([first, second]),
        (_, None) => statement.execute([first]),
    };
    done.map(drop).map_err(fault)
}

/// The other records of the person a patient record belongs to, at most [`MAX_PERSON_RECORDS`].
pub(super) fn linked(connection: &Connection, patient: &str) -> Result<Vec<String>, Fault> {
    let sql = "SELECT other.patient FROM person one JOIN person other ON other.person = one.person \
               WHERE one.patient = ?1 AND other.patient <> ?1 ORDER BY other.patient LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let rows = statement.query_map(params![patient, MAX_PERSON_RECORDS], |row| row.get(0)).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

fn work_row(row: &Row<'_>) -> rusqlite::Result<WorkRow> {
    Ok(WorkRow {
        task: row.get(0)?,
        kind: row.get(1)?,
        source: row.get(2)?,
        count: row.get(3)?,
        first: Instant::from_micros(row.get(4)?),
        last: Instant::from_micros(row.get(5)?),
    })
}

const WORK_COLUMNS: &str = "SELECT task, kind, source, count, first_at, last_at FROM work";

/// Resources stored under a key of likeness, oldest id first, at most `limit`.
pub(super) fn alike(connection: &Connection, key: &[u8; 32], limit: usize) -> Result<Vec<String>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id FROM alike WHERE key = ? ORDER BY id LIMIT ?").map_err(fault)?;
    let rows = statement.query_map(params![&key[..], i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0)).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

impl Reader<'_> {
    /// The work list, of one source and kind when they are named, what was met most often first.
    pub fn work(&self, source: Option<&str>, kind: Option<&str>, limit: usize) -> Result<Vec<WorkRow>, Fault> {
        let sql =
            format!("{WORK_COLUMNS} WHERE source = coalesce(?, source) AND kind = coalesce(?, kind) ORDER BY count DESC, task LIMIT ?");
        let mut statement = self.connection.prepare_cached(&sql).map_err(fault)?;
        let rows = statement.query_map(params![source, kind, i64::try_from(limit).unwrap_or(i64::MAX)], work_row).map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// The item a Task stands for.
    pub fn work_of(&self, task: &str) -> Result<Option<WorkRow>, Fault> {
        let sql = format!("{WORK_COLUMNS} WHERE task = ?");
        self.connection.prepare_cached(&sql).and_then(|mut statement| statement.query_row([task], work_row).optional()).map_err(fault)
    }

    /// The person a patient record belongs to, when it was linked.
    pub fn person_of(&self, patient: &str) -> Result<Option<String>, Fault> {
        self.connection
            .prepare_cached("SELECT person FROM person WHERE patient = ?")
            .and_then(|mut statement| statement.query_row([patient], |row| row.get(0)).optional())
            .map_err(fault)
    }

    /// The records of a person, at most [`MAX_PERSON_RECORDS`].
    pub fn records_of(&self, person: &str) -> Result<Vec<String>, Fault> {
        let mut statement =
            self.connection.prepare_cached("SELECT patient FROM person WHERE person = ? ORDER BY patient LIMIT ?").map_err(fault)?;
        let rows = statement.query_map(params![person, MAX_PERSON_RECORDS], |row| row.get(0)).map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// The other records of the person a patient record belongs to, in the order of their ids.
    pub fn linked(&self, patient: &str) -> Result<Vec<String>, Fault> {
        linked(&self.connection, patient)
    }

    /// The pairs with this patient of which somebody decided that they are not one person, each in the order of its ids.
    pub fn apart_from(&self, id: &str) -> Result<Vec<(String, String)>, Fault> {
        let sql = "SELECT one, other FROM apart WHERE one = ?1 UNION SELECT one, other FROM apart WHERE other = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// The ConceptMaps operators gave, as source and id.
    pub fn source_maps(&self) -> Result<Vec<(String, String)>, Fault> {
        let mut statement = self.connection.prepare_cached("SELECT source, map FROM source_map ORDER BY source, map").map_err(fault)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// Resources stored under a key of likeness, oldest id first, at most `limit`.
    pub fn alike(&self, key: &[u8; 32], limit: usize) -> Result<Vec<String>, Fault> {
        alike(&self.connection, key, limit)
    }
}
