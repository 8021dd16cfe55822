//! Acts that are on record and kept back from the log for a while.
//!
//! A request leaves an act for each patient of whom something was withheld. How many these are must not show by the size of the log, so it grows by what
//! whoever asked knows of, and some more (`store/levels.rs`); an act that finds no room there waits here, in the same commit, and takes the place of a leaf
//! that would say nothing in a later one. Rows are sealed and counted like what else is noted beside the resources.

use super::keys::hmac;
use super::unit::{LeafDraft, VersionDraft};
use super::{fault, tally};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

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

/// How many there are, at most so many.
pub(super) fn count(data: &Connection, most: u64) -> Result<u64, Fault> {
    data.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM held LIMIT ?)")
        .and_then(|mut statement| statement.query_row([most], |row| row.get(0)))
        .map_err(fault)
}

pub(super) fn is_any(data: &Connection) -> Result<bool, Fault> {
    data.prepare_cached("SELECT 1 FROM held").and_then(|mut statement| statement.exists([])).map_err(fault)
}

/// Whether some of these were kept back; a fault where one of them is not as it was stored, for without it nothing they are told is whole.
pub(super) fn is_any_of(data: &Connection, key: &[u8; 32], whose: &Whose) -> Result<bool, Fault> {
    let Whose::Of(patients) = whose else { return is_any(data) };
    let mut found = false;
    visit(data, |row| {
        if row.concerns(patients) {
            row.act(key).ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, format!("{} is not as it was stored", row.told())))?;
            found = true;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Takes the oldest out, as many as there is room for. What is not as it was kept back stays where it is, so that the check of the rows names it, and is
/// passed over; `damaged` says which are known for that.
pub(super) fn take(data: &Connection, key: &[u8; 32], room: u64, damaged: &mut BTreeSet<i64>) -> Result<Vec<Act>, Fault> {
    let mut acts = Vec::new();
    if room == 0 || !is_any(data)? {
        return Ok(acts);
    }
    let mut gone = Vec::new();
    visit(data, |row| {
        if let Some(act) = row.act(key) {
            acts.push(act);
            gone.push(row);
        } else if damaged.insert(row.number) {
            tracing::error!("{} is not as it was stored", row.told());
        }
        Ok(if acts.len() as u64 == room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    remove(data, key, &gone)?;
    Ok(acts)
}

/// Takes out all of these that are as they were kept back.
pub(super) fn take_of(data: &Connection, key: &[u8; 32], whose: &Whose) -> Result<Vec<Act>, Fault> {
    let (mut acts, mut gone) = (Vec::new(), Vec::new());
    visit(data, |row| {
        let wanted = match whose {
            Whose::All => true,
            Whose::Of(patients) => row.concerns(patients),
        };
        if wanted && let Some(act) = row.act(key) {
            acts.push(act);
            gone.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    remove(data, key, &gone)?;
    Ok(acts)
}

/// What cannot be taken out, for it is not as it was kept back, goes with what it was about: a patient, or what bears one of these ids.
pub(super) fn forget_damaged(data: &Connection, key: &[u8; 32], patient: Option<[u8; 32]>, ids: &[&str]) -> Result<(), Fault> {
    let patients = BTreeSet::from_iter(patient);
    let mut gone = Vec::new();
    visit(data, |row| {
        let names = |id: &str| !id.is_empty() && row.draft.windows(id.len()).any(|part| part == id.as_bytes());
        if row.act(key).is_none() && (row.concerns(&patients) || ids.iter().any(|id| names(id))) {
            gone.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    remove(data, key, &gone)
}

struct Row {
    number: i64,
    patient: Vec<u8>,
    draft: Vec<u8>,
    seal: Vec<u8>,
}

impl Row {
    /// What it says, unless it is not as it was stored.
    fn act(&self, key: &[u8; 32]) -> Option<Act> {
        aws_lc_rs::constant_time::verify_slices_are_equal(&seal(key, &self.draft), &self.seal).ok()?;
        self.read().filter(|act| act.leaf.patient.unwrap_or_default()[..] == self.patient[..])
    }

    fn read(&self) -> Option<Act> {
        let (version, leaf) = postcard::from_bytes(&self.draft).ok()?;
        Some(Act { version, leaf })
    }

    /// Whether it is of one of these, by what stands beside the draft or by the draft itself.
    fn concerns(&self, patients: &BTreeSet<[u8; 32]>) -> bool {
        let is_among = |name: &[u8]| <[u8; 32]>::try_from(name).is_ok_and(|name| patients.contains(&name));
        is_among(&self.patient) || self.read().and_then(|act| act.leaf.patient).is_some_and(|name| is_among(&name))
    }

    fn told(&self) -> String {
        format!("data.db: act {}, which is on record and not in the log yet,", self.number)
    }
}

/// Goes through the rows, oldest first, until told to stop.
fn visit(data: &Connection, mut each: impl FnMut(Row) -> Result<ControlFlow<()>, Fault>) -> Result<(), Fault> {
    let sql = "SELECT number, CAST(patient AS BLOB), CAST(draft AS BLOB), CAST(seal AS BLOB) FROM held ORDER BY number";
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let read = || Ok(Row { number: row.get(0)?, patient: row.get(1)?, draft: row.get(2)?, seal: row.get(3)? });
        if each(read().map_err(fault)?)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn remove(data: &Connection, key: &[u8; 32], rows: &[Row]) -> Result<(), Fault> {
    for row in rows {
        let mut statement = data.prepare_cached("DELETE FROM held WHERE number = ?").map_err(fault)?;
        statement.execute([row.number]).map_err(fault)?;
    }
    let seals: Vec<Vec<u8>> = rows.iter().map(|row| row.seal.clone()).collect();
    if seals.is_empty() { Ok(()) } else { tally::change(data, key, tally::HELD, &seals, None) }
}

fn seal(key: &[u8; 32], draft: &[u8]) -> [u8; 32] {
    hmac(key, &[b"held", draft])
}

/// Holds each against its seal, and all of them against what was told of how many there are.
pub(super) fn compare(data: &Connection, key: &[u8; 32], problems: &mut Vec<String>) -> Result<(), Fault> {
    visit(data, |row| {
        if row.act(key).is_none() {
            problems.push(format!("{} is not as it was stored", row.told()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if !tally::holds(data, key, tally::HELD)? {
        problems.push("data.db: the acts that are on record and not in the log yet are not all there, or others".to_owned());
    }
    Ok(())
}
