//! Whether the criteria of one rule hold for a request and a resource.
//!
//! The answer is twofold, because doubt goes the safe way: what is unknown satisfies no permit, and is taken to be what a denial meant.

use super::code::{Code, Reference};
use super::criteria::{Criteria, Data, KINDS, Kind, Meaning};
use super::directory::Target;
use super::facts::ResourceFacts;
use super::request::{Party, Request};
use super::rules::Polarity;
use super::vocabulary::{Concept, Confidentiality, RESOURCE_TYPES, is_sensitivity};

/// How far a criterion holds. A rule holds as far as the weakest of its criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// It depends on the resource, and there is none yet.
    Deferred,
    /// It cannot be told.
    Unknown,
    Yes,
}

impl From<bool> for Match {
    fn from(holds: bool) -> Match {
        if holds { Match::Yes } else { Match::No }
    }
}

/// How far a criterion holds if a permit states it, and if a denial does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub permit: Match,
    pub deny: Match,
}

/// A criterion that is not stated holds for everything.
pub(super) const UNSTATED: Held = Held { permit: Match::Yes, deny: Match::Yes };

impl Held {
    fn both(holds: bool) -> Held {
        Held { permit: holds.into(), deny: holds.into() }
    }

    /// There is no resource to test: the permit is conditional, the denial becomes an obligation.
    const DEFERRED: Held = Held { permit: Match::Yes, deny: Match::Deferred };

    /// Nothing is known: no permit, and a denial may have meant it.
    const UNKNOWN: Held = Held { permit: Match::No, deny: Match::Unknown };

    pub(super) fn of(self, polarity: Polarity) -> Match {
        match polarity {
            Polarity::Permit => self.permit,
            Polarity::Deny => self.deny,
        }
    }

    fn or(self, other: Held) -> Held {
        Held { permit: self.permit.max(other.permit), deny: self.deny.max(other.deny) }
    }
}

/// What the criteria are tested against.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub request: &'a Request,
    pub facts: Option<&'a ResourceFacts>,
    /// Who controls the data by the consent's own word, for requests that do not say who holds it.
    pub controllers: &'a [Party],
}

/// The criteria of one rule, tested.
#[derive(Clone, Copy)]
pub(super) struct Tests {
    pub held: [Held; KINDS],
    /// Whether one of its own criteria holds in no sense, so that no reading can make the rule speak.
    pub is_ruled_out: bool,
}

/// Tests every stated criterion of a rule; of a rule `without_children`, whose criteria no other inherits, only up to the first that fails.
pub(super) fn test(criteria: &Criteria, without_children: bool, asked: &Asked<'_>) -> Tests {
    let mut tests = Tests { held: [UNSTATED; KINDS], is_ruled_out: false };
    for kind in criteria.stated.iter() {
        let mut held = test_kind(kind, criteria, asked);
        if criteria.unreadable.has(kind) {
            held.deny = held.deny.max(Match::Unknown);
        }
        tests.is_ruled_out |= held == Held::both(false);
        if let Some(slot) = tests.held.get_mut(kind.index()) {
            *slot = held;
        }
        if tests.is_ruled_out && without_children {
            break;
        }
    }
    tests
}

fn test_kind(kind: Kind, criteria: &Criteria, asked: &Asked<'_>) -> Held {
    let request = asked.request;
    match kind {
        Kind::Recipient => any(&criteria.recipients, |target| test_target(target, &request.actors, request)),
        Kind::Custodian => any(&criteria.custodians, |target| test_custodian(target, criteria.stated.has(Kind::Recipient), asked)),
        Kind::Purpose => test_purposes(&criteria.purposes, &request.purposes),
        Kind::Action => test_action(criteria, request),
        Kind::Period => criteria.period.map_or(Held::UNKNOWN, |period| Held {
            permit: period.contains(request.instant).into(),
            deny: period.may_contain(request.instant).into(),
        }),
        Kind::Location => test_locations(&criteria.locations, &request.locations),
        Kind::Class => test_classes(&criteria.classes, asked),
        Kind::Document => test_documents(&criteria.documents, asked),
        Kind::Label => with_resource(asked, |facts| test_labels(&criteria.labels, facts)),
        Kind::Code => with_resource(asked, |facts| test_codes(&criteria.codes, facts)),
        Kind::DataPeriod => with_resource(asked, |facts| test_data_period(criteria, facts)),
        Kind::Data => with_resource(asked, |facts| any(&criteria.data, |data| test_data(data, facts))),
        Kind::Source => with_resource(asked, |facts| any(&criteria.sources, |source| test_data(source, facts))),
        Kind::Other => Held::UNKNOWN,
    }
}

fn any<T>(alternatives: &[T], test: impl Fn(&T) -> Held) -> Held {
    alternatives.iter().fold(Held::both(false), |held, alternative| held.or(test(alternative)))
}

fn with_resource(asked: &Asked<'_>, test: impl Fn(&ResourceFacts) -> Held) -> Held {
    asked.facts.map_or(Held::DEFERRED, test)
}

fn test_target(target: &Target, parties: &[Party], request: &Request) -> Held {
    let mut held = Held::both(parties.iter().any(|party| is_same(&target.party, party)));
    if held.permit == Match::Yes {
        return held;
    }
    for member in target.members.iter().filter(|member| parties.iter().any(|party| is_same(&member.party, party))) {
        let permits = member.may_permit && member.period.is_none_or(|period| period.contains(request.instant));
        let denies = member.period.is_none_or(|period| period.may_contain(request.instant));
        held = held.or(Held { permit: permits.into(), deny: denies.into() });
    }
    let lists_roles = !target.party.roles.is_empty();
    let is_unknown = target.is_open
        || !parties.iter().any(Party::is_identified)
        || parties.iter().any(|party| may_be_same(&target.party, party) || (lists_roles && party.roles.is_empty()));
    if is_unknown { held.or(Held::UNKNOWN) } else { held }
}

fn is_same(meant: &Party, asking: &Party) -> bool {
    asking.references.iter().any(|reference| meant.references.contains(reference))
        || asking.identifiers.iter().any(|identifier| identifier.has_system() && meant.identifiers.contains(identifier))
        || asking.roles.iter().any(|role| !role.system.is_empty() && meant.roles.contains(role))
}

/// Whether the two would be the same if what one of them leaves out were as the other has it.
fn may_be_same(meant: &Party, asking: &Party) -> bool {
    let by_reference = asking.references.iter().any(|asked| meant.references.iter().any(|reference| reference.may_be(asked)));
    let by_identifier = asking.identifiers.iter().any(|asked| {
        meant.identifiers.iter().any(|identifier| identifier.value == asked.value && (!identifier.has_system() || !asked.has_system()))
    });
    by_reference || by_identifier
}

/// Who holds the data, as the request says, or else as the consent itself says of its controller. On the latter alone no permit rests that
/// names no recipient: it would open everything to everybody.
fn test_custodian(target: &Target, names_recipient: bool, asked: &Asked<'_>) -> Held {
    match &asked.request.custodian {
        Some(custodian) => test_target(target, std::slice::from_ref(custodian), asked.request),
        None if asked.controllers.iter().any(|controller| is_same(&target.party, controller)) => {
            Held { permit: if names_recipient { Match::Yes } else { Match::Unknown }, deny: Match::Yes }
        }
        None => Held::UNKNOWN,
    }
}

fn test_purposes(stated: &[Concept], declared: &[Concept]) -> Held {
    if declared.iter().any(|purpose| stated.iter().any(|rule| rule.covers(purpose))) {
        return Held::both(true);
    }
    let lacks_system = |concept: &Concept| concept.code.system.is_empty();
    let is_doubtful = |purpose: &Concept| {
        !purpose.is_known()
            || stated.iter().any(|rule| rule.code.code == purpose.code.code && (lacks_system(rule) || lacks_system(purpose)))
    };
    if declared.is_empty() || declared.iter().any(is_doubtful) { Held::UNKNOWN } else { Held::both(false) }
}

fn test_action(criteria: &Criteria, request: &Request) -> Held {
    if criteria.actions.contains(&request.action) {
        return Held::both(true);
    }
    let is_related = request.action.is_release() && criteria.actions.iter().any(|action| action.is_release());
    if is_related { Held::UNKNOWN } else { Held::both(false) }
}

fn test_locations(stated: &[Reference], asking: &[Reference]) -> Held {
    if asking.is_empty() {
        return Held::UNKNOWN;
    }
    let is_there = asking.iter().any(|location| stated.contains(location));
    let may_be = asking.iter().any(|location| stated.iter().any(|meant| meant.may_be(location)));
    Held {
        permit: is_there.into(),
        deny: if is_there {
            Match::Yes
        } else if may_be {
            Match::Unknown
        } else {
            Match::No
        },
    }
}

/// Classes name resource types, profiles and kinds of document.
fn test_classes(stated: &[Code], asked: &Asked<'_>) -> Held {
    match asked.facts {
        Some(facts) => any(stated, |class| {
            let is_type = class.code == facts.type_name;
            let is_profile = facts.profiles.contains(&class.code);
            let holds = (is_type && class.system == RESOURCE_TYPES) || is_profile || facts.main_codes.contains(class);
            Held { permit: holds.into(), deny: (holds || is_type || facts.all_codes.contains(class)).into() }
        }),
        None if asked.request.classes.is_empty() => Held::DEFERRED,
        None => Held::both(asked.request.classes.iter().any(|class| stated.contains(class))),
    }
}

/// Kinds of document. A request that names only types says nothing of them yet.
fn test_documents(stated: &[Code], asked: &Asked<'_>) -> Held {
    match asked.facts {
        Some(_) => test_classes(stated, asked),
        None if asked.request.classes.iter().any(|class| stated.contains(class)) => Held::both(true),
        None => Held::DEFERRED,
    }
}

/// A permit's level of confidentiality covers all below it; a denial's is met exactly. A resource without a level counts as restricted.
fn test_labels(stated: &[Concept], facts: &ResourceFacts) -> Held {
    any(stated, |label| {
        let carries = facts.labels.iter().any(|own| label.covers(own));
        match (label.confidentiality, facts.confidentiality) {
            (Some(_), None) => Held {
                permit: (label.confidentiality >= Some(Confidentiality::Restricted)).into(),
                deny: if label.confidentiality == Some(Confidentiality::Restricted) { Match::Unknown } else { Match::No },
            },
            (Some(ceiling), Some(level)) => Held { permit: (level <= ceiling).into(), deny: carries.into() },
            (None, _) => {
                // What cannot be read, and nobody vouches for, may be what the denial means.
                let is_doubtful =
                    facts.is_unreadable && facts.declared.iter().all(|own| own.confidentiality.is_none()) && is_sensitivity(label);
                // A label that says less exactly what the resource tells may stand for what the denial means.
                let may_carry = facts.labels.iter().any(|own| own.covers(label));
                let deny = if carries || carries_bare(label, facts) {
                    Match::Yes
                } else if is_doubtful || may_carry {
                    Match::Unknown
                } else {
                    Match::No
                };
                Held { permit: (carries && !label.code.system.is_empty()).into(), deny }
            }
        }
    })
}

/// Whether the resource carries the label's code where one of the two lacks its system.
fn carries_bare(label: &Concept, facts: &ResourceFacts) -> bool {
    let bare = |own: &Concept| own.code.system.is_empty() || label.code.system.is_empty();
    facts.labels.iter().any(|own| own.code.code == label.code.code && bare(own))
}

fn test_codes(stated: &[Code], facts: &ResourceFacts) -> Held {
    let permits = stated.iter().any(|code| !code.system.is_empty() && facts.main_codes.contains(code));
    let denies = stated.iter().any(|code| facts.all_codes.contains(code));
    let is_bare = |code: &Code, own: &Code| {
        code.code.eq_ignore_ascii_case(&own.code) && (code.system.is_empty() || own.system.is_empty() || code.system == own.system)
    };
    let is_doubtful = || facts.has_uncoded || stated.iter().any(|code| facts.all_codes.iter().any(|own| is_bare(code, own)));
    Held {
        permit: permits.into(),
        deny: if denies {
            Match::Yes
        } else if is_doubtful() {
            Match::Unknown
        } else {
            Match::No
        },
    }
}

/// A permit needs all of the data's dates inside; a denial reaches data any of whose dates may be.
fn test_data_period(criteria: &Criteria, facts: &ResourceFacts) -> Held {
    let Some(period) = criteria.data_period else { return Held::UNKNOWN };
    if facts.dates.is_empty() {
        return if facts.is_timeless { Held::both(false) } else { Held::UNKNOWN };
    }
    Held {
        permit: facts.dates.iter().all(|date| period.encloses(date)).into(),
        deny: facts.dates.iter().any(|date| period.overlaps(date)).into(),
    }
}

fn test_data(data: &Data, facts: &ResourceFacts) -> Held {
    let own = facts.reference.as_slice();
    match data.meaning {
        Meaning::Instance => test_references(&data.reference, own),
        Meaning::Dependents => test_references(&data.reference, own).or(test_references(&data.reference, &facts.references)),
        Meaning::Related => {
            let inward = test_references(&data.reference, own).or(test_references(&data.reference, &facts.references));
            let is_pointed_at = own.iter().any(|own| data.points_to.contains(own));
            inward.or(Held { permit: Match::No, deny: is_pointed_at.into() })
        }
        Meaning::AuthoredBy => test_author(data, facts),
    }
}

fn test_references(meant: &Reference, among: &[Reference]) -> Held {
    if among.contains(meant) {
        return Held::both(true);
    }
    if among.iter().any(|reference| meant.may_be(reference)) { Held::UNKNOWN } else { Held::both(false) }
}

fn test_author(data: &Data, facts: &ResourceFacts) -> Held {
    if facts.authors.is_empty() && facts.author_identifiers.is_empty() {
        return if facts.is_timeless { Held::both(false) } else { Held::UNKNOWN };
    }
    let by_identifier = facts.author_identifiers.iter().any(|author| author.has_system() && data.identifiers.contains(author));
    test_references(&data.reference, &facts.authors).or(Held::both(by_identifier))
}
