//! Who may speak for a patient: the patient's own application, and in time whoever the patient or the law has named.

use super::QueryPath;
use crate::fhir::Node;
use crate::identity::{Caller, crossref};
use crate::outcome::Fault;
use crate::registry::{PatientFacts, includes};

impl QueryPath {
    /// Whether the caller speaks for the patient with this id.
    pub(crate) async fn represents(&self, caller: &Caller, id: &str) -> Result<bool, Fault> {
        if caller.acts_for.is_none() {
            return Ok(false);
        }
        let Some(patient) = self.own("Patient", id, None).await? else { return Ok(false) };
        Ok(is_own_patient(caller, id, &patient.resource))
    }
}

/// Whether the patient is among those the caller is registered to act for.
fn is_own_patient(caller: &Caller, id: &str, patient: &Node) -> bool {
    let identifiers: Vec<_> = crossref::patient_identifiers(patient).into_iter().collect();
    let reference = format!("Patient/{id}");
    let facts = PatientFacts { reference: &reference, identifiers: &identifiers };
    caller.acts_for.as_ref().is_some_and(|patients| includes(patients, Some(facts)))
}
