//! The resources the parties send: ordinary, invented, and valid unless a test makes them otherwise.

use super::world::PERSON;
use serde_json::{Value, json};

pub const ORGANISATIONS: &str = "urn:oid:1.3.6.1.4.1.99999.1";
/// The system of hospital A's record numbers.
pub const MRN: &str = "urn:oid:1.3.6.1.4.1.99999.2";

/// A patient with a record number.
pub fn patient(number: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": number}],
        "name": [{"family": "Moor", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1970-03-01"
    })
}

/// A patient with an identifier of which one value is one person.
pub fn person(number: &str) -> Value {
    let mut patient = patient(number);
    patient["identifier"].as_array_mut().unwrap().push(json!({"system": PERSON, "value": number}));
    patient
}

/// A haemoglobin measurement of a patient named by a reference.
pub fn observation(subject: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin [Mass/volume] in Blood"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2026-11-20T08:30:00Z",
        "valueQuantity": {"value": 13.2, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    })
}

/// A consent of a patient that permits everything to everybody, as IHE PCF's basic permit; `with` narrows it.
pub fn permit(patient: &str) -> Value {
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": format!("Patient/{patient}")},
        "dateTime": "2026-01-01",
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {"type": "permit"}
    })
}

/// The same, for one organisation.
pub fn permit_to(patient: &str, organisation: &str) -> Value {
    let mut consent = permit(patient);
    consent["provision"]["actor"] = json!([{
        "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
        "reference": {"identifier": {"system": ORGANISATIONS, "value": organisation}}
    }]);
    consent
}

/// A purpose of use as a consent names it.
pub fn purpose(code: &str) -> Value {
    json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code}])
}

/// A batch or transaction of entries.
pub fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

/// An entry that creates a resource under a name of its own.
pub fn creates(full_url: &str, resource: Value) -> Value {
    let url = resource["resourceType"].clone();
    json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": url}})
}
