//! Which records are one person's, noted among the consents of each of them (`filed.rs`), sealed and counted like these: the table `person`, which they
//! are found by, has no seals, and a consent that was filed about one record of a person counts for all.

use super::fault;
use super::filed::Filing;
use super::people::{self, CROWD, MAX_PERSON_RECORDS};
use super::unit::PersonChange;
use crate::outcome::Fault;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// What a link's name in a list begins with: no id of a consent holds its stroke.
const LINK: &str = "Patient/";
/// The name that no link's comes up to.
const AFTER_LINKS: &str = "Patient0";
/// How a link stands, where a consent's version does: the records are one person's.
const LINKED: u32 = 0;
/// What their sources say tells them apart by now, or other records keep them from being linked. Nobody who is entitled to has said that they are not one
/// person's, and what is filed about either denies for both.
const PARTED: u32 = 1;
/// Every two records of one person.
const PAIRS: &str = "
SELECT one.patient, other.patient FROM person one JOIN person other ON other.person = one.person AND other.patient > one.patient
ORDER BY one.patient, other.patient";

/// A link in a list, to the record that it leads to.
pub(super) enum Link<'n> {
    Linked(&'n str),
    Parted(&'n str),
}

/// What a row of a list links to; nothing where it is a consent's.
pub(super) fn link_of(name: &str, state: u32) -> Option<Link<'_>> {
    let record = name.strip_prefix(LINK)?;
    Some(if state == LINKED { Link::Linked(record) } else { Link::Parted(record) })
}

fn name_of(patient: &str) -> String {
    format!("{LINK}{patient}")
}

impl Filing {
    /// Changes who is who. What is noted changes by that change alone: a record that somebody took out of the table before stays noted. Whoever sends a
    /// record can take it out of its person, and not out of the reach of what was filed before: that ends where they are said to be two persons'.
    pub(super) fn relate(&mut self, data: &Connection, change: &PersonChange) -> Result<(), Fault> {
        match change {
            PersonChange::Joins { patient, .. } => {
                let before: BTreeSet<String> = people::linked(data, patient)?.into_iter().collect();
                people::apply(data, change)?;
                let after: BTreeSet<String> = people::linked(data, patient)?.into_iter().collect();
                before.difference(&after).try_for_each(|other| self.part(data, patient, other))?;
                after.iter().try_for_each(|other| self.link(data, patient, other))
            }
            PersonChange::Leaves { patient } => {
                people::apply(data, change)?;
                noted_with(data, patient)?.iter().try_for_each(|other| self.part(data, patient, other))
            }
            PersonChange::Apart { one, other } => {
                people::apply(data, change)?;
                let is_parted = state_of(data, one, &name_of(other))? == Some(PARTED);
                if is_parted { self.unlink(data, one, other) } else { Ok(()) }
            }
            PersonChange::NotApart { .. } => people::apply(data, change),
            PersonChange::Doubted { one, other } => {
                if state_of(data, one, &name_of(other))?.is_some() {
                    return Ok(());
                }
                if other == CROWD {
                    return self.put(data, one, &name_of(other), PARTED);
                }
                [one, other].into_iter().try_for_each(|patient| self.forget_deleted(data, patient))?;
                self.note_link(data, (one, other), PARTED)
            }
        }
    }

    /// Forgets which deleted records were in doubt with one, where there are many: whoever writes and deletes records must not fill a list with them. Of
    /// few each is kept, since what a patient signed under a number may be filed after its record was merged and deleted.
    fn forget_deleted(&mut self, data: &Connection, patient: &str) -> Result<(), Fault> {
        let sql = "SELECT substr(f.consent, ?2) FROM filed f JOIN resource r ON r.type = 'Patient' AND r.id = substr(f.consent, ?2)
                   WHERE f.patient = ?1 AND f.consent > ?3 AND f.consent < ?4 AND f.version = ?5 AND r.deleted = 1";
        let mut statement = data.prepare_cached(sql).map_err(fault)?;
        let deleted = statement.query_map(params![patient, LINK.len() + 1, LINK, AFTER_LINKS, PARTED], |row| row.get(0)).map_err(fault)?;
        let deleted: Vec<String> = deleted.collect::<Result<_, _>>().map_err(fault)?;
        if deleted.len() < MAX_PERSON_RECORDS {
            return Ok(());
        }
        for other in deleted {
            if !has_consents(data, &other)? {
                self.unlink(data, patient, &other)?;
            }
        }
        Ok(())
    }

    /// Takes a record that is erased out of its person, with what was filed about it.
    pub(super) fn forget_record(&mut self, data: &Connection, patient: &str) -> Result<(), Fault> {
        people::apply(data, &PersonChange::Leaves { patient: patient.to_owned() })?;
        noted_with(data, patient)?.iter().try_for_each(|other| self.unlink(data, patient, other))
    }

    /// Notes every link that the table has: it was kept without notes before.
    pub(super) fn note_links(&mut self, data: &Connection) -> Result<(), Fault> {
        let mut statement = data.prepare(PAIRS).map_err(fault)?;
        let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        let pairs: Vec<(String, String)> = pairs.collect::<Result<_, _>>().map_err(fault)?;
        pairs.iter().try_for_each(|(one, other)| self.link(data, one, other))
    }

    fn link(&mut self, data: &Connection, one: &str, other: &str) -> Result<(), Fault> {
        self.note_link(data, (one, other), LINKED)
    }

    /// Two records are one person's no longer. Where nothing was filed about either, nothing is left of the link.
    fn part(&mut self, data: &Connection, one: &str, other: &str) -> Result<(), Fault> {
        match has_consents(data, one)? || has_consents(data, other)? {
            true => self.note_link(data, (one, other), PARTED),
            false => self.unlink(data, one, other),
        }
    }

    fn note_link(&mut self, data: &Connection, (one, other): (&str, &str), state: u32) -> Result<(), Fault> {
        for (patient, other) in [(one, name_of(other)), (other, name_of(one))] {
            if state_of(data, patient, &other)? != Some(state) {
                self.put(data, patient, &other, state)?;
            }
        }
        Ok(())
    }

    fn unlink(&mut self, data: &Connection, one: &str, other: &str) -> Result<(), Fault> {
        for (patient, other) in [(one, name_of(other)), (other, name_of(one))] {
            if state_of(data, patient, &other)?.is_some() {
                self.take(data, patient, &other)?;
            }
        }
        Ok(())
    }
}

/// How a link stands, where it is noted.
fn state_of(data: &Connection, patient: &str, name: &str) -> Result<Option<u32>, Fault> {
    data.prepare_cached("SELECT version FROM filed WHERE patient = ? AND consent = ?")
        .and_then(|mut statement| statement.query_row(params![patient, name], |row| row.get(0)).optional())
        .map_err(fault)
}

/// Whether anything was ever filed about a record.
fn has_consents(data: &Connection, patient: &str) -> Result<bool, Fault> {
    data.prepare_cached("SELECT 1 FROM filed WHERE patient = ?1 AND consent > '' AND NOT (consent > ?2 AND consent < ?3)")
        .and_then(|mut statement| statement.exists(params![patient, LINK, AFTER_LINKS]))
        .map_err(fault)
}

/// The records that are noted with this one, or with which it is.
fn noted_with(data: &Connection, patient: &str) -> Result<BTreeSet<String>, Fault> {
    let sql = "SELECT patient FROM filed WHERE consent = ?2 UNION SELECT substr(consent, ?3) FROM filed WHERE patient = ?1 AND consent > ?4 AND consent < ?5";
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let rows = params![patient, name_of(patient), LINK.len() + 1, LINK, AFTER_LINKS];
    let others = statement.query_map(rows, |row| row.get(0)).map_err(fault)?;
    others.collect::<Result<_, _>>().map_err(fault)
}
