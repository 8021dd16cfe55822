//! Filing consents: who may, what the filer is told, and taking one back.

use super::{Done, MAX_ATTEMPTS, Pipeline, WriteAnswer, readable};
use crate::anchor::{AnchoredVersion, LeafKind, OwnVersion};
use crate::audit::{self, Closing, Outcome};
use crate::config::Interaction as Permission;
use crate::consent::{Directory, Party, Policy, Reference, lint, will_not_count};
use crate::fhir::Node;
use crate::identity::Caller;
use crate::intake;
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal};
use crate::registry::Registry;
use crate::search::{Handling, Query, escaped};
use crate::store::{Assumption, Committed, Method, Reader, StoredVersion, Target, Unit};
use std::sync::Arc;

/// Patients whom one identifier may find, of which one must be whom a consent is about.
const MAX_NAMED: usize = 32;

impl Pipeline {
    /// Refuses consents that would count for nobody, and those that the caller may not file: without a registration for all, only those of patients it
    /// speaks for, and never a deletion, which would take the record of what held with it.
    pub(super) async fn may_file(&self, caller: &Caller, versions: &[AnchoredVersion]) -> Result<(), Failure> {
        if versions.iter().any(is_about_nobody_known) {
            let text = "The consent names its patient in no way that it could be found by, and would count for nobody. Name the patient as Patient/id, \
                        or as Patient?identifier=system|value.";
            return Err(Refusal::new(Reason::Invalid, IssueType::BusinessRule, text).at("Consent.patient").into());
        }
        if self.names_another(versions).await? {
            let text = "The identifier beside the reference to the patient is another patient's, and the consent would count for one of them alone. \
                        Name the patient by one of the two.";
            return Err(Refusal::new(Reason::Invalid, IssueType::BusinessRule, text).at("Consent.patient").into());
        }
        if caller.files_consent {
            return Ok(());
        }
        let forbidden = |text: &str| Failure::Refused(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text));
        for version in versions.iter().filter(|version| version.target.type_name == "Consent") {
            if version.target.method == Method::Delete {
                return Err(forbidden("A consent is not deleted but revoked: POST Consent/{id}/$revokeConsent."));
            }
            let mut concerned = version.patients.clone();
            if let Some(previous) = version.target.previous.as_ref().filter(|previous| !previous.deleted()) {
                concerned.extend(super::patient_ids(&previous.parse()?));
            }
            if !self.represents_all(caller, &concerned).await? {
                return Err(forbidden("This client may file consents of the patients it acts for, and of nobody else."));
            }
        }
        Ok(())
    }

    /// Whether a consent bears, beside the reference to its patient, an identifier that others are known by and not this one.
    async fn names_another(&self, versions: &[AnchoredVersion]) -> Result<bool, Fault> {
        let written =
            versions.iter().filter(|version| version.target.type_name == "Consent").filter_map(|version| version.resource.as_ref());
        let named: Vec<(String, Query)> = written.filter_map(|consent| self.identified_beside(consent)).collect();
        if named.is_empty() {
            return Ok(false);
        }
        let is_anothers = |reader: &Reader<'_>, (id, query): (String, Query)| {
            let found = reader.matching_ids(&Arc::new(query), None, MAX_NAMED)?;
            Ok(!found.is_empty() && !found.contains(&id))
        };
        self.store.read(move |reader| named.into_iter().try_fold(false, |is_so, one| Ok(is_so || is_anothers(reader, one)?))).await
    }

    /// The id by which a consent names its patient, and what finds whoever bears the identifier beside it.
    fn identified_beside(&self, consent: &Node) -> Option<(String, Query)> {
        let patient = consent.get("patient")?;
        let id = local_id(patient)?.to_owned();
        let identifier = patient.get("identifier")?;
        let token = format!("{}|{}", escaped(identifier.text("system")?), escaped(identifier.text("value")?));
        let pairs = vec![("identifier".to_owned(), token)];
        Query::parse(self.definitions, "Patient", &pairs, Handling::Strict).ok().map(|query| (id, query))
    }

    /// Whether the caller speaks for each of these patients; for nobody when there is none.
    async fn represents_all(&self, caller: &Caller, patients: &[String]) -> Result<bool, Fault> {
        for patient in patients {
            if !self.represents(caller, patient).await? {
                return Ok(false);
            }
        }
        Ok(!patients.is_empty())
    }

    /// Tells the filer of each consent how it will be read, and what keeps it from counting.
    pub(super) async fn tell_filers(&self, answers: &mut [WriteAnswer], versions: &[AnchoredVersion]) -> Result<(), Fault> {
        for answer in answers.iter_mut().filter(|answer| answer.type_name == "Consent" && answer.done != Done::Deleted) {
            let filed = versions.iter().find(|version| version.target.type_name == "Consent" && version.target.id == answer.id);
            let Some((filed, consent)) = filed.and_then(|version| Some((version, version.resource.as_ref()?))) else { continue };
            let records = self.records_of_first(&filed.patients, versions).await?;
            answer.findings.extend(self.told_of_consent(consent, Some(&records)));
        }
        Ok(())
    }

    /// How a consent will be read, by those who are registered, and what keeps it from counting. Only whoever files it is told what turns on how old the
    /// patient is: they give the records of whom it is about.
    pub(super) fn told_of_consent(&self, consent: &Node, records: Option<&[Node]>) -> Vec<Finding> {
        let patient = records.and_then(<[Node]>::first);
        let majority = patient.map_or(Policy::default().majority_years, |patient| super::majority_years(&self.consent, patient));
        let policy = Policy { majority_years: majority, age_required: records.is_some(), ..Policy::default() };
        let records = records.unwrap_or_default();
        let of_person = records.iter().filter_map(|record| Reference::new(&format!("Patient/{}", record.text("id")?)));
        let directory = Directory::of(records).of_one_person(of_person, std::iter::empty());
        let mut findings = lint(consent, &recipients(&self.registry));
        findings.extend(will_not_count(consent, &directory, policy, self.clock.now()));
        findings
    }

    async fn records_of_first(&self, patients: &[String], versions: &[AnchoredVersion]) -> Result<Vec<Node>, Fault> {
        let Some(patient) = patients.first().cloned() else { return Ok(Vec::new()) };
        let written = versions.iter().filter(|version| version.target.type_name == "Patient");
        let written: Vec<Node> = written.filter_map(|version| version.resource.clone()).collect();
        self.store.read(move |reader| records_of(reader, &patient, &written)).await
    }

    /// Revokes a consent: a new version that is inactive, whoever filed it. Whoever may not is answered as if there were none.
    pub async fn revoke_consent(&self, caller: &Caller, id: &str, opened: &audit::Opened) -> Result<WriteAnswer, Failure> {
        match self.try_revoke(caller, id, opened).await {
            Err(Failure::Refused(refusal)) => {
                let named = (intake::named(&format!("Consent/{id}"), None), None);
                self.record_refused_request(caller, named, opened, &refusal).await?;
                Err(Failure::Refused(refusal))
            }
            outcome => outcome,
        }
    }

    async fn try_revoke(&self, caller: &Caller, id: &str, opened: &audit::Opened) -> Result<WriteAnswer, Failure> {
        caller.require(Permission::Update, "Consent")?;
        let id = self.dialect(caller).id("Consent", id);
        for _ in 0..MAX_ATTEMPTS {
            let wanted = id.clone();
            let stored = self.store.read(move |reader| reader.current("Consent", &wanted)).await?;
            let current = stored.filter(|version| !version.deleted() && version.leaf.is_some()).ok_or_else(no_such_consent)?;
            let resource = current.parse()?;
            let patients = super::patient_ids(&resource);
            let filed_it = caller.files_consent && caller.source.as_deref() == Some(current.source.as_str());
            if !filed_it && !self.represents_all(caller, &patients).await? {
                return Err(no_such_consent().into());
            }
            if let Some(answer) = self.revoke(caller, current, resource, &patients, opened).await? {
                return Ok(answer);
            }
        }
        Err(Fault::new(FaultKind::Overloaded, "a consent kept being changed while it was revoked").into())
    }

    /// One attempt; `None` when somebody else changed the consent meanwhile. What is inactive already stays as it is.
    async fn revoke(
        &self,
        caller: &Caller,
        current: StoredVersion,
        mut resource: Node,
        patients: &[String],
        opened: &audit::Opened,
    ) -> Result<Option<WriteAnswer>, Fault> {
        let (source, id, was_inactive) = (current.source.clone(), current.id.clone(), resource.text("status") == Some("inactive"));
        let closing = |reference: String| Closing {
            resources: vec![reference],
            patients: patients.to_vec(),
            description: Some("consent revoked".to_owned()),
            ..Closing::default()
        };
        if was_inactive {
            let answer = answered(&current, Done::Existing);
            let reference = answer.version_reference().unwrap_or_default();
            self.record(opened, &Outcome::Success, LeafKind::Audit, &closing(reference)).await?;
            return Ok(Some(answer));
        }
        if let Some(object) = resource.as_object_mut() {
            object.set("status", "inactive");
        }
        let version = current.version + 1;
        let at = self.clock.now();
        let assumption = Assumption::Version { type_name: "Consent".to_owned(), id: id.clone(), version: current.version };
        let target = Target {
            type_name: "Consent".to_owned(),
            id: id.clone(),
            version,
            method: Method::Update,
            previous: Some(Arc::new(current.clone())),
        };
        let own = OwnVersion {
            type_name: "Consent",
            id: &id,
            previous: Some(current),
            resource: Some(resource.clone()),
            patients,
            reason: "The consent was revoked.",
            source: &source,
            at,
        };
        let (versions, leaves) = self.anchor.own_version(own, 0)?;
        let document = versions.first().map(|draft| draft.document.clone()).unwrap_or_default();
        let told = AnchoredVersion {
            target,
            resource: Some(resource),
            document: document.clone(),
            findings: Vec::new(),
            patients: patients.to_vec(),
            at,
        };
        let outbox = self.deliveries(caller, std::slice::from_ref(&told)).await?;
        let unit = Unit { assumptions: vec![assumption], versions, leaves, outbox, ..Unit::default() };
        let answer = WriteAnswer {
            done: Done::Updated,
            type_name: "Consent".to_owned(),
            id,
            version,
            at,
            document: Some(document),
            findings: Vec::new(),
        };
        let reference = answer.version_reference().unwrap_or_default();
        let done = self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing(reference)).await?;
        Ok(matches!(done, Committed::Done { .. }).then_some(answer))
    }
}

/// Whether it is a consent of somebody, and of nobody who is named by a reference to a record here: a decision looks for consents by that.
fn is_about_nobody_known(version: &AnchoredVersion) -> bool {
    let Some(consent) = version.resource.as_ref().filter(|_| version.target.type_name == "Consent") else { return false };
    let mut named = ["patient", "subject"].iter().filter_map(|name| consent.get(name)).peekable();
    named.peek().is_some() && (version.patients.is_empty() || !named.any(|named| local_id(named).is_some()))
}

/// The id of the Patient that a reference leads to here.
fn local_id(reference: &Node) -> Option<&str> {
    reference.text("reference")?.strip_prefix("Patient/")?.split('/').next().filter(|id| !id.is_empty())
}

/// Everybody who is registered to receive anything.
fn recipients(registry: &Registry) -> Vec<Party> {
    let organisations = registry.clients().map(|client| &client.organisation);
    let all = organisations.chain(registry.destinations().iter().map(|destination| &destination.organisation));
    all.map(|organisation| Party::from_reference(&crate::audit::organisation_reference(organisation).into())).collect()
}

/// The records of a patient and of the person they are, as they stand once these versions do; the patient's own first.
fn records_of(reader: &Reader<'_>, patient: &str, written: &[Node]) -> Result<Vec<Node>, Fault> {
    let mut records = Vec::new();
    for id in std::iter::once(patient.to_owned()).chain(reader.linked(patient)?) {
        if let Some(own) = written.iter().find(|own| own.text("id") == Some(id.as_str())) {
            records.push(own.clone());
        } else if let Some(stored) = readable(reader.current("Patient", &id))?.filter(|stored| !stored.deleted()) {
            records.push(stored.parse()?);
        }
    }
    Ok(records)
}

fn answered(version: &StoredVersion, done: Done) -> WriteAnswer {
    WriteAnswer {
        done,
        type_name: version.type_name.clone(),
        id: version.id.clone(),
        version: version.version,
        at: version.at,
        document: Some(version.document.clone()),
        findings: Vec::new(),
    }
}

fn no_such_consent() -> Refusal {
    Refusal::new(Reason::NotFound, IssueType::NotFound, "No Consent with this id is known here, or it may not be revoked by you.")
}
