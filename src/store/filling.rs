//! What a step of the layout cannot make with SQL alone, made once at the start after it: which is still to be done stands in the table `filling`.

use super::filed::{self, Filing, TYPE_NAME};
use super::keys::Keyring;
use super::row::{SELECT, SELECT_CURRENT, apart};
use super::seal::Sealer;
use super::{emptied, entries, fault, former, reader, tally};
use crate::outcome::Fault;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// So many rows are looked at at once.
const PORTION: usize = 1000;
/// Business identifiers that records bore before it was noted which.
const FORMER: &str = "former";
/// The lists of the consents about each patient, from before they were closed.
const FILED: &str = "filed";
/// The index entries of records that an erasure took something out of.
const SHORTENED: &str = "shortened";
/// Which records are one person's, from before it was noted with their consents.
const LINKED: &str = "linked";
/// The seals of what is noted of erasures, and of how many submissions wait.
const NOTES: &str = "notes";
/// How many acts are kept back from the log.
const HELD: &str = "held";
/// The seals of versions that others took the place of.
const OVERTAKEN: &str = "overtaken";

pub(super) fn fill(data: &Connection, sealer: &Sealer, keyring: &Keyring) -> Result<(), Fault> {
    if is_to_do(data, FILED)? {
        let counts = close_lists(data, sealer)?;
        keyring.keep_filings(&counts)?;
        done(data, FILED)?;
    }
    if is_to_do(data, FORMER)? {
        note_former(data, sealer)?;
        done(data, FORMER)?;
    }
    if is_to_do(data, SHORTENED)? {
        index_shortened(data)?;
        done(data, SHORTENED)?;
    }
    if is_to_do(data, LINKED)? {
        // What the data alone says is to do once more is what somebody put there.
        if !keyring.are_links_noted()? {
            note_links(data, sealer, keyring)?;
        }
        done(data, LINKED)?;
    }
    keyring.links_are_noted(true)?;
    seal_once(data, keyring, NOTES, |data| {
        emptied::seal_older(data, sealer)?;
        tally::take_for_all(data, sealer.of_notes(), tally::PENDING)
    })?;
    seal_once(data, keyring, HELD, |data| tally::take_for_all(data, sealer.of_notes(), tally::HELD))?;
    seal_once(data, keyring, OVERTAKEN, |data| seal_overtaken(data, sealer))
}

/// Seals what older gateways did not, in one commit, once in the life of a key store: whatever is not sealed later was put there by somebody else.
fn seal_once(data: &Connection, keyring: &Keyring, what: &str, seal: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<(), Fault> {
    if keyring.is_filled(what)? {
        return Ok(());
    }
    let transaction = data.unchecked_transaction().map_err(fault)?;
    seal(&transaction)?;
    transaction.commit().map_err(fault)?;
    keyring.tell_filled(what)
}

/// A version that another took the place of is sealed as such. One that is not as it was stored is left as it is.
fn seal_overtaken(data: &Connection, sealer: &Sealer) -> Result<(), Fault> {
    let mut after = i64::MIN;
    loop {
        let sql = format!("{SELECT} WHERE v.version < r.version AND v.seq > ? ORDER BY v.seq LIMIT ?");
        let rows = apart(data, sealer, &sql, vec![after.into(), reader::rows(PORTION)])?;
        let Some(last) = rows.last() else { return Ok(()) };
        for version in &rows.sound {
            let seal = sealer.seal_overtaken(&version.sealed())?;
            data.prepare_cached("UPDATE version SET seal = ? WHERE seq = ?")
                .and_then(|mut statement| statement.execute(params![&seal[..], version.seq]))
                .map_err(fault)?;
        }
        after = last;
    }
}

/// What is there now counts as what there is. A consent that is damaged is in no list it was not in before: where it is found it denies.
fn close_lists(data: &Connection, sealer: &Sealer) -> Result<BTreeMap<String, u64>, Fault> {
    let transaction = data.unchecked_transaction().map_err(fault)?;
    let (mut noted, mut after) = (Vec::new(), i64::MIN);
    loop {
        let sql = format!("{SELECT_CURRENT} WHERE v.seq = r.current AND +r.type = ? AND v.seq > ? ORDER BY v.seq LIMIT ?");
        let rows = apart(&transaction, sealer, &sql, vec![TYPE_NAME.to_owned().into(), after.into(), reader::rows(PORTION)])?;
        let Some(last) = rows.last() else { break };
        for version in rows.sound.iter().filter(|version| !version.deleted()) {
            let consent = version.parse()?;
            noted.extend(filed::patient_of(&consent).map(|patient| (patient.to_owned(), version.id.clone(), version.version)));
        }
        after = last;
    }
    let counts = filed::close_older(&transaction, sealer.of_notes(), &noted)?;
    transaction.commit().map_err(fault)?;
    Ok(counts)
}

/// Who is taken for one person now is noted to be. What is noted already stays.
fn note_links(data: &Connection, sealer: &Sealer, keyring: &Keyring) -> Result<(), Fault> {
    let mut filing = Filing::new(*sealer.of_notes(), keyring.clone());
    let transaction = data.unchecked_transaction().map_err(fault)?;
    filing.note_links(&transaction)?;
    transaction.commit().map_err(fault)?;
    filing.committed();
    Ok(())
}

/// Looks through what has versions of before; of what was done there is one each.
fn note_former(data: &Connection, sealer: &Sealer) -> Result<(), Fault> {
    let transaction = data.unchecked_transaction().map_err(fault)?;
    let sql = "SELECT type, id FROM resource WHERE version > 1 AND type NOT IN ('AuditEvent', 'Provenance')";
    let mut statement = transaction.prepare(sql).map_err(fault)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
    for row in rows {
        let (type_name, id): (String, String) = row.map_err(fault)?;
        former::note_anew(&transaction, sealer, &type_name, &id)?;
    }
    drop(statement);
    transaction.commit().map_err(fault)
}

fn index_shortened(data: &Connection) -> Result<(), Fault> {
    let transaction = data.unchecked_transaction().map_err(fault)?;
    let sql = "SELECT r.rid FROM resource r JOIN version v ON v.seq = r.current \
               WHERE r.type IN ('AuditEvent', 'Provenance') AND instr(v.document, '\"REDACTED\"') > 0";
    let mut statement = transaction.prepare(sql).map_err(fault)?;
    let rids = statement.query_map([], |row| row.get(0)).map_err(fault)?.collect::<Result<Vec<i64>, _>>().map_err(fault)?;
    drop(statement);
    entries::make_anew(&transaction, &rids)?;
    transaction.commit().map_err(fault)
}

fn is_to_do(data: &Connection, what: &str) -> Result<bool, Fault> {
    data.query_row("SELECT EXISTS (SELECT 1 FROM filling WHERE what = ?)", [what], |row| row.get(0)).map_err(fault)
}

fn done(data: &Connection, what: &str) -> Result<(), Fault> {
    data.execute("DELETE FROM filling WHERE what = ?", [what]).map(drop).map_err(fault)
}
