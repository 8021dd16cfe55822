//! Which rules a request's actors rule out, known from the consent alone: of a thousand rules for as many recipients, few are worth a test.

use super::directory::Target;
use super::request::Party;
use super::rules::Rule;
use compact_str::CompactString;
use std::collections::HashMap;

/// Consents with fewer rules are tested whole: looking them up would cost more.
const WORTHWHILE: usize = 32;

/// The rules of one consent by the names of their recipients.
#[derive(Debug, Clone, Default)]
pub(super) struct Recipients {
    /// Rules that must be tested whoever asks, in order: they name nobody, may mean somebody unnamed, or hold for rules below them.
    open: Vec<usize>,
    named: HashMap<CompactString, Vec<usize>>,
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
            for name in rule.own.recipients.iter().flat_map(names_of) {
                let known = recipients.named.entry(name).or_default();
                if known.last() != Some(&index) {
                    known.push(index);
                }
            }
        }
        recipients
    }

    /// The rules that these actors do not rule out, in order.
    pub(super) fn worth_testing(&self, actors: &[Party]) -> Vec<usize> {
        if self.rules < WORTHWHILE {
            return (0..self.rules).collect();
        }
        let named = actors.iter().flat_map(names).filter_map(|name| self.named.get(&name)).flatten();
        let mut found: Vec<usize> = self.open.iter().chain(named).copied().collect();
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

fn names_of(target: &Target) -> Vec<CompactString> {
    std::iter::once(&target.party).chain(target.members.iter().map(|member| &member.party)).flat_map(names).collect()
}

/// The names under which two parties can be the same: the end of a reference, whatever its base, and an identifier's value, whatever its system.
fn names(party: &Party) -> impl Iterator<Item = CompactString> {
    let references = party.references.iter().map(|reference| CompactString::from(reference.relative().unwrap_or(reference.as_str())));
    references.chain(party.identifiers.iter().map(|identifier| identifier.value.clone()))
}
