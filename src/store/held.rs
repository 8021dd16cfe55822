//! Acts that are on record and kept back from the log for a while.
//!
//! A request leaves an act for each patient of whom something was withheld. How many these are must not show by the size of the log, so it grows by what
//! whoever asked knows of, and some more (`store/levels.rs`); an act that finds no room there waits here, in the same commit, and takes the place of a leaf
//! that would say nothing in a later one. Rows are sealed and counted like what else is noted beside the resources.

use super::keys::hmac;
use super::unit::{LeafDraft, VersionDraft};
use super::{fault, tally};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, ToSql, params};
use std::collections::BTreeSet;

/// Whose acts are wanted.
#[derive(Debug, Clone)]
pub enum Whose {
    All,
    /// Those of the patients whose keys have these names.
    Of(BTreeSet<[u8; 32]>),
}

/// An act that was kept back.
pub(super) struct Act {
    pub version: VersionDraft,
    pub leaf: LeafDraft,
}

pub(super) fn keep_back(data: &Connection, key: &[u8; 32], version: &VersionDraft, leaf: &LeafDraft) -> Result<(), Fault> {
    let draft =
        postcard::to_stdvec(&(version, leaf)).map_err(|error| Fault::new(FaultKind::Internal, format!("keep an act back: {error}")))?;
    let seal = seal(key, &draft);
    data.prepare_cached("INSERT INTO held (patient, draft, seal) VALUES (?, ?, ?)")
        .and_then(|mut statement| statement.execute(params![leaf.patient.unwrap_or_default(), draft, &seal[..]]))
        .map_err(fault)?;
    tally::change(data, key, tally::HELD, &[], Some(&seal))
}

/// About how many there are: told by the ends of their numbers.
pub(super) fn count(data: &Connection) -> Result<u64, Fault> {
    let ends = "SELECT coalesce((SELECT max(number) FROM held) - (SELECT min(number) FROM held) + 1, 0)";
    data.prepare_cached(ends).and_then(|mut statement| statement.query_row([], |row| row.get(0))).map_err(fault)
}

pub(super) fn is_any(data: &Connection) -> Result<bool, Fault> {
    data.prepare_cached("SELECT 1 FROM held").and_then(|mut statement| statement.exists([])).map_err(fault)
}

/// Whether some of these were kept back.
pub(super) fn is_any_of(data: &Connection, whose: &Whose) -> Result<bool, Fault> {
    let Whose::Of(patients) = whose else { return is_any(data) };
    let mut statement = data.prepare_cached("SELECT 1 FROM held WHERE patient = ?").map_err(fault)?;
    patients.iter().try_fold(false, |found, patient| Ok(found || statement.exists([&patient[..]]).map_err(fault)?))
}

/// Takes the oldest out, as many as there is room for.
pub(super) fn take(data: &Connection, key: &[u8; 32], room: u64) -> Result<Vec<Act>, Fault> {
    if room == 0 || !is_any(data)? {
        return Ok(Vec::new());
    }
    take_where(data, key, "1 ORDER BY number LIMIT ?", &room)
}

/// Takes out all of these.
pub(super) fn take_of(data: &Connection, key: &[u8; 32], whose: &Whose) -> Result<Vec<Act>, Fault> {
    let Whose::Of(patients) = whose else { return take_where(data, key, "? ORDER BY number", &true) };
    let mut found = Vec::new();
    for patient in patients {
        found.extend(take_where(data, key, "patient = ? ORDER BY number", &&patient[..])?);
    }
    Ok(found)
}

/// What is not as it was kept back stays where it is, so that the check of the rows names it.
fn take_where(data: &Connection, key: &[u8; 32], condition: &str, parameter: &dyn ToSql) -> Result<Vec<Act>, Fault> {
    let sql = format!("SELECT number, CAST(draft AS BLOB), CAST(seal AS BLOB) FROM held WHERE {condition}");
    let mut statement = data.prepare_cached(&sql).map_err(fault)?;
    let rows = statement.query_map([parameter], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(fault)?;
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = rows.collect::<Result<_, _>>().map_err(fault)?;
    let (mut acts, mut gone) = (Vec::new(), Vec::new());
    for (number, draft, found) in rows {
        let Some(act) = read(key, &draft, &found) else {
            tracing::error!(number, "an act that was kept back from the log is not as it was stored");
            continue;
        };
        data.prepare_cached("DELETE FROM held WHERE number = ?").and_then(|mut statement| statement.execute([number])).map_err(fault)?;
        acts.push(act);
        gone.push(found);
    }
    if !gone.is_empty() {
        tally::change(data, key, tally::HELD, &gone, None)?;
    }
    Ok(acts)
}

fn read(key: &[u8; 32], draft: &[u8], found: &[u8]) -> Option<Act> {
    aws_lc_rs::constant_time::verify_slices_are_equal(&seal(key, draft), found).ok()?;
    let (version, leaf) = postcard::from_bytes(draft).ok()?;
    Some(Act { version, leaf })
}

fn seal(key: &[u8; 32], draft: &[u8]) -> [u8; 32] {
    hmac(key, &[b"held", draft])
}

/// Holds each against its seal, and all of them against what was told of how many there are.
pub(super) fn compare(data: &Connection, key: &[u8; 32], problems: &mut Vec<String>) -> Result<(), Fault> {
    let sql = "SELECT number, CAST(draft AS BLOB), CAST(seal AS BLOB), CAST(patient AS BLOB) FROM held ORDER BY number";
    let mut statement = data.prepare(sql).map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let (number, draft, found): (i64, Vec<u8>, Vec<u8>) =
            (row.get(0).map_err(fault)?, row.get(1).map_err(fault)?, row.get(2).map_err(fault)?);
        let patient: Vec<u8> = row.get(3).map_err(fault)?;
        if read(key, &draft, &found).is_none_or(|act| act.leaf.patient.unwrap_or_default()[..] != patient[..]) {
            problems.push(format!("data.db: act {number}, which is on record and not in the log yet, is not as it was stored"));
        }
    }
    if !tally::holds(data, key, tally::HELD)? {
        problems.push("data.db: the acts that are on record and not in the log yet are not all there, or others".to_owned());
    }
    Ok(())
}
