//! Who belongs to whom: the groups, care teams, roles and organisations a consent may name instead of a person.

mod inner;
mod target;

pub(in crate::consent) use inner::{contained_of, leaves_open, named_by};
pub use target::MEMBERS_LIMIT;
pub(in crate::consent) use target::Target;

use super::code::{Identifier, Reference, items};
use super::naming::is_of_people_too;
use super::patients::PatientReference;
use super::period::{Period, date_interval};
use super::request::Party;
use crate::fhir::Node;
use crate::fhir::temporal::Interval;
use compact_str::CompactString;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

/// What the gateway knows of the resources that consents refer to: Group, CareTeam, PractitionerRole, Organization, Practitioner, Patient
/// and, for `data.meaning` `related`, the records themselves.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entries: Vec<Entry>,
    by_reference: HashMap<Reference, usize>,
    by_identifier: HashMap<Identifier, usize>,
    /// By every logical reference that may mean them, all that may be meant.
    by_name: HashMap<Reference, Vec<usize>>,
    members: HashMap<Reference, Vec<Member>>,
    /// The roles of practitioners.
    capacities: HashMap<Reference, Vec<Member>>,
    /// The teams in which somebody is, by every name that they have there.
    teams: HashMap<Reference, Vec<Reference>>,
    /// Further records of the patient.
    same_person: Vec<Reference>,
    /// Records that were the patient's. What they say may keep a consent from counting, and makes none count.
    once_same_person: Vec<Reference>,
    /// Whether its records say all there is to know of whom they are of.
    is_whole: bool,
    /// Whether what organisations are part of is not known: any may be of any.
    are_parts_unknown: bool,
    /// What may hold more than is listed.
    open: HashSet<Reference>,
    roles: KnownRoles,
    /// Whom the actors stand for that were asked for, so that those of one name share what is said of them.
    targets: RefCell<HashMap<Party, Target>>,
    /// How many members these have in all.
    listed: Cell<usize>,
    /// How many letters the names of these and of their members have.
    letters: Cell<usize>,
}

/// Who is known: the roles whose practitioner and organisation are, and, where that matters, the records that are here and how they are named.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownRoles {
    roles: HashSet<Reference>,
    /// Those who may have written something, and the logical references that mean them, with the naming systems by which their records name them.
    authors: HashMap<Reference, Vec<CompactString>>,
    /// The naming systems by which organisations, and no people, are registered with the gateway.
    registers: Vec<CompactString>,
}

/// Types of those who may have written something and are looked up for that.
const WRITING: [&str; 6] = ["CareTeam", "Device", "Organization", "Practitioner", "PractitionerRole", "RelatedPerson"];

impl KnownRoles {
    /// Whether a party is there in a role of which nothing is known: it may be anybody's, at any organisation.
    pub(super) fn are_unknown_of(&self, party: &Party) -> bool {
        party.references.iter().any(|reference| reference.type_name() == Some("PractitionerRole") && !self.roles.contains(reference))
    }

    /// Whether the record of an author is here, so that it is known by which identifiers they go.
    pub(super) fn has_record_of(&self, author: &Party) -> bool {
        self.records_of(author).next().is_some()
    }

    /// Whether the record of an author is here, and they go by an identifier of a system by which whoever is meant does, too.
    pub(super) fn names_alike(&self, author: &Party, meant: &Party) -> bool {
        let is_meant = |system: &CompactString| meant.identifiers.iter().any(|known| known.has_system() && known.system == *system);
        let is_named_so = || author.identifiers.iter().any(|own| is_meant(&own.system));
        self.records_of(author).any(|systems| is_named_so() || systems.iter().any(is_meant))
    }

    /// Whether whoever is meant goes by identifiers of organisations alone, by the operator's word.
    pub fn are_of_organisation(&self, meant: &Party) -> bool {
        let mut names = meant.identifiers.iter().filter(|known| known.has_system()).peekable();
        names.peek().is_some() && names.all(|known| self.registers.contains(&known.system))
    }

    /// The systems in which the records name an author that are here: those that are referred to, and that bear an identifier of theirs.
    fn records_of(&self, author: &Party) -> impl Iterator<Item = &Vec<CompactString>> {
        let literal = author.references.iter().filter_map(|reference| self.authors.get(reference));
        literal.chain(names_of(author).filter_map(|name| self.authors.get(&name)))
    }

    /// Whether the record is here that bears an author's identifier, of the type that they are said to be of.
    pub(super) fn has_bearer_of(&self, author: &Party) -> bool {
        names_of(author).any(|name| self.authors.contains_key(&name))
    }
}

/// The logical references by which somebody of a told type is found.
fn names_of(author: &Party) -> impl Iterator<Item = Reference> {
    let type_name = author.type_name.as_deref().unwrap_or_default();
    let named = author.identifiers.iter().filter(move |identifier| identifier.has_system() && !type_name.is_empty());
    named.map(move |identifier| Reference::by_identifier(type_name, identifier))
}

#[derive(Debug, Clone)]
struct Entry {
    reference: Option<Reference>,
    identifiers: Vec<Identifier>,
    points_to: Vec<Reference>,
    born: Option<Interval>,
}

/// The records a directory is made of.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Those that the consents name, and who is behind them. They say whom the consents mean.
    pub named: &'a [Node],
    /// Those that others name: who asks, and who made what is decided on. Whoever sent them, nothing is permitted by their word.
    pub beside: &'a [Node],
    /// Older versions of any of these, where it is whoever asks that changed them. What they said is still denied.
    pub former: &'a [Node],
}

/// Somebody who belongs to a group or an organisation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub party: Party,
    /// A membership that is inactive, or cannot be read, counts for denials only.
    pub may_permit: bool,
    pub period: Option<Period>,
    /// Whether it stands for somebody who is listed beside it, so that nobody is looked for behind it.
    is_last: bool,
}

impl Member {
    /// A membership whose period cannot be read permits nothing.
    fn new(party: Party, may_permit: bool, period: Option<&Node>) -> Member {
        let (period, is_readable) = match period.map(Period::from_node) {
            None => (None, true),
            Some(Ok(period)) => (Some(period), true),
            Some(Err(_)) => (None, false),
        };
        Member { party, may_permit: may_permit && is_readable, period, is_last: false }
    }

    fn that_ends_here(self) -> Member {
        Member { is_last: true, ..self }
    }
}

impl Directory {
    /// Reads the resources once. Types that tell nothing about membership are kept for their identifiers and references.
    pub fn of(resources: &[Node]) -> Directory {
        Directory::of_known(Known { named: resources, ..Known::default() })
    }

    /// The same, of records that are known for different reasons.
    pub fn of_known(known: Known<'_>) -> Directory {
        let mut directory = Directory::default();
        known.named.iter().for_each(|resource| directory.add(resource, true));
        known.beside.iter().for_each(|resource| directory.add(resource, false));
        known.former.iter().for_each(|resource| directory.add_former(resource));
        directory.follow_names();
        directory
    }

    /// The same, where nobody can tell what organisations are part of.
    pub fn with_unknown_parts(self, are_parts_unknown: bool) -> Directory {
        Directory { are_parts_unknown, ..self }
    }

    /// The same, where whoever asks brought all there is to know of those named.
    pub fn taken_for_whole(self) -> Directory {
        Directory { is_whole: true, ..self }
    }

    /// The same, of which these are records of one person, and those were.
    pub fn of_one_person(self, records: impl Iterator<Item = Reference>, once: impl Iterator<Item = Reference>) -> Directory {
        Directory { same_person: records.collect(), once_same_person: once.collect(), ..self }
    }

    /// The same, where organisations are registered by identifiers of these systems.
    pub fn with_registers<'s>(mut self, systems: impl Iterator<Item = &'s str>) -> Directory {
        self.roles.registers = systems.filter(|system| !is_of_people_too(system)).map(CompactString::from).collect();
        self
    }

    fn add(&mut self, resource: &Node, may_permit: bool) {
        let entry = Entry {
            reference: Reference::of_resource(resource),
            identifiers: identifiers_of(resource),
            points_to: super::facts::references_of(resource),
            born: resource.text("birthDate").and_then(date_interval),
        };
        let index = self.entries.len();
        if let Some(reference) = &entry.reference {
            self.by_reference.entry(reference.clone()).or_insert(index);
            self.add_members(reference, resource, may_permit);
        }
        for identifier in entry.identifiers.iter().filter(|identifier| identifier.has_system()) {
            self.by_identifier.entry(identifier.clone()).or_insert(index);
        }
        self.name(index, resource);
        self.entries.push(entry);
    }

    /// Adds what a record said once: who it was is denied what is denied to it, and so is whoever was part of it.
    fn add_former(&mut self, resource: &Node) {
        let Some(reference) = Reference::of_resource(resource) else { return };
        let index = *self.by_reference.entry(reference.clone()).or_insert(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(Entry { reference: Some(reference.clone()), identifiers: Vec::new(), points_to: Vec::new(), born: None });
        }
        self.name(index, resource);
        let itself = Party { identifiers: identifiers_of(resource), ..Party::default() };
        self.members.entry(reference.clone()).or_default().push(Member::new(itself, false, None).that_ends_here());
        self.add_members(&reference, resource, false);
    }

    /// Notes by which logical references a record may be meant.
    fn name(&mut self, index: usize, resource: &Node) {
        let type_name = resource.resource_type().unwrap_or_default();
        for name in identifiers_of(resource).iter().flat_map(|identifier| names_by(type_name, identifier)) {
            self.by_name.entry(name).or_default().push(index);
        }
    }

    /// Adds to what the resources point at, and are part of, what they name by identifier.
    fn follow_names(&mut self) {
        let by_name = self.members.iter().filter(|(whole, _)| whole.sought().is_some());
        let meant = by_name.flat_map(|(whole, parts)| self.meant_by(std::slice::from_ref(whole)).map(move |meant| (meant, parts.clone())));
        for (whole, parts) in meant.collect::<Vec<_>>() {
            self.members.entry(whole).or_default().extend(parts);
        }
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index) else { break };
            let meant: Vec<Reference> = self.meant_by(&entry.points_to).collect();
            if let Some(entry) = self.entries.get_mut(index) {
                entry.points_to.extend(meant);
            }
        }
    }

    /// What logical references among these mean, as far as it is known here.
    pub(super) fn meant_by<'d>(&'d self, references: &'d [Reference]) -> impl Iterator<Item = Reference> + 'd {
        let found = references.iter().filter_map(|reference| self.by_name.get(reference)).flatten();
        found.filter_map(|index| self.entries.get(*index)?.reference.clone())
    }

    /// The patients that identifiers name, beside the literal references `known`. Where one of those is named, nobody else is.
    pub(super) fn other_patients(&self, identifiers: &[Identifier], known: &[PatientReference]) -> Vec<PatientReference> {
        let mut others = Vec::new();
        for identifier in identifiers.iter().filter(|identifier| identifier.has_system()) {
            let name = [Reference::by_identifier("Patient", identifier)];
            let meant: Vec<PatientReference> = self.meant_by(&name).map(PatientReference::Known).collect();
            if !meant.iter().any(|one| known.contains(one)) {
                others.extend(meant);
            }
        }
        others
    }

    fn add_members(&mut self, reference: &Reference, resource: &Node, may_permit: bool) {
        match resource.resource_type().unwrap_or_default() {
            "Group" => self.add_group(reference, resource, may_permit),
            "CareTeam" => self.add_team(reference, resource, may_permit),
            "PractitionerRole" => self.add_role(reference, resource, may_permit),
            "Organization" => {
                // A denial to an organisation holds for its departments; a permit names whom it means.
                for parent in resource.get("partOf").into_iter().flat_map(Reference::names_in) {
                    self.members.entry(parent).or_default().push(Member::new(Party::named(reference), false, None));
                }
            }
            _ => {}
        }
    }

    /// A group that lists nobody, or is told by what its members have in common, may hold anybody.
    fn add_group(&mut self, reference: &Reference, group: &Node, may_permit: bool) {
        let is_listed = is_listed(group);
        for member in items(group, "member") {
            let is_inactive = member.get("inactive").and_then(Node::as_bool) == Some(true);
            let counts = may_permit && is_active(group) && is_listed && !is_inactive;
            self.add_member(reference, member.get("entity"), counts, member.get("period"));
        }
        if !is_listed || items(group, "member").is_empty() {
            self.open.insert(reference.clone());
        }
    }

    fn add_team(&mut self, reference: &Reference, team: &Node, may_permit: bool) {
        let is_active = may_permit && team.text("status").is_none_or(|status| status == "active");
        for participant in items(team, "participant") {
            self.add_member(reference, participant.get("member"), is_active, participant.get("period"));
            for member in participant.get("member").into_iter().flat_map(Reference::names_in) {
                self.teams.entry(member).or_default().push(reference.clone());
            }
        }
        if items(team, "participant").is_empty() {
            self.open.insert(reference.clone());
        }
    }

    /// A role is its practitioner at its organisation: who is permitted or denied the one is so in the role, and the other way about.
    fn add_role(&mut self, reference: &Reference, role: &Node, may_permit: bool) {
        self.roles.roles.insert(reference.clone());
        let (is_active, period) = (may_permit && is_active(role), role.get("period"));
        self.add_member(reference, role.get("practitioner"), is_active, period);
        let itself = Member::new(Party::named(reference), is_active, period).that_ends_here();
        for practitioner in role.get("practitioner").into_iter().flat_map(Reference::names_in) {
            self.capacities.entry(practitioner).or_default().push(itself.clone());
        }
        for organisation in role.get("organization").into_iter().flat_map(Reference::names_in) {
            self.add_member(&organisation, role.get("practitioner"), is_active, period);
            self.members.entry(organisation).or_default().push(itself.clone());
        }
    }

    /// Somebody listed who is not named may be anybody.
    fn add_member(&mut self, group: &Reference, member: Option<&Node>, may_permit: bool, period: Option<&Node>) {
        let party = member.map(Party::from_reference).filter(Party::is_identified);
        match party {
            Some(party) => self.members.entry(group.clone()).or_default().push(Member::new(party, may_permit, period)),
            None => _ = self.open.insert(group.clone()),
        }
    }

    /// The roles that are known, and who else is `with_authors`.
    pub(super) fn known(&self, with_authors: bool) -> KnownRoles {
        let mut known = self.roles.clone();
        let may_write = |reference: &Reference| reference.type_name().is_some_and(|name| WRITING.contains(&name));
        for entry in self.entries.iter().filter(|_| with_authors) {
            let Some(reference) = entry.reference.as_ref().filter(|reference| may_write(reference)) else { continue };
            let type_name = reference.type_name().unwrap_or_default();
            let told = || entry.identifiers.iter().filter(|identifier| identifier.has_system());
            let names = told().map(|identifier| Reference::by_identifier(type_name, identifier));
            for name in std::iter::once(reference.clone()).chain(names) {
                known.authors.entry(name).or_default().extend(told().map(|identifier| identifier.system.clone()));
            }
        }
        known
    }

    fn is_unknown_group(&self, reference: &Reference) -> bool {
        self.open.contains(reference) || (reference.type_name().is_some_and(is_group) && !self.by_reference.contains_key(reference))
    }

    /// Adds the identifiers that go with a reference. The reference, and the other names, that go with an identifier are added where all there is to
    /// know is known: elsewhere anybody may send a record that bears it.
    fn add_names(&self, party: &mut Party) {
        let by_reference = party.references.iter().filter_map(|reference| self.by_reference.get(reference));
        let lending = party.identifiers.iter().filter(|_| self.is_whole);
        let by_identifier = lending.filter_map(|identifier| self.by_identifier.get(identifier));
        let found: Vec<usize> = by_reference.chain(by_identifier).copied().collect();
        for entry in found.into_iter().filter_map(|index| self.entries.get(index)) {
            party.is_known_whole |= self.is_whole && entry.identifiers.iter().any(Identifier::has_system);
            for identifier in &entry.identifiers {
                if !party.identifiers.contains(identifier) {
                    party.identifiers.push(identifier.clone());
                }
            }
            if let Some(reference) = entry.reference.as_ref().filter(|reference| !party.references.contains(reference)) {
                party.references.push(reference.clone());
            }
        }
    }

    /// Whether the record is here that a reference names.
    pub(super) fn has(&self, reference: &Reference) -> bool {
        self.by_reference.contains_key(reference)
    }

    /// By which identifiers a record goes, when it is known.
    pub(super) fn identifiers_of(&self, reference: &Reference) -> &[Identifier] {
        let entry = self.by_reference.get(reference).and_then(|index| self.entries.get(*index));
        entry.map_or(&[], |entry| &entry.identifiers)
    }

    /// The references that go out from a resource, when it is known.
    pub(super) fn points_to(&self, reference: &Reference) -> &[Reference] {
        let entry = self.by_reference.get(reference).and_then(|index| self.entries.get(*index));
        entry.map_or(&[], |entry| &entry.points_to)
    }

    /// The day of birth of a patient, when it is known: the earliest that any record of theirs has, or one that was. What others send of the same person
    /// makes nobody younger, nor a day known that their own record does not have.
    pub(super) fn born(&self, patient: &Reference) -> Option<Interval> {
        self.records_of(patient).find_map(|entry| entry.born)?;
        let others = self.entries_of(|record| self.same_person.contains(record) || self.once_same_person.contains(record));
        self.records_of(patient).chain(others).filter_map(|entry| entry.born).min_by_key(|born| born.low)
    }

    /// Whether an identifier, as `system|value`, is one that a patient bears in the record that is meant.
    pub(super) fn bears(&self, patient: &Reference, identifier: &str) -> bool {
        let mut own = self.records_of(patient).flat_map(|entry| &entry.identifiers).filter(|own| own.has_system());
        own.any(|own| identifier.split_once('|') == Some((own.system.as_str(), own.value.as_str())))
    }

    fn records_of(&self, patient: &Reference) -> impl Iterator<Item = &Entry> {
        self.entries_of(|record| record.may_be(patient))
    }

    fn entries_of(&self, is_meant: impl Fn(&Reference) -> bool) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.reference.as_ref().is_some_and(&is_meant))
    }
}

fn identifiers_of(resource: &Node) -> Vec<Identifier> {
    items(resource, "identifier").iter().filter_map(Identifier::from_node).collect()
}

/// The logical references that may mean a record with an identifier: with its type and without, and with the value alone.
fn names_by(type_name: &str, identifier: &Identifier) -> [Reference; 4] {
    let bare = Identifier::new("", &identifier.value);
    [(type_name, identifier), ("", identifier), (type_name, &bare), ("", &bare)].map(|(name, by)| Reference::by_identifier(name, by))
}

/// Whether a group's members are those it lists.
fn is_listed(group: &Node) -> bool {
    group.get("actual").and_then(Node::as_bool) == Some(true) || group.text("membership") == Some("enumerated")
}

fn is_active(resource: &Node) -> bool {
    resource.get("active").and_then(Node::as_bool) != Some(false)
}

/// Whether resources of the type stand for others.
pub(super) fn is_group(type_name: &str) -> bool {
    matches!(type_name, "Group" | "CareTeam" | "PractitionerRole")
}
