//! Business identifiers that records bore once, and the newest version does not any more: kept apart from the search index, so that no search finds a
//! record by them, and whoever must know what a name of before means does.
//!
//! A row says which version was the last to bear the identifier; whether it is the one that is meant is said by that version.

use super::fault;
use super::row::{Rows, StoredVersion, apart, versions};
use super::seal::Sealer;
use super::unit::VersionDraft;
use crate::definitions::Definitions;
use crate::outcome::Fault;
use crate::search::identifier_keys;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Notes what a version no longer bears that the one before it did.
pub(super) fn note(data: &Connection, draft: &VersionDraft, rid: i64) -> Result<(), Fault> {
    draft.former.iter().try_for_each(|key| put(data, *key, rid, draft.version.saturating_sub(1)))
}

/// Notes of a resource anew, of the versions that are there.
pub(super) fn note_anew(data: &Connection, sealer: &Sealer, type_name: &str, id: &str) -> Result<(), Fault> {
    data.execute("DELETE FROM former WHERE rid = (SELECT rid FROM resource WHERE type = ? AND id = ?)", [type_name, id]).map_err(fault)?;
    let sql = versions!("WHERE r.type = ? AND r.id = ? ORDER BY v.version");
    let Rows { sound, .. } = apart(data, sealer, sql, vec![type_name.to_owned().into(), id.to_owned().into()])?;
    let borne = sound.iter().map(keys_of).collect::<Result<Vec<_>, Fault>>()?;
    for ((version, keys), next) in sound.iter().zip(&borne).zip(borne.iter().skip(1)) {
        let sql = "INSERT OR IGNORE INTO former (key, rid, version) SELECT ?3, rid, ?4 FROM resource WHERE type = ?1 AND id = ?2";
        let mut statement = data.prepare_cached(sql).map_err(fault)?;
        for key in keys.difference(next) {
            statement.execute(params![type_name, id, key, version.version]).map_err(fault)?;
        }
    }
    Ok(())
}

fn keys_of(version: &StoredVersion) -> Result<BTreeSet<i64>, Fault> {
    if version.deleted() {
        return Ok(BTreeSet::new());
    }
    Ok(identifier_keys(Definitions::embedded(), &version.parse()?).into_iter().collect())
}

fn put(data: &Connection, key: i64, rid: i64, version: u32) -> Result<(), Fault> {
    data.prepare_cached("INSERT OR IGNORE INTO former (key, rid, version) VALUES (?, ?, ?)")
        .and_then(|mut statement| statement.execute(params![key, rid, version]))
        .map(drop)
        .map_err(fault)
}
