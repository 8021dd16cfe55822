//! Whether some Practitioner may name a patient. Such a one is shown to nobody but its sender, and so must not be named as who did something; where there is
//! none, as nearly everywhere, nobody need look for who did what.

use super::fault;
use super::unit::Unit;
use crate::outcome::Fault;
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};

const TYPE_NAME: &str = "Practitioner";
/// Without any of these in it a record names no patient, and contains nothing that could.
const MARKS: [&str; 3] = ["Patient/", "\"Patient\"", "\"contained\""];
const ANY: &str = "
SELECT EXISTS (SELECT 1 FROM resource r JOIN version v ON v.seq = r.current WHERE r.type = ?
AND (instr(v.document, ?) OR instr(v.document, ?) OR instr(v.document, ?)))";

#[derive(Default)]
pub(super) struct Makers {
    /// Whether it is known that there was none when the store was opened.
    were_none: AtomicBool,
    /// Whether one was written since.
    are_some: AtomicBool,
}

impl Makers {
    /// Looks through those that were stored before.
    pub fn look(&self, data: &Connection) -> Result<(), Fault> {
        let [patient, quoted, contained] = MARKS;
        let any: bool = data.query_row(ANY, [TYPE_NAME, patient, quoted, contained], |row| row.get(0)).map_err(fault)?;
        self.were_none.store(!any, Ordering::Release);
        Ok(())
    }

    /// Notes what is written.
    pub fn note(&self, units: &[Box<Unit>]) {
        let mut written = units.iter().flat_map(|unit| &unit.versions).filter(|version| version.type_name == TYPE_NAME);
        if written.any(|version| MARKS.iter().any(|mark| version.document.contains(mark))) {
            self.are_some.store(true, Ordering::Release);
        }
    }

    pub fn may_name_patients(&self) -> bool {
        !self.were_none.load(Ordering::Acquire) || self.are_some.load(Ordering::Acquire)
    }
}
