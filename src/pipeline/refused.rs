//! What is kept of a submission that was refused: the audit record, what a person must do, and, where it named a patient who is known here, a
//! place in that patient's trail. The sender learns nothing of that.

use super::plan::Planner;
use super::{Pipeline, patient_ids};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::Release;
use crate::identity::Caller;
use crate::intake::{Interaction, Write};
use crate::normalise::{Context, Links, normalise};
use crate::outcome::{Failure, Fault, Refusal};
use crate::store::{Reader, Unit};
use crate::worklist;
use std::collections::BTreeSet;

/// The most patients whose trails one refused submission stands in. What names more is about nobody in particular, and must not cost a record for
/// each.
const MAX_PATIENTS: usize = 50;

impl Pipeline {
    /// The audit record of a submission that was refused, with what a person must do about it.
    pub(super) async fn record_refused_submission(
        &self,
        caller: &Caller,
        (writes, declared): (Vec<Write>, Option<Release>),
        opened: &audit::Opened,
        refusal: &Refusal,
    ) -> Result<(), Fault> {
        let items = caller.source.as_deref().map(|source| worklist::refused(source, refusal)).unwrap_or_default();
        let unit = Unit { work: self.work(&items, self.clock.now())?, ..Unit::default() };
        let withheld = self.known_patients(caller, writes, declared).await?;
        let closing = Closing { withheld, ..Closing::default() };
        self.record_with(unit, opened, &Outcome::Refused(refusal.reason.label()), LeafKind::Refuse, &closing).await.map(drop)
    }

    /// The audit record of a request that was refused before anything of it was planned: `named` is what it names ([`crate::intake::named`]), and the
    /// release of FHIR that it was said to be of.
    pub async fn record_refused_request(
        &self,
        caller: &Caller,
        named: (Vec<Write>, Option<Release>),
        opened: &audit::Opened,
        refusal: &Refusal,
    ) -> Result<(), Fault> {
        let withheld = self.known_patients(caller, named.0, named.1).await?;
        self.record_refusal_of(opened, refusal, Closing { withheld, ..Closing::default() }).await
    }

    /// The patients these writes name, those who are known here.
    pub(super) async fn known_patients(
        &self,
        caller: &Caller,
        writes: Vec<Write>,
        declared: Option<Release>,
    ) -> Result<Vec<String>, Fault> {
        let planner = self.planner(caller.source.as_deref().unwrap_or_default());
        let known = self.store.read(move |reader| {
            let mut known = BTreeSet::new();
            for write in &writes {
                for id in named(&planner, reader, write, declared)? {
                    if known.len() <= MAX_PATIENTS && reader.current("Patient", &id)?.is_some() {
                        known.insert(id);
                    }
                }
            }
            Ok(known)
        });
        let known = known.await?;
        Ok(if known.len() <= MAX_PATIENTS { known.into_iter().collect() } else { Vec::new() })
    }
}

/// Whom a write names: the patient it would write, those of the resource it would replace or delete, and those of what was sent, as it would have
/// been read.
fn named(planner: &Planner, reader: &Reader<'_>, write: &Write, declared: Option<Release>) -> Result<Vec<String>, Fault> {
    let mut named = Vec::new();
    if let Interaction::Update { type_name, id, .. } | Interaction::Delete { type_name, id, .. } = &write.interaction {
        let id = planner.gateway_id(type_name, id);
        if let Some(current) = reader.current(type_name, &id)?.filter(|current| !current.deleted()) {
            named.extend(patient_ids(&current.parse()?));
        }
        named.extend((type_name == "Patient").then_some(id));
    }
    let Some(resource) = &write.resource else { return Ok(named) };
    let Some(source) = planner.rules.get(&planner.source) else {
        named.extend(patient_ids(resource));
        return Ok(named);
    };
    let links = match planner.relink(resource, Links::new(), reader) {
        Ok(links) => links,
        Err(Failure::Refused(_)) => Links::new(),
        Err(Failure::Fault(fault)) => return Err(fault),
    };
    let context = Context { source, ids: &planner.ids, links: &links, types: planner.definitions.types(), declared };
    named.extend(patient_ids(&normalise(resource.clone(), &context).resource));
    Ok(named)
}
