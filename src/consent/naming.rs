//! Whether two parties are the same, by the names they go by, and whether other names show that they are not.

use super::code::{Identifier, Reference};
use super::directory::{Member, Target};
use super::request::Party;
use compact_str::CompactString;

const ORGANISATION: &str = "Organization";
/// Systems by which organisations are named, whatever each calls itself.
const ORGANISATIONS: [&str; 3] = [PROVIDERS[0], PROVIDERS[1], "urn:ietf:rfc:3986"];
/// Those in which nobody is named but those who give care, people and institutions.
const PROVIDERS: [&str; 2] = ["http://hl7.org/fhir/sid/us-npi", "urn:oid:2.16.840.1.113883.4.6"];

/// Whether people go by identifiers of a system in which organisations are named, too.
pub(super) fn is_of_people_too(system: &str) -> bool {
    ORGANISATIONS.contains(&system)
}

/// Whether whoever has an identifier of a system gives care.
pub(super) fn is_of_providers(system: &str) -> bool {
    PROVIDERS.contains(&system)
}

/// Whether they have a name in common.
pub(super) fn is_same(meant: &Party, asking: &Party) -> bool {
    asking.references.iter().any(|reference| meant.references.contains(reference))
        || asking.identifiers.iter().any(|identifier| identifier.has_system() && meant.identifiers.contains(identifier))
        || asking.roles.iter().any(|role| !role.system.is_empty() && meant.roles.contains(role))
}

/// Whether a party may be the target or one of those of its members that count.
pub(super) fn may_be_among(target: &Target, party: &Party, counts: impl Fn(&Member) -> bool) -> bool {
    may_be_same(&target.party, party) || target.members.iter().any(|member| counts(member) && may_be_same(&member.party, party))
}

/// Whether the two would be the same if what one of them leaves out were as the other has it.
fn may_be_same(meant: &Party, asking: &Party) -> bool {
    let by_reference = asking.references.iter().any(|asked| meant.references.iter().any(|reference| reference.may_be(asked)));
    let by_identifier = asking.identifiers.iter().any(|asked| meant.identifiers.iter().any(|identifier| identifier.may_be(asked)));
    by_reference || by_identifier
}

impl Identifier {
    /// Whether two identifiers that are not the same may be, as far as their systems are told. Where only the case of letters differs nobody can tell
    /// (R4 §3.1.1.4.10).
    pub(super) fn may_be(&self, other: &Identifier) -> bool {
        let are_told = self.is_of_told_system() && other.is_of_told_system();
        self.value.eq_ignore_ascii_case(&other.value) && (!are_told || self.system.eq_ignore_ascii_case(&other.system))
    }
}

/// The names under which two parties can be the same: the end of a reference, whatever its base, and an identifier's value, whatever its system and the
/// case of its letters.
pub(super) fn names(party: &Party) -> impl Iterator<Item = CompactString> {
    let references = party.references.iter().map(|reference| CompactString::from(reference.relative().unwrap_or(reference.as_str())));
    references.chain(party.identifiers.iter().map(|identifier| identifier.value.to_ascii_lowercase()))
}

/// From whom a party that is meant is told apart by having other names than they.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart<'a> {
    Everybody,
    /// Whoever has a reference.
    Referenced,
    /// Whoever has an identifier of one of these systems.
    Identified(&'a [Identifier]),
    /// Whoever has either.
    Named(&'a [Identifier]),
}

impl Apart<'_> {
    /// People and devices are not taken for organisations, nor is whoever is not said to be one and is named in no system by which organisations are. An
    /// organisation's record says by which names it goes, and not that it goes by no other, unless it is said to be all there is to know.
    pub(super) fn of(meant: &Party) -> Apart<'_> {
        let is_other = |reference: &Reference| reference.type_name().is_some_and(|name| name != ORGANISATION);
        let has_system = meant.identifiers.iter().any(Identifier::is_of_told_system);
        let is_organisation = |known: &Identifier| ORGANISATIONS.contains(&known.system.as_str());
        let is_kind_known = || meant.type_name.is_some() || meant.identifiers.iter().any(is_organisation);
        match meant.references.as_slice() {
            [] if has_system && is_kind_known() => Apart::Identified(&meant.identifiers),
            [] => Apart::Everybody,
            [..] if meant.is_known_whole || meant.references.iter().any(is_other) => Apart::Everybody,
            [..] if has_system => Apart::Named(&meant.identifiers),
            [..] => Apart::Referenced,
        }
    }

    fn includes(self, asking: &Party) -> bool {
        match self {
            Apart::Everybody => true,
            Apart::Referenced => !asking.references.is_empty(),
            Apart::Identified(names) => shares_system(names, asking),
            Apart::Named(names) => !asking.references.is_empty() || shares_system(names, asking),
        }
    }
}

/// Whether nothing tells the party that is meant from those who ask. Who is there in another capacity, as the organisation of a person, tells nothing.
pub(super) fn is_untold_from(meant: &Party, asking: &[Party]) -> bool {
    let mut rivals = asking.iter().filter(|party| meant.may_be_of_type_of(party)).peekable();
    rivals.peek().is_some() && !rivals.any(|party| Apart::of(meant).includes(party))
}

fn shares_system(names: &[Identifier], party: &Party) -> bool {
    party.identifiers.iter().any(|own| own.has_system() && names.iter().any(|name| name.system == own.system))
}

/// Whether two parties that do not have the same names are therefore not the same: each has a reference, or an identifier of one system.
pub(super) fn is_comparable(meant: &Party, author: &Party) -> bool {
    !author.references.is_empty() || shares_system(&meant.identifiers, author)
}
