//! The tables, and how an older file is brought up to them.

use super::fault;
use crate::outcome::{Fault, FaultKind};
use rusqlite::Connection;

/// Marks the file as ours (`PRAGMA application_id`): "hgat".
const APPLICATION_ID: i32 = 0x6867_6174;
/// The layout this build reads and writes: the first one and every step since.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a handful of steps")]
const SCHEMA_VERSION: i32 = 1 + MIGRATIONS.len() as i32;

/// The steps from the first layout to this one, oldest first. A new file takes them all, an older one those it lacks; a step that was
/// released is never edited. Each is run once, in the transaction that raises `user_version`.
const MIGRATIONS: &[&str] = &[
    PEOPLE_AND_WORK,
    LEAVES_AND_ERASURE,
    WAITING_FOR_SIGNATURES,
    KEYS_IT_RESTS_ON,
    RECORDS_TAKEN_IN,
    CONSENTS_BY_PATIENT,
    NEWEST_UNDER_TAGS,
    ERASED_VERSIONS,
    WHAT_LEAVES_ERASED,
    EMPTIED_LEAVES,
    WHAT_NOTHING_OPENS,
    TO_BE_FILLED,
    NAMES_OF_BEFORE,
    SHORTENED_RECORDS,
    NOTED_LINKS,
    SEALED_NOTES,
    FILED_ACCOUNTS,
    HELD_ACTS,
];

/// What people work on, which patients are one person, what looks alike, and where in the received bytes a version stood.
const PEOPLE_AND_WORK: &str = "
ALTER TABLE version ADD COLUMN place TEXT;
CREATE INDEX version_raw ON version (raw) WHERE place IS NOT NULL;
CREATE TABLE work (
  key BLOB PRIMARY KEY, task TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, count INTEGER NOT NULL,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX work_task ON work (task);
CREATE INDEX work_source ON work (source, kind);
CREATE TABLE person (patient TEXT PRIMARY KEY, person TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX person_members ON person (person);
CREATE TABLE apart (one TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (one, other)) WITHOUT ROWID;
CREATE TABLE source_map (source TEXT NOT NULL, map TEXT NOT NULL, PRIMARY KEY (source, map)) WITHOUT ROWID;
CREATE TABLE alike (key BLOB NOT NULL, id TEXT NOT NULL, PRIMARY KEY (key, id)) WITHOUT ROWID;
";

/// From a leaf to its version: a version's leaves are `leaves` in a row from `leaf` on. Keys that are to be destroyed are remembered until they are.
const LEAVES_AND_ERASURE: &str = "
ALTER TABLE version ADD COLUMN leaves INTEGER NOT NULL DEFAULT 1;
CREATE INDEX version_leaf ON version (leaf) WHERE leaf IS NOT NULL;
CREATE TABLE condemned (name BLOB PRIMARY KEY) WITHOUT ROWID;
";

/// Submissions that several parties must sign.
const WAITING_FOR_SIGNATURES: &str = "
CREATE TABLE pending (
  id TEXT PRIMARY KEY, source TEXT NOT NULL, revision INTEGER NOT NULL, open INTEGER NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL,
  held BLOB NOT NULL, progress BLOB NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX pending_due ON pending (open, expires);
";

/// Which key store the data rests on and how far, and the labels of keys that were destroyed.
const KEYS_IT_RESTS_ON: &str = "
CREATE TABLE bound (one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, gateway BLOB NOT NULL, written INTEGER NOT NULL);
CREATE TABLE destroyed (number INTEGER PRIMARY KEY, label BLOB NOT NULL UNIQUE);
";

/// Up to which frame of `owed.journal` records are in the tables.
const RECORDS_TAKEN_IN: &str = "
CREATE TABLE taken_in (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, seal BLOB NOT NULL);
";

/// Which consents there are about each patient, beside the search index.
const CONSENTS_BY_PATIENT: &str = "
CREATE TABLE filed (patient TEXT NOT NULL, consent TEXT NOT NULL, version INTEGER NOT NULL, seal BLOB NOT NULL,
  PRIMARY KEY (patient, consent)) WITHOUT ROWID;
CREATE INDEX filed_consent ON filed (consent);
";

/// Where the newest leaf under each tag stands, taken from the leaves: those of this step's time have 94, 142 or 174 bytes and, from byte 7 on, a tag and
/// a counter of 8 bytes once or three times.
const NEWEST_UNDER_TAGS: &str = "
ALTER TABLE tag ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
UPDATE tag SET last = newest.position FROM (
  SELECT tag, max(position) AS position FROM (
    SELECT substr(entry, 7, 16) AS tag, position FROM leaf WHERE length(entry) IN (94, 142, 174)
    UNION ALL SELECT substr(entry, 31, 16), position FROM leaf WHERE length(entry) IN (142, 174)
    UNION ALL SELECT substr(entry, 55, 16), position FROM leaf WHERE length(entry) IN (142, 174)) GROUP BY tag) AS newest
  WHERE newest.tag = tag.tag;
";

/// Which versions were erased while their resource stayed.
const ERASED_VERSIONS: &str = "
CREATE TABLE erased (rid INTEGER NOT NULL, version INTEGER NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (rid, version)) WITHOUT ROWID;
";

/// What opens the leaves that erase, by their commitment: it is believed when it does.
const WHAT_LEAVES_ERASED: &str = "
CREATE TABLE severed (commitment BLOB PRIMARY KEY, opening BLOB NOT NULL) WITHOUT ROWID;
";

/// Which leaves stand for nothing any more, since what they stood for was erased: of all erasures together, as could be told by the rows that lack.
const EMPTIED_LEAVES: &str = "
CREATE TABLE emptied (position INTEGER PRIMARY KEY, seal BLOB NOT NULL);
";

/// Commitments of leaves that erase and that nothing opens: they name nothing, or whose trail they stood in is gone.
const WHAT_NOTHING_OPENS: &str = "
CREATE TABLE unopened (commitment BLOB PRIMARY KEY) WITHOUT ROWID;
";

/// What a start fills in where it is not there yet, since SQL alone cannot make it (`store/filling.rs`).
const TO_BE_FILLED: &str = "
CREATE TABLE filling (what TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO filling SELECT 'filed' WHERE EXISTS (SELECT 1 FROM resource);
";

/// Business identifiers that records bore once, apart from the index.
const NAMES_OF_BEFORE: &str = "
CREATE TABLE former (key INTEGER NOT NULL, rid INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (key, rid, version)) WITHOUT ROWID;
CREATE INDEX former_of ON former (rid);
INSERT INTO filling SELECT 'former' WHERE EXISTS (SELECT 1 FROM resource WHERE version > 1);
";

/// What an erasure took something out of was found by what it said before.
const SHORTENED_RECORDS: &str = "
INSERT INTO filling SELECT 'shortened' WHERE EXISTS (SELECT 1 FROM resource);
";

/// Which records are one person's is noted with their consents.
const NOTED_LINKS: &str = "
INSERT INTO filling SELECT 'linked' WHERE EXISTS (SELECT 1 FROM person);
";

/// What is noted of erasures and of submissions that wait is sealed, as a start fills in (`store/filling.rs`).
const SEALED_NOTES: &str = "
ALTER TABLE unopened ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
CREATE TABLE tally (what TEXT PRIMARY KEY, count INTEGER NOT NULL, sum BLOB NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;
";

/// The records of what was done that partners filed, among those of the gateway's own, which are by far the most.
const FILED_ACCOUNTS: &str = "
CREATE INDEX IF NOT EXISTS resource_filed ON resource (source) WHERE type = 'AuditEvent' AND source <> 'hearthgate';
";

/// Acts that are on record and have no leaf yet, by whose they are.
const HELD_ACTS: &str = "
CREATE TABLE IF NOT EXISTS held (number INTEGER PRIMARY KEY AUTOINCREMENT, patient BLOB NOT NULL, draft BLOB NOT NULL, seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS held_patient ON held (patient);
";

/// The index tables are B-trees keyed by what a search asks first, so that a lookup is one descent and no table is read beside them.
const TABLES: &str = "
CREATE TABLE raw (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL, media TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE resource (
  rid INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, current INTEGER NOT NULL,
  deleted INTEGER NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL);
CREATE UNIQUE INDEX resource_identity ON resource (type, id);
CREATE TABLE version (
  seq INTEGER PRIMARY KEY, rid INTEGER NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, method INTEGER NOT NULL,
  raw INTEGER, leaf INTEGER, key BLOB, source TEXT NOT NULL, document TEXT NOT NULL,
  seal BLOB NOT NULL);
CREATE UNIQUE INDEX version_identity ON version (rid, version);
CREATE TABLE exact (key INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (key, rid)) WITHOUT ROWID;
CREATE TABLE words (parameter INTEGER NOT NULL, value TEXT NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (parameter, value, rid)) WITHOUT ROWID;
CREATE TABLE span (parameter INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL, rid INTEGER NOT NULL,
  PRIMARY KEY (parameter, low, high, rid)) WITHOUT ROWID;
CREATE TABLE leaf (position INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE tile (level INTEGER NOT NULL, position INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, position)) WITHOUT ROWID;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), note TEXT NOT NULL);
CREATE TABLE tag (tag BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE idempotency (key BLOB PRIMARY KEY, body BLOB NOT NULL, outcome BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE once (token BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX once_expiry ON once (expires);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, destination TEXT NOT NULL, type TEXT NOT NULL, resource TEXT NOT NULL, version INTEGER NOT NULL, patient TEXT NOT NULL,
  state INTEGER NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX outbox_due ON outbox (state, next_at);
CREATE INDEX outbox_order ON outbox (destination, patient, state, id);
CREATE TABLE elsewhere (type TEXT NOT NULL, id TEXT NOT NULL, holder TEXT NOT NULL, remote TEXT NOT NULL,
  PRIMARY KEY (type, id, holder)) WITHOUT ROWID;
CREATE INDEX elsewhere_remote ON elsewhere (holder, type, remote);
";

/// Creates the tables in a new file and brings an older one up; refuses a file of another program or a newer layout.
pub(super) fn prepare(connection: &Connection) -> Result<(), Fault> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(fault)?;
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    match (application, version, tables) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(()),
        (0, 0, 0) => raise(connection, 0),
        (APPLICATION_ID, newer, _) if newer > SCHEMA_VERSION => {
            Err(Fault::new(FaultKind::Storage, format!("the data file has layout {newer}; this build knows {SCHEMA_VERSION}")))
        }
        (APPLICATION_ID, older, _) if older > 0 => raise(connection, older),
        _ => Err(Fault::new(FaultKind::StorageCorrupt, "data.db is not a hearthgate data file")),
    }
}

/// Whether a file has this build's layout.
pub(super) fn is_newest(connection: &Connection) -> Result<bool, Fault> {
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    Ok(version == SCHEMA_VERSION)
}

/// Takes every step after `from`, all of them or none.
fn raise(connection: &Connection, from: i32) -> Result<(), Fault> {
    let steps = std::iter::once(&TABLES).chain(MIGRATIONS).skip(usize::try_from(from).unwrap_or(usize::MAX));
    let script: String = steps.copied().collect();
    let script = format!("BEGIN; {script} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
    connection.execute_batch(&script).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_older_file_gets_the_layout_of_a_new_one() {
        let new = Connection::open_in_memory().unwrap();
        prepare(&new).unwrap();
        let old = Connection::open_in_memory().unwrap();
        old.execute_batch(&format!("{TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")).unwrap();
        prepare(&old).unwrap();
        assert_eq!(layout(&old), layout(&new));
        prepare(&old).unwrap();
    }

    #[test]
    fn a_newer_file_and_one_of_another_program_are_refused() {
        for (application, version) in [(APPLICATION_ID, SCHEMA_VERSION + 1), (0, 1), (7, SCHEMA_VERSION)] {
            let file = Connection::open_in_memory().unwrap();
            file.execute_batch(&format!("{TABLES} PRAGMA application_id = {application}; PRAGMA user_version = {version};")).unwrap();
            assert!(prepare(&file).is_err(), "{application} {version}");
        }
    }
}
