//! Each body that was received against the digest it was stored with.

use crate::outcome::Fault;
use crate::store::fault;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

/// What was erased has neither bytes nor digest.
const BODIES: &str = "SELECT id, digest, bytes FROM raw WHERE length(bytes) > 0 OR digest <> zeroblob(32) ORDER BY id";

pub(super) fn compare(data: &Connection, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut bodies = data.prepare(BODIES).map_err(fault)?;
    let mut rows = bodies.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let id: i64 = row.get(0).map_err(fault)?;
        let bytes = |column| row.get_ref(column).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default();
        if Sha256::digest(bytes(2))[..] != *bytes(1) {
            problems.push(format!("data.db: what was received is not as it came, row {id} of `raw`"));
        }
    }
    Ok(())
}
