//! Each leaf that stands for something: that it is there, or was erased.
//!
//! From the newest leaf on, so that what erases is known before what it erased. A leaf that erases names what went of others' trails, as noted in the
//! table `severed`, or the table `unopened` says that nothing opens it; of all that went the table `emptied` has the positions. Leaves of older gateways
//! have no such notes: they explain what is of the same record or patient in their epoch, and anything in an earlier one, whose tags nobody can compare.

use super::has_table;
use crate::ledger::index::Tag;
use crate::outcome::Fault;
use crate::store::seal::Sealer;
use crate::store::{emptied, fault};
use rusqlite::{Connection, OptionalExtension, Rows};
use std::collections::{BinaryHeap, HashSet};

/// What an entry of the log says of what is stored.
#[derive(Debug, Clone, Copy)]
pub struct LeafSays {
    pub epoch: i64,
    /// Whether a version or a record of what was done stands behind it, and what a leaf of its kind does.
    pub stands: Option<&'static str>,
    pub erases: Option<Erases>,
    /// Whether it commits to a Provenance.
    pub has_provenance: bool,
    pub patient: Option<Tag>,
    pub record: Option<Tag>,
}

/// What a leaf says that erases.
#[derive(Debug, Clone, Copy)]
pub struct Erases {
    /// What it commits to; nothing in leaves of the oldest gateways.
    pub commitment: Option<[u8; 32]>,
    /// Whether its gateway noted every leaf that stands for nothing since, and what opens this one or that nothing does.
    pub is_noting: bool,
}

/// Positions in runs, each with its first and its last.
pub type Runs = Vec<(u64, u64)>;

/// What reads the entries of a log.
pub trait LeafReader {
    /// Nothing of what is no leaf of the gateway's.
    fn says(&self, entry: &[u8]) -> Option<LeafSays>;
    /// What a leaf that erases names by what is noted of it: positions, as runs. Nothing where the note is not what the leaf commits to.
    fn names(&self, entry: &[u8], noted: &[u8]) -> Option<Runs>;
}

/// Each that stands for something has its row, or something after it erased that; and of each that erases it is noted what, or that nothing opens it.
pub(super) fn compare(
    data: &Connection,
    reader: &dyn LeafReader,
    sealer: Option<&Sealer>,
    problems: &mut Vec<String>,
) -> Result<(), Fault> {
    let mut leaves = data.prepare("SELECT position, entry FROM leaf ORDER BY position DESC").map_err(fault)?;
    let mut versions = data.prepare("SELECT leaf, leaves FROM version WHERE leaf IS NOT NULL ORDER BY leaf DESC").map_err(fault)?;
    let (mut leaves, mut versions) = (leaves.query([]).map_err(fault)?, versions.query([]).map_err(fault)?);
    let mut row = next_version(&mut versions)?;
    let mut erasures = Erasures::default();
    while let Some(leaf) = leaves.next().map_err(fault)? {
        let position: u64 = leaf.get(0).map_err(fault)?;
        let entry = leaf.get_ref(1).map_err(fault)?.as_blob().unwrap_or_default();
        while row.is_some_and(|(first, _)| first > position) {
            row = next_version(&mut versions)?;
        }
        let Some(says) = reader.says(entry) else { continue };
        if let Some(erases) = &says.erases {
            let wrong = erasures.take(data, (entry, &says, erases), reader)?;
            problems.extend(wrong.map(|what| format!("data.db: what leaf {position} erased is {what}")));
        }
        let is_there = row.is_some_and(|(first, count)| position < first.saturating_add(count));
        let Some(what) = says.stands.filter(|_| !is_there) else { continue };
        if !erasures.explain(position, &says) && !is_noted(data, position, sealer, problems)? {
            problems.push(format!("data.db: what leaf {position} {what} is not there, and no later leaf says that it was erased"));
        }
    }
    Ok(())
}

/// The next that says where its leaves are. One that cannot be read for that is named where its seal is looked at.
fn next_version(versions: &mut Rows<'_>) -> Result<Option<(u64, u64)>, Fault> {
    while let Some(row) = versions.next().map_err(fault)? {
        if let (Ok(first), Ok(count)) = (row.get(0), row.get(1)) {
            return Ok(Some((first, count)));
        }
    }
    Ok(None)
}

/// Whether an erasure noted that a leaf stands for nothing any more. Without the gateway's key the note is believed as it is.
fn is_noted(data: &Connection, position: u64, sealer: Option<&Sealer>, problems: &mut Vec<String>) -> Result<bool, Fault> {
    if !has_table(data, "emptied")? {
        return Ok(false);
    }
    let found: Option<Vec<u8>> = data
        .prepare_cached("SELECT CAST(seal AS BLOB) FROM emptied WHERE position = ?")
        .and_then(|mut statement| statement.query_row([position], |row| row.get(0)).optional())
        .map_err(fault)?;
    let Some(seal) = found else { return Ok(false) };
    let is_sound = sealer.is_none_or(|sealer| emptied::holds(sealer, position, &seal));
    if !is_sound {
        problems.push(format!("data.db: that what leaf {position} stood for was erased was not noted by the gateway"));
    }
    Ok(is_sound)
}

/// What later leaves say was erased.
#[derive(Default)]
struct Erasures {
    /// The runs that are named, those that end last first, until they are reached.
    ahead: BinaryHeap<(u64, u64)>,
    /// The first position of those that are reached.
    reached: Option<u64>,
    /// The newest epoch in which a gateway erased that noted nothing.
    newest_epoch: Option<i64>,
    /// What went then in an epoch: everything of a patient, or a record.
    tags: HashSet<(i64, Tag)>,
}

impl Erasures {
    /// Takes in a leaf that erases, and gives what is wrong with what is noted of it.
    fn take(
        &mut self,
        data: &Connection,
        (entry, says, erases): (&[u8], &LeafSays, &Erases),
        reader: &dyn LeafReader,
    ) -> Result<Option<&'static str>, Fault> {
        let note = |table, column| erases.commitment.map(|commitment| note_of(data, (table, column), &commitment)).transpose();
        let noted = note("severed", "opening")?.flatten();
        if let Some(runs) = noted.as_ref().and_then(|noted| reader.names(entry, noted)) {
            self.ahead.extend(runs.into_iter().map(|(first, last)| (last, first)));
            return Ok(None);
        }
        if !erases.is_noting {
            self.newest_epoch = self.newest_epoch.max(Some(says.epoch));
            self.tags.extend(says.record.or(says.patient).map(|tag| (says.epoch, tag)));
        }
        let is_missed = noted.is_none() && erases.is_noting && note("unopened", "commitment")?.flatten().is_none();
        Ok(noted.map(|_| "not as it was noted").or(is_missed.then_some("not noted any more")))
    }

    /// Whether one of them explains that what a leaf before it stood for is not there.
    fn explain(&mut self, position: u64, says: &LeafSays) -> bool {
        while let Some((_, first)) = self.ahead.peek().copied().filter(|(last, _)| *last >= position) {
            self.ahead.pop();
            self.reached = Some(self.reached.map_or(first, |reached| reached.min(first)));
        }
        self.reached.is_some_and(|first| first <= position) || self.may_explain(says)
    }

    /// Within an epoch a record has one tag; in a later one it has another, which nobody can compare. What was nobody's had none.
    fn may_explain(&self, says: &LeafSays) -> bool {
        let is_named = |tag: Option<Tag>| tag.is_some_and(|tag| self.tags.contains(&(says.epoch, tag)));
        let is_untagged = says.patient.is_none() && says.record.is_none();
        let is_later = self.newest_epoch.is_some_and(|newest| newest > says.epoch || is_untagged);
        is_later || is_named(says.patient) || is_named(says.record)
    }
}

/// What a table has of what a leaf that erases commits to.
fn note_of(data: &Connection, (table, column): (&str, &str), commitment: &[u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
    if !has_table(data, table)? {
        return Ok(None);
    }
    data.prepare_cached(&format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE commitment = ?"))
        .and_then(|mut statement| statement.query_row([&commitment[..]], |row| row.get(0)).optional())
        .map_err(fault)
}
