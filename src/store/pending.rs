//! Submissions that wait for signatures: held whole, apart from the resources, until they are accepted or their time has passed.

use super::keys::hmac;
use super::row::text;
use super::{fault, tally};
use crate::clock::Instant;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A submission that waits, or waited. A change replaces the whole row, one revision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub id: String,
    /// The source it will count as sent by.
    pub source: String,
    /// Counts the changes, from 1.
    pub revision: u32,
    pub is_open: bool,
    pub at: Instant,
    pub expires: Instant,
    /// What was submitted; empty once it no longer waits.
    pub held: Vec<u8>,
    /// Who signed, and how it ended.
    pub progress: Vec<u8>,
}

impl Pending {
    /// A keyed hash over the whole row, so that damage and tampering show when it is read.
    fn seal(&self, key: &[u8; 32]) -> [u8; 32] {
        let numbers = [i64::from(self.revision), i64::from(self.is_open), self.at.micros(), self.expires.micros()];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        hmac(key, &[b"pending", self.id.as_bytes(), self.source.as_bytes(), &numbers, &self.held, &self.progress])
    }
}

const COLUMNS: &str = "id, source, revision, open, at, expires, held, progress, seal";

pub(super) fn write(connection: &Connection, key: &[u8; 32], pending: &Pending) -> Result<(), Fault> {
    let sql = format!("INSERT OR REPLACE INTO pending ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    let before = seals(connection, "id = ?", &pending.id)?;
    let (Pending { id, source, revision, is_open, at, expires, held, progress }, seal) = (pending, pending.seal(key));
    let row = params![id, source, revision, is_open, at.micros(), expires.micros(), held, progress, &seal[..]];
    connection.prepare_cached(&sql).and_then(|mut statement| statement.execute(row)).map_err(fault)?;
    tally::change(connection, key, tally::PENDING, &before, Some(&seal))
}

/// Forgets one, as it is erased.
pub(super) fn forget(connection: &Connection, key: &[u8; 32], id: &str) -> Result<(), Fault> {
    let gone = seals(connection, "id = ?", id)?;
    if gone.is_empty() {
        return Ok(());
    }
    connection.execute("DELETE FROM pending WHERE id = ?", [id]).map_err(fault)?;
    tally::change(connection, key, tally::PENDING, &gone, None)
}

/// Forgets those whose end names one of these resources. All are read once, however many resources there are: what they hold stands before it and may
/// be long.
pub(super) fn forget_ended_in(connection: &Connection, key: &[u8; 32], resources: &[&str]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("SELECT CAST(id AS TEXT), CAST(progress AS BLOB) FROM pending").map_err(fault)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).map_err(fault)?;
    let rows: Vec<(String, Vec<u8>)> = rows.collect::<Result<_, _>>().map_err(fault)?;
    for (id, progress) in rows {
        let progress = String::from_utf8_lossy(&progress);
        if resources.iter().any(|resource| progress.contains(resource)) {
            forget(connection, key, &id)?;
        }
    }
    Ok(())
}

fn seals(connection: &Connection, condition: &str, parameter: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let mut statement = connection.prepare_cached(&format!("SELECT CAST(seal AS BLOB) FROM pending WHERE {condition}")).map_err(fault)?;
    let seals = statement.query_map([parameter], |row| row.get(0)).map_err(fault)?;
    seals.collect::<Result<_, _>>().map_err(fault)
}

/// Holds each against its seal, and all of them against what was told of how many there are.
pub(super) fn compare(connection: &Connection, key: &[u8; 32], problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM pending ORDER BY id")).map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        if !read(row).is_ok_and(|found| unsealed(found, key).is_ok()) {
            problems.push(format!("data.db: the waiting submission {} is not as it was stored", text(row, 0)));
        }
    }
    if !tally::holds(connection, key, tally::PENDING)? {
        problems.push("data.db: the submissions that wait or waited for signatures are not all there, or others".to_owned());
    }
    Ok(())
}

/// The revision of a waiting submission; `None` when there is none of this id.
pub(super) fn revision(connection: &Connection, id: &str) -> Result<Option<u32>, Fault> {
    connection
        .prepare_cached("SELECT revision FROM pending WHERE id = ?")
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map_err(fault)
}

pub(super) fn one(connection: &Connection, key: &[u8; 32], id: &str) -> Result<Option<Pending>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM pending WHERE id = ?");
    let row = connection.prepare_cached(&sql).and_then(|mut statement| statement.query_row([id], read).optional()).map_err(fault)?;
    row.map(|row| unsealed(row, key)).transpose()
}

/// Those still open whose time had passed at an instant, at most `limit` of them.
pub(super) fn due(connection: &Connection, key: &[u8; 32], now: Instant, limit: u32) -> Result<Vec<Pending>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM pending WHERE open = 1 AND expires <= ? ORDER BY expires LIMIT ?");
    let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
    let rows = statement.query_map(params![now.micros(), limit], read).map_err(fault)?;
    rows.map(|row| unsealed(row.map_err(fault)?, key)).collect()
}

/// Those still open, in the order of their ids after one, at most `limit` of them.
pub(super) fn open(connection: &Connection, key: &[u8; 32], after: &str, limit: u32) -> Result<Vec<Pending>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM pending WHERE open = 1 AND id > ? ORDER BY id LIMIT ?");
    let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
    let rows = statement.query_map(params![after, limit], read).map_err(fault)?;
    rows.map(|row| unsealed(row.map_err(fault)?, key)).collect()
}

/// Those no longer open in whose progress a text stands.
pub(super) fn ended_with(connection: &Connection, text: &str) -> Result<Vec<String>, Fault> {
    let sql = "SELECT id FROM pending WHERE open = 0 AND instr(progress, CAST(? AS BLOB)) > 0";
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let rows = statement.query_map([text], |row| row.get(0)).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Pending, Vec<u8>)> {
    let pending = Pending {
        id: row.get(0)?,
        source: row.get(1)?,
        revision: row.get(2)?,
        is_open: row.get(3)?,
        at: Instant::from_micros(row.get(4)?),
        expires: Instant::from_micros(row.get(5)?),
        held: row.get(6)?,
        progress: row.get(7)?,
    };
    Ok((pending, row.get(8)?))
}

fn unsealed((pending, seal): (Pending, Vec<u8>), key: &[u8; 32]) -> Result<Pending, Fault> {
    match aws_lc_rs::constant_time::verify_slices_are_equal(&pending.seal(key), &seal) {
        Ok(()) => Ok(pending),
        Err(_) => Err(Fault::new(FaultKind::StorageCorrupt, format!("the waiting submission {} is not as it was stored", pending.id))),
    }
}
