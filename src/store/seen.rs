//! What a witness has cosigned of other logs: per log the last tree, in a file of its own.

use super::fault;
use crate::ledger::Hash;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const TABLES: &str = "CREATE TABLE IF NOT EXISTS seen (
  name BLOB PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;";

/// The memory of a witness. Cheap to clone.
#[derive(Clone)]
pub struct Seen {
    file: Arc<Mutex<Connection>>,
}

/// What is remembered of a log.
struct Row {
    size: u64,
    root: Vec<u8>,
    note: String,
    seal: Vec<u8>,
}

impl Seen {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Seen, Fault> {
        let file = Connection::open(path).map_err(fault)?;
        let _mode: String = file.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fault)?;
        file.pragma_update(None, "synchronous", 2).map_err(fault)?;
        file.execute_batch(TABLES).map_err(fault)?;
        Ok(Seen { file: Arc::new(Mutex::new(file)) })
    }

    /// Judges what is new of a log by what was cosigned last, and remembers it with the cosigned checkpoint, both in one step: synced when
    /// this returns. `decide` gives the new size and root and the checkpoint to be kept, or says no.
    pub fn advance<T, E>(
        &self,
        origin: &str,
        decide: impl FnOnce(Option<(u64, Hash)>) -> Result<(u64, Hash, String, T), E>,
    ) -> Result<Result<T, E>, Fault> {
        let name: [u8; 32] = Sha256::digest(origin).into();
        let mut file = self.file();
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
        let row = row(&transaction, &name)?;
        let last = row.map(|row| checked(&name, row).map(|(size, root, _)| (size, root))).transpose()?;
        let (size, root, note, value) = match decide(last) {
            Ok(decided) => decided,
            Err(no) => return Ok(Err(no)),
        };
        let seal = seal(&name, size, &root, &note);
        transaction
            .execute(
                "INSERT OR REPLACE INTO seen (name, origin, size, root, note, seal) VALUES (?, ?, ?, ?, ?, ?)",
                params![&name[..], origin, size, &root.0[..], note, &seal[..]],
            )
            .map_err(fault)?;
        transaction.commit().map_err(fault)?;
        Ok(Ok(value))
    }

    /// Does something by what was cosigned last of the log whose origin has this SHA-256, while nothing else is cosigned.
    pub fn holding<T>(&self, name: &[u8; 32], act: impl FnOnce(Option<String>) -> T) -> Result<T, Fault> {
        let file = self.file();
        let row = row(&file, name)?;
        Ok(act(row.map(|row| checked(name, row).map(|(_, _, note)| note)).transpose()?))
    }

    /// The checkpoint cosigned last of the log whose origin has this SHA-256.
    pub fn checkpoint(&self, name: &[u8; 32]) -> Result<Option<String>, Fault> {
        self.holding(name, |note| note)
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(connection: &Connection, name: &[u8; 32]) -> Result<Option<Row>, Fault> {
    connection
        .prepare_cached("SELECT size, root, note, seal FROM seen WHERE name = ?")
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok(Row { size: row.get(0)?, root: row.get(1)?, note: row.get(2)?, seal: row.get(3)? });
            statement.query_row([&name[..]], read).optional()
        })
        .map_err(fault)
}

/// A row that is as it was written: a damaged one must not let a log go back.
fn checked(name: &[u8; 32], row: Row) -> Result<(u64, Hash, String), Fault> {
    let damaged = || Fault::new(FaultKind::StorageCorrupt, "what was cosigned of a log is not as it was written");
    let root = Hash(row.root.try_into().map_err(|_| damaged())?);
    if row.seal != seal(name, row.size, &root, &row.note) {
        return Err(damaged());
    }
    Ok((row.size, root, row.note))
}

fn seal(name: &[u8; 32], size: u64, root: &Hash, note: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update(size.to_be_bytes());
    hasher.update(root.0);
    hasher.update(note);
    hasher.finalize().into()
}
