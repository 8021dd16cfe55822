//! What a start has sealed of data from before it was sealed, kept apart from the data: what is told to be unsealed there afterwards is not sealed again,
//! or whoever can write in the database had the next start bear out what they wrote.

use super::super::fault;
use super::Keyring;
use crate::outcome::Fault;
use rusqlite::Connection;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS filled (what TEXT PRIMARY KEY) WITHOUT ROWID";

impl Keyring {
    pub(in crate::store) fn is_filled(&self, what: &str) -> Result<bool, Fault> {
        let state = self.state();
        state.file.query_row("SELECT EXISTS (SELECT 1 FROM filled WHERE what = ?)", [what], |row| row.get(0)).map_err(fault)
    }

    /// Synced when this returns.
    pub(in crate::store) fn tell_filled(&self, what: &str) -> Result<(), Fault> {
        self.state().file.execute("INSERT OR IGNORE INTO filled (what) VALUES (?)", [what]).map(drop).map_err(fault)
    }

    /// Takes the data as it is: it is sealed anew.
    pub(in crate::store) fn forget_filled(&self) -> Result<(), Fault> {
        self.state().file.execute("DELETE FROM filled", []).map(drop).map_err(fault)
    }
}

pub(super) fn prepare(file: &Connection) -> Result<(), Fault> {
    file.execute_batch(TABLE).map_err(fault)
}
