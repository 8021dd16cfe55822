//! The same decision for what is pushed as for what is asked, taken when the delivery leaves.

use super::consents::{Judge, Recipient};
use super::{Candidate, QueryPath, Ruling};
use crate::anchor::LeafKind;
use crate::audit::{Action, Closing, Opened, Outcome};
use crate::forward::{DeliveryJudge, Release, Sent};
use crate::outcome::Fault;
use crate::pipeline::{Pipeline, patient_ids};
use crate::registry::Destination;
use crate::store::{Delivery, HistoryScope, Reader};
use std::collections::{BTreeMap, BTreeSet};

/// The most versions of a record that are looked at to learn whether any was sent.
const MAX_VERSIONS: usize = 1000;

/// Judges deliveries by the consents in force at that moment.
#[derive(Clone)]
pub struct ConsentJudge {
    pub query: QueryPath,
}

impl ConsentJudge {
    fn pipeline(&self) -> &Pipeline {
        &self.query.pipeline
    }
}

impl DeliveryJudge for ConsentJudge {
    async fn permit(&self, delivery: &Delivery, destination: &Destination) -> Result<Release, Fault> {
        let (type_name, id) = (delivery.type_name.clone(), delivery.id.clone());
        let Some(current) = self.pipeline().store.read(move |reader| reader.current(&type_name, &id)).await? else {
            return Ok(Release::Superseded);
        };
        if current.version != delivery.version {
            return Ok(Release::Superseded);
        }
        if current.deleted() {
            // Whoever was sent nothing is not told that there was something.
            let (to, type_name, id) = (delivery.destination.clone(), delivery.type_name.clone(), delivery.id.clone());
            let sent = self.pipeline().store.read(move |reader| sent(reader, &to, &type_name, &id)).await?;
            return Ok(if sent.is_empty() { Release::Superseded } else { Release::Deleted });
        }
        let candidate = Candidate::stored(&current)?;
        let recipient = Recipient {
            organisation: destination.organisation.clone(),
            purposes: vec![destination.purpose],
            names_purposes: true,
            oversees: false,
            operates: false,
            person: None,
            breaks_glass: None,
            data: destination.data,
        };
        let shown = std::iter::once((&candidate.resource, candidate.source.as_str()));
        let mut judge = Judge::for_recipient(self.pipeline(), recipient, shown).await?;
        self.query.settle(&mut judge, std::slice::from_ref(&candidate)).await?;
        Ok(match judge.rule(candidate) {
            Ruling::Permitted(permitted) => Release::Permitted(permitted),
            Ruling::Denied(why) => Release::Denied(why),
        })
    }

    async fn account(&self, delivery: &Delivery, destination: &Destination, what: Sent<'_>) -> Result<(), Fault> {
        let opened = Opened {
            interaction: "push",
            action: Action::Read,
            request_id: format!("delivery-{}", delivery.row),
            at: self.pipeline().clock.now(),
            peer: destination.name.clone(),
            caller: None,
            query: None,
        };
        let to = |done: &str| Closing {
            recipient: Some(destination.organisation.clone()),
            purpose: Some(destination.purpose),
            description: Some(format!("{done} {}", destination.name)),
            ..Closing::default()
        };
        let (closing, outcome) = match what {
            Sent::Version(permitted) => {
                let consents = super::consents::governing(permitted).into_iter().collect();
                (Closing { patients: patient_ids(permitted.resource()), consents, ..to("sent to") }, Outcome::Success)
            }
            Sent::Deletion => (Closing { patients: self.patients_of(delivery).await?, ..to("its deletion was told to") }, Outcome::Success),
            // The leaf says by itself that it is a refusal.
            Sent::Withheld(ref why) => {
                let withheld = self.patients_of(delivery).await?;
                let reasons = withheld.iter().flat_map(|patient| why.iter().map(|why| (patient.clone(), why.clone()))).collect();
                (Closing { withheld, reasons, ..to("delivery to") }, Outcome::Refused("held-back"))
            }
        };
        if matches!(what, Sent::Withheld(_)) && closing.withheld.is_empty() {
            return Ok(());
        }
        let record = format!("{}/{}/_history/{}", delivery.type_name, delivery.id, delivery.version);
        self.pipeline().record(&opened, &outcome, LeafKind::Deliver, &Closing { resources: vec![record], ..closing }).await
    }
}

/// The versions of a record that were sent to a destination, each as the patients it was about. Deliveries are found by the first of these.
fn sent(reader: &Reader<'_>, destination: &str, type_name: &str, id: &str) -> Result<Vec<Vec<String>>, Fault> {
    let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
    let mut about = BTreeMap::<String, Vec<(u32, Vec<String>)>>::new();
    for version in reader.history(&scope, None, None, MAX_VERSIONS)?.iter().filter(|version| !version.deleted()) {
        let patients = patient_ids(&version.parse()?);
        about.entry(patients.first().cloned().unwrap_or_default()).or_default().push((version.version, patients));
    }
    let mut found = Vec::new();
    for (patient, versions) in about {
        let sent = reader.sent(destination, &patient, type_name, id)?;
        found.extend(versions.into_iter().filter(|(version, _)| sent.contains(version)).map(|(_, patients)| patients));
    }
    Ok(found)
}

impl ConsentJudge {
    /// The patients a version is about; of a deletion, those of whom anything was sent to whoever is told of it: they need not be the last ones.
    async fn patients_of(&self, delivery: &Delivery) -> Result<Vec<String>, Fault> {
        let (to, type_name, id) = (delivery.destination.clone(), delivery.type_name.clone(), delivery.id.clone());
        let version = delivery.version;
        let found = self.pipeline().store.read(move |reader| match reader.version(&type_name, &id, version)? {
            Some(found) if !found.deleted() => Ok(patient_ids(&found.parse()?)),
            Some(_) => Ok(sent(reader, &to, &type_name, &id)?.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()),
            None => Ok(Vec::new()),
        });
        found.await
    }
}
