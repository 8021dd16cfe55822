//! The key store: a random key per record version, wrapped by its patient's key, wrapped by the gateway's. Kept in a file of its own,
//! so that a backup of the data holds no keys, and destroying a key ends what its commitments refer to.

mod filings;
mod filled;

use super::destroyed::{self, Told};
use super::fault;
use crate::clock::Entropy;
use crate::outcome::{Fault, FaultKind};
use crate::sign;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many opened patient keys are kept in memory.
const MAX_CACHED_PATIENTS: usize = 4096;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS patient (name BLOB PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (id BLOB PRIMARY KEY, patient BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS standing (
  one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, written INTEGER NOT NULL, destroyed INTEGER NOT NULL);
";
/// Brings up a key store from before patients' keys had labels.
const LABELS: &str = "BEGIN; ALTER TABLE patient ADD COLUMN label BLOB; UPDATE patient SET label = randomblob(16); COMMIT;";

/// Bytes of a record key's name, which is its label too.
const RECORD_NAME_BYTES: usize = 16;

/// The random name under which a record's key is kept.
pub type RecordKeyId = [u8; 16];

/// What a key store says of itself.
pub(super) struct Standing {
    /// Drawn when it was made.
    pub store: Vec<u8>,
    /// How often keys have been written.
    pub written: u64,
    /// The number of the last destruction carried out here.
    pub destroyed: u64,
}

/// A record's key, sealed under its patient's, ready to be stored.
#[derive(Debug, Clone)]
pub struct SealedRecord {
    pub id: RecordKeyId,
    pub patient: [u8; 32],
    pub sealed: Vec<u8>,
}

/// An opened patient key and the blinded name it is stored under.
#[derive(Clone)]
pub struct PatientKey {
    pub name: [u8; 32],
    secret: [u8; 32],
}

impl PatientKey {
    /// HMAC-SHA-256 under the patient's key: blinded tags are made of this.
    pub fn blind(&self, message: &[u8]) -> [u8; 32] {
        hmac(&self.secret, &[message])
    }
}

/// All keys of the gateway. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    gateway: [u8; 32],
    entropy: Entropy,
    state: Mutex<State>,
    /// The high half of the next record key's id.
    count: AtomicU64,
    /// The number of the last writing begun.
    writings: AtomicU64,
    /// How often counts of consents have been kept.
    filings: AtomicU64,
}

/// A patient's key as it is kept in memory.
#[derive(Clone, Copy)]
struct Opened {
    secret: [u8; 32],
    /// How far the count of consents noted under the patient has come, and since which keeping of counts that has been known.
    filed: u64,
    kept_as: u64,
}

struct State {
    file: Connection,
    opened: HashMap<[u8; 32], Opened>,
    /// Made but not yet synced; the next flush writes them.
    fresh: Vec<([u8; 32], Vec<u8>)>,
}

impl State {
    /// A fresh key that is not yet synced must stay findable, so the cache is only emptied when none waits.
    fn remember(&mut self, name: [u8; 32], opened: Opened) {
        if self.opened.len() >= MAX_CACHED_PATIENTS && self.fresh.is_empty() {
            self.opened.clear();
        }
        self.opened.insert(name, opened);
    }
}

impl Keyring {
    /// Opens or creates `keys.db` in the folder.
    pub fn open(folder: &Path, gateway: [u8; 32], entropy: Entropy) -> Result<Keyring, Fault> {
        std::fs::create_dir_all(folder).map_err(|error| Fault::new(FaultKind::Storage, format!("create key folder: {error}")))?;
        let file = Connection::open(folder.join("keys.db")).map_err(fault)?;
        let _mode: String = file.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fault)?;
        file.pragma_update(None, "synchronous", 2).map_err(fault)?;
        file.pragma_update(None, "secure_delete", 1).map_err(fault)?;
        file.execute_batch(TABLES).map_err(fault)?;
        if !has_labels(&file)? {
            file.execute_batch(LABELS).map_err(fault)?;
        }
        filings::prepare(&file)?;
        filled::prepare(&file)?;
        destroyed::prepare(&file)?;
        let writings = AtomicU64::new(standing_or_new(&file, &entropy)?.written);
        let last: Option<Vec<u8>> = file.query_row("SELECT max(id) FROM record", [], |row| row.get(0)).map_err(fault)?;
        let high = last.and_then(|id| <[u8; 8]>::try_from(id.get(..8)?).ok());
        let first = high.map_or(0, |high| u64::from_be_bytes(high).saturating_add(1));
        let state = Mutex::new(State { file, opened: HashMap::new(), fresh: Vec::new() });
        Ok(Keyring {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                gateway,
                count: AtomicU64::new(first),
                writings,
                filings: AtomicU64::new(0),
                entropy,
                state,
            }),
        })
    }

    /// Where the keys lie.
    pub(super) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The key of a patient, made when there is none yet. `None` stands for what is about nobody.
    pub fn patient(&self, patient: Option<&str>) -> Result<PatientKey, Fault> {
        let name = hmac(&self.inner.gateway, &[b"patient", patient.unwrap_or_default().as_bytes()]);
        let mut state = self.state();
        if let Some(opened) = self.opened(&mut state, &name)? {
            return Ok(PatientKey { name, secret: opened.secret });
        }
        let secret: [u8; 32] = self.inner.entropy.bytes();
        let sealed = seal(&self.inner.gateway, &name, &secret)?;
        state.fresh.push((name, sealed));
        state.remember(name, Opened { secret, filed: 0, kept_as: 0 });
        Ok(PatientKey { name, secret })
    }

    /// A new record key, and its sealed form to be stored with the commit.
    pub fn record(&self, patient: &PatientKey) -> Result<([u8; 32], SealedRecord), Fault> {
        let id = self.next_record_id();
        let secret: [u8; 32] = self.inner.entropy.bytes();
        let sealed = seal(&patient.secret, &id, &secret)?;
        Ok((secret, SealedRecord { id, patient: patient.name, sealed }))
    }

    /// Random, and counting up within this run, so that keys stored together lie together.
    fn next_record_id(&self) -> RecordKeyId {
        let count = self.inner.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut id = RecordKeyId::default();
        id.iter_mut().zip(count.iter().chain(&self.inner.entropy.bytes::<8>())).for_each(|(slot, &byte)| *slot = byte);
        id
    }

    /// Opens a stored record key; `None` once it, or its patient's key, has been destroyed.
    pub fn open_record(&self, id: &RecordKeyId) -> Result<Option<[u8; 32]>, Fault> {
        Ok(self.open_records(std::iter::once(Some(*id)))?.pop().flatten())
    }

    /// The same for many, most of which are one patient's: that patient's key is opened once.
    pub fn open_records(&self, ids: impl Iterator<Item = Option<RecordKeyId>>) -> Result<Vec<Option<[u8; 32]>>, Fault> {
        let guard = self.state();
        let file = guard.file.unchecked_transaction().map_err(fault)?;
        let mut records = file.prepare_cached("SELECT patient, sealed FROM record WHERE id = ?").map_err(fault)?;
        let mut owner: Option<(Vec<u8>, Opener)> = None;
        let open = |id: Option<RecordKeyId>| {
            let Some(id) = id else { return Ok(None) };
            let row = records.query_row([&id[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(fault)?;
            let Some((patient, sealed)): Option<(Vec<u8>, Vec<u8>)> = row else { return Ok(None) };
            if owner.as_ref().is_none_or(|(name, _)| *name != patient) {
                owner = self.opener_of(&file, &patient)?.map(|opener| (patient, opener));
            }
            owner.as_ref().map(|(_, opener)| opener.open(&id, sealed)).transpose()
        };
        ids.map(open).collect()
    }

    /// What opens the records of a patient, unless the patient's key has been destroyed.
    fn opener_of(&self, file: &Connection, patient: &[u8]) -> Result<Option<Opener>, Fault> {
        let sealed: Option<Vec<u8>> = file
            .prepare_cached("SELECT sealed FROM patient WHERE name = ?")
            .and_then(|mut statement| statement.query_row([patient], |row| row.get(0)).optional())
            .map_err(fault)?;
        sealed.map(|sealed| open(&self.inner.gateway, patient, sealed).and_then(|secret| Opener::of(&secret))).transpose()
    }

    /// Whether one of these patients' keys was made and no flush has written it yet.
    pub(super) fn is_any_fresh(&self, mut names: impl Iterator<Item = [u8; 32]>) -> bool {
        let state = self.state();
        !state.fresh.is_empty() && names.any(|name| state.fresh.iter().any(|(fresh, _)| *fresh == name))
    }

    /// What this key store says of itself.
    pub(super) fn standing(&self) -> Result<Standing, Fault> {
        standing(&self.state().file)
    }

    /// The number of the next writing of keys. Numbers may be left out, and never come back.
    pub(super) fn next_writing(&self) -> u64 {
        self.inner.writings.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether there is a record key of this name.
    pub(super) fn has_record(&self, name: &[u8]) -> Result<bool, Fault> {
        let found = self.state().file.query_row("SELECT 1 FROM record WHERE id = ?", [name], |_| Ok(())).optional();
        found.map(|found| found.is_some()).map_err(fault)
    }

    /// Writes fresh patient keys and the given record keys as the writing of this number, synced when this returns.
    pub(super) fn flush(&self, records: &[SealedRecord], number: u64) -> Result<(), Fault> {
        let mut guard = self.state();
        let state = &mut *guard;
        let transaction = state.file.transaction().map_err(fault)?;
        for (name, sealed) in &state.fresh {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO patient (name, sealed, label) VALUES (?, ?, ?)")
                .and_then(|mut statement| statement.execute(params![&name[..], sealed, &self.inner.entropy.bytes::<16>()[..]]))
                .map_err(fault)?;
        }
        for record in records {
            // Where the data beside it came to nothing, the same key is written again.
            transaction
                .prepare_cached("INSERT OR REPLACE INTO record (id, patient, sealed) VALUES (?, ?, ?)")
                .and_then(|mut statement| statement.execute(params![&record.id[..], &record.patient[..], record.sealed]))
                .map_err(fault)?;
        }
        transaction
            .prepare_cached("UPDATE standing SET written = ?")
            .and_then(|mut statement| statement.execute([number]))
            .map_err(fault)?;
        transaction.commit().map_err(fault)?;
        state.fresh.clear();
        Ok(())
    }

    /// The blinded name under which a patient's key is kept.
    pub fn patient_name(&self, patient: &str) -> [u8; 32] {
        hmac(&self.inner.gateway, &[b"patient", patient.as_bytes()])
    }

    /// The labels of keys that are here, by name. A record's is its name, a patient's was drawn with the key: it outlives the key and leads nowhere.
    pub(super) fn labels(&self, names: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Fault> {
        let state = self.state();
        let label = |name: &Vec<u8>| match name.len() {
            RECORD_NAME_BYTES => Ok(Some(name.clone())),
            _ => state.file.query_row("SELECT label FROM patient WHERE name = ?", [name], |row| row.get(0)).optional().map_err(fault),
        };
        names.iter().filter_map(|name| label(name).transpose()).collect()
    }

    /// The names of these labels: of records all, of patients those that are here. Looks through all patients once.
    pub(super) fn names(&self, labels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Fault> {
        let wanted: HashSet<&Vec<u8>> = labels.iter().collect();
        let state = self.state();
        let mut statement = state.file.prepare("SELECT name, label FROM patient").map_err(fault)?;
        let patients = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fault)?;
        let patients = patients.collect::<Result<Vec<(Vec<u8>, Vec<u8>)>, _>>().map_err(fault)?;
        let patients = patients.into_iter().filter(|(_, label)| wanted.contains(label)).map(|(name, _)| name);
        Ok(labels.iter().cloned().chain(patients).collect())
    }

    /// What is told here of the labels of destroyed keys, if it was ever noted.
    pub(super) fn destroyed(&self) -> Result<Option<Told>, Fault> {
        destroyed::read(&self.state().file)
    }

    /// Tells this of them from now on.
    pub(super) fn tell_destroyed(&self, told: Told) -> Result<(), Fault> {
        destroyed::write(&self.state().file, told)
    }

    /// Destroys keys by name: a record's 16 bytes, or a patient's 32 with all of its records. Gone for good when this returns, and told of so.
    pub(super) fn destroy(&self, names: &[Vec<u8>], told: Told) -> Result<(), Fault> {
        let mut guard = self.state();
        let state = &mut *guard;
        let transaction = state.file.transaction().map_err(fault)?;
        for name in names {
            if name.len() == RECORD_NAME_BYTES {
                transaction.execute("DELETE FROM record WHERE id = ?", [name]).map_err(fault)?;
                continue;
            }
            transaction.execute("DELETE FROM record WHERE patient = ?", [name]).map_err(fault)?;
            transaction.execute("DELETE FROM patient WHERE name = ?", [name]).map_err(fault)?;
        }
        destroyed::write(&transaction, told)?;
        transaction.commit().map_err(fault)?;
        state.opened.retain(|name, _| !names.iter().any(|gone| gone == name));
        state.fresh.retain(|(name, _)| !names.iter().any(|gone| gone == name));
        super::erase::fold(&state.file)
    }

    /// Bytes that nobody can foretell.
    pub(super) fn drawn<const N: usize>(&self) -> [u8; N] {
        self.inner.entropy.bytes()
    }

    /// A stable 32-byte key for a named purpose, derived from the gateway's key.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        derived(&self.inner.gateway, purpose)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn standing(file: &Connection) -> Result<Standing, Fault> {
    file.query_row("SELECT store, written, destroyed FROM standing", [], |row| {
        Ok(Standing { store: row.get(0)?, written: row.get(1)?, destroyed: row.get(2)? })
    })
    .map_err(fault)
}

fn standing_or_new(file: &Connection, entropy: &Entropy) -> Result<Standing, Fault> {
    let is_new: bool = file.query_row("SELECT NOT EXISTS (SELECT 1 FROM standing)", [], |row| row.get(0)).map_err(fault)?;
    if is_new {
        let store = &entropy.bytes::<16>()[..];
        file.execute("INSERT INTO standing (one, store, written, destroyed) VALUES (1, ?, 0, 0)", [store]).map_err(fault)?;
    }
    standing(file)
}

fn has_labels(file: &Connection) -> Result<bool, Fault> {
    let found = file.query_row("SELECT 1 FROM pragma_table_info('patient') WHERE name = 'label'", [], |_| Ok(())).optional();
    found.map(|found| found.is_some()).map_err(fault)
}

/// A stable 32-byte key for a named purpose, derived from the gateway's key.
pub(super) fn derived(gateway: &[u8; 32], purpose: &str) -> [u8; 32] {
    hmac(gateway, &[b"derived", purpose.as_bytes()])
}

/// HMAC-SHA-256 over length-prefixed parts.
pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    sign::hmac(key, lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]))
}

fn seal(key: &[u8; 32], bound_to: &[u8], secret: &[u8; 32]) -> Result<Vec<u8>, Fault> {
    let unusable = |_| Fault::new(FaultKind::Internal, "sealing a key failed");
    let sealer = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(unusable)?;
    let mut sealed = secret.to_vec();
    let nonce = sealer.seal_in_place_append_tag(Aad::from(bound_to), &mut sealed).map_err(unusable)?;
    let mut out = nonce.as_ref().to_vec();
    out.append(&mut sealed);
    Ok(out)
}

fn open(key: &[u8; 32], bound_to: &[u8], sealed: Vec<u8>) -> Result<[u8; 32], Fault> {
    Opener::of(key)?.open(bound_to, sealed)
}

/// Opens what was sealed with one key.
struct Opener(RandomizedNonceKey);

impl Opener {
    fn of(key: &[u8; 32]) -> Result<Opener, Fault> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Opener).map_err(|_| damaged_key())
    }

    fn open(&self, bound_to: &[u8], mut sealed: Vec<u8>) -> Result<[u8; 32], Fault> {
        let mut body = sealed.split_off(NONCE_LEN.min(sealed.len()));
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(&sealed).map_err(|_| damaged_key())?;
        let plain = self.0.open_in_place(nonce, Aad::from(bound_to), &mut body).map_err(|_| damaged_key())?;
        <[u8; 32]>::try_from(&*plain).map_err(|_| damaged_key())
    }
}

fn damaged_key() -> Fault {
    Fault::new(FaultKind::StorageCorrupt, "a stored key does not open: it is damaged, or the gateway key is another")
}
