//! Which leaves stand for nothing any more, noted by the erasures that took what they stood for.
//!
//! A leaf that erases names what it took from others' trails, and of whoever was erased nothing. So that a row somebody else took away is not called
//! erased, the positions are noted beside it, of all erasures together: it tells no more than the rows that lack. Each has a seal, which nobody makes
//! without the gateway's key. So have the bodies that were emptied, in the place of their digest, and the leaves that erase and that nothing opens.

use super::fault;
use super::keys::hmac;
use super::seal::Sealer;
use crate::outcome::Fault;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{Connection, params};

/// The first leaf and the number of leaves of what goes.
const GOING: &str = "SELECT leaf, leaves FROM version WHERE seq IN (SELECT seq FROM temp.going) AND leaf IS NOT NULL";

/// Notes the leaves of the versions that are about to go.
pub(super) fn note(data: &Connection, sealer: &Sealer) -> Result<(), Fault> {
    let mut going = data.prepare(GOING).map_err(fault)?;
    let mut rows = going.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let (first, count): (u64, u64) = (row.get(0).map_err(fault)?, row.get(1).map_err(fault)?);
        for position in first..first.saturating_add(count) {
            data.prepare_cached("INSERT OR REPLACE INTO emptied (position, seal) VALUES (?, ?)")
                .and_then(|mut statement| statement.execute(params![position, &seal(sealer, position)[..]]))
                .map_err(fault)?;
        }
    }
    Ok(())
}

/// Whether this is the seal of a note.
pub(super) fn holds(sealer: &Sealer, position: u64, found: &[u8]) -> bool {
    verify_slices_are_equal(&seal(sealer, position), found).is_ok()
}

/// What was received of what goes.
const RECEIVED: &str =
    "INSERT OR IGNORE INTO temp.received SELECT raw FROM version WHERE seq IN (SELECT seq FROM temp.going) AND raw IS NOT NULL";

/// Empties what was received of the versions that are about to go.
pub(super) fn empty_received(data: &Connection, sealer: &Sealer) -> Result<(), Fault> {
    data.execute(RECEIVED, []).map_err(fault)?;
    let bodies = numbers(data, "SELECT id FROM temp.received")?;
    bodies.into_iter().try_for_each(|id| empty(data, sealer, id))
}

fn empty(data: &Connection, sealer: &Sealer, id: i64) -> Result<(), Fault> {
    data.prepare_cached("UPDATE raw SET bytes = x'', digest = ? WHERE id = ?")
        .and_then(|mut statement| statement.execute(params![&received_seal(sealer, id)[..], id]))
        .map(drop)
        .map_err(fault)
}

/// Whether what stands in the place of a digest says that an erasure emptied the body. Without the gateway's key it is believed; and older gateways put
/// nothing but zeros there, which anybody can.
pub(super) fn is_received_emptied(sealer: Option<&Sealer>, id: i64, found: &[u8]) -> bool {
    let is_sealed = |sealer| verify_slices_are_equal(&received_seal(sealer, id), found).is_ok();
    found.starts_with(&NO_DIGEST) && sealer.is_none_or(is_sealed)
}

/// What no digest begins with.
const NO_DIGEST: [u8; 16] = [0; 16];

fn received_seal(sealer: &Sealer, id: i64) -> [u8; 32] {
    let mut seal = hmac(sealer.of_notes(), &[b"emptied-received\0", &id.to_be_bytes()]);
    seal.iter_mut().zip(NO_DIGEST).for_each(|(byte, zero)| *byte = zero);
    seal
}

/// Notes that nothing opens a leaf that erases, by its commitment.
pub(super) fn note_unopened(data: &Connection, sealer: &Sealer, commitment: &[u8]) -> Result<(), Fault> {
    let seal = unopened_seal(sealer, commitment);
    data.execute("INSERT OR REPLACE INTO unopened (commitment, seal) VALUES (?, ?)", params![commitment, &seal[..]])
        .map(drop)
        .map_err(fault)
}

/// Whether this is the seal of such a note.
pub(super) fn is_unopened(sealer: &Sealer, commitment: &[u8], found: &[u8]) -> bool {
    verify_slices_are_equal(&unopened_seal(sealer, commitment), found).is_ok()
}

fn unopened_seal(sealer: &Sealer, commitment: &[u8]) -> [u8; 32] {
    hmac(sealer.of_notes(), &[b"unopened\0", commitment])
}

/// Seals what older gateways noted without one.
pub(super) fn seal_older(data: &Connection, sealer: &Sealer) -> Result<(), Fault> {
    let bodies = numbers(data, "SELECT id FROM raw WHERE length(bytes) = 0 AND digest = zeroblob(32)")?;
    bodies.into_iter().try_for_each(|id| empty(data, sealer, id))?;
    let mut statement = data.prepare("SELECT commitment FROM unopened").map_err(fault)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(fault)?;
    let commitments = rows.collect::<Result<Vec<Vec<u8>>, _>>().map_err(fault)?;
    commitments.iter().try_for_each(|commitment| note_unopened(data, sealer, commitment))
}

fn numbers(data: &Connection, sql: &str) -> Result<Vec<i64>, Fault> {
    let mut statement = data.prepare(sql).map_err(fault)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

fn seal(sealer: &Sealer, position: u64) -> [u8; 32] {
    hmac(sealer.of_notes(), &[b"emptied", &position.to_be_bytes()])
}
