//! How many leaves a group of commits adds to the log: as many as whoever submitted or asked something can count on their own, with some room, up to a
//! multiple of `[ledger] grows_by`. In that room stands what nobody is to know of, and what says nothing fills the rest.

use super::held::{self, Act};
use super::rows::Begun;
use super::unit::{LeafDraft, Unit, VersionDraft};
use super::writer::Writer;
use crate::ledger::Edge;
use crate::outcome::Fault;
use std::collections::VecDeque;

/// So many quarters of `grows_by` there is room for beside what is counted.
const ROOM_QUARTERS: u64 = 3;
/// Leaves that may be noted of each Patient who is registered: that they are somebody who is known, one for each record of theirs.
const NOTED_OF_A_PATIENT: u64 = 4;
/// From so many acts that are kept back on there is more room, whoever asked what: for this part of them, so that they do not become ever more.
const MANY_HELD: u64 = 512;
const PART_OF_MANY: u64 = 8;
const MIN_ROOM_FOR_MANY: u64 = 256;
/// How many acts that are kept back are counted.
const MAX_COUNTED: u64 = 65_536;

/// What a part of a group adds to the log.
pub(super) struct Level<'u> {
    /// The size of the log where it began.
    start: u64,
    /// Leaves beside which room is left, for nobody is to know of them.
    unseen: u64,
    /// Patients that are registered or changed.
    patients: u64,
    /// Acts that nobody is to know of and that have no place yet.
    waiting: VecDeque<(&'u VersionDraft, &'u LeafDraft)>,
}

impl<'u> Level<'u> {
    pub(super) fn at(edge: &Edge) -> Level<'u> {
        Level { start: edge.size(), unseen: 0, patients: 0, waiting: VecDeque::new() }
    }

    /// What is to come of a unit.
    pub(super) fn expect(&mut self, unit: &Unit) {
        self.patients += unit.versions.iter().filter(|version| version.place.is_some() && version.type_name == "Patient").count() as u64;
    }

    /// Leaves were written that nobody is to know of.
    pub(super) fn hides(&mut self, leaves: u64) {
        self.unseen += leaves;
    }

    pub(super) fn waits(&mut self, act: (&'u VersionDraft, &'u LeafDraft)) {
        self.waiting.push_back(act);
    }

    /// To what size the log is to grow. Who lets it grow by single leaves hides none; and where nothing was written, nothing is to be hidden.
    fn target(&self, size: u64, grows_by: u64, held: u64) -> u64 {
        let grown = size - self.start;
        if grows_by == 1 || grown == 0 {
            return if grows_by == 1 { size + self.waiting.len() as u64 } else { size };
        }
        let room = (grows_by * ROOM_QUARTERS / 4).max(self.patients * NOTED_OF_A_PATIENT);
        let room = if held > MANY_HELD { room + (held / PART_OF_MANY).max(MIN_ROOM_FOR_MANY) } else { room };
        self.start + (grown.saturating_sub(self.unseen) + room).max(grown).next_multiple_of(grows_by)
    }
}

impl Writer {
    /// Lets the log grow to where it is to: by what was kept back, by what waits for a place here, and by leaves that say nothing. Nothing where all leaves are
    /// others'.
    pub(super) fn level(&mut self, level: &mut Level<'_>, edge: &mut Edge) -> Result<(), Fault> {
        let Some(like) = self.newest_own.clone() else { return Ok(()) };
        let target = level.target(edge.size(), self.grows_by, held::count(&self.data, MAX_COUNTED)?);
        let kept_back = held::take(&self.data, self.sealer.of_notes(), target.saturating_sub(edge.size()), &mut self.damaged_acts)?;
        kept_back.iter().try_for_each(|act| self.write_act((&act.version, &act.leaf), edge))?;
        while edge.size() < target
            && let Some(act) = level.waiting.pop_front()
        {
            self.write_act(act, edge)?;
        }
        while edge.size() < target {
            let Some(blank) = self.counting.blank(&like, &self.keyring.drawn()) else { break };
            self.insert_leaf(&blank, edge)?;
        }
        (level.start, level.unseen, level.patients) = (edge.size(), 0, 0);
        Ok(())
    }

    /// Keeps back what has found no place.
    pub(super) fn keep_back(&self, level: Level<'_>) -> Result<(), Fault> {
        level.waiting.iter().try_for_each(|(version, leaf)| held::keep_back(&self.data, self.sealer.of_notes(), version, leaf))
    }

    /// Writes what was kept back and is wanted now.
    pub(super) fn write_released(&mut self, level: &mut Level<'_>, edge: &mut Edge) -> Result<(), Fault> {
        for whose in self.releasing.clone() {
            let acts: Vec<Act> = held::take_of(&self.data, self.sealer.of_notes(), &whose)?;
            acts.iter().try_for_each(|act| self.write_act((&act.version, &act.leaf), edge))?;
            level.hides(acts.len() as u64);
        }
        Ok(())
    }

    /// Writes what waits for a place, before something is erased that it may be about.
    pub(super) fn write_waiting(&mut self, level: &mut Level<'_>, edge: &mut Edge) -> Result<(), Fault> {
        while let Some(act) = level.waiting.pop_front() {
            self.write_act(act, edge)?;
            level.hides(1);
        }
        Ok(())
    }

    fn write_act(&mut self, (version, leaf): (&VersionDraft, &LeafDraft), edge: &mut Edge) -> Result<(), Fault> {
        let position = self.append(leaf, edge)?;
        self.insert_version(version, None, Some((position, 1, leaf)))
    }

    /// Writes what stands beside a unit, unless that is written, or keeps it for the room that the group leaves.
    pub(super) fn finish_unit<'u>(&mut self, begun: &mut Begun<'u>, level: &mut Level<'u>, edge: &mut Edge) -> Result<(), Fault> {
        if begun.outcome.is_none() {
            self.write_versions(begun, true, Some(level), edge)?;
            begun.end();
        }
        Ok(())
    }
}
