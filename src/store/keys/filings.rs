//! How far the count of consents noted under each patient has come, kept with the patient's key: apart from the data, so that data from before a consent
//! cannot pass for the newest. It is written after the data, and never ahead of it; a crash in between leaves it one behind until the next consent.

use super::super::fault;
use super::{Keyring, Opened, State, open};
use crate::outcome::Fault;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Brings up a key store from before this was kept.
const COLUMN: &str = "ALTER TABLE patient ADD COLUMN filed INTEGER NOT NULL DEFAULT 0";
/// The layout's number of a key store whose data note which records are one person's.
const LINKS_NOTED: i32 = 1;

impl Keyring {
    /// How often counts have been kept since this was opened: what a reading begins with, so that it is held against nothing that came after it.
    pub(in crate::store) fn filings_kept(&self) -> u64 {
        self.inner.filings.load(Ordering::Acquire)
    }

    /// How far the count of a patient had come when a reading began: nothing where it came there later, and where the patient has no key.
    pub(in crate::store) fn filings_of(&self, patient: &str, began: u64) -> Result<u64, Fault> {
        let name = self.patient_name(patient);
        let opened = self.opened(&mut self.state(), &name)?;
        Ok(opened.filter(|opened| opened.kept_as <= began).map_or(0, |opened| opened.filed))
    }

    /// Keeps how far counts have come, synced when this returns. None goes back.
    pub(in crate::store) fn keep_filings(&self, counts: &BTreeMap<String, u64>) -> Result<(), Fault> {
        let mut guard = self.state();
        let state = &mut *guard;
        let transaction = state.file.transaction().map_err(fault)?;
        for (patient, count) in counts {
            transaction
                .prepare_cached("UPDATE patient SET filed = max(filed, ?) WHERE name = ?")
                .and_then(|mut statement| statement.execute(params![count, &self.patient_name(patient)[..]]))
                .map_err(fault)?;
        }
        transaction.commit().map_err(fault)?;
        let kept_as = self.filings_kept() + 1;
        for (patient, count) in counts {
            if let Some(opened) = state.opened.get_mut(&self.patient_name(patient)) {
                (opened.filed, opened.kept_as) = (opened.filed.max(*count), kept_as);
            }
        }
        self.inner.filings.store(kept_as, Ordering::Release);
        Ok(())
    }

    /// Takes the data for the newest there is: no count is known until it is kept again.
    pub(in crate::store) fn forget_filings(&self) -> Result<(), Fault> {
        let mut state = self.state();
        state.opened.clear();
        state.file.execute("UPDATE patient SET filed = 0 WHERE filed <> 0", []).map_err(fault)?;
        drop(state);
        self.links_are_noted(false)
    }

    /// Whether it was noted once, with the consents, which records are one person's. It stands apart from the data, in which anybody who can write there
    /// could ask for it again.
    pub(in crate::store) fn are_links_noted(&self) -> Result<bool, Fault> {
        self.state()
            .file
            .query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0))
            .map(|layout| layout == LINKS_NOTED)
            .map_err(fault)
    }

    pub(in crate::store) fn links_are_noted(&self, are_noted: bool) -> Result<(), Fault> {
        if self.are_links_noted()? == are_noted {
            return Ok(());
        }
        self.state().file.pragma_update(None, "user_version", if are_noted { LINKS_NOTED } else { 0 }).map_err(fault)
    }

    /// What is kept under a name; nothing where no key was made.
    pub(super) fn opened(&self, state: &mut State, name: &[u8; 32]) -> Result<Option<Opened>, Fault> {
        if let Some(opened) = state.opened.get(name) {
            return Ok(Some(*opened));
        }
        let stored: Option<(Vec<u8>, u64)> = state
            .file
            .prepare_cached("SELECT sealed, filed FROM patient WHERE name = ?")
            .and_then(|mut statement| statement.query_row([&name[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(fault)?;
        let Some((sealed, filed)) = stored else { return Ok(None) };
        let opened = Opened { secret: open(&self.inner.gateway, name, sealed)?, filed, kept_as: self.filings_kept() };
        state.remember(*name, opened);
        Ok(Some(opened))
    }
}

pub(super) fn prepare(file: &Connection) -> Result<(), Fault> {
    let found = file.query_row("SELECT 1 FROM pragma_table_info('patient') WHERE name = 'filed'", [], |_| Ok(())).optional();
    if found.map_err(fault)?.is_none() {
        file.execute_batch(COLUMN).map_err(fault)?;
    }
    Ok(())
}
