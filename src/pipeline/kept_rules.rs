//! Compiled consents, kept for as long as the rows they were compiled of are read again as they were. Nothing is decided by what was true once: whoever
//! decides has read the consents, and what they refer to, at that moment; only reading their text and compiling it is saved.

use super::kept_affiliations::{Affiliations, KeptAffiliations};
use crate::consent::Rules;
use crate::fhir::Node;
use crate::outcome::Fault;
use crate::search::Query;
use crate::store::{PARTIES, Reader, StoredVersion};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How much is kept before the older half is let go, counted in rules, whom these name, who is behind those, the records they were compiled with, and
/// one for each patient.
const MAX_KEPT: usize = 200_000;
/// The most of one patient that is kept: enough for as many members as are looked at.
const MAX_OF_ONE: usize = 40_000;
/// How many letters of a name weigh as much as a rule.
const LETTERS: usize = 64;

/// What decides how a patient's consents are compiled, beside what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub patient: String,
    /// The other records of the same person.
    pub linked: Vec<String>,
    /// Those that were the same person's.
    pub parted: Vec<String>,
    /// The names of whoever asks, by which the operator's rules go.
    pub partner: Vec<String>,
    /// The records of the organisations that ask, and of what they are part of.
    pub organisations: Affiliations,
    pub roles: BTreeSet<(String, String)>,
    pub is_glass_broken: bool,
    /// Whether the patient's record is at hand though it is not stored.
    pub is_at_hand: bool,
}

impl Asked {
    fn weight(&self) -> usize {
        self.roles.len() + self.partner.iter().map(|name| name.len() / LETTERS).sum::<usize>()
    }
}

/// How many records may yet be looked up in one reading: few where the question is asked. What takes more is begun anew on a thread that may block.
pub(crate) struct Room(Cell<usize>);

/// Why rules are not there.
pub(crate) enum Halt {
    Fault(Fault),
    /// More would have to be looked up than there is room for.
    NoRoom,
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Fault(fault)
    }
}

impl Room {
    pub fn of(count: usize) -> Room {
        Room(Cell::new(count))
    }

    /// Takes room for so many.
    pub fn take(&self, count: usize) -> Result<(), Halt> {
        self.0.set(self.0.get().checked_sub(count).ok_or(Halt::NoRoom)?);
        Ok(())
    }
}

/// The seal of a row, which stands for all it says.
type Seal = Vec<u8>;

/// The name of a record, by type and id, with the seal of what was found.
type Sealed = ((String, String), Option<Seal>);

/// What was looked up in the directory.
#[derive(Default)]
pub(crate) struct Looked {
    /// Records of parties, whose changes are counted.
    parties: Vec<Sealed>,
    others: Vec<Sealed>,
}

impl Looked {
    /// The current forms of what is named, where there are any.
    pub fn up(&mut self, reader: &Reader<'_>, named: &BTreeSet<(String, String)>, room: &Room) -> Result<Vec<Node>, Halt> {
        room.take(named.len())?;
        let mut found = Vec::new();
        for name in named {
            let version = current(reader, name)?;
            self.add(name.clone(), version.as_ref().map(|version| version.seal.clone()));
            found.extend(version.map(|version| version.parse()).transpose()?);
        }
        Ok(found)
    }

    fn add(&mut self, name: (String, String), seal: Option<Seal>) {
        let list = if PARTIES.contains(&name.0.as_str()) { &mut self.parties } else { &mut self.others };
        list.push((name, seal));
    }

    fn len(&self) -> usize {
        self.parties.len() + self.others.len()
    }

    /// In an order in which a party is found at once.
    fn in_order(mut self) -> Looked {
        self.parties.sort_unstable();
        self
    }

    /// What may be another than it was, where these parties changed, or any may have.
    fn to_look_at(&self, changed: Option<&[(String, String)]>) -> Vec<&Sealed> {
        let parties = match changed {
            Some(changed) => changed.iter().flat_map(|name| self.of_party(name)).collect(),
            None => self.parties.iter().collect::<Vec<_>>(),
        };
        parties.into_iter().chain(&self.others).collect()
    }

    fn of_party(&self, name: &(String, String)) -> &[Sealed] {
        let from = self.parties.partition_point(|(known, _)| known < name);
        let known = self.parties.get(from..).unwrap_or_default();
        known.get(..known.partition_point(|(known, _)| known == name)).unwrap_or_default()
    }
}

fn current(reader: &Reader<'_>, (type_name, id): &(String, String)) -> Result<Option<StoredVersion>, Fault> {
    Ok(reader.current(type_name, id)?.filter(|version| !version.deleted()))
}

/// A patient's compiled consents, and what they were compiled of.
pub(crate) struct Compiled {
    /// What finds the consents.
    pub query: Arc<Query>,
    consents: Vec<Seal>,
    directory: Looked,
    pub rules: Rules,
    weight: usize,
    /// How often records of parties had changed when the directory was last found to be as it was.
    looked_at: AtomicU64,
}

impl Compiled {
    pub fn new(
        reader: &Reader<'_>,
        asked: &Asked,
        query: Arc<Query>,
        (consents, directory): (&[StoredVersion], Looked),
        rules: Rules,
    ) -> Compiled {
        let consents = consents.iter().map(|version| version.seal.clone()).collect();
        Compiled::at(reader.parties(), asked, query, (consents, directory), rules)
    }

    fn at(changes: u64, asked: &Asked, query: Arc<Query>, (consents, directory): (Vec<Seal>, Looked), rules: Rules) -> Compiled {
        let weight = 1 + rules.weight() + consents.len() + directory.len() + asked.weight();
        Compiled { query, consents, directory: directory.in_order(), rules, weight, looked_at: AtomicU64::new(changes) }
    }

    /// Whether it would be compiled of the very same now. Parties' records are looked at again once they have changed.
    pub fn stands_on(&self, reader: &Reader<'_>, consents: &[StoredVersion], room: &Room) -> Result<bool, Halt> {
        if !self.consents.iter().eq(consents.iter().map(|version| &version.seal)) {
            return Ok(false);
        }
        let (changes, looked_at) = (reader.parties(), self.looked_at.load(Ordering::Acquire));
        let changed = match looked_at.cmp(&changes) {
            std::cmp::Ordering::Less => reader.parties_since(looked_at),
            std::cmp::Ordering::Equal => Some(Vec::new()),
            // It was looked at later than this reading began.
            std::cmp::Ordering::Greater => None,
        };
        let open = self.directory.to_look_at(changed.as_deref());
        room.take(open.len())?;
        for (name, seal) in open {
            if current(reader, name)?.map(|version| version.seal) != *seal {
                return Ok(false);
            }
        }
        self.looked_at.store(changes, Ordering::Release);
        Ok(true)
    }
}

/// What was compiled last.
#[derive(Default)]
pub struct KeptRules {
    rules: Mutex<Halves>,
    pub(crate) affiliations: KeptAffiliations,
}

/// What was used since the last time that something was let go, and what was used before.
#[derive(Default)]
struct Halves {
    recent: HashMap<Asked, Arc<Compiled>>,
    older: HashMap<Asked, Arc<Compiled>>,
    /// Of what is recent.
    weight: usize,
}

impl KeptRules {
    pub(crate) fn find(&self, asked: &Asked) -> Option<Arc<Compiled>> {
        let mut halves = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.recent.get(asked) {
            return Some(Arc::clone(found));
        }
        let (asked, found) = halves.older.remove_entry(asked)?;
        halves.put(asked, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn keep(&self, asked: Asked, compiled: Compiled) {
        if compiled.weight <= MAX_OF_ONE {
            self.rules.lock().unwrap_or_else(PoisonError::into_inner).put(asked, Arc::new(compiled));
        }
    }
}

impl Halves {
    fn put(&mut self, asked: Asked, compiled: Arc<Compiled>) {
        if self.weight + compiled.weight > MAX_KEPT / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.weight = 0;
        }
        self.weight += compiled.weight;
        let replaced = self.recent.insert(asked, compiled);
        self.weight -= replaced.map_or(0, |replaced| replaced.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Directory, Policy};

    fn asked(patient: usize) -> Asked {
        Asked {
            patient: patient.to_string(),
            linked: Vec::new(),
            parted: Vec::new(),
            partner: Vec::new(),
            organisations: Affiliations::default(),
            roles: BTreeSet::new(),
            is_glass_broken: false,
            is_at_hand: false,
        }
    }

    fn compiled(asked: &Asked, rules: Rules) -> Compiled {
        let query = Query::criteria(crate::definitions::Definitions::embedded(), "Consent", "patient=Patient/1").unwrap();
        Compiled::at(0, asked, Arc::new(query), (Vec::new(), Looked::default()), rules)
    }

    fn damaged() -> Rules {
        Rules::damaged(Policy::default())
    }

    /// What denies a group of so many, as often as is said.
    fn listing(members: usize, actors: usize) -> Rules {
        let of = |name: &str, count: usize, item: &dyn Fn(usize) -> String| {
            format!(r#""{name}":[{}]"#, (0..count).map(item).collect::<Vec<_>>().join(","))
        };
        let parse = |text: String| crate::fhir::json::parse(text.as_bytes(), 99).unwrap();
        let member = |index: usize| format!(r#"{{"entity":{{"reference":"Practitioner/{index}"}}}}"#);
        let group = parse(format!(r#"{{"resourceType":"Group","id":"g","actual":true,{}}}"#, of("member", members, &member)));
        let actor = |_| r#"{"reference":{"reference":"Group/g"}}"#.to_owned();
        let consent = parse(format!(
            r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},
            "provision":{{"type":"permit","provision":[{{"type":"deny",{}}}]}}}}"#,
            of("actor", actors, &actor)
        ));
        Rules::compile(&[consent], &Directory::of(&[group]), Policy::default())
    }

    #[test]
    fn what_is_kept_weighs_what_its_names_and_members_do() {
        let (one, very_many) = (asked(0), Asked { partner: vec!["x".repeat(MAX_OF_ONE * LETTERS)], ..asked(1) });
        let weight = |rules: Rules| compiled(&one, rules).weight;
        assert!((1_500..1_600).contains(&weight(listing(1_500, 300))), "who is named often counts once: {}", weight(listing(1_500, 300)));
        let kept = KeptRules::default();
        kept.keep(very_many.clone(), compiled(&very_many, damaged()));
        assert!(kept.find(&very_many).is_none());
        kept.keep(one.clone(), compiled(&one, listing(4_000, 2)));
        assert!(kept.find(&one).is_some());
        for patient in 2..200 {
            kept.keep(asked(patient), compiled(&asked(patient), listing(1_500, 1)));
            let halves = kept.rules.lock().unwrap();
            let weight: usize = halves.recent.values().chain(halves.older.values()).map(|compiled| compiled.weight).sum();
            assert!(weight <= MAX_KEPT);
        }
    }

    #[test]
    fn what_has_not_changed_is_not_looked_at_again() {
        let name = |type_name: &str, id: &str| (type_name.to_owned(), id.to_owned());
        let mut looked = Looked::default();
        for (type_name, id) in [("Practitioner", "2"), ("Patient", "1"), ("Group", "g"), ("Practitioner", "1"), ("Practitioner", "2")] {
            looked.add(name(type_name, id), None);
        }
        let looked = looked.in_order();
        let open = |changed: Option<&[(String, String)]>| {
            looked.to_look_at(changed).iter().map(|((type_name, id), _)| format!("{type_name}/{id}")).collect::<Vec<_>>()
        };
        assert_eq!(open(Some(&[])), ["Patient/1"]);
        assert_eq!(open(Some(&[name("Practitioner", "3"), name("Organization", "g")])), ["Patient/1"]);
        assert_eq!(open(Some(&[name("Practitioner", "2")])), ["Practitioner/2", "Practitioner/2", "Patient/1"]);
        assert_eq!(open(None).len(), 5);
    }

    #[test]
    fn room_is_taken_until_there_is_none() {
        let room = Room::of(5);
        assert!(room.take(3).is_ok() && room.take(2).is_ok());
        assert!(matches!(room.take(1), Err(Halt::NoRoom)));
        assert!(room.take(0).is_ok());
    }

    #[test]
    fn long_names_weigh_what_they_are_long() {
        let parse = |text: String| crate::fhir::json::parse(text.as_bytes(), 99).unwrap();
        let long = "x".repeat(1_000 * LETTERS);
        let party = parse(format!(
            r#"{{"resourceType":"Organization","id":"o","identifier":[{{"system":"urn:x","value":"1"}},{{"system":"urn:x","value":"{long}"}}]}}"#
        ));
        let consent = parse(
            r#"{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},
            "provision":{"type":"permit","provision":[{"type":"deny","actor":[{"reference":{"reference":"Organization/o"}}]}]}}"#
                .to_owned(),
        );
        let rules = Rules::compile(&[consent], &Directory::of(&[party]), Policy::default());
        let weight = compiled(&asked(0), rules).weight;
        assert!((900..1_100).contains(&weight), "{weight}");
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let kept = KeptRules::default();
        kept.keep(asked(0), compiled(&asked(0), damaged()));
        for patient in 1..=3 * MAX_KEPT {
            kept.keep(asked(patient), compiled(&asked(patient), damaged()));
            assert!(kept.find(&asked(0)).is_some(), "after {patient}");
        }
        let halves = kept.rules.lock().unwrap();
        assert!(halves.recent.len() + halves.older.len() <= MAX_KEPT);
        drop(halves);
        assert!(kept.find(&asked(1)).is_none());
        assert!(kept.find(&asked(3 * MAX_KEPT)).is_some());
    }
}
