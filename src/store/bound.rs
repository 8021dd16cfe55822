//! That data and keys belong together. The data remembers which key store it rests on, how often keys had been written there when it was
//! committed, and what was destroyed ([`destroyed`]); the key store remembers the same of itself. A start compares the two, whatever their size: keys
//! that are behind the data, or another store's, are refused. For every patient whose key is not there a new one would be drawn, and a history cut off
//! by it would prove complete.

use super::keys::{Keyring, Standing, derived};
use super::{destroyed, fault};
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, params};

/// What the data says of the keys it rests on.
struct Bound {
    store: Vec<u8>,
    gateway: Vec<u8>,
    written: u64,
}

/// Refuses keys that are not the data's or behind it, and sees to it that what is to be gone is. Data from before this was kept is bound now.
pub(super) fn check(data: &Connection, keyring: &Keyring) -> Result<(), Fault> {
    let standing = keyring.standing()?;
    let bound = data
        .query_row("SELECT store, gateway, written FROM bound", [], |row| {
            Ok(Bound { store: row.get(0)?, gateway: row.get(1)?, written: row.get(2)? })
        })
        .optional()
        .map_err(fault)?;
    match bound {
        Some(bound) => compare(&bound, &standing, &gateway_of(keyring))?,
        None => bind(data, keyring, &standing)?,
    }
    destroyed::check(data, keyring)
}

/// What is noted of the gateway key the data was written under, which tells nothing of it, is derived from it by this.
const PURPOSE: &str = "bound";

fn gateway_of(keyring: &Keyring) -> [u8; 32] {
    keyring.derived(PURPOSE)
}

/// Whether the data was written under this gateway key, as far as it says.
pub(super) fn is_of_gateway(data: &Connection, gateway: &[u8; 32]) -> Result<bool, Fault> {
    let bound: Option<Vec<u8>> = data.query_row("SELECT gateway FROM bound", [], |row| row.get(0)).optional().map_err(fault)?;
    Ok(bound.is_none_or(|bound| bound == derived(gateway, PURPOSE)))
}

fn compare(bound: &Bound, standing: &Standing, gateway: &[u8; 32]) -> Result<(), Fault> {
    if bound.gateway != gateway {
        return Err(refused("keys/gateway.key is another than the one this data was written with"));
    }
    if bound.store != standing.store {
        return Err(refused("keys/keys.db is another key store than the one this data rests on, or was lost"));
    }
    if standing.written < bound.written {
        return Err(refused("keys/keys.db is older than the data: keys that records and patients here rest on are not in it"));
    }
    Ok(())
}

fn refused(what: &str) -> Fault {
    Fault::new(
        FaultKind::Storage,
        format!("{what}. Put back the newest; without it nothing written since can be proved, and nothing is served on keys drawn anew."),
    )
}

/// Remembers the key store, provided that it has the key of the newest version that has one.
fn bind(data: &Connection, keyring: &Keyring, standing: &Standing) -> Result<(), Fault> {
    let newest: Option<Vec<u8>> = data
        .query_row("SELECT key FROM version WHERE key IS NOT NULL ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(fault)?;
    if let Some(key) = newest
        && !keyring.has_record(&key)?
    {
        return Err(refused("keys/keys.db does not have the keys that this data rests on"));
    }
    data.execute(
        "INSERT INTO bound (one, store, gateway, written) VALUES (1, ?, ?, ?)",
        params![standing.store, &gateway_of(keyring)[..], standing.written],
    )
    .map(drop)
    .map_err(fault)
}

/// Notes, with the data that needs them, how often keys have been written.
pub(super) fn note_written(data: &Connection, written: u64) -> Result<(), Fault> {
    let noted = data.prepare_cached("UPDATE bound SET written = ?").and_then(|mut statement| statement.execute([written]));
    noted.map(drop).map_err(fault)
}
