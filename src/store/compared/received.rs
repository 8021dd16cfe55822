//! Each body that was received against the digest it was stored with.

use crate::outcome::Fault;
use crate::store::row::text;
use crate::store::seal::Sealer;
use crate::store::{emptied, fault};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

const BODIES: &str = "SELECT id, digest, bytes FROM raw ORDER BY id";

/// Versions whose body is not there: an erasure takes a body only with the last version that was made of it.
const LACKING: &str = "SELECT r.type, r.id, v.version FROM version v JOIN resource r ON r.rid = v.rid WHERE v.raw IS NOT NULL AND NOT EXISTS (SELECT 1 FROM raw WHERE raw.id = v.raw)";

/// `is_sealed` is whether the data is of a gateway that seals that it emptied a body.
pub(super) fn compare(data: &Connection, sealer: Option<&Sealer>, is_sealed: bool, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut bodies = data.prepare(BODIES).map_err(fault)?;
    let mut rows = bodies.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let id: i64 = row.get(0).map_err(fault)?;
        let bytes = |column| row.get_ref(column).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default();
        let is_erased = || emptied::is_received_emptied(sealer.filter(|_| is_sealed), id, bytes(1));
        if Sha256::digest(bytes(2))[..] != *bytes(1) && !(bytes(2).is_empty() && is_erased()) {
            problems.push(format!("data.db: what was received is not as it came, row {id} of `raw`"));
        }
    }
    let mut lacking = data.prepare(LACKING).map_err(fault)?;
    let mut rows = lacking.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let version: i64 = row.get(2).unwrap_or_default();
        problems.push(format!("data.db: what {}/{} version {version} was received in is not there", text(row, 0), text(row, 1)));
    }
    Ok(())
}
