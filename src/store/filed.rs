//! Which consents there are about each patient, and in which version: kept beside the index they are found by, so that one that the index lost, or that
//! was put back to an older version, is not passed over.

use super::fault;
use super::keys::hmac;
use super::unit::VersionDraft;
use crate::fhir::json;
use crate::outcome::{Fault, FaultKind};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

const TYPE_NAME: &str = "Consent";

/// Notes a version that is written, under everybody the consent is about or was.
pub(super) fn note(data: &Connection, key: &[u8; 32], draft: &VersionDraft) -> Result<(), Fault> {
    if draft.type_name != TYPE_NAME {
        return Ok(());
    }
    let mut patients = BTreeSet::new();
    if !draft.document.is_empty() {
        let consent = json::parse(draft.document.as_bytes(), usize::MAX)
            .map_err(|_| Fault::new(FaultKind::Internal, "a consent that is written cannot be read"))?;
        let patient = consent.get("patient").and_then(|patient| patient.text("reference")).and_then(|text| text.strip_prefix("Patient/"));
        patients.extend(patient.map(str::to_owned));
    }
    let mut statement = data.prepare_cached("SELECT patient FROM filed WHERE consent = ?").map_err(fault)?;
    for patient in statement.query_map([&draft.id], |row| row.get(0)).map_err(fault)? {
        patients.insert(patient.map_err(fault)?);
    }
    patients.iter().try_for_each(|patient| {
        let row = params![patient, draft.id, draft.version, &seal(key, patient, &draft.id, draft.version)[..]];
        data.prepare_cached("INSERT OR REPLACE INTO filed (patient, consent, version, seal) VALUES (?, ?, ?, ?)")
            .and_then(|mut statement| statement.execute(row))
            .map(drop)
            .map_err(fault)
    })
}

/// The consents noted under a patient, with the version each is in.
pub(super) fn under(data: &Connection, key: &[u8; 32], patient: &str) -> Result<Vec<(String, u32)>, Fault> {
    let mut statement = data.prepare_cached("SELECT consent, version, seal FROM filed WHERE patient = ?").map_err(fault)?;
    let rows = statement.query_map([patient], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(fault)?;
    rows.map(|row| {
        let (consent, version, found): (String, u32, Vec<u8>) = row.map_err(fault)?;
        match aws_lc_rs::constant_time::verify_slices_are_equal(&seal(key, patient, &consent, version), &found) {
            Ok(()) => Ok((consent, version)),
            Err(_) => Err(Fault::new(FaultKind::StorageCorrupt, format!("what is noted of Consent/{consent} is not as it was stored"))),
        }
    })
    .collect()
}

/// Forgets what is erased.
pub(super) fn forget(data: &Connection, type_name: &str, id: &str) -> Result<(), Fault> {
    let sql = match type_name {
        TYPE_NAME => "DELETE FROM filed WHERE consent = ?",
        "Patient" => "DELETE FROM filed WHERE patient = ?",
        _ => return Ok(()),
    };
    data.execute(sql, [id]).map(drop).map_err(fault)
}

fn seal(key: &[u8; 32], patient: &str, consent: &str, version: u32) -> [u8; 32] {
    hmac(key, &[b"filed\0", patient.as_bytes(), b"\0", consent.as_bytes(), &version.to_be_bytes()])
}
