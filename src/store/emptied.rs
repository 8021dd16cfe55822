//! Which leaves stand for nothing any more, noted by the erasures that took what they stood for.
//!
//! A leaf that erases names what it took from others' trails, and of whoever was erased nothing. So that a row somebody else took away is not called
//! erased, the positions are noted beside it, of all erasures together: it tells no more than the rows that lack. Each has a seal, which nobody makes
//! without the gateway's key.

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

fn seal(sealer: &Sealer, position: u64) -> [u8; 32] {
    hmac(sealer.of_notes(), &[b"emptied", &position.to_be_bytes()])
}
