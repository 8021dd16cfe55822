//! Who may speak for a patient: the patient's own application, and whoever the patient or the law has named.

use super::{Pipeline, readable};
use crate::config::Consent;
use crate::consent::{Capacity, capacity};
use crate::fhir::Node;
use crate::identity::{Caller, crossref};
use crate::outcome::{Fault, FaultKind};
use crate::registry::{Client, Identifier, PatientFacts, includes};
use crate::search::Query;
use crate::store::{HistoryScope, Reader};
use std::collections::BTreeSet;

/// The most RelatedPersons, and the most consents, of one patient that are looked at; one with more is spoken for by nobody but themselves.
const MAX_RELATED: usize = 200;
/// The versions that are looked through for the last content of a deleted record. Nothing is deleted twice.
const MAX_DELETIONS: usize = 2;

impl Pipeline {
    /// Whether the caller speaks for the patient with this id: as their application, as a guardian while they are not of age, or as a delegate.
    pub async fn represents(&self, caller: &Caller, id: &str) -> Result<bool, Fault> {
        if caller.acts_for.is_none() && caller.person.is_none() {
            return Ok(false);
        }
        let wanted = id.to_owned();
        let stored = readable(self.store.read(move |reader| reader.current("Patient", &wanted)).await)?;
        let Some(stored) = stored.filter(|version| !version.deleted()) else { return Ok(false) };
        self.speaks_for(caller, id, stored.parse()?).await
    }

    /// The same of a patient whose record may be deleted: then its last content says who that was. Good for looking back, not for acting.
    pub async fn represented(&self, caller: &Caller, id: &str) -> Result<bool, Fault> {
        if caller.acts_for.is_none() && caller.person.is_none() {
            return Ok(false);
        }
        let scope = HistoryScope::Instance { type_name: "Patient".to_owned(), id: id.to_owned() };
        let newest = self.store.read(move |reader| reader.history(&scope, None, None, MAX_DELETIONS)).await?;
        let Some(last) = newest.into_iter().find(|version| !version.deleted()) else { return Ok(false) };
        self.speaks_for(caller, id, last.parse()?).await
    }

    async fn speaks_for(&self, caller: &Caller, id: &str, patient: Node) -> Result<bool, Fault> {
        if is_own_patient(caller, id, &patient) {
            return Ok(true);
        }
        let Some(person) = &caller.person else { return Ok(false) };
        Ok(self.capacity(person, id, patient).await?.is_some())
    }

    /// As what a person may act for a patient; `None` when they may not.
    async fn capacity(&self, person: &Identifier, id: &str, patient: Node) -> Result<Option<Capacity>, Fault> {
        let criteria = |type_name: &str| {
            let query = Query::criteria(self.definitions, type_name, &format!("patient=Patient/{id}"));
            query.map_err(|_| Fault::new(FaultKind::Internal, "the query for those who act for a patient does not parse"))
        };
        let (related, consents) = (criteria("RelatedPerson")?, criteria("Consent")?);
        let trusted = self.trusted_sources();
        let read = self.store.read(move |reader| {
            let related = records(reader, &related, |source| trusted.contains(source))?;
            // Whoever filed a consent was found to be allowed to.
            let consents = records(reader, &consents, |_| true)?;
            Ok(related.zip(consents))
        });
        let Some((related, consents)) = read.await? else { return Ok(None) };
        let majority = majority_years(&self.consent, &patient);
        let named = (person.system.as_str(), person.value.as_str());
        Ok(capacity(named, &patient, &related, &consents, majority, self.clock.now()))
    }

    /// The sources that are believed about who is related to whom: those that may file consents, and are nobody's own application.
    fn trusted_sources(&self) -> BTreeSet<String> {
        let of = |wanted: fn(&Client) -> bool| -> BTreeSet<String> {
            self.registry.clients().filter(|client| wanted(client)).filter_map(|client| client.source.clone()).collect()
        };
        let (filing, own) = (of(|client| client.files_consent), of(|client| client.acts_for.is_some() || client.person.is_some()));
        filing.difference(&own).cloned().collect()
    }
}

/// For each of the patient's addresses the names of its jurisdiction, the narrowest first: `US-TX`, `US`.
pub(super) fn places_of(patient: &Node) -> Vec<Vec<String>> {
    let place = |address: &Node| {
        let country = address.text("country").unwrap_or_default();
        let state = address.text("state").map(|state| format!("{country}-{state}"));
        state.into_iter().chain(std::iter::once(country.to_owned())).collect()
    };
    patient.items("address").iter().map(place).collect()
}

/// The age at which a patient comes of age: that of the first jurisdiction the patient's addresses name, `US-AL` before `US`, or the usual one.
/// Where addresses differ, the lowest, so that nobody's word counts longer than somewhere it would.
pub(crate) fn majority_years(settings: &Consent, patient: &Node) -> u16 {
    let of_place = |names: Vec<String>| names.iter().find_map(|name| settings.majority.get(name)).copied();
    let found = places_of(patient).into_iter().map(|names| of_place(names).unwrap_or(settings.majority_years)).min();
    u16::try_from(found.unwrap_or(settings.majority_years)).unwrap_or(u16::MAX)
}

/// What a query finds of the sources that are believed; `None` when there is more than can be looked at.
fn records(reader: &Reader<'_>, query: &Query, is_believed: impl Fn(&str) -> bool) -> Result<Option<Vec<Node>>, Fault> {
    let Some(found) = reader.candidates(query)?.filter(|found| found.len() <= MAX_RELATED) else { return Ok(None) };
    let believed = found.iter().filter(|version| is_believed(&version.source));
    believed.map(|version| version.parse()).collect::<Result<Vec<Node>, Fault>>().map(Some)
}

/// Whether the patient is among those the caller is registered to act for.
fn is_own_patient(caller: &Caller, id: &str, patient: &Node) -> bool {
    let identifiers: Vec<_> = crossref::patient_identifiers(patient).into_iter().collect();
    let reference = format!("Patient/{id}");
    let facts = PatientFacts { reference: &reference, identifiers: &identifiers };
    caller.acts_for.as_ref().is_some_and(|patients| includes(patients, Some(facts)))
}
