//! What somebody sees: how many records, and whose.

use super::partner::Answer;
use super::teller::count;
use crate::fhir::Node;
use std::collections::BTreeMap;

/// Where a record may lie: sent by hospital A, on its server, sent by the laboratory, on hospital B's server.
const ORIGINS: [&str; 4] = ["sent by Hospital A", "on Hospital A's server", "from the laboratory", "on its own server"];
/// The origin that is hospital B's.
const OWN: usize = 3;

/// How the records of hospital A, the laboratory and hospital B begin their `meta.source`.
pub struct Origins(pub [Vec<String>; 3]);

impl Origins {
    /// Whose a record is, and whether the gateway keeps it itself: only then it has a version.
    fn of(&self, resource: &Node) -> Option<usize> {
        let source = resource.text_at(&["meta", "source"])?;
        let is_kept = resource.text_at(&["meta", "versionId"]).is_some();
        let sender = self.0.iter().position(|beginnings| beginnings.iter().any(|beginning| source.starts_with(beginning.as_str())))?;
        match (sender, is_kept) {
            (0, true) => Some(0),
            (0, false) => Some(1),
            (1, true) => Some(2),
            (2, false) => Some(OWN),
            _ => None,
        }
    }
}

/// The answers to the two questions of the story.
pub struct View {
    patients: usize,
    found: BTreeMap<usize, usize>,
    /// Observations from somewhere else, and remarks about systems that did not answer.
    strange: usize,
    statuses: [u16; 2],
}

impl View {
    pub fn of(patients: &Answer, observations: &Answer, origins: &Origins) -> View {
        let statuses = [patients.status, observations.status];
        let mut view = View { patients: patients.entries().count(), found: BTreeMap::new(), strange: 0, statuses };
        for entry in observations.entries() {
            match entry.get("resource").and_then(|resource| origins.of(resource)) {
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
        self.is_sound() && self.patients == 0 && self.found.len() == 1 && self.of_origin(OWN) > 0
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

    /// How many observations there are.
    pub fn total(&self) -> String {
        match self.found.values().sum::<usize>() + self.strange {
            0 => "none found".to_owned(),
            total => format!("{total} found"),
        }
    }

    /// Whose the observations are.
    pub fn observations(&self) -> String {
        let named = ORIGINS.iter().enumerate().map(|(index, name)| (self.of_origin(index), *name));
        let strange = (self.strange, "from elsewhere, or missing");
        let parts: Vec<String> =
            named.chain([strange]).filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}")).collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}
