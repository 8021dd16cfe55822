//! Which rules a request's actors rule out, known from the consent alone: of a thousand rules for as many recipients, few are worth a test.

use super::directory::Target;
use super::naming::{Apart, names};
use super::request::Party;
use super::rules::Rule;
use compact_str::CompactString;
use std::collections::HashMap;

/// Consents with fewer rules are tested whole: looking them up would cost more.
const WORTHWHILE: usize = 32;

/// The rules of one consent by the names of their recipients, each list in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Recipients {
    /// Rules that must be tested whoever asks: they name nobody, may mean somebody unnamed, or hold for rules below them.
    open: Vec<usize>,
    named: HashMap<CompactString, Vec<usize>>,
    /// Rules that may mean whoever has no reference.
    referenced: Vec<usize>,
    /// Rules that may mean whoever has no identifier of the system.
    identified: HashMap<CompactString, Vec<usize>>,
    rules: usize,
}

impl Recipients {
    pub(super) fn of(rules: &[Rule]) -> Recipients {
        let mut recipients = Recipients { rules: rules.len(), ..Recipients::default() };
        if rules.len() < WORTHWHILE {
            return recipients;
        }
        for (index, rule) in rules.iter().enumerate() {
            if rule.parent.is_none() || rule.has_children || !rule.own.names_recipients_only_by_name() {
                recipients.open.push(index);
                continue;
            }
            for party in rule.own.recipients.iter().flat_map(parties_of) {
                recipients.add(index, party);
            }
        }
        recipients
    }

    fn add(&mut self, index: usize, party: &Party) {
        let add_to = |known: &mut Vec<usize>| {
            if known.last() != Some(&index) {
                known.push(index);
            }
        };
        names(party).for_each(|name| add_to(self.named.entry(name).or_default()));
        match Apart::of(party) {
            Apart::Everybody => {}
            Apart::Referenced | Apart::Named(_) => add_to(&mut self.referenced),
            Apart::Identified(_) if party.type_name.as_deref().is_some_and(|name| name != "Organization") => add_to(&mut self.open),
            Apart::Identified(identifiers) => {
                identifiers.iter().take(1).for_each(|known| add_to(self.identified.entry(known.system.clone()).or_default()));
            }
        }
    }

    /// How much is kept here, where a name with its rules is one.
    pub(super) fn weight(&self) -> usize {
        /// Rules noted under one name weigh as much as the name.
        const RULES: usize = 16;
        self.named.len() + self.named.values().map(|rules| rules.len() / RULES).sum::<usize>()
    }

    /// The rules that these actors do not rule out, in order.
    pub(super) fn worth_testing(&self, actors: &[Party]) -> Vec<usize> {
        if self.rules < WORTHWHILE {
            return (0..self.rules).collect();
        }
        let named = actors.iter().flat_map(names).filter_map(|name| self.named.get(&name)).flatten();
        let is_referenced = actors.iter().any(|actor| !actor.references.is_empty());
        let unreferenced = self.referenced.iter().filter(|_| !is_referenced);
        let is_of = |system: &CompactString| actors.iter().flat_map(|actor| &actor.identifiers).any(|own| own.system == *system);
        let unidentified = self.identified.iter().filter(|(system, _)| !is_of(system)).flat_map(|(_, rules)| rules);
        let mut found: Vec<usize> = self.open.iter().chain(named).chain(unreferenced).chain(unidentified).copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether a target is known by name alone, so that nobody of another name can be it.
pub(super) fn is_named(target: &Target) -> bool {
    let has_roles = !target.party.roles.is_empty() || target.members.iter().any(|member| !member.party.roles.is_empty());
    !target.is_open && !has_roles
}

fn parties_of(target: &Target) -> impl Iterator<Item = &Party> {
    std::iter::once(&target.party).chain(target.members.iter().map(|member| &member.party))
}
