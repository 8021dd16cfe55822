//! How often records have changed since the store was opened that say who belongs to whom: what was made of them is so still where this is the same.

use super::makers::Makers;
use super::unit::Unit;
use std::sync::atomic::{AtomicU64, Ordering};

/// Types whose resources say who belongs to whom, but Patients, which change all the time.
pub const PARTIES: [&str; 5] = ["Organization", "Group", "CareTeam", "PractitionerRole", "Practitioner"];
const ORGANISATIONS: [&str; 1] = ["Organization"];

#[derive(Default)]
pub(super) struct Changes {
    organisations: AtomicU64,
    parties: AtomicU64,
    pub makers: Makers,
}

impl Changes {
    /// Counts what was written, or may have been, before anybody is told.
    pub fn note(&self, units: &[Box<Unit>]) {
        self.makers.note(units);
        for (count, types) in [(&self.organisations, &ORGANISATIONS[..]), (&self.parties, &PARTIES[..])] {
            if units.iter().any(|unit| unit.changes(types)) {
                count.fetch_add(1, Ordering::Release);
            }
        }
    }

    pub fn of_organisations(&self) -> u64 {
        self.organisations.load(Ordering::Acquire)
    }

    pub fn of_parties(&self) -> u64 {
        self.parties.load(Ordering::Acquire)
    }
}
