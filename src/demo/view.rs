//! What somebody sees: how many records, and whose.

use super::partner::Answer;
use super::teller::count;
use crate::fhir::Node;
use std::collections::BTreeMap;

/// Where a record lies. Its `meta.source` says who it is from, and only what the gateway keeps itself has a version.
const ORIGINS: [(&str, bool, &str); 4] = [
    ("hospital-a", true, "sent by Hospital A"),
    ("hospital-a", false, "on Hospital A's server"),
    ("laboratory", true, "sent by the laboratory"),
    ("hospital-b", false, "on its own server"),
];

/// The answers to the two questions of the story.
pub struct View {
    patients: usize,
    found: BTreeMap<usize, usize>,
    /// Observations from somewhere else, and remarks about systems that did not answer.
    strange: usize,
    statuses: [u16; 2],
}

impl View {
    pub fn of(patients: &Answer, observations: &Answer) -> View {
        let mut view =
            View { patients: 0, found: BTreeMap::new(), strange: 0, statuses: [patients.status, observations.status] };
        view.patients = patients.entries().count();
        for entry in observations.entries() {
            match entry.get("resource").and_then(origin) {
                Some(origin) => *view.found.entry(origin).or_default() += 1,
                None => view.strange += 1,
            }
        }
        view
    }

    fn of_origin(&self, origin: usize) -> usize {
        self.found.get(&origin).copied().unwrap_or(0)
    }

    fn is_sound(&self) -> bool {
        self.statuses == [200, 200] && self.strange == 0
    }

    /// Hospital B's own records and nothing else.
    pub fn is_only_its_own(&self) -> bool {
        self.is_sound() && self.patients == 0 && self.found.len() == 1 && self.of_origin(ORIGINS.len() - 1) > 0
    }

    /// Records of everybody.
    pub fn is_everybodys(&self) -> bool {
        self.is_sound() && self.patients > 0 && (0..ORIGINS.len()).all(|origin| self.of_origin(origin) > 0)
    }

    pub fn patient(&self) -> String {
        match self.patients {
            0 => "nobody of this number is known".to_owned(),
            number => count(number, "patient", "patients"),
        }
    }

    pub fn observations(&self) -> String {
        let total: usize = self.found.values().sum::<usize>() + self.strange;
        let named = ORIGINS.iter().enumerate().map(|(index, (_, _, name))| (self.of_origin(index), *name));
        let strange = (self.strange, "from elsewhere or missing");
        let parts: Vec<String> = named.chain([strange]).filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}")).collect();
        if parts.is_empty() { "0".to_owned() } else { format!("{total}: {}", parts.join(", ")) }
    }
}

fn origin(resource: &Node) -> Option<usize> {
    let source = resource.text_at(&["meta", "source"])?.strip_prefix("urn:hearthgate:source:")?;
    let name = source.split('/').next()?;
    let is_stored = resource.text_at(&["meta", "versionId"]).is_some();
    ORIGINS.iter().position(|(known, stored, _)| *known == name && *stored == is_stored)
}
