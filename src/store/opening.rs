//! Opening the data file, once for writing and often for reading, and keeping other processes out of its folder.

use super::{StoreSettings, fault};
use crate::outcome::{Fault, FaultKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// How many prepared statements a connection keeps.
const STATEMENT_CACHE: usize = 128;

/// Held by one process at a time.
pub(super) fn lock_folder(folder: &Path) -> Result<File, Fault> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Fault::new(FaultKind::Storage, format!("open lock file: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!("{}: another process has this data folder open", folder.display());
            Err(Fault::new(FaultKind::Storage, text))
        }
        Err(TryLockError::Error(error)) => Err(Fault::new(FaultKind::Storage, format!("lock data folder: {error}"))),
    }
}

pub(super) fn data_file(folder: &Path) -> PathBuf {
    folder.join("data.db")
}

/// The writer's connection: the only one that changes anything.
pub(super) fn open_data(settings: &StoreSettings) -> Result<Connection, Fault> {
    let connection = Connection::open(data_file(&settings.folder)).map_err(fault)?;
    configure(&connection, settings)?;
    let page_bytes: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(fault)?;
    let pages = (settings.max_bytes / page_bytes.max(1)).max(1);
    connection.pragma_update(None, "max_page_count", i64::try_from(pages).unwrap_or(i64::MAX)).map_err(fault)?;
    Ok(connection)
}

pub(super) fn open_reader(settings: &StoreSettings) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(data_file(&settings.folder), flags).map_err(fault)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// Every commit is synced, what is deleted is overwritten, and the write-ahead log is folded by the gateway alone.
pub(super) fn configure(connection: &Connection, settings: &StoreSettings) -> Result<(), Fault> {
    keep_statements(connection)?;
    let cache_kib = i64::try_from(settings.cache_bytes / 1024).unwrap_or(i64::MAX);
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fault)?;
    if mode != "wal" {
        return Err(Fault::new(FaultKind::Storage, format!("the data file cannot use a write-ahead log (mode {mode})")));
    }
    for (pragma, value) in [
        ("synchronous", 2),
        ("cache_size", -cache_kib),
        ("foreign_keys", 0),
        ("wal_autocheckpoint", 0),
        ("temp_store", 2),
        ("secure_delete", 1),
    ] {
        connection.pragma_update(None, pragma, value).map_err(fault)?;
    }
    Ok(())
}

/// Statements are prepared once. Unless it is told that plans must be stable, SQLite plans a statement anew whenever its limit is bound.
fn keep_statements(connection: &Connection) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop).map_err(fault)
}
