//! What is noted of erasures beside the leaves: which versions went while their resource stayed, and which leaves that erase nothing opens.

use super::has_table;
use crate::outcome::Fault;
use crate::store::row::text;
use crate::store::seal::Sealer;
use crate::store::{emptied, erase, fault};
use rusqlite::Connection;

const NOTES: &str = "SELECT coalesce(r.type, ''), coalesce(r.id, ''), e.version, e.seal \
                     FROM erased e LEFT JOIN resource r ON r.rid = e.rid ORDER BY e.rid, e.version";

/// Resources of whose versions, from the first to the newest, some are neither there nor noted as erased. Only Tasks begin later than with 1.
const LACKING: &str = "
SELECT r.type, r.id FROM resource r WHERE r.version > 1
  AND r.version - CASE r.type WHEN 'Task' THEN coalesce((SELECT min(v.version) - 1 FROM version v WHERE v.rid = r.rid), 0) ELSE 0 END <>
  (SELECT count(*) FROM version v WHERE v.rid = r.rid) +
  (SELECT count(*) FROM erased e WHERE e.rid = r.rid AND NOT EXISTS (SELECT 1 FROM version v WHERE v.rid = e.rid AND v.version = e.version))
ORDER BY r.rid";

const UNOPENED: &str = "SELECT CAST(commitment AS BLOB), CAST(seal AS BLOB) FROM unopened";

/// Holds the notes against their seals, and the versions of each resource against their numbers. `is_sealed` is whether the data is of a gateway that
/// seals which leaves nothing opens.
pub(super) fn compare(data: &Connection, sealer: Option<&Sealer>, is_sealed: bool, problems: &mut Vec<String>) -> Result<(), Fault> {
    if has_table(data, "erased")? {
        sealer.map_or(Ok(()), |sealer| compare_notes(data, sealer, problems))?;
        compare_numbers(data, problems)?;
    }
    sealer.filter(|_| is_sealed).map_or(Ok(()), |sealer| compare_unopened(data, sealer, problems))
}

fn compare_notes(data: &Connection, sealer: &Sealer, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut notes = data.prepare(NOTES).map_err(fault)?;
    let mut rows = notes.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let (type_name, id, version) = (text(row, 0), text(row, 1), row.get(2).unwrap_or_default());
        let found = row.get_ref(3).ok().and_then(|seal| seal.as_bytes().ok()).unwrap_or_default();
        if !erase::is_noted(sealer, (&type_name, &id), version, found) {
            problems.push(format!("data.db: that {type_name}/{id} version {version} was erased was not noted by the gateway"));
        }
    }
    Ok(())
}

fn compare_numbers(data: &Connection, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut lacking = data.prepare(LACKING).map_err(fault)?;
    let mut rows = lacking.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let (type_name, id) = (text(row, 0), text(row, 1));
        problems.push(format!("data.db: versions of {type_name}/{id} are not there, and not noted as erased"));
    }
    Ok(())
}

fn compare_unopened(data: &Connection, sealer: &Sealer, problems: &mut Vec<String>) -> Result<(), Fault> {
    let mut unopened = data.prepare(UNOPENED).map_err(fault)?;
    let rows = unopened.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
    let mut wrong = 0;
    for row in rows {
        let (commitment, found): (Vec<u8>, Vec<u8>) = row.map_err(fault)?;
        wrong += usize::from(!emptied::is_unopened(sealer, &commitment, &found));
    }
    if wrong > 0 {
        problems.push(format!("data.db: that nothing opens {wrong} leaves that erase was not noted by the gateway"));
    }
    Ok(())
}
