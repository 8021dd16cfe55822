//! Submissions that wait for signatures and lead to what is erased: each is judged as it would be stored, and by all that is kept of it.
//!
//! One that leads to the person and is about nobody else goes. What leads to the person and is about others too, or about others and names the person
//! anywhere, goes where that is asked for, like a record.

use super::Trail;
use super::erasure::{Key, Plan};
use super::named::Who;
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::pipeline::{Waits, patient_ids};
use std::collections::BTreeSet;

/// Those that go.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub ids: Vec<String>,
    /// How many of them are about others too.
    pub shared: usize,
}

impl Trail {
    /// What waits and goes with a plan. `person` is whoever is erased, unless it is a record that is.
    pub(super) async fn waiting(&self, plan: &Plan, person: Option<&str>) -> Result<Waiting, Fault> {
        let gone = Gone { plan, person, ids: plan.gone.keys().map(|(_, id)| id.as_str()).collect() };
        let found = self.query.pipeline.waiting_where(|waits| gone.takes(waits)).await?;
        let shared = found.iter().filter(|(_, is_shared)| *is_shared).count();
        Ok(Waiting { ids: found.into_iter().map(|(id, _)| id).collect(), shared })
    }
}

/// What is to go.
struct Gone<'a> {
    plan: &'a Plan,
    person: Option<&'a str>,
    ids: BTreeSet<&'a str>,
}

impl Gone<'_> {
    /// Whether a submission goes; and whether that is to be asked for.
    fn takes(&self, waits: &Waits<'_>) -> Option<bool> {
        let leads = waits.forms.iter().any(|form| self.leads(form, &json::write(form)));
        let is_others = waits.forms.iter().any(|form| self.is_others(form));
        let text = String::from_utf8_lossy(waits.bytes);
        match (leads, self.person) {
            (true, Some(_)) => Some(is_others),
            (true, None) => Some(false),
            // What would not be stored any more is nobody's who could be asked.
            (false, _) if self.is_held(waits.whole, &text) => Some(self.person.is_some() && is_others),
            (false, _) => None,
        }
    }

    fn leads(&self, form: &Node, text: &str) -> bool {
        self.ids.iter().any(|id| text.contains(id)) || self.person.is_some_and(|person| self.plan.identifiers.naming(form, person).person)
    }

    /// Whether what is kept leads to what goes, in whatever part of it.
    fn is_held(&self, whole: Option<&Node>, text: &str) -> bool {
        let entries = whole.into_iter().flat_map(|whole| whole.items("entry")).filter_map(|entry| entry.get("resource"));
        self.ids.iter().any(|id| text.contains(id)) || whole.into_iter().chain(entries).any(|part| self.leads(part, ""))
    }

    fn is_others(&self, form: &Node) -> bool {
        let naming = self.person.map(|person| self.plan.identifiers.naming(form, person)).unwrap_or_default();
        let stays = |patient: &String| {
            let key: Key = ("Patient".to_owned(), patient.clone());
            !self.plan.gone.contains_key(&key) && !naming.known_as.contains(&format!("Patient/{patient}"))
        };
        naming.subjects.contains(&Who::Other) || patient_ids(form).iter().any(stays)
    }
}
