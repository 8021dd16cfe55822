//! Submissions that wait for signatures and lead to what is erased: each is judged as it would be stored, and by all that is kept of it.
//!
//! One that leads to the person and is about nobody else goes. What leads to the person and is about others too, or about others and names the person
//! anywhere, goes where that is asked for, like a record. So does what refers to a record that is erased alone; what is to become of that record itself goes
//! with it. Whoever of those who stay it was about is told how its waiting ended.

use super::Trail;
use super::among::Among;
use super::erasure::{Key, Plan};
use super::named::{Naming, Who};
use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::fhir::{Node, json};
use crate::outcome::Fault;
use crate::pipeline::{Waits, patient_ids};
use crate::store::{Assumption, Unit};
use std::collections::BTreeSet;

/// One that goes.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: String,
    revision: u32,
    /// Whether that is to be asked for.
    pub is_shared: bool,
    /// Whom of those who stay it was about.
    others: BTreeSet<String>,
}

impl Trail {
    /// What waits and goes with a plan. `person` is whoever is erased, unless it is a record that is.
    pub(super) async fn waiting(&self, plan: &Plan, person: Option<&str>) -> Result<Vec<Waiting>, Fault> {
        let gone = Gone { plan, person, among: Among::of(plan.gone.keys()) };
        let found = self.query.pipeline.waiting_where(|waits| gone.takes(waits)).await?;
        let mut going = Vec::with_capacity(found.len());
        for found in found {
            let (is_shared, others) = found.judged;
            going.push(Waiting { id: found.id, revision: found.revision, is_shared, others: self.here(others).await? });
        }
        Ok(going)
    }

    /// Those of these patients who are here: whoever a submission would have brought has no trail.
    async fn here(&self, patients: BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        let here = self.query.pipeline.store.read(move |reader| {
            let mut here = BTreeSet::new();
            for patient in patients {
                if reader.newest("Patient", &patient)?.is_some() {
                    here.insert(patient);
                }
            }
            Ok(here)
        });
        here.await
    }

    /// Adds to an erasure that what waits is as it was judged, and what tells those who stay how its waiting ended.
    pub(super) fn end_waiting(&self, unit: &mut Unit, waiting: &[Waiting], opened: &audit::Opened) -> Result<(), Fault> {
        for one in waiting {
            unit.assumptions.push(Assumption::Pending { id: one.id.clone(), revision: one.revision });
            if !one.others.is_empty() {
                self.query.pipeline.close(unit, opened, &Outcome::Refused("erased"), LeafKind::Refuse, one.closing())?;
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn closing(&self) -> Closing {
        let (task, others) = (format!("Task/{}", self.id), self.others.iter().cloned().collect::<Vec<String>>());
        Closing {
            resources: vec![task.clone()],
            owners: vec![(task, others.clone())],
            withheld: others,
            description: Some("no longer waits for signatures: it was erased with what it referred to".to_owned()),
            ..Closing::default()
        }
    }
}

/// What is to go.
struct Gone<'a> {
    plan: &'a Plan,
    person: Option<&'a str>,
    among: Among<'a>,
}

impl Gone<'_> {
    /// Whether a submission goes: whether that is to be asked for, and whom of those who stay it is about.
    fn takes(&self, waits: &Waits<'_>) -> Option<(bool, BTreeSet<String>)> {
        let leads = waits.forms.iter().any(|form| self.leads(form, &json::write(form)));
        if !leads && !self.is_held(waits.whole, &String::from_utf8_lossy(waits.bytes)) {
            return None;
        }
        let is_shared = match self.person {
            // What would not be stored any more is nobody's who could be asked.
            Some(_) => waits.forms.iter().any(|form| self.is_others(form)),
            None => waits.forms.is_empty() || !waits.forms.iter().all(|form| self.is_gone(form)),
        };
        Some((is_shared, waits.forms.iter().flat_map(|form| self.staying(form)).collect()))
    }

    fn leads(&self, form: &Node, text: &str) -> bool {
        self.names(text) || self.person.is_some_and(|person| self.plan.identifiers.naming(form, person).person)
    }

    /// Whether a text names something that goes.
    fn names(&self, text: &str) -> bool {
        self.among.is_named(text)
    }

    /// Whether what is kept leads to what goes, in whatever part of it.
    fn is_held(&self, whole: Option<&Node>, text: &str) -> bool {
        let entries = whole.into_iter().flat_map(|whole| whole.items("entry")).filter_map(|entry| entry.get("resource"));
        self.names(text) || whole.into_iter().chain(entries).any(|part| self.leads(part, ""))
    }

    /// Whether it would be a version of something that goes.
    fn is_gone(&self, form: &Node) -> bool {
        let key = form.resource_type().zip(form.text("id")).map(|(type_name, id)| (type_name.to_owned(), id.to_owned()));
        key.is_some_and(|key: Key| self.plan.gone.contains_key(&key))
    }

    fn is_others(&self, form: &Node) -> bool {
        self.naming(form).subjects.contains(&Who::Other) || !self.staying(form).is_empty()
    }

    /// The patients it is about who stay.
    fn staying(&self, form: &Node) -> Vec<String> {
        let known_as = self.naming(form).known_as;
        let stays = |patient: &String| {
            let key: Key = ("Patient".to_owned(), patient.clone());
            !self.plan.gone.contains_key(&key) && !known_as.contains(&format!("Patient/{patient}"))
        };
        patient_ids(form).into_iter().filter(stays).collect()
    }

    fn naming(&self, form: &Node) -> Naming {
        self.person.map(|person| self.plan.identifiers.naming(form, person)).unwrap_or_default()
    }
}
