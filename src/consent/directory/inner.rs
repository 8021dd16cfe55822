//! Whom a role, a team or a group stands for that a consent contains: it is no record here, and all there is to know of it stands in the consent.

use super::target::{LISTED_LIMIT, MEMBERS_LIMIT, Target};
use super::{Directory, Member, identifiers_of, is_group, is_listed};
use crate::consent::code::items;
use crate::consent::request::Party;
use crate::fhir::Node;
use compact_str::CompactString;

/// How many steps are followed from one contained resource to the next.
const STEPS: usize = 4;

/// The resource of a consent's own that a reference names.
pub(in crate::consent) fn contained_of<'c>(reference: &Node, contained: &'c [Node]) -> Option<&'c Node> {
    let fragment = reference.text("reference")?.strip_prefix('#')?;
    contained.iter().find(|resource| resource.text("id") == Some(fragment))
}

/// Those a contained role, team or group names, each with its period. A role that names no practitioner is whoever has it at its organisation.
pub(in crate::consent) fn named_by(whole: &Node) -> Vec<(&Node, Option<&Node>)> {
    let members =
        |list: &str, member: &str| items(whole, list).iter().map(|one| (one.get(member).unwrap_or(one), one.get("period"))).collect();
    match whole.resource_type() {
        Some("Group") => members("member", "entity"),
        Some("CareTeam") => members("participant", "member"),
        Some("PractitionerRole") => {
            let who = whole.get("practitioner").or_else(|| whole.get("organization"));
            who.map(|who| (who, whole.get("period"))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a resource stands for others and does not say who all of them are.
pub(in crate::consent) fn leaves_open(whole: &Node) -> bool {
    let is_told = whole.resource_type() != Some("Group") || is_listed(whole);
    whole.resource_type().is_some_and(is_group) && (!is_told || named_by(whole).is_empty())
}

impl Directory {
    /// Everybody an actor may be, who may be one that the consent contains. Who is in a contained group is denied what the group is; nothing is permitted
    /// them by it.
    pub(in crate::consent) fn target_in(&self, actor: &Node, contained: &[Node]) -> Target {
        self.inner(actor, contained, STEPS)
    }

    fn inner(&self, actor: &Node, contained: &[Node], steps: usize) -> Target {
        let Some(found) = contained_of(actor, contained) else { return self.target(actor) };
        let stands_for_others = found.resource_type().is_some_and(is_group);
        let mut party = Party::from_reference(actor);
        party.identifiers.extend(identifiers_of(found));
        let type_name = party.type_name.take().or_else(|| found.resource_type().map(CompactString::from));
        if !stands_for_others {
            party.type_name.clone_from(&type_name);
        }
        let mut target = self.found(party);
        target.party.type_name = type_name;
        if stands_for_others {
            self.add_inner(found, contained, steps, &mut target);
        }
        self.note_listed(&target);
        target
    }

    /// Adds those whom a contained resource stands for.
    fn add_inner(&self, whole: &Node, contained: &[Node], steps: usize, target: &mut Target) {
        let mut members = target.members.to_vec();
        target.is_open |= leaves_open(whole);
        for (named, period) in named_by(whole) {
            if steps == 0 || members.len() >= MEMBERS_LIMIT || self.listed() > LISTED_LIMIT {
                target.is_open = true;
                break;
            }
            let mut member = self.inner(named, contained, steps - 1);
            if whole.resource_type() == Some("PractitionerRole") && member.party.references.is_empty() {
                let told = if whole.get("practitioner").is_some() { "Practitioner" } else { "Organization" };
                member.party.type_name.get_or_insert_with(|| told.into());
            }
            target.is_open |= member.is_open || !member.is_told();
            let behind = member.members.iter().cloned().map(|behind| Member { may_permit: false, ..behind });
            members.extend(std::iter::once(Member::new(member.party, false, period).that_ends_here()).chain(behind));
        }
        target.members = members.into();
    }
}
