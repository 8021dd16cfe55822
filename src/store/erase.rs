//! Destroying what is stored: rows, index terms, raw bytes, deliveries, remembered answers, and the keys that open commitments.
//!
//! Deleted content is overwritten in its pages (`secure_delete`), and the write-ahead logs are folded and emptied, before an erasure is
//! answered. Keys are condemned in the same commit and destroyed after it, and a mark stays until the folding is done; a crash in between is made
//! good at the next start.

use super::filed::Filing;
use super::keys::{Keyring, hmac};
use super::seal::Sealer;
use super::unit::Erasure;
use super::{destroyed, emptied, entries, fault, former, held, pending, row};
use crate::killpoint;
use crate::outcome::{Fault, FaultKind};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a write-ahead log that readers hold is tried again before the erasure is reported as unfinished.
const MAX_FOLDS: u32 = 200;
/// The name among condemned keys that says that the write-ahead log is still to be folded: no key is named so.
const UNFOLDED: &[u8] = b"";
const PAUSE_BETWEEN_FOLDS: Duration = Duration::from_millis(25);

/// What goes, as rows: whole resources, and versions.
const GOING: &str = "
CREATE TEMP TABLE IF NOT EXISTS gone (rid INTEGER PRIMARY KEY);
CREATE TEMP TABLE IF NOT EXISTS going (seq INTEGER PRIMARY KEY);
CREATE TEMP TABLE IF NOT EXISTS received (id INTEGER PRIMARY KEY);
DELETE FROM temp.gone; DELETE FROM temp.going; DELETE FROM temp.received;
";
const WHOLE: &str = "INSERT OR IGNORE INTO temp.going SELECT seq FROM version WHERE rid IN (SELECT rid FROM temp.gone)";
const DESTROY: &str = "
INSERT OR IGNORE INTO condemned SELECT key FROM version WHERE seq IN (SELECT seq FROM temp.going) AND key IS NOT NULL;
DELETE FROM version WHERE seq IN (SELECT seq FROM temp.going);
DELETE FROM raw WHERE id IN (SELECT id FROM temp.received) AND NOT EXISTS (SELECT 1 FROM version WHERE version.raw = raw.id);
DELETE FROM resource WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM exact WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM words WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM span WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM erased WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM former WHERE rid IN (SELECT rid FROM temp.gone);
DELETE FROM temp.gone; DELETE FROM temp.going; DELETE FROM temp.received;
";

/// Carries out an erasure inside the transaction under way, and marks that it is to be finished.
pub(super) fn erase(data: &Connection, sealer: &Sealer, filing: &mut Filing, erasure: &Erasure) -> Result<(), Fault> {
    data.execute_batch(GOING).map_err(fault)?;
    for (type_name, id) in &erasure.resources {
        data.execute("INSERT OR IGNORE INTO temp.gone SELECT rid FROM resource WHERE type = ? AND id = ?", [type_name, id])
            .map_err(fault)?;
        data.execute("DELETE FROM outbox WHERE type = ? AND resource = ?", [type_name, id]).map_err(fault)?;
        data.execute("DELETE FROM elsewhere WHERE type = ? AND id = ?", [type_name, id]).map_err(fault)?;
        data.execute("DELETE FROM apart WHERE one = ?1 OR other = ?1", [id]).map_err(fault)?;
        data.execute("DELETE FROM alike WHERE id = ?", [id]).map_err(fault)?;
        data.execute("DELETE FROM work WHERE task = ?", [id]).map_err(fault)?;
        filing.forget(data, type_name, id)?;
        forget_answers(data, id)?;
    }
    for (type_name, id, versions) in &erasure.versions {
        versions.iter().try_for_each(|version| single_out(data, sealer, (type_name, id), *version))?;
        data.execute("DELETE FROM alike WHERE id = ?", [id]).map_err(fault)?;
        forget_answers(data, id)?;
    }
    let erased = erasure.resources.iter().map(|(_, id)| id).chain(erasure.versions.iter().map(|(_, id, _)| id));
    let ids: Vec<&str> = erased.map(String::as_str).collect();
    pending::forget_ended_in(data, sealer.of_notes(), &ids)?;
    for id in &erasure.pending {
        pending::forget(data, sealer.of_notes(), id)?;
        data.execute("DELETE FROM idempotency WHERE instr(outcome, CAST(? AS BLOB)) > 0", [id]).map_err(fault)?;
    }
    data.execute(WHOLE, []).map_err(fault)?;
    emptied::note(data, sealer)?;
    emptied::empty_received(data, sealer)?;
    data.execute_batch(DESTROY).map_err(fault)?;
    erasure.versions.iter().try_for_each(|(type_name, id, _)| former::note_anew(data, sealer, type_name, id))?;
    if let Some(patient) = &erasure.patient {
        data.execute("DELETE FROM outbox WHERE patient = ?", [patient]).map_err(fault)?;
    }
    held::forget_damaged(data, sealer.of_notes(), erasure.patient_key, &ids)?;
    if let Some(name) = &erasure.patient_key {
        data.execute("INSERT OR IGNORE INTO condemned VALUES (?)", [&name[..]]).map_err(fault)?;
    }
    note_severed(data, sealer, erasure)?;
    rewrite_all(data, sealer, erasure)?;
    data.execute("INSERT OR IGNORE INTO condemned VALUES (?)", [UNFOLDED]).map(drop).map_err(fault)
}

/// What opens the leaves that erase is kept as long as there is a trail that something is missing from; that it went is noted, so that nobody takes it away
/// unseen.
fn note_severed(data: &Connection, sealer: &Sealer, erasure: &Erasure) -> Result<(), Fault> {
    for (commitment, opening) in &erasure.severed {
        data.execute("INSERT OR REPLACE INTO severed (commitment, opening) VALUES (?, ?)", params![&commitment[..], opening])
            .map_err(fault)?;
    }
    for commitment in &erasure.unopened {
        data.execute("DELETE FROM severed WHERE commitment = ?", [&commitment[..]]).map_err(fault)?;
        emptied::note_unopened(data, sealer, commitment)?;
    }
    Ok(())
}

/// Remembered answers name what they made; the resend of something erased is a new submission.
fn forget_answers(data: &Connection, id: &str) -> Result<(), Fault> {
    data.execute("DELETE FROM idempotency WHERE instr(outcome, CAST(? AS BLOB)) > 0", [id]).map(drop).map_err(fault)
}

/// A version goes, and that it did is noted: its number is missing from a history that stays.
fn single_out(data: &Connection, sealer: &Sealer, (type_name, id): (&str, &str), version: u32) -> Result<(), Fault> {
    let condition = "rid = (SELECT rid FROM resource WHERE type = ?1 AND id = ?2) AND version = ?3";
    let sql = format!("INSERT OR IGNORE INTO temp.going SELECT seq FROM version WHERE {condition}");
    data.execute(&sql, params![type_name, id, version]).map_err(fault)?;
    let sql = format!("INSERT OR REPLACE INTO erased (rid, version, seal) SELECT rid, version, ?4 FROM version WHERE {condition}");
    let seal = seal(sealer, type_name, id, version);
    data.execute(&sql, params![type_name, id, version, &seal[..]]).map_err(fault)?;
    data.execute("DELETE FROM outbox WHERE type = ? AND resource = ? AND version = ?", params![type_name, id, version])
        .map(drop)
        .map_err(fault)
}

/// The versions of a resource that were erased while it stayed.
pub(super) fn erased_of(data: &Connection, sealer: &Sealer, type_name: &str, id: &str) -> Result<BTreeSet<u32>, Fault> {
    let sql = "SELECT e.version, e.seal FROM erased e JOIN resource r ON r.rid = e.rid WHERE r.type = ? AND r.id = ?";
    let mut statement = data.prepare_cached(sql).map_err(fault)?;
    let rows = statement.query_map([type_name, id], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
    let mut erased = BTreeSet::new();
    for row in rows {
        let (version, found): (u32, Vec<u8>) = row.map_err(fault)?;
        if !is_noted(sealer, (type_name, id), version, &found) {
            return Err(Fault::new(
                FaultKind::StorageCorrupt,
                format!("that {type_name}/{id} version {version} was erased is not as it was noted"),
            ));
        }
        erased.insert(version);
    }
    Ok(erased)
}

/// Whether this is the seal of the note that a version was erased.
pub(super) fn is_noted(sealer: &Sealer, (type_name, id): (&str, &str), version: u32, found: &[u8]) -> bool {
    verify_slices_are_equal(&seal(sealer, type_name, id, version), found).is_ok()
}

fn seal(sealer: &Sealer, type_name: &str, id: &str, version: u32) -> [u8; 32] {
    hmac(sealer.of_notes(), &[b"erased\0", type_name.as_bytes(), b"/", id.as_bytes(), &version.to_be_bytes()])
}

/// Whether a committed erasure is not finished.
pub(super) fn is_unfinished(data: &Connection) -> Result<bool, Fault> {
    data.query_row("SELECT EXISTS (SELECT 1 FROM condemned)", [], |row| row.get(0)).map_err(fault)
}

/// Folds what committed erasures left in the write-ahead log, after which nothing of them is left to do.
pub(super) fn finish(data: &Connection) -> Result<(), Fault> {
    killpoint::reached("erase-destroyed");
    fold(data)?;
    killpoint::reached("erase-folded");
    data.execute("DELETE FROM condemned WHERE name = ?", [UNFOLDED]).map(drop).map_err(fault)
}

/// Other documents take the places of those there are, and no search finds them by what they said before.
fn rewrite_all(data: &Connection, sealer: &Sealer, erasure: &Erasure) -> Result<(), Fault> {
    let rewritten = erasure.rewritten.iter().map(|(type_name, id, document)| rewrite(data, sealer, type_name, id, document));
    let rids: Vec<i64> = rewritten.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    entries::make_anew(data, &rids)
}

/// Puts another document in the place of the one there is, and answers the row of its resource; the leaf it was anchored by no longer opens to it, which
/// its reader is told.
fn rewrite(data: &Connection, sealer: &Sealer, type_name: &str, id: &str, document: &str) -> Result<Option<i64>, Fault> {
    let Some(mut version) = row::current(data, sealer, type_name, id)? else { return Ok(None) };
    document.clone_into(&mut version.document);
    let seal = sealer.seal(&version.sealed())?;
    let sql = "UPDATE version SET document = ?, seal = ? WHERE seq = ? RETURNING rid";
    data.query_row(sql, params![document, &seal[..], version.seq], |row| row.get(0)).map(Some).map_err(fault)
}

/// Destroys the keys that committed erasures condemned.
pub(super) fn destroy_condemned(data: &Connection, keyring: &Keyring) -> Result<(), Fault> {
    let mut statement = data.prepare("SELECT name FROM condemned WHERE name <> ?").map_err(fault)?;
    let names = statement.query_map([UNFOLDED], |row| row.get(0)).map_err(fault)?.collect::<Result<Vec<Vec<u8>>, _>>().map_err(fault)?;
    if names.is_empty() {
        return Ok(());
    }
    let told = destroyed::note(data, keyring, &names)?;
    killpoint::reached("erase-noted");
    keyring.destroy(&names, told)?;
    data.execute("DELETE FROM condemned WHERE name <> ?", [UNFOLDED]).map(drop).map_err(fault)
}

/// Folds the write-ahead log into its file and empties it. Readers that still look at an older state are waited for.
pub(super) fn fold(connection: &Connection) -> Result<(), Fault> {
    for _ in 0..MAX_FOLDS {
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(fault)?;
        if busy == 0 {
            return Ok(());
        }
        std::thread::sleep(PAUSE_BETWEEN_FOLDS);
    }
    Err(Fault::new(FaultKind::Overloaded, "what was erased is still in a write-ahead log that readers hold; ask again"))
}
