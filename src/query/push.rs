//! The same decision for what is pushed as for what is asked, taken when the delivery leaves.

use super::consents::{Judge, Recipient};
use super::{Candidate, Ruling};
use crate::anchor::LeafKind;
use crate::audit::{Action, Closing, Opened, Outcome};
use crate::forward::{DeliveryJudge, Release, Sent};
use crate::outcome::Fault;
use crate::pipeline::{Pipeline, patient_ids};
use crate::registry::Destination;
use crate::store::{Delivery, HistoryScope, Reader};
use std::collections::BTreeSet;

/// The most versions of a record that are looked at to learn whether any was sent.
const MAX_VERSIONS: usize = 1000;

/// Judges deliveries by the consents in force at that moment.
#[derive(Clone)]
pub struct ConsentJudge {
    pub pipeline: Pipeline,
}

impl DeliveryJudge for ConsentJudge {
    async fn permit(&self, delivery: &Delivery, destination: &Destination) -> Result<Release, Fault> {
        let (type_name, id) = (delivery.type_name.clone(), delivery.id.clone());
        let Some(current) = self.pipeline.store.read(move |reader| reader.current(&type_name, &id)).await? else {
            return Ok(Release::Superseded);
        };
        if current.version != delivery.version {
            return Ok(Release::Superseded);
        }
        if current.deleted() {
            // Whoever was sent nothing is not told that there was something.
            let (to, type_name, id) = (delivery.destination.clone(), delivery.type_name.clone(), delivery.id.clone());
            let was_sent = self.pipeline.store.read(move |reader| was_sent(reader, &to, &type_name, &id)).await?;
            return Ok(if was_sent { Release::Deleted } else { Release::Superseded });
        }
        let candidate = Candidate::stored(&current)?;
        let recipient = Recipient {
            organisation: destination.organisation.clone(),
            purposes: vec![destination.purpose],
            oversees: false,
            operates: false,
            person: None,
            breaks_glass: None,
            data: destination.data,
        };
        let judge = Judge::for_recipient(&self.pipeline, recipient, std::iter::once(&candidate.resource)).await?;
        Ok(match judge.rule(candidate) {
            Ruling::Permitted(permitted) => Release::Permitted(permitted),
            Ruling::Denied => Release::Denied,
        })
    }

    async fn account(&self, delivery: &Delivery, destination: &Destination, what: Sent<'_>) -> Result<(), Fault> {
        let opened = Opened {
            interaction: "push",
            action: Action::Read,
            request_id: format!("delivery-{}", delivery.row),
            at: self.pipeline.clock.now(),
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
            Sent::Withheld => {
                (Closing { withheld: self.patients_of(delivery).await?, ..to("held back from") }, Outcome::Refused("no-consent"))
            }
        };
        if matches!(what, Sent::Withheld) && closing.withheld.is_empty() {
            return Ok(());
        }
        let record = format!("{}/{}/_history/{}", delivery.type_name, delivery.id, delivery.version);
        self.pipeline.record(&opened, &outcome, LeafKind::Deliver, &Closing { resources: vec![record], ..closing }).await
    }
}

/// Whether any version of a record was sent to a destination: deliveries are found by whom they were about.
fn was_sent(reader: &Reader<'_>, destination: &str, type_name: &str, id: &str) -> Result<bool, Fault> {
    let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
    let mut about = BTreeSet::from([String::new()]);
    for version in reader.history(&scope, None, None, MAX_VERSIONS)?.iter().filter(|version| !version.deleted()) {
        about.extend(patient_ids(&version.parse()?).into_iter().take(1));
    }
    for patient in about {
        if reader.was_sent(destination, &patient, type_name, id)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl ConsentJudge {
    /// The patients a version is about; of a deletion, whom the version before it was about.
    async fn patients_of(&self, delivery: &Delivery) -> Result<Vec<String>, Fault> {
        let (type_name, id, version) = (delivery.type_name.clone(), delivery.id.clone(), delivery.version);
        let found = self.pipeline.store.read(move |reader| {
            let found = reader.version(&type_name, &id, version)?;
            match found {
                Some(found) if found.deleted() => reader.version(&type_name, &id, version.saturating_sub(1)),
                found => Ok(found),
            }
        });
        let found = found.await?.filter(|version| !version.deleted());
        Ok(found.map(|version| version.parse()).transpose()?.map(|resource| patient_ids(&resource)).unwrap_or_default())
    }
}
