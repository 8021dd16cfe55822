//! What an erasure ends beside what it takes: what was filed about one record of a person counts for the others too, and is gone with it.

use crate::outcome::Fault;
use crate::pipeline::{patient_ids, readable};
use crate::store::Reader;

/// The most records of either kind that are named.
const MAX_NAMED: usize = 20;

/// What stops counting for whom.
#[derive(Default)]
pub(super) struct Ending {
    /// The consents about what is erased, as far as they can be told.
    consents: Vec<String>,
    /// The other records of the person.
    others: Vec<String>,
}

impl Ending {
    /// What the erasure of a Patient ends. Where it cannot be read what was filed, something may have been.
    pub(super) fn of(reader: &Reader<'_>, patient: &str) -> Result<Ending, Fault> {
        let Some(noted) = readable(reader.filed(patient).map(Some))? else {
            return Ok(Ending { consents: Vec::new(), others: reader.linked(patient)? });
        };
        let mut consents = Vec::new();
        for (id, _) in noted.consents {
            let current = readable(reader.current("Consent", &id))?.filter(|consent| !consent.deleted());
            let about = readable(current.map(|consent| consent.parse()).transpose())?.map(|consent| patient_ids(&consent));
            consents.extend(about.filter(|about| about.iter().any(|id| id == patient)).map(|_| format!("Consent/{id}")));
        }
        let others = if consents.is_empty() { Vec::new() } else { noted.linked.into_iter().chain(noted.parted).collect() };
        Ok(Ending { consents, others })
    }

    /// What whoever erases must know before, where there is anything.
    pub(super) fn told(&self) -> Option<String> {
        if self.others.is_empty() {
            return None;
        }
        let others: Vec<String> = self.others.iter().map(|id| format!("Patient/{id}")).collect();
        let consents = if self.consents.is_empty() { String::new() } else { format!(" ({})", listed(&self.consents)) };
        let others = listed(&others);
        Some(format!(
            "What was filed about this record{consents} counts for {others} too, of the same person, and no longer does once it is erased: \
             what it denies may be shown then. File it about these first, or ask with shared=true."
        ))
    }
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let named = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
