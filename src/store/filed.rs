//! Which consents there are about each patient, and in which version: kept beside the index they are found by, so that one that the index lost, that
//! was put back to an older version, or that was taken out with every row of it, is not passed over.
//!
//! The row of no consent closes a patient's list: it counts how often something was noted, and its seal is over the whole list. How far the count has
//! come stands with the patient's key too (`keys/filings.rs`), apart from the data, so that neither no list nor one from before passes for what there is.
//! The other records of the patient's person stand in the list too (`links.rs`).

use super::fault;
use super::keys::{Keyring, hmac};
use super::links::{Link, link_of};
use super::unit::VersionDraft;
use crate::fhir::{Node, json};
use crate::outcome::{Fault, FaultKind};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const TYPE_NAME: &str = "Consent";
/// The name in a list's closing row: no consent has it.
const CLOSING: &str = "";

/// The consents about a patient, each with its version, and the links to other records, each with how it stands.
type Consents = Vec<(String, u32)>;

/// What is noted under a patient.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filed {
    /// The consents, each with the version it is in.
    pub consents: Vec<(String, u32)>,
    /// The other records of the same person, in the order of their ids.
    pub linked: Vec<String>,
    /// Those that were, until what their sources say told them apart: what was filed about them denies, and permits nothing.
    pub parted: Vec<String>,
}

/// A patient's list as it stands.
struct List {
    consents: Consents,
    /// How often something was noted, and the seal over the list.
    closing: Option<(u64, Vec<u8>)>,
}

impl List {
    fn read(data: &Connection, patient: &str) -> Result<List, Fault> {
        let mut list = List { consents: Vec::new(), closing: None };
        let mut statement =
            data.prepare_cached("SELECT consent, version, seal FROM filed WHERE patient = ? ORDER BY consent").map_err(fault)?;
        let mut rows = statement.query([patient]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let consent: String = row.get(0).map_err(fault)?;
            if consent == CLOSING {
                list.closing = Some((row.get(1).map_err(fault)?, row.get(2).map_err(fault)?));
            } else {
                list.consents.push((consent, row.get(1).map_err(fault)?));
            }
        }
        Ok(list)
    }

    /// How often something was noted in it, where it is closed as it was, and is not one from before it came so far.
    fn count(&self, key: &[u8; 32], patient: &str, reached: u64) -> Result<u64, Fault> {
        match &self.closing {
            None if self.consents.is_empty() && reached == 0 => Ok(0),
            Some((count, found)) if *count >= reached => {
                let seal = closing_seal(key, patient, *count, &self.consents);
                verify_slices_are_equal(&seal, found).map(|()| *count).map_err(|_| altered())
            }
            _ => Err(altered()),
        }
    }
}

fn altered() -> Fault {
    Fault::new(FaultKind::StorageCorrupt, "what is noted of the consents about a patient is not as it was stored")
}

/// What is noted under a patient. `reached` is how far the count is known to have come.
pub(super) fn under(data: &Connection, key: &[u8; 32], patient: &str, reached: u64) -> Result<Filed, Fault> {
    let list = List::read(data, patient)?;
    list.count(key, patient, reached)?;
    let mut filed = Filed::default();
    for (name, version) in list.consents {
        match link_of(&name, version) {
            Some(Link::Linked(record)) => filed.linked.push(record.to_owned()),
            Some(Link::Parted(record)) => filed.parted.push(record.to_owned()),
            None => filed.consents.push((name, version)),
        }
    }
    Ok(filed)
}

/// Notes consents as they are written and erased, and how far each patient's count comes by that.
pub(super) struct Filing {
    key: [u8; 32],
    keyring: Keyring,
    /// The counts of the group under way.
    counts: BTreeMap<String, u64>,
    /// Those in the data that do not stand with the patients' keys yet.
    owed: BTreeMap<String, u64>,
}

impl Filing {
    pub(super) fn new(key: [u8; 32], keyring: Keyring) -> Filing {
        Filing { key, keyring, counts: BTreeMap::new(), owed: BTreeMap::new() }
    }

    /// Notes a version that is written, under everybody the consent is about or was.
    pub(super) fn note(&mut self, data: &Connection, draft: &VersionDraft) -> Result<(), Fault> {
        if draft.type_name != TYPE_NAME {
            return Ok(());
        }
        let mut patients = noted_under(data, &draft.id)?;
        if !draft.document.is_empty() {
            let consent = json::parse(draft.document.as_bytes(), usize::MAX)
                .map_err(|_| Fault::new(FaultKind::Internal, "a consent that is written cannot be read"))?;
            patients.extend(patient_of(&consent).map(str::to_owned));
        }
        patients.iter().try_for_each(|patient| self.put(data, patient, &draft.id, draft.version))
    }

    /// Notes a name in a patient's list.
    pub(super) fn put(&mut self, data: &Connection, patient: &str, name: &str, version: u32) -> Result<(), Fault> {
        let seal = seal(&self.key, patient, name, version);
        self.change(data, patient, |data| write(data, patient, name, version.into(), &seal))
    }

    /// Takes a name out of a patient's list.
    pub(super) fn take(&mut self, data: &Connection, patient: &str, name: &str) -> Result<(), Fault> {
        let sql = "DELETE FROM filed WHERE patient = ? AND consent = ?";
        self.change(data, patient, |data| data.execute(sql, [patient, name]).map(drop).map_err(fault))
    }

    /// Forgets what is erased.
    pub(super) fn forget(&mut self, data: &Connection, type_name: &str, id: &str) -> Result<(), Fault> {
        match type_name {
            TYPE_NAME => noted_under(data, id)?.iter().try_for_each(|patient| self.take(data, patient, id)),
            // How far the count came goes with the patient's key.
            "Patient" => {
                self.forget_record(data, id)?;
                data.execute("DELETE FROM filed WHERE patient = ?", [id]).map(drop).map_err(fault)
            }
            _ => Ok(()),
        }
    }

    /// Changes a list and closes it anew. One that was altered is not closed, so that it does not pass for sound from then on.
    fn change(&mut self, data: &Connection, patient: &str, change: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<(), Fault> {
        let kept = self.keyring.filings_of(patient, u64::MAX)?;
        let known = [&self.owed, &self.counts].into_iter().filter_map(|counts| counts.get(patient)).copied();
        let before = List::read(data, patient)?.count(&self.key, patient, known.fold(kept, u64::max));
        change(data)?;
        match before {
            Ok(before) => {
                close(data, &self.key, patient, before + 1)?;
                self.counts.insert(patient.to_owned(), before + 1);
            }
            Err(failure) => tracing::error!(detail = %failure.detail, "what the consents are about stays denied"),
        }
        Ok(())
    }

    /// The group is in the data: how far its counts came is kept with the keys, before anybody is told. What cannot be kept now is kept with the next.
    pub(super) fn committed(&mut self) {
        self.owed.append(&mut self.counts);
        if self.owed.is_empty() {
            return;
        }
        match self.keyring.keep_filings(&self.owed) {
            Ok(()) => self.owed.clear(),
            Err(failure) => tracing::warn!(detail = %failure.detail, "how many consents there are could not be kept with the keys"),
        }
    }

    /// The group came to nothing.
    pub(super) fn rolled_back(&mut self) {
        self.counts.clear();
    }
}

/// Whom a consent is about.
pub(super) fn patient_of(consent: &Node) -> Option<&str> {
    consent.get("patient")?.text("reference")?.strip_prefix("Patient/")?.split('/').next()
}

fn noted_under(data: &Connection, consent: &str) -> Result<BTreeSet<String>, Fault> {
    let mut statement = data.prepare_cached("SELECT patient FROM filed WHERE consent = ?").map_err(fault)?;
    let patients = statement.query_map([consent], |row| row.get(0)).map_err(fault)?;
    patients.collect::<Result<_, _>>().map_err(fault)
}

fn close(data: &Connection, key: &[u8; 32], patient: &str, count: u64) -> Result<(), Fault> {
    let list = List::read(data, patient)?;
    write(data, patient, CLOSING, count, &closing_seal(key, patient, count, &list.consents))
}

fn write(data: &Connection, patient: &str, consent: &str, number: u64, seal: &[u8; 32]) -> Result<(), Fault> {
    data.prepare_cached("INSERT OR REPLACE INTO filed (patient, consent, version, seal) VALUES (?, ?, ?, ?)")
        .and_then(|mut statement| statement.execute(params![patient, consent, number, &seal[..]]))
        .map(drop)
        .map_err(fault)
}

/// Lists made before they were closed: what is not in them is added, and each whose rows hold is closed. Answers the counts, which are those of all
/// versions there are: a list that was closed before and lost something comes short of the count it had.
pub(super) fn close_older(data: &Connection, key: &[u8; 32], consents: &[(String, String, u32)]) -> Result<BTreeMap<String, u64>, Fault> {
    for (patient, consent, version) in consents {
        let row = params![patient, consent, version, &seal(key, patient, consent, *version)[..]];
        data.execute("INSERT OR IGNORE INTO filed (patient, consent, version, seal) VALUES (?, ?, ?, ?)", row).map_err(fault)?;
    }
    let mut statement = data.prepare("SELECT patient, consent, version, seal FROM filed ORDER BY patient").map_err(fault)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).map_err(fault)?;
    let mut counts: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for row in rows {
        let (patient, consent, version, found): (String, String, u32, Vec<u8>) = row.map_err(fault)?;
        let holds = consent != CLOSING && verify_slices_are_equal(&seal(key, &patient, &consent, version), &found).is_ok();
        let count = counts.entry(patient).or_insert(Some(0));
        *count = count.filter(|_| holds).map(|count| count + u64::from(version));
    }
    let sound = counts.into_iter().filter_map(|(patient, count)| Some((patient, count?)));
    sound.map(|(patient, count)| close(data, key, &patient, count).map(|()| (patient, count))).collect()
}

fn seal(key: &[u8; 32], patient: &str, consent: &str, version: u32) -> [u8; 32] {
    hmac(key, &[b"filed\0", patient.as_bytes(), b"\0", consent.as_bytes(), &version.to_be_bytes()])
}

fn closing_seal(key: &[u8; 32], patient: &str, count: u64, consents: &[(String, u32)]) -> [u8; 32] {
    let (count, versions) = (count.to_be_bytes(), consents.iter().map(|(_, version)| version.to_be_bytes()).collect::<Vec<_>>());
    // No id holds the byte that ends it, so that no two lists are written alike.
    let head = [&b"filed-closed\0"[..], patient.as_bytes(), b"\0", &count];
    let each = consents.iter().zip(&versions).flat_map(|((consent, _), version)| [consent.as_bytes(), b"\0", version]);
    hmac(key, &head.into_iter().chain(each).collect::<Vec<&[u8]>>())
}
