//! Which records are one person's, noted among the consents of each of them (`filed.rs`), sealed and counted like these: the table `person`, which they
//! are found by, has no seals, and a consent that was filed about one record of a person counts for all.

use super::fault;
use super::filed::Filing;
use super::people;
use super::unit::PersonChange;
use crate::outcome::Fault;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// What a link's name in a list begins with: no id of a consent holds its stroke.
const LINK: &str = "Patient/";
/// Every two records of one person.
const PAIRS: &str = "
SELECT one.patient, other.patient FROM person one JOIN person other ON other.person = one.person AND other.patient > one.patient
ORDER BY one.patient, other.patient";

/// The record that a name in a list links to; nothing where it is a consent's.
pub(super) fn linked_as(name: &str) -> Option<&str> {
    name.strip_prefix(LINK)
}

fn name_of(patient: &str) -> String {
    format!("{LINK}{patient}")
}

impl Filing {
    /// Changes who is who. What is noted changes by that change alone: a record that somebody took out of the table before stays noted.
    pub(super) fn relate(&mut self, data: &Connection, change: &PersonChange) -> Result<(), Fault> {
        match change {
            PersonChange::Joins { patient, .. } => {
                let before: BTreeSet<String> = people::linked(data, patient)?.into_iter().collect();
                people::apply(data, change)?;
                let after: BTreeSet<String> = people::linked(data, patient)?.into_iter().collect();
                before.difference(&after).try_for_each(|other| self.unlink(data, patient, other))?;
                after.iter().try_for_each(|other| self.link(data, patient, other))
            }
            PersonChange::Leaves { patient } => {
                people::apply(data, change)?;
                noted_with(data, patient)?.iter().try_for_each(|other| self.unlink(data, patient, other))
            }
            PersonChange::Apart { .. } | PersonChange::NotApart { .. } => people::apply(data, change),
        }
    }

    /// Takes a record that is erased out of its person.
    pub(super) fn forget_record(&mut self, data: &Connection, patient: &str) -> Result<(), Fault> {
        self.relate(data, &PersonChange::Leaves { patient: patient.to_owned() })
    }

    /// Notes every link that the table has: it was kept without notes before.
    pub(super) fn note_links(&mut self, data: &Connection) -> Result<(), Fault> {
        let mut statement = data.prepare(PAIRS).map_err(fault)?;
        let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        let pairs: Vec<(String, String)> = pairs.collect::<Result<_, _>>().map_err(fault)?;
        pairs.iter().try_for_each(|(one, other)| self.link(data, one, other))
    }

    fn link(&mut self, data: &Connection, one: &str, other: &str) -> Result<(), Fault> {
        for (patient, other) in [(one, name_of(other)), (other, name_of(one))] {
            if !is_noted(data, patient, &other)? {
                self.put(data, patient, &other, 0)?;
            }
        }
        Ok(())
    }

    fn unlink(&mut self, data: &Connection, one: &str, other: &str) -> Result<(), Fault> {
        for (patient, other) in [(one, name_of(other)), (other, name_of(one))] {
            if is_noted(data, patient, &other)? {
                self.take(data, patient, &other)?;
            }
        }
        Ok(())
    }
}

fn is_noted(data: &Connection, patient: &str, name: &str) -> Result<bool, Fault> {
    data.prepare_cached("SELECT 1 FROM filed WHERE patient = ? AND consent = ?")
        .and_then(|mut statement| statement.exists(params![patient, name]))
        .map_err(fault)
}

/// The records that are noted with this one, or with which it is.
fn noted_with(data: &Connection, patient: &str) -> Result<BTreeSet<String>, Fault> {
    let sql = "SELECT patient FROM filed WHERE consent = ?2 UNION SELECT substr(consent, ?3) FROM filed WHERE patient = ?1 AND consent > ?4 AND consent < ?5";
    let after = format!("{}0", LINK.trim_end_matches('/'));
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let rows = params![patient, name_of(patient), LINK.len() + 1, LINK, after];
    let others = statement.query_map(rows, |row| row.get(0)).map_err(fault)?;
    others.collect::<Result<_, _>>().map_err(fault)
}
