//! What can be said of everything that is about one patient, before any of it is read.

use super::QueryPath;
use super::consents::Judge;
use crate::consent;
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::outcome::Fault;
use crate::store::StoredVersion;
use std::collections::HashSet;

/// How far the records of one patient might be shown to one caller, by the consents in force when it was made.
pub(crate) struct Scope {
    /// Whether any consent of the patient lets anything through.
    releases: bool,
    /// The sources that are the caller's own.
    own: HashSet<String>,
}

impl QueryPath {
    pub(crate) async fn scope(&self, caller: &Caller, patient: &str) -> Result<Scope, Fault> {
        let record: Node = Object::resource("Patient").with("id", patient).into();
        let judge = Judge::gather(&self.pipeline, caller, std::iter::once((&record, crate::audit::SOURCE))).await?;
        let own = self.pipeline.registry.sources_of(&caller.organisation);
        Ok(Scope { releases: judge.may_ask(patient), own: own.map(str::to_owned).collect() })
    }
}

impl Scope {
    /// Whether a record about the patient has to be read and decided. One that need not be is denied: it is about a patient who permits nothing,
    /// it is nobody's own, and it is of no type that goes by anything but consent.
    pub(crate) fn may_show(&self, version: &StoredVersion) -> bool {
        let other_ground = matches!(
            version.type_name.as_str(),
            "AuditEvent" | "Provenance" | "Consent" | "Communication" | "Task" | "Linkage" | "ConceptMap"
        );
        self.releases || other_ground || self.own.contains(&version.source) || consent::is_administrative(&version.type_name)
    }
}
