//! The same decision for what is pushed as for what is asked, taken when the delivery leaves.

use super::consents::{Judge, Recipient};
use super::{Candidate, Ruling, reference};
use crate::anchor::LeafKind;
use crate::audit::{Action, Closing, Opened, Outcome};
use crate::consent::Permitted;
use crate::forward::{DeliveryJudge, Release};
use crate::outcome::Fault;
use crate::pipeline::{Pipeline, patient_ids};
use crate::registry::Destination;
use crate::store::Delivery;

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
            return Ok(Release::Deleted);
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

    async fn account(&self, delivery: &Delivery, destination: &Destination, permitted: &Permitted) -> Result<(), Fault> {
        let opened = Opened {
            interaction: "push",
            action: Action::Read,
            request_id: format!("delivery-{}", delivery.row),
            at: self.pipeline.clock.now(),
            peer: destination.name.clone(),
            caller: None,
            query: None,
        };
        let closing = Closing {
            resources: reference(permitted.resource()).into_iter().collect(),
            patients: patient_ids(permitted.resource()),
            consents: super::consents::governing(permitted).into_iter().collect(),
            description: Some(format!("delivered to {}", destination.name)),
            recipient: Some(destination.organisation.clone()),
            ..Closing::default()
        };
        self.pipeline.record(&opened, &Outcome::Success, LeafKind::Deliver, &closing).await
    }
}
