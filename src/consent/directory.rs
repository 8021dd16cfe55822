//! Who belongs to whom: the groups, care teams, roles and organisations a consent may name instead of a person.

use super::code::{Identifier, Reference, items};
use super::patients::PatientReference;
use super::period::{Period, date_interval};
use super::request::Party;
use crate::fhir::Node;
use crate::fhir::temporal::Interval;
use std::collections::{HashMap, HashSet};

/// How many steps membership is followed: a group in a group in a care team.
const MEMBERSHIP_DEPTH: usize = 4;

/// How many members one actor of a rule may stand for. Beyond it the actor counts as not resolved.
const MEMBERS_LIMIT: usize = 4096;

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
    /// Further records of the patient.
    same_person: Vec<Reference>,
    /// Records that were the patient's. What they say may keep a consent from counting, and makes none count.
    once_same_person: Vec<Reference>,
    /// Whether its records say all there is to know of whom they are of.
    is_whole: bool,
    /// What may hold more than is listed.
    open: HashSet<Reference>,
    roles: KnownRoles,
}

/// The roles whose practitioner and organisation are known.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownRoles(HashSet<Reference>);

impl KnownRoles {
    /// Whether a party is there in a role of which nothing is known: it may be anybody's, at any organisation.
    pub(super) fn are_unknown_of(&self, party: &Party) -> bool {
        party.references.iter().any(|reference| reference.type_name() == Some("PractitionerRole") && !self.0.contains(reference))
    }
}

#[derive(Debug, Clone)]
struct Entry {
    reference: Option<Reference>,
    identifiers: Vec<Identifier>,
    points_to: Vec<Reference>,
    born: Option<Interval>,
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

/// Everybody an actor of a rule stands for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Target {
    pub party: Party,
    pub members: Vec<Member>,
    /// Whether it may stand for more than is listed here.
    pub is_open: bool,
}

impl Directory {
    /// Reads the resources once. Types that tell nothing about membership are kept for their identifiers and references.
    pub fn of(resources: &[Node]) -> Directory {
        let mut directory = Directory::default();
        for resource in resources {
            directory.add(resource);
        }
        directory.follow_names();
        directory
    }

    /// The same, where whoever asks brought all there is to know of those named.
    pub fn taken_for_whole(self) -> Directory {
        Directory { is_whole: true, ..self }
    }

    /// The same, of which these are records of one person, and those were.
    pub fn of_one_person(self, records: impl Iterator<Item = Reference>, once: impl Iterator<Item = Reference>) -> Directory {
        Directory { same_person: records.collect(), once_same_person: once.collect(), ..self }
    }

    fn add(&mut self, resource: &Node) {
        let entry = Entry {
            reference: Reference::of_resource(resource),
            identifiers: items(resource, "identifier").iter().filter_map(Identifier::from_node).collect(),
            points_to: super::facts::references_of(resource),
            born: resource.text("birthDate").and_then(date_interval),
        };
        let index = self.entries.len();
        if let Some(reference) = &entry.reference {
            self.by_reference.entry(reference.clone()).or_insert(index);
            self.add_members(reference, resource);
        }
        for identifier in entry.identifiers.iter().filter(|identifier| identifier.has_system()) {
            self.by_identifier.entry(identifier.clone()).or_insert(index);
        }
        let type_name = resource.resource_type().unwrap_or_default();
        for name in entry.identifiers.iter().flat_map(|identifier| logical_names(type_name, identifier)) {
            self.by_name.entry(name).or_default().push(index);
        }
        self.entries.push(entry);
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

    fn add_members(&mut self, reference: &Reference, resource: &Node) {
        match resource.resource_type().unwrap_or_default() {
            "Group" => self.add_group(reference, resource),
            "CareTeam" => self.add_team(reference, resource),
            "PractitionerRole" => self.add_role(reference, resource),
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
    fn add_group(&mut self, reference: &Reference, group: &Node) {
        let is_listed = group.get("actual").and_then(Node::as_bool) == Some(true) || group.text("membership") == Some("enumerated");
        for member in items(group, "member") {
            let is_inactive = member.get("inactive").and_then(Node::as_bool) == Some(true);
            self.add_member(reference, member.get("entity"), is_active(group) && is_listed && !is_inactive, member.get("period"));
        }
        if !is_listed || items(group, "member").is_empty() {
            self.open.insert(reference.clone());
        }
    }

    fn add_team(&mut self, reference: &Reference, team: &Node) {
        let is_active = team.text("status").is_none_or(|status| status == "active");
        for participant in items(team, "participant") {
            self.add_member(reference, participant.get("member"), is_active, participant.get("period"));
        }
        if items(team, "participant").is_empty() {
            self.open.insert(reference.clone());
        }
    }

    /// A role is its practitioner at its organisation: who is permitted or denied the one is so in the role, and the other way about.
    fn add_role(&mut self, reference: &Reference, role: &Node) {
        self.roles.0.insert(reference.clone());
        let (is_active, period) = (is_active(role), role.get("period"));
        self.add_member(reference, role.get("practitioner"), is_active, period);
        let itself = Member::new(Party::named(reference), is_active, period).that_ends_here();
        if let Some(practitioner) = role.get("practitioner").and_then(Reference::from_node) {
            self.capacities.entry(practitioner).or_default().push(itself.clone());
        }
        if let Some(organisation) = role.get("organization").and_then(Reference::from_node) {
            self.add_member(&organisation, role.get("practitioner"), is_active, period);
            self.members.entry(organisation).or_default().push(itself);
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

    /// The roles that are known.
    pub(super) fn roles(&self) -> KnownRoles {
        self.roles.clone()
    }

    /// Everybody the actor may be: itself under all its names, and its members.
    pub(super) fn target(&self, actor: &Node) -> Target {
        let mut party = Party::from_reference(actor);
        self.add_names(&mut party);
        let is_nameless_group = party.references.is_empty() && party.type_name.as_deref().is_some_and(is_group);
        let is_open = is_nameless_group || party.references.iter().any(|reference| self.is_unknown_group(reference));
        let mut target = Target { is_open, ..Target::default() };
        let groups = party.references.clone();
        target.party = party;
        for group in &groups {
            self.expand(group, true, MEMBERSHIP_DEPTH, &mut target);
        }
        // Whoever else bears one of its identifiers may be meant: what is denied to them is denied to what is part of them.
        let named = target.party.identifiers.iter().filter(|identifier| identifier.has_system());
        let names: Vec<Reference> = named.map(|identifier| Reference::by_identifier("", identifier)).collect();
        for other in self.meant_by(&names).filter(|other| !groups.contains(other)) {
            self.expand(&other, false, MEMBERSHIP_DEPTH, &mut target);
        }
        target
    }

    fn is_unknown_group(&self, reference: &Reference) -> bool {
        self.open.contains(reference) || (reference.type_name().is_some_and(is_group) && !self.by_reference.contains_key(reference))
    }

    /// Adds the identifiers that go with a reference, and the reference that goes with an identifier.
    fn add_names(&self, party: &mut Party) {
        let by_reference = party.references.iter().filter_map(|reference| self.by_reference.get(reference));
        let by_identifier = party.identifiers.iter().filter_map(|identifier| self.by_identifier.get(identifier));
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

    fn expand(&self, group: &Reference, may_permit: bool, depth: usize, target: &mut Target) {
        let is_direct = depth == MEMBERSHIP_DEPTH;
        let capacities = self.capacities.get(group).into_iter().flatten().map(|role| (role, may_permit && is_direct));
        let members = self.members.get(group).into_iter().flatten().map(|member| (member, may_permit));
        for (member, may_permit) in members.chain(capacities) {
            if target.members.len() >= MEMBERS_LIMIT || depth == 0 {
                target.is_open = true;
                return;
            }
            let mut named = member.clone();
            named.may_permit &= may_permit;
            self.add_names(&mut named.party);
            let (below, passes_on) = (named.party.references.clone(), named.may_permit && named.period.is_none());
            target.members.push(named);
            for reference in below.iter().filter(|_| !member.is_last) {
                target.is_open |= self.is_unknown_group(reference);
                self.expand(reference, passes_on, depth - 1, target);
            }
        }
    }

    /// The references that go out from a resource, when it is known.
    pub(super) fn points_to(&self, reference: &Reference) -> &[Reference] {
        let entry = self.by_reference.get(reference).and_then(|index| self.entries.get(*index));
        entry.map_or(&[], |entry| &entry.points_to)
    }

    /// The day of birth of a patient, when it is known: the earliest that any record of theirs has, or one that was.
    pub(super) fn born(&self, patient: &Reference) -> Option<Interval> {
        let known = self.records_of(patient).filter_map(|entry| entry.born).min_by_key(|born| born.low)?;
        let once = self.entries_of(|record| self.once_same_person.contains(record)).filter_map(|entry| entry.born);
        once.chain([known]).min_by_key(|born| born.low)
    }

    /// Whether an identifier, as `system|value`, is one that a patient bears.
    pub(super) fn bears(&self, patient: &Reference, identifier: &str) -> bool {
        let mut own = self.records_of(patient).flat_map(|entry| &entry.identifiers).filter(|own| own.has_system());
        own.any(|own| identifier.split_once('|') == Some((own.system.as_str(), own.value.as_str())))
    }

    fn records_of(&self, patient: &Reference) -> impl Iterator<Item = &Entry> {
        self.entries_of(|record| record.may_be(patient) || self.same_person.contains(record))
    }

    fn entries_of(&self, is_meant: impl Fn(&Reference) -> bool) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.reference.as_ref().is_some_and(&is_meant))
    }
}

/// The logical references that may mean a record with an identifier: with its type and without, and with the value alone.
fn logical_names(type_name: &str, identifier: &Identifier) -> [Reference; 4] {
    let bare = Identifier::new("", &identifier.value);
    [(type_name, identifier), ("", identifier), (type_name, &bare), ("", &bare)].map(|(name, by)| Reference::by_identifier(name, by))
}

fn is_active(resource: &Node) -> bool {
    resource.get("active").and_then(Node::as_bool) != Some(false)
}

/// Whether resources of the type stand for others.
fn is_group(type_name: &str) -> bool {
    matches!(type_name, "Group" | "CareTeam" | "PractitionerRole")
}
