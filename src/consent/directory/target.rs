//! Whom an actor of a rule stands for: itself under all its names, and whoever is behind it.

use super::{Directory, Member, Reference, is_group};
use crate::consent::request::Party;
use crate::fhir::Node;
use std::sync::Arc;

/// How many steps membership is followed: a group in a group in a care team.
const MEMBERSHIP_DEPTH: usize = 4;

/// How many members one actor of a rule may stand for. Beyond it the actor counts as not resolved.
pub const MEMBERS_LIMIT: usize = 4096;

/// How many all actors of one patient's consents may stand for together. Whom further ones stand for counts as not known.
pub(super) const LISTED_LIMIT: usize = 8 * MEMBERS_LIMIT;

/// Everybody an actor of a rule stands for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::consent) struct Target {
    pub party: Party,
    pub members: Arc<[Member]>,
    /// Whether it may stand for more than is listed here.
    pub is_open: bool,
}

impl Target {
    /// Whether anybody is told by it.
    pub(in crate::consent) fn is_told(&self) -> bool {
        self.party.is_identified() || !self.members.is_empty()
    }
}

/// The same while it is found out.
#[derive(Default)]
struct Expansion {
    members: Vec<Member>,
    is_open: bool,
}

impl Directory {
    /// Everybody the actor may be: itself under all its names, and its members.
    pub(in crate::consent) fn target(&self, actor: &Node) -> Target {
        let named = Party::from_reference(actor);
        let known = self.targets.borrow().get(&named).cloned();
        known.unwrap_or_else(|| {
            let target = self.found(named.clone());
            self.note_listed(&target);
            self.targets.borrow_mut().insert(named, target.clone());
            target
        })
    }

    /// Everybody who may have written what a party did: whom it stands for, and the teams in which it or one of these is. That denies what they wrote.
    pub(in crate::consent) fn author(&self, named: &Node, contained: &[Node]) -> Target {
        let target = self.target_in(named, contained);
        let parties = std::iter::once(&target.party).chain(target.members.iter().map(|member| &member.party));
        let names = parties.flat_map(|party| party.references.iter().cloned().chain(names_by_identifier(party)));
        let mut teams: Vec<&Reference> = names.filter_map(|name| self.teams.get(&name)).flatten().take(MEMBERS_LIMIT).collect();
        if teams.is_empty() {
            return target;
        }
        teams.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        teams.dedup();
        let teams = teams.into_iter().map(|team| {
            let mut itself = Party::named(team);
            self.add_names(&mut itself);
            Member::new(itself, false, None).that_ends_here()
        });
        Target { members: target.members.iter().cloned().chain(teams).collect(), ..target }
    }

    /// How many members all the actors have that were asked for.
    pub(in crate::consent) fn listed(&self) -> usize {
        self.listed.get()
    }

    /// How much is to be kept of them, where so many letters of a name weigh as much as a member.
    pub(in crate::consent) fn weight(&self) -> usize {
        const LETTERS: usize = 64;
        self.listed.get() + self.letters.get() / LETTERS
    }

    pub(super) fn note_listed(&self, target: &Target) {
        let parties = std::iter::once(&target.party).chain(target.members.iter().map(|member| &member.party));
        self.letters.set(self.letters.get() + parties.map(letters_of).sum::<usize>());
        self.listed.set(self.listed.get() + target.members.len());
    }

    pub(super) fn found(&self, mut party: Party) -> Target {
        self.add_names(&mut party);
        if self.listed() > LISTED_LIMIT {
            return Target { party, is_open: true, ..Target::default() };
        }
        let is_nameless_group = party.references.is_empty() && party.type_name.as_deref().is_some_and(is_group);
        let is_open = is_nameless_group
            || party.references.iter().any(|reference| self.is_unknown_group(reference))
            || (self.are_parts_unknown && may_be_organisation(&party));
        let others = self.others_named(&party);
        let groups = party.references.clone();
        let mut expansion = Expansion { is_open, ..Expansion::default() };
        for group in &groups {
            self.expand(group, true, MEMBERSHIP_DEPTH, &mut expansion);
        }
        for other in others {
            self.deny_too(&other, MEMBERSHIP_DEPTH, &mut expansion);
        }
        // Who says that they are part of it need not know its record, nor need there be one.
        for name in names_by_identifier(&party) {
            self.expand(&name, false, MEMBERSHIP_DEPTH, &mut expansion);
        }
        Target { party, members: expansion.members.into(), is_open: expansion.is_open }
    }

    /// The records that bear one of a party's identifiers, and are not known to be the party: they may be meant, and whoever sent them lends it no name.
    fn others_named(&self, party: &Party) -> Vec<Reference> {
        let names = names_by_identifier(party);
        let mut others: Vec<Reference> = self.meant_by(&names).filter(|other| !party.references.contains(other)).collect();
        others.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        others.dedup();
        others
    }

    /// What is denied is denied to somebody else, too, and to what is part of them.
    fn deny_too(&self, other: &Reference, depth: usize, target: &mut Expansion) {
        if target.members.len() >= MEMBERS_LIMIT || depth == 0 {
            target.is_open = true;
            return;
        }
        let mut itself = Party::named(other);
        self.add_names(&mut itself);
        target.members.push(Member::new(itself, false, None).that_ends_here());
        self.expand(other, false, depth, target);
    }

    fn expand(&self, group: &Reference, may_permit: bool, depth: usize, target: &mut Expansion) {
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
            let others = self.others_named(&named.party);
            target.is_open |= self.are_parts_unknown && !member.is_last && may_be_organisation(&named.party);
            target.members.push(named);
            for reference in below.iter().filter(|_| !member.is_last) {
                target.is_open |= self.is_unknown_group(reference);
                self.expand(reference, passes_on, depth - 1, target);
            }
            for other in others.iter().filter(|_| !member.is_last) {
                self.deny_too(other, depth - 1, target);
            }
        }
    }
}

/// The logical references by which an organisation with a party's identifiers may be named, its type told or not.
fn names_by_identifier(party: &Party) -> Vec<Reference> {
    let named = party.identifiers.iter().filter(|identifier| identifier.has_system());
    named.flat_map(|identifier| ["", "Organization"].map(|type_name| Reference::by_identifier(type_name, identifier))).collect()
}

/// How long the identifiers of a party are beyond what any is.
fn letters_of(party: &Party) -> usize {
    const USUAL: usize = 256;
    party.identifiers.iter().map(|identifier| (identifier.system.len() + identifier.value.len()).saturating_sub(USUAL)).sum()
}

/// Whether a party is not said to be anything but an organisation.
fn may_be_organisation(party: &Party) -> bool {
    let mut types = party.type_name.as_deref().into_iter().chain(party.references.iter().filter_map(Reference::type_name));
    types.all(|name| name == "Organization")
}
