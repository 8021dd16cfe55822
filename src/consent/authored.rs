//! What a rule says of what somebody wrote, against whoever a resource is by: by their names, and by what shows that they are somebody else.

use super::code::{Identifier, Reference};
use super::criteria::{Data, Meaning};
use super::directory::KnownRoles;
use super::facts::{Author, ResourceFacts, Share};
use super::matching::{Held, Match, test_literal};
use super::naming::{is_comparable, is_of_providers, is_same, may_be_among, names};
use super::request::Party;
use compact_str::CompactString;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// The entries of `data`, or of the actors who have a part in the content, of one rule.
#[derive(Debug, Clone, Default)]
pub(super) struct AllData {
    list: Vec<Data>,
    /// Made when somebody is first looked for.
    index: OnceLock<Arc<Index>>,
}

/// The entries about authors.
#[derive(Debug, Default)]
struct Index {
    /// By every name under which somebody may be meant, the places of those that may mean them.
    by_name: HashMap<CompactString, Vec<usize>>,
    /// The places of one of each kind that are alike in how others are told from whom they mean.
    kinds: Vec<usize>,
}

/// How somebody is told from whom an entry means: whether more may be meant than are listed, whether they are known by identifier alone, what type
/// they are of, and in which systems they are named.
type Telling<'d> = (bool, bool, Option<&'d str>, BTreeSet<&'d str>);

fn telling(data: &Data) -> Telling<'_> {
    let systems = data.author.party.identifiers.iter().filter(|known| known.has_system()).map(|known| known.system.as_str());
    (data.author.is_open, data.is_known_by_identifier(), data.meant_type(), systems.collect())
}

impl Index {
    fn of(list: &[Data]) -> Index {
        let mut index = Index::default();
        let mut known = HashSet::new();
        for (place, data) in list.iter().enumerate().filter(|(_, data)| data.meaning == Meaning::AuthoredBy) {
            let parties = std::iter::once(&data.author.party).chain(data.author.members.iter().map(|member| &member.party));
            let literal = data.reference.iter().map(|reference| reference.relative().unwrap_or(reference.as_str()).into());
            for name in parties.flat_map(names).chain(literal) {
                let places = index.by_name.entry(name).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            if known.insert(telling(data)) {
                index.kinds.push(place);
            }
        }
        index
    }
}

impl AllData {
    /// Whether anything is said of what somebody wrote.
    pub(super) fn name_authors(&self) -> bool {
        self.list.iter().any(|data| data.meaning == Meaning::AuthoredBy)
    }

    /// In how many ways others are told from those who are meant as authors.
    pub(super) fn ways_to_tell_authors(&self) -> usize {
        if self.name_authors() { self.index().kinds.len() } else { 0 }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Arc::new(Index::of(&self.list)))
    }

    /// Those that may mean a party by a name.
    fn that_may_mean(&self, party: &Party) -> BTreeSet<usize> {
        names(party).filter_map(|name| self.index().by_name.get(&name)).flatten().copied().collect()
    }

    fn at(&self, places: impl IntoIterator<Item = usize>) -> impl Iterator<Item = &Data> {
        places.into_iter().filter_map(|place| self.list.get(place))
    }
}

impl Deref for AllData {
    type Target = [Data];

    fn deref(&self) -> &[Data] {
        &self.list
    }
}

impl PartialEq for AllData {
    fn eq(&self, other: &AllData) -> bool {
        self.list == other.list
    }
}

impl Extend<Data> for AllData {
    fn extend<I: IntoIterator<Item = Data>>(&mut self, data: I) {
        self.index = OnceLock::new();
        self.list.extend(data);
    }
}

/// How many pairs of an author and somebody who is meant as one are compared for one rule. What more would find is not known.
const MAX_COMPARED: usize = 100_000;

/// What nobody is named for may be by anybody; whoever had a part in it is not by whom the whole is.
pub(super) fn test_authors(stated: &AllData, facts: &ResourceFacts, roles: &KnownRoles) -> Held {
    let is_told = facts.is_timeless || facts.authors.iter().any(|author| author.share == Share::Whole);
    let mut held = if is_told { Held::both(false) } else { Held::UNKNOWN };
    let mut compared = 0_usize;
    for author in facts.authors.iter() {
        let (named, kinds) = (stated.that_may_mean(&author.party), &stated.index().kinds);
        let members = stated.at(named.iter().copied()).map(|data| 1 + data.author.members.len()).sum::<usize>();
        compared = compared.saturating_add(members).saturating_add(kinds.len());
        if compared > MAX_COMPARED {
            return Held::UNKNOWN;
        }
        held = stated.at(named).fold(held, |held, data| held.or(test_share(data, author)));
        held = stated.at(kinds.iter().copied()).fold(held, |held, data| held.or(test_others(data, author, roles)));
    }
    held
}

/// A permit for what somebody wrote is none for what they had a part in, nor for what those wrote who are contained and act for them.
fn test_share(data: &Data, author: &Author) -> Held {
    let held = test_named(data, &author.party);
    let is_own = || author.own.as_ref().is_none_or(|own| is_of_type(data, own) && test_named(data, own).permit == Match::Yes);
    let is_theirs = held.permit == Match::Yes && author.share == Share::Whole && is_own();
    if is_theirs { held } else { Held { permit: held.permit.min(Match::No), ..held } }
}

/// Whether one who is contained may be what is meant, by the type of both.
fn is_of_type(data: &Data, own: &Party) -> bool {
    data.meant_type().zip(own.type_name.as_deref()).is_none_or(|(meant, own)| meant == own)
}

/// A permit is for what somebody wrote under a name of their own; a denial also for what is by those they stand for, or may be.
fn test_named(data: &Data, author: &Party) -> Held {
    let held = test_literal(data, &author.references);
    if held.permit == Match::Yes || is_same(&data.author.party, author) {
        return Held::both(true);
    }
    if data.author.members.iter().any(|member| is_same(&member.party, author)) {
        return Held { permit: Match::No, deny: Match::Yes };
    }
    if may_be_among(&data.author, author, |_| true) { Held::UNKNOWN } else { held }
}

/// Whether an author may be meant whose names are not: where nothing shows that they are somebody else. Patients answer and say things as what they are,
/// and are taken for nobody else.
fn test_others(data: &Data, author: &Author, roles: &KnownRoles) -> Held {
    let told = author.party.references.first().and_then(Reference::type_name);
    let is_patient = author.share != Share::Whole && told == Some(PATIENT) && means_no_patient(data, roles);
    let may_be = data.author.is_open || roles.are_unknown_of(&author.party) || !is_another(data, &author.party, roles);
    if may_be && !is_patient { Held::UNKNOWN } else { Held::both(false) }
}

/// Whether whoever is meant is no patient, by their type or by the systems in which they are named.
fn means_no_patient(data: &Data, roles: &KnownRoles) -> bool {
    let mut names = data.author.party.identifiers.iter().filter(|known| known.has_system()).peekable();
    let are_of_others =
        || roles.are_of_organisation(&data.author.party) || (names.peek().is_some() && names.all(|known| is_of_providers(&known.system)));
    data.meant_type().map_or_else(are_of_others, |meant| meant != PATIENT)
}

const PATIENT: &str = "Patient";
/// Types of people, and of what acts by itself.
const PEOPLE: [&str; 4] = ["Device", PATIENT, "Practitioner", "RelatedPerson"];

/// Whether something shows that an author is not whom a rule means. One who is known by identifiers alone is told from somebody by a record of theirs
/// that has another identifier of the same system, or is of another type; one whose record is known also by any other reference.
fn is_another(data: &Data, author: &Party, roles: &KnownRoles) -> bool {
    if !data.is_known_by_identifier() {
        return is_comparable(&data.author.party, author) || roles.has_bearer_of(author);
    }
    let told = author.references.first().and_then(Reference::type_name).or(author.type_name.as_deref());
    let is_of_another_type = match data.meant_type() {
        Some(meant) => told.is_some_and(|told| meant != told),
        None => roles.are_of_organisation(&data.author.party) && told.is_some_and(|told| PEOPLE.contains(&told)),
    };
    match is_of_another_type {
        true => roles.has_record_of(author),
        false => roles.names_alike(author, &data.author.party),
    }
}

impl Data {
    /// Whether nothing but identifiers tells who an author is: there is no reference, or it leads nowhere.
    pub(super) fn is_known_by_identifier(&self) -> bool {
        self.reference.is_none() || (!self.is_here && self.author.party.identifiers.iter().any(Identifier::has_system))
    }

    /// Whether an author goes by identifiers, under which they may be here in several records.
    pub(super) fn has_identified_author(&self) -> bool {
        let mut parties = std::iter::once(&self.author.party).chain(self.author.members.iter().map(|member| &member.party));
        self.is_known_by_identifier() || parties.any(|party| party.identifiers.iter().any(Identifier::has_system))
    }

    /// The type of whom or what it names, where that is told.
    pub(super) fn meant_type(&self) -> Option<&str> {
        self.reference.as_ref().map_or(self.author.party.type_name.as_deref(), Reference::type_name)
    }
}
