//! The Provenance of each version that has one: its leaf commits to it, and without it the trail of the record cannot be told.

use super::LeafReader;
use crate::definitions::Definitions;
use crate::outcome::Fault;
use crate::search;
use crate::store::fault;
use crate::store::row::text;
use rusqlite::{Connection, params};

const VERSIONS: &str = "
SELECT v.seq, v.at, r.type, r.id, v.version, l.entry FROM version v JOIN resource r ON r.rid = v.rid JOIN leaf l ON l.position = v.leaf
WHERE r.type <> 'AuditEvent' ORDER BY v.seq";

/// A Provenance is stored in one commit with its version, as the next row; what is said of a version later is of a later time.
const NEXT: &str = "
SELECT EXISTS (SELECT 1 FROM version v JOIN resource r ON r.rid = v.rid
WHERE v.seq = ?1 + 1 AND r.type = 'Provenance' AND v.at = ?2 AND instr(v.document, ?3) > 0)";

/// The same wherever it stands, as a search finds it.
const FOUND: &str = "
SELECT EXISTS (SELECT 1 FROM exact e JOIN resource r ON r.rid = e.rid JOIN version v ON v.seq = r.current
WHERE e.key = ?1 AND r.type = 'Provenance' AND v.at = ?2 AND instr(v.document, ?3) > 0)";

pub(super) fn compare(
    data: &Connection,
    definitions: &'static Definitions,
    reader: &dyn LeafReader,
    problems: &mut Vec<String>,
) -> Result<(), Fault> {
    let (mut versions, mut next, mut found) =
        (data.prepare(VERSIONS).map_err(fault)?, data.prepare(NEXT).map_err(fault)?, data.prepare(FOUND).map_err(fault)?);
    let mut rows = versions.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let entry = row.get_ref(5).ok().and_then(|entry| entry.as_bytes().ok()).unwrap_or_default();
        let is_stated = reader.says(entry).is_some_and(|says| says.has_provenance);
        // A row that says no number, time or leaf is named where its seal is looked at.
        let (Ok(seq), Ok(at)) = (row.get::<_, i64>(0), row.get::<_, i64>(1)) else { continue };
        if !is_stated {
            continue;
        }
        let (id, version) = (text(row, 3), row.get::<_, i64>(4).unwrap_or_default());
        let name = format!("{}/{id}/_history/{version}", text(row, 2));
        let quoted = format!("\"{name}\"");
        let key = search::reference_key(definitions, "Provenance", "target", &id);
        let is_there = next.query_row(params![seq, at, quoted], |row| row.get(0)).map_err(fault)?
            || found.query_row(params![key, at, quoted], |row| row.get(0)).map_err(fault)?;
        if !is_there {
            problems.push(format!("data.db: the Provenance that the leaf of {name} commits to is not there"));
        }
    }
    Ok(())
}
