//! Which rows there are of a table whose rows have seals of their own: their number and a sum over them, under one seal. A row that was taken away, or put
//! in the place of another, is missed by it; of what it tells nobody who cannot make the seal can make another.
//!
//! The sum is of keyed hashes of the rows' seals, bit by bit, so that it is kept up to date with each row alone and nobody else can say which rows
//! come to the same. Whoever has both the rows and the tally of an earlier time can put them back together.

use super::fault;
use super::keys::hmac;
use crate::outcome::Fault;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{Connection, OptionalExtension, params};

/// Submissions that wait, or waited, for signatures.
pub(super) const PENDING: &str = "pending";
/// Acts that are kept back from the log.
pub(super) const HELD: &str = "held";

/// What is told of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: [u8; 32],
}

impl Tally {
    fn with(mut self, key: &[u8; 32], row: &[u8]) -> Tally {
        let part = hmac(key, &[b"tally-row\0", row]);
        self.sum.iter_mut().zip(part).for_each(|(sum, part)| *sum ^= part);
        Tally { count: self.count.wrapping_add(1), ..self }
    }

    fn without(self, key: &[u8; 32], row: &[u8]) -> Tally {
        Tally { count: self.count.wrapping_sub(1), ..self.with(key, row) }
    }

    fn seal(&self, key: &[u8; 32], table: &str) -> [u8; 32] {
        hmac(key, &[b"tally\0", table.as_bytes(), b"\0", &self.count.to_be_bytes(), &self.sum])
    }

    fn of(data: &Connection, key: &[u8; 32], table: &str) -> Result<Tally, Fault> {
        let mut statement = data.prepare(&format!("SELECT CAST(seal AS BLOB) FROM {table}")).map_err(fault)?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).map_err(fault)?;
        rows.into_iter().try_fold(Tally::default(), |tally, row| Ok(tally.with(key, &row.map_err(fault)?)))
    }

    /// What was told last; nothing where that is not as it was stored.
    fn told(data: &Connection, key: &[u8; 32], table: &str) -> Result<Option<Tally>, Fault> {
        let row: Option<(u64, Vec<u8>, Vec<u8>)> = data
            .prepare_cached("SELECT count, CAST(sum AS BLOB), CAST(seal AS BLOB) FROM tally WHERE what = ?")
            .and_then(|mut statement| statement.query_row([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
            .or_else(|error| if error.sqlite_error_code().is_none() { Ok(None) } else { Err(error) })
            .map_err(fault)?;
        let told = row.and_then(|(count, sum, seal)| Some((Tally { count, sum: sum.try_into().ok()? }, seal)));
        Ok(told.filter(|(told, seal)| verify_slices_are_equal(&told.seal(key, table), seal).is_ok()).map(|(told, _)| told))
    }

    fn tell(&self, data: &Connection, key: &[u8; 32], table: &str) -> Result<(), Fault> {
        data.prepare_cached("INSERT OR REPLACE INTO tally (what, count, sum, seal) VALUES (?, ?, ?, ?)")
            .and_then(|mut statement| statement.execute(params![table, self.count, &self.sum[..], &self.seal(key, table)[..]]))
            .map(drop)
            .map_err(fault)
    }
}

/// Rows go and a row comes, each by its seal. What was altered is not told anew, so that it does not pass for sound from then on.
pub(super) fn change(data: &Connection, key: &[u8; 32], table: &str, goes: &[Vec<u8>], comes: Option<&[u8]>) -> Result<(), Fault> {
    let Some(told) = Tally::told(data, key, table)? else {
        tracing::error!(table, "what is told of the rows of a table is not as it was stored, and stays so");
        return Ok(());
    };
    let left = goes.iter().fold(told, |tally, row| tally.without(key, row));
    comes.map_or(left, |row| left.with(key, row)).tell(data, key, table)
}

/// Takes what there is for all that there is.
pub(super) fn take_for_all(data: &Connection, key: &[u8; 32], table: &str) -> Result<(), Fault> {
    Tally::of(data, key, table)?.tell(data, key, table)
}

/// Whether the rows there are are those that were told of.
pub(super) fn holds(data: &Connection, key: &[u8; 32], table: &str) -> Result<bool, Fault> {
    Ok(Tally::told(data, key, table)? == Some(Tally::of(data, key, table)?))
}
