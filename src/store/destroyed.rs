//! Which keys were destroyed. The data keeps a label of each, numbered; a label was drawn, and leads to nobody. Keys that come back with a backup are
//! destroyed again by it.
//!
//! The key store remembers up to which number it has destroyed, how many labels there were and a chain over them, made with the gateway's key: labels that
//! were taken out of the data, or put in the place of others, are missed by a start and by `ledger fsck --data`.

use super::fault;
use super::keys::{Keyring, derived, hmac};
use crate::outcome::{Fault, FaultKind};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;

/// The key of the chain is derived from the gateway's by this.
const PURPOSE: &str = "destroyed";

/// What a key store says of the labels up to the last key it destroyed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The number of the last.
    pub number: u64,
    pub count: u64,
    pub chain: [u8; 32],
}

impl Told {
    fn with(self, key: &[u8; 32], number: u64, label: &[u8]) -> Told {
        Told { number, count: self.count + 1, chain: hmac(key, &[&self.chain, &number.to_be_bytes(), label]) }
    }

    /// What is told once the labels are noted that the data has behind this, with these.
    fn followed(self, data: &Connection, key: &[u8; 32], up_to: u64) -> Result<(Told, Vec<Vec<u8>>), Fault> {
        let mut statement = data
            .prepare("SELECT number, CAST(label AS BLOB) FROM destroyed WHERE number > ? AND number <= ? ORDER BY number")
            .map_err(fault)?;
        let rows = statement.query_map([self.number, up_to], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        let (mut told, mut labels) = (self, Vec::new());
        for row in rows {
            let (number, label): (u64, Vec<u8>) = row.map_err(fault)?;
            told = told.with(key, number, &label);
            labels.push(label);
        }
        Ok((told, labels))
    }
}

/// Destroys what the data says was destroyed and the key store does not know of, and says where labels are missing of what it does know of. A key store
/// from before it told of labels takes those that are there for all.
pub(super) fn check(data: &Connection, keyring: &Keyring) -> Result<(), Fault> {
    let Some(told) = keyring.destroyed()? else {
        take_for_all(data, keyring)?;
        return check(data, keyring);
    };
    let count = count(data, told.number)?;
    if count != told.count {
        tracing::error!("{}", missing(count, told.count));
    }
    let (again, labels) = told.followed(data, &keyring.derived(PURPOSE), i64::MAX.unsigned_abs())?;
    if labels.is_empty() {
        return Ok(());
    }
    tracing::warn!(keys = labels.len(), "keys/keys.db is from before an erasure: what was destroyed then is destroyed again");
    keyring.destroy(&keyring.names(&labels)?, again)
}

/// Takes the labels that are there for all that there are.
pub(super) fn take_for_all(data: &Connection, keyring: &Keyring) -> Result<(), Fault> {
    let number = keyring.standing()?.destroyed;
    let (told, _) = Told::default().followed(data, &keyring.derived(PURPOSE), number)?;
    keyring.tell_destroyed(Told { number, ..told })
}

/// Notes what is about to be destroyed, synced when this returns, and what the key store is to tell of it.
pub(super) fn note(data: &Connection, keyring: &Keyring, names: &[Vec<u8>]) -> Result<Told, Fault> {
    let told = keyring.destroyed()?.unwrap_or_default();
    let noted: u64 = data.query_row("SELECT coalesce(max(number), 0) FROM destroyed", [], |row| row.get(0)).map_err(fault)?;
    let mut number = noted.max(told.number);
    let transaction = data.unchecked_transaction().map_err(fault)?;
    for label in keyring.labels(names)? {
        let sql = "INSERT OR IGNORE INTO destroyed (number, label) VALUES (?, ?)";
        // Where a crash came in between it is noted already.
        number += transaction.execute(sql, params![number + 1, label]).map_err(fault)? as u64;
    }
    transaction.commit().map_err(fault)?;
    Ok(Told { number, ..told.followed(data, &keyring.derived(PURPOSE), number)?.0 })
}

fn count(data: &Connection, number: u64) -> Result<u64, Fault> {
    data.query_row("SELECT count(*) FROM destroyed WHERE number <= ?", [number], |row| row.get(0)).map_err(fault)
}

fn missing(there: u64, told: u64) -> String {
    format!(
        "data.db: the labels of destroyed keys are not all there, or others ({there} of {told}): a key that a backup brings back may not be destroyed again"
    )
}

/// What the key store in a folder tells, where there is one. Read before the data, which never has less.
pub(super) fn told_in(folder: &Path) -> Result<Option<Told>, Fault> {
    let path = folder.join("keys.db");
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    read(&Connection::open_with_flags(path, flags).map_err(fault)?)
}

/// Holds the labels against what is told of them: how many, and with the gateway's key which.
pub(super) fn compare(data: &Connection, told: Told, gateway: Option<&[u8; 32]>, problems: &mut Vec<String>) -> Result<(), Fault> {
    let there = match gateway {
        Some(gateway) => Told::default().followed(data, &derived(gateway, PURPOSE), told.number)?.0,
        None => Told { count: count(data, told.number)?, ..told },
    };
    if there.count != told.count || verify_slices_are_equal(&there.chain, &told.chain).is_err() {
        problems.push(missing(there.count, told.count));
    }
    Ok(())
}

/// What a key store tells; nothing where it is from before it did.
pub(super) fn read(keys: &Connection) -> Result<Option<Told>, Fault> {
    if !has_columns(keys)? {
        return Ok(None);
    }
    let row: Option<(u64, Option<u64>, Option<Vec<u8>>)> = keys
        .query_row("SELECT destroyed, labels, chain FROM standing", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(fault)?;
    let Some((number, Some(count), Some(chain))) = row else { return Ok(None) };
    let chain = chain.try_into().map_err(|_| Fault::new(FaultKind::StorageCorrupt, "keys.db tells of destroyed keys what it cannot"))?;
    Ok(Some(Told { number, count, chain }))
}

/// Notes in a key store what it tells from now on.
pub(super) fn write(keys: &Connection, told: Told) -> Result<(), Fault> {
    let row = params![told.number, told.count, &told.chain[..]];
    keys.execute("UPDATE standing SET destroyed = max(destroyed, ?), labels = ?, chain = ?", row).map(drop).map_err(fault)
}

/// Brings up a key store from before this was kept.
pub(super) fn prepare(keys: &Connection) -> Result<(), Fault> {
    if has_columns(keys)? {
        return Ok(());
    }
    let columns = "BEGIN; ALTER TABLE standing ADD COLUMN labels INTEGER; ALTER TABLE standing ADD COLUMN chain BLOB; COMMIT;";
    keys.execute_batch(columns).map_err(fault)
}

fn has_columns(keys: &Connection) -> Result<bool, Fault> {
    let found = keys.query_row("SELECT 1 FROM pragma_table_info('standing') WHERE name = 'chain'", [], |_| Ok(())).optional();
    found.map(|found| found.is_some()).map_err(fault)
}
