//! The codes that a rule states, looked up by what a record has: as many as a value set has cost hardly more than one.

use super::classification::{CLASSIFICATIONS, Forms};
use super::code::{Code, LOINC};
use super::drugs::Drugs;
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Codes in the order in which they were stated.
#[derive(Debug, Clone, Default)]
pub(super) struct Codes {
    list: Vec<Code>,
    /// Made when something is first looked for.
    index: OnceLock<Arc<Index>>,
}

#[derive(Debug)]
struct Index {
    exact: HashSet<Code>,
    /// By what they are in small letters, the systems that they are of.
    written: HashMap<CompactString, Systems>,
    has_group_of_loinc: bool,
    drugs: Drugs,
    /// By classification, what is of it, and what tells no system.
    classified: [Forms; CLASSIFICATIONS.len()],
    untold: [Forms; CLASSIFICATIONS.len()],
}

#[derive(Debug, Default)]
struct Systems {
    told: HashSet<CompactString>,
    has_untold: bool,
}

impl Codes {
    pub(super) fn to_vec(&self) -> Vec<Code> {
        self.list.clone()
    }

    /// Whether this very code is among them.
    pub(super) fn have(&self, own: &Code) -> bool {
        !self.list.is_empty() && self.index().exact.contains(own)
    }

    /// Whether one of them may be this code as far as the systems are told, what it is a part of, or a part of it: a category of a classification is the
    /// beginning of what is in it, and a group of LOINC stands in no record.
    pub(super) fn may_mean(&self, own: &Code) -> bool {
        if self.list.is_empty() {
            return false;
        }
        let index = self.index();
        let tells_system = own.tells_system();
        let is_of = |systems: &Systems| !tells_system || systems.has_untold || systems.told.contains(&own.system);
        let is_written_so = index.written.get(&own.code.to_ascii_lowercase()).is_some_and(is_of);
        is_written_so
            || (index.has_group_of_loinc && own.system == LOINC)
            || index.drugs.may_mean(own)
            || index.classifies(own, tells_system)
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Arc::new(Index::of(&self.list)))
    }
}

impl Index {
    fn of(list: &[Code]) -> Index {
        let mut written: HashMap<CompactString, Systems> = HashMap::new();
        for code in list {
            let systems = written.entry(code.code.to_ascii_lowercase()).or_default();
            match code.tells_system() {
                true => _ = systems.told.insert(code.system.clone()),
                false => systems.has_untold = true,
            }
        }
        let forms = |is_meant: &dyn Fn(&Code, usize) -> bool| {
            std::array::from_fn(|place| {
                let leaves_places_open = CLASSIFICATIONS.get(place).is_some_and(|one| one.leaves_places_open);
                Forms::of(list.iter().filter(|code| is_meant(code, place)).map(|code| code.code.as_str()), leaves_places_open)
            })
        };
        Index {
            exact: list.iter().cloned().collect(),
            written,
            drugs: Drugs::of(list.iter()),
            has_group_of_loinc: list.iter().any(Code::is_group_of_loinc),
            classified: forms(&|code, place| CLASSIFICATIONS.get(place).is_some_and(|one| one.has(code))),
            untold: forms(&|code, _| !code.tells_system()),
        }
    }

    /// One of the two must be of a classification, and the other, too, or tell no system.
    fn classifies(&self, own: &Code, tells_system: bool) -> bool {
        let mut places = CLASSIFICATIONS.iter().zip(&self.classified).zip(&self.untold);
        places.any(|((one, told), untold)| {
            let is_among = |stated: &Forms| stated.may_mean(&own.code, one.leaves_places_open, tells_system);
            match tells_system {
                true => one.has(own) && (is_among(told) || is_among(untold)),
                false => is_among(told),
            }
        })
    }
}

impl Deref for Codes {
    type Target = [Code];

    fn deref(&self) -> &[Code] {
        &self.list
    }
}

impl PartialEq for Codes {
    fn eq(&self, other: &Codes) -> bool {
        self.list == other.list
    }
}

impl Extend<Code> for Codes {
    fn extend<I: IntoIterator<Item = Code>>(&mut self, codes: I) {
        self.index = OnceLock::new();
        self.list.extend(codes);
    }
}

impl FromIterator<Code> for Codes {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Codes {
        Codes { list: codes.into_iter().collect(), index: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is among many is found as it is found alone.
    #[test]
    fn many_codes_mean_what_each_of_them_means() {
        const CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
        const TEN: &str = "http://hl7.org/fhir/sid/icd-10";
        const NINE: &str = "http://hl7.org/fhir/sid/icd-9-cm";
        const ATC: &str = "http://www.whocc.no/atc";
        let systems = [CM, TEN, NINE, ATC, LOINC, "urn:x", ""];
        let written = [
            "F11",
            "F11.2",
            "F11.20",
            "F1x.2",
            "F10-F19",
            "F12-F15",
            "F1",
            "F2x",
            "304.0",
            "30x",
            "290-319",
            "N07BC02",
            "N07",
            "LG51",
            "718-7",
            "f11",
            "x y",
            "F19-F10",
            "F10.1-F10.9",
            "F10-F19.1",
            "F1x-F2x",
            "F10,F12",
        ];
        let stated: Vec<Code> = systems.iter().flat_map(|system| written.map(|code| Code::new(system, code))).collect();
        for chosen in stated.windows(5).chain(stated.chunks(17)) {
            let all: Codes = chosen.iter().cloned().collect();
            let each: Vec<Codes> = chosen.iter().map(|code| std::iter::once(code.clone()).collect()).collect();
            for own in &stated {
                let alone = each.iter().any(|one| one.may_mean(own));
                assert_eq!(all.may_mean(own), alone, "{own:?} among {chosen:?}");
                assert_eq!(all.have(own), chosen.contains(own), "{own:?} among {chosen:?}");
            }
        }
    }
}
