//! Each stored version against its seal, and each resource against the version that it says is its newest.

use crate::outcome::Fault;
use crate::store::fault;
use crate::store::row::{each, text, versions};
use crate::store::seal::Sealer;
use rusqlite::{Connection, Row};

/// Checks every seal and gives how many versions there are.
pub(super) fn compare(data: &Connection, sealer: &Sealer, problems: &mut Vec<String>) -> Result<u64, Fault> {
    let mut count = 0;
    each(data, sealer, versions!("ORDER BY v.seq"), |read| {
        count += 1;
        problems.extend(read.err().map(|fault| format!("data.db: {}", fault.detail)));
    })?;
    Ok(count)
}

/// What a resource's own row says, and what its versions do. Nothing of a resource's row is sealed, for it changes.
const NEWEST: &str = "
SELECT r.type, r.id, r.version, r.deleted, v.version, coalesce(v.document, '') = '', r.at = v.at,
  (SELECT max(n.version) FROM version n WHERE n.rid = r.rid)
FROM resource r LEFT JOIN version v ON v.seq = r.current AND v.rid = r.rid ORDER BY r.rid";

/// Versions of resources that are not there.
const ORPHANS: &str = "SELECT count(*) FROM version v WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = v.rid)";

/// Each resource says that what is its newest version is, and is deleted where that is a deletion: a search finds it by that alone.
pub(super) fn compare_newest(data: &Connection, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut resources = data.prepare(NEWEST).map_err(fault)?;
    let mut rows = resources.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let Some(wrong) = wrong(row).unwrap_or(Some("is not as it was stored")) else { continue };
        problems.push(format!("data.db: {}/{} {wrong}", text(row, 0), text(row, 1)));
    }
    let orphans: u64 = data.query_row(ORPHANS, [], |row| row.get(0)).map_err(fault)?;
    if orphans > 0 {
        problems.push(format!("data.db: {orphans} versions are of resources that are not there"));
    }
    Ok(())
}

fn wrong(row: &Row<'_>) -> rusqlite::Result<Option<&'static str>> {
    let (said, is_deleted): (i64, bool) = (row.get(2)?, row.get(3)?);
    let (current, is_deletion, is_of_time): (Option<i64>, bool, Option<bool>) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let newest: Option<i64> = row.get(7)?;
    Ok(match current {
        None => Some("has not the version that is said to be its newest"),
        Some(current) if current != said || newest != Some(current) => Some("has another newest version than is said"),
        Some(_) if is_deleted && !is_deletion => Some("is marked as deleted, and its newest version is not: no search finds it"),
        Some(_) if !is_deleted && is_deletion => Some("is not marked as deleted, and its newest version is a deletion"),
        Some(_) if is_of_time != Some(true) => Some("is said to be of another time than its newest version"),
        Some(_) => None,
    })
}
